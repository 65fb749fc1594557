//! One recording: a file that is begun when the first byte passes.
//!
//! Each piece is written as a whole. Where that fails, what is there of it is replaced by an end that says so, which needs no more room than what was
//! there: so a full disk leaves a recording that can be played.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use penstock_core::config::RecordFormat;

use super::{asciicast, websockify};

pub(super) struct Tape {
    file: File,
    /// All that was written whole.
    length: u64,
    started: Instant,
    format: Format,
}

enum Format {
    Websockify,
    Asciicast(asciicast::Texts),
}

impl Tape {
    pub(super) fn begin(file: File, format: RecordFormat, started: Instant) -> io::Result<Tape> {
        let mut text = Vec::new();
        let format = match format {
            RecordFormat::Websockify => {
                websockify::begin(&mut text);
                Format::Websockify
            }
            RecordFormat::Asciicast => {
                asciicast::begin(&mut text);
                Format::Asciicast(Default::default())
            }
        };
        let mut tape = Tape { file, length: 0, started, format };
        tape.put(&text, Duration::ZERO)?;
        Ok(tape)
    }

    /// Bytes that passed at that time.
    pub(super) fn write(&mut self, from_client: bool, at: Instant, bytes: &[u8]) -> io::Result<()> {
        let (span, mut text) = (self.span(at), Vec::new());
        match &mut self.format {
            Format::Websockify => websockify::write(&mut text, from_client, span, bytes),
            Format::Asciicast(texts) => texts.write(&mut text, from_client, span, bytes),
        }
        self.put(&text, span)
    }

    /// Something is missing here.
    pub(super) fn gap(&mut self, at: Instant) -> io::Result<()> {
        let (span, mut text) = (self.span(at), Vec::new());
        self.format.gap(&mut text, span);
        self.put(&text, span)
    }

    pub(super) fn end(mut self, at: Instant) -> io::Result<()> {
        let (span, mut text) = (self.span(at), Vec::new());
        self.format.end(&mut text, span);
        self.put(&text, span)
    }

    fn span(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.started)
    }

    fn put(&mut self, text: &[u8], span: Duration) -> io::Result<()> {
        let written = self.file.write_all(text);
        match written {
            Ok(()) => self.length += text.len() as u64,
            Err(_) => self.give_up(span),
        }
        written
    }

    fn give_up(&mut self, span: Duration) {
        let mut text = Vec::new();
        self.format.gap(&mut text, span);
        self.format.end(&mut text, span);
        let ended = self.file.seek(SeekFrom::Start(self.length));
        let ended = ended.and_then(|_| self.file.write_all(&text));
        let length = self.length + ended.map_or(0, |()| text.len() as u64);
        // What can't even be cut off stays: more than to tell of the first error, which is done, can't be done.
        let _ = self.file.set_len(length);
    }
}

impl Format {
    fn gap(&mut self, to: &mut Vec<u8>, span: Duration) {
        match self {
            Format::Websockify => websockify::gap(to),
            Format::Asciicast(texts) => texts.gap(to, span),
        }
    }

    fn end(&mut self, to: &mut Vec<u8>, span: Duration) {
        match self {
            Format::Websockify => websockify::end(to),
            Format::Asciicast(texts) => texts.end(to, span),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    /// A file that gets no larger than this.
    fn narrow(room: u64) -> File {
        let flags = MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC;
        let file = File::from(memfd_create("recording", flags).expect("memory"));
        file.set_len(room).expect("memory");
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).expect("ours");
        file
    }

    fn read(mut file: File) -> String {
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text)).expect("ours");
        text
    }

    #[test]
    fn a_piece_for_which_there_is_no_room_is_replaced_by_the_end() {
        let now = Instant::now();
        for format in [RecordFormat::Websockify, RecordFormat::Asciicast] {
            let file = narrow(8 << 10);
            let mut tape = Tape::begin(file.try_clone().expect("ours"), format, now).expect("room");
            tape.write(false, now, b"first").expect("room");
            tape.write(false, now, &[b'x'; 16 << 10]).expect_err("no room");
            drop(tape);
            let text = read(file);
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines[1].contains("first") && !text.contains('x'), "{text}");
            let ends: &[&str] = match format {
                RecordFormat::Websockify => &["/* bytes are missing here */", "'EOF'];"],
                RecordFormat::Asciicast => &[r#"[0.0,"m","bytes are missing here"]"#],
            };
            assert_eq!(lines[2..], *ends);
        }
    }

    #[test]
    fn where_there_is_no_room_for_an_end_what_was_whole_stays() {
        let now = Instant::now();
        let file = narrow(4096);
        let copy = file.try_clone().expect("ours");
        let mut tape = Tape::begin(copy, RecordFormat::Websockify, now).expect("room");
        tape.write(false, now, &[b'a'; 4055]).expect("room");
        tape.write(false, now, b"too much").expect_err("no room");
        assert!(read(file).ends_with("aaa',\n"));
    }
}
