//! Whole lines to a file that may be renamed, full or stuck.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::Shared;

/// Writes lines, and keeps account of those that could not be written.
pub(super) struct Writer {
    file: File,
    /// None for standard output.
    path: Option<PathBuf>,
    shared: Arc<Shared>,
    /// The file ends with a part of a line.
    torn: bool,
    failing: bool,
    /// How many of the lost lines the main log knows of.
    told: u64,
}

impl Writer {
    /// Opens a file for appending; `-` is standard output.
    pub(super) fn open(path: &Path, shared: Arc<Shared>) -> io::Result<Writer> {
        let (file, path) = if path == Path::new("-") {
            (File::from(io::stdout().as_fd().try_clone_to_owned()?), None)
        } else {
            (append_to(path)?, Some(path.to_owned()))
        };
        Ok(Writer { file, path, shared, torn: false, failing: false, told: 0 })
    }

    /// Writes whole lines, or counts them as lost.
    pub(super) fn write(&mut self, lines: &[u8]) {
        if self.shared.reopen.swap(false, Relaxed) {
            self.reopen();
        }
        if lines.is_empty() {
            return;
        }
        match write_lines(&mut self.file, &mut self.torn, lines) {
            Ok(()) => self.tell_of_losses(),
            Err(Lost { lines, error }) => {
                self.shared.dropped.fetch_add(lines, Relaxed);
                if !self.failing {
                    tracing::error!(%error, "the access log can't be written; lines are lost");
                }
                self.failing = true;
            }
        }
    }

    fn tell_of_losses(&mut self) {
        let dropped = self.shared.dropped.load(Relaxed);
        if dropped > self.told {
            let lines = dropped - self.told;
            tracing::warn!(lines, "the access log can be written again; lines were lost");
        }
        (self.told, self.failing) = (dropped, false);
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match append_to(path) {
            Ok(file) => {
                (self.file, self.torn) = (file, false);
                tracing::info!(path = %path.display(), "access log opened anew");
            }
            Err(error) => {
                let path = path.display();
                tracing::error!(%path, %error, "can't open the access log anew; the old file stays in use");
            }
        }
    }
}

/// Opening does not wait for the reader of a pipe: without one it fails. Writing waits for the reader that there is.
fn append_to(path: &Path) -> io::Result<File> {
    let without_waiting = OFlag::O_NONBLOCK.bits();
    let file =
        File::options().append(true).create(true).custom_flags(without_waiting).open(path)?;
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file)
}

#[derive(Debug)]
struct Lost {
    lines: u64,
    error: io::Error,
}

/// Writes all, or says how many lines did not make it whole. A torn line is ended before the next one begins.
fn write_lines(to: &mut impl Write, torn: &mut bool, lines: &[u8]) -> Result<(), Lost> {
    let count = |rest: &[u8]| rest.iter().filter(|byte| **byte == b'\n').count() as u64;
    if *torn {
        to.write_all(b"\n").map_err(|error| Lost { lines: count(lines), error })?;
        *torn = false;
    }
    let mut written = 0;
    while written < lines.len() {
        match to.write(&lines[written..]) {
            Ok(0) => {
                return Err(Lost {
                    lines: count(&lines[written..]),
                    error: io::ErrorKind::WriteZero.into(),
                });
            }
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                *torn = written > 0 && lines[written - 1] != b'\n';
                return Err(Lost { lines: count(&lines[written..]), error });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room);
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= fits;
            self.bytes.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_torn_line_is_lost_and_spoils_no_other() {
        let (mut disk, mut torn) = (Disk { bytes: Vec::new(), room: 6 }, false);
        let lost = write_lines(&mut disk, &mut torn, b"one\ntwo\nthree\n").expect_err("full");
        assert_eq!((lost.lines, torn, &disk.bytes[..]), (2, true, &b"one\ntw"[..]));
        let lost = write_lines(&mut disk, &mut torn, b"four\n").expect_err("still full");
        assert_eq!((lost.lines, torn), (1, true));
        disk.room = 100;
        write_lines(&mut disk, &mut torn, b"five\n").expect("room again");
        assert_eq!((&disk.bytes[..], torn), (&b"one\ntw\nfive\n"[..], false));
    }

    #[test]
    fn a_failure_between_lines_tears_none() {
        let (mut disk, mut torn) = (Disk { bytes: Vec::new(), room: 4 }, false);
        let lost = write_lines(&mut disk, &mut torn, b"one\ntwo\n").expect_err("full");
        assert_eq!((lost.lines, torn), (1, false));
    }
}
