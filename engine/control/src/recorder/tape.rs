//! One recording: a file that is begun when the first byte passes.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use penstock_core::config::{RecordFormat, Recording};
use penstock_core::control::Piece;

use super::{asciicast, websockify};

/// Files of one name.
const NUMBERS: u32 = 1_000_000;

pub(super) struct Tape {
    file: BufWriter<File>,
    started: Instant,
    format: Format,
    /// How much all recordings together had lost when this one was last written to.
    lost: u64,
    is_fresh: bool,
}

enum Format {
    Websockify,
    Asciicast(asciicast::Texts),
}

impl Tape {
    /// Makes the file, by the first number that is free behind the name.
    pub(super) fn begin(recording: &Recording, at: Instant, lost: u64) -> io::Result<Tape> {
        let mut file = BufWriter::new(create(recording)?);
        let format = match recording.format {
            RecordFormat::Websockify => {
                websockify::begin(&mut file)?;
                Format::Websockify
            }
            RecordFormat::Asciicast => {
                asciicast::begin(&mut file)?;
                Format::Asciicast(asciicast::Texts::default())
            }
        };
        Ok(Tape { file, started: at, format, lost, is_fresh: false })
    }

    pub(super) fn write(&mut self, piece: &Piece, at: Instant, lost: u64) -> io::Result<()> {
        let span = at.saturating_duration_since(self.started);
        self.is_fresh = true;
        // Whose bytes were lost is not known: all that were recorded then say so.
        let is_missing = std::mem::replace(&mut self.lost, lost) != lost;
        match &mut self.format {
            Format::Websockify => {
                if is_missing {
                    websockify::gap(&mut self.file)?;
                }
                websockify::write(&mut self.file, piece.from_client, span, &piece.bytes)
            }
            Format::Asciicast(texts) => {
                if is_missing {
                    asciicast::gap(&mut self.file, span)?;
                }
                texts.write(&mut self.file, piece.from_client, span, &piece.bytes)
            }
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.is_fresh) {
            true => self.file.flush(),
            false => Ok(()),
        }
    }

    pub(super) fn end(mut self, at: Instant) -> io::Result<()> {
        let span = at.saturating_duration_since(self.started);
        match &mut self.format {
            Format::Websockify => websockify::end(&mut self.file)?,
            Format::Asciicast(texts) => texts.end(&mut self.file, span)?,
        }
        self.file.flush()
    }
}

fn create(recording: &Recording) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    for number in 1..=NUMBERS {
        match options.open(numbered(recording, number)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map_err(|error| named(&recording.path, &error)),
        }
    }
    Err(named(&recording.path, &io::Error::other("a million recordings of that name are there")))
}

fn numbered(recording: &Recording, number: u32) -> PathBuf {
    let mut path = recording.path.clone().into_os_string();
    path.push(format!(".{number}"));
    if recording.format == RecordFormat::Asciicast {
        path.push(".cast");
    }
    path.into()
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
