//! Where the recordings of one listener are put: files of one name, numbered.
//!
//! The folder is looked at once, for the highest number that is there; from then on numbers are counted, and none is given twice, whatever is cleared
//! away meanwhile. What somebody else has put there is passed over: nothing is ever written over.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, read_dir};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use penstock_core::config::{RecordFormat, Recording};

pub(super) struct Shelf {
    recording: Recording,
    /// The next number; none before the first file was made.
    next: Option<u64>,
}

impl Shelf {
    pub(super) fn new(recording: Recording) -> Shelf {
        Shelf { recording, next: None }
    }

    pub(super) fn format(&self) -> RecordFormat {
        self.recording.format
    }

    /// Makes the next file, which its owner alone can read.
    pub(super) fn create(&mut self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut number = self.next.unwrap_or_else(|| 1 + self.highest());
        loop {
            match options.open(self.numbered(number)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(named(&self.recording.path, &error)),
                Ok(file) => {
                    self.next = Some(number + 1);
                    return Ok(file);
                }
            }
        }
    }

    /// Of the files that are there. None are where the folder can't be read: then numbers are tried from one on.
    fn highest(&self) -> u64 {
        let folder = self.recording.path.parent().filter(|path| !path.as_os_str().is_empty());
        let Ok(files) = read_dir(folder.unwrap_or(Path::new("."))) else { return 0 };
        files.flatten().filter_map(|file| self.number(&file.file_name())).max().unwrap_or(0)
    }

    /// Of a file with this name. Larger ones than fit are nobody's numbers.
    fn number(&self, name: &OsStr) -> Option<u64> {
        let stem = self.recording.path.file_name()?.as_bytes();
        let rest = name.as_bytes().strip_prefix(stem)?.strip_prefix(b".")?;
        let digits = rest.strip_suffix(self.suffix().as_bytes())?;
        str::from_utf8(digits).ok()?.parse::<u32>().ok().map(u64::from)
    }

    fn numbered(&self, number: u64) -> PathBuf {
        let mut path = self.recording.path.clone().into_os_string();
        path.push(format!(".{number}{}", self.suffix()));
        path.into()
    }

    fn suffix(&self) -> &'static str {
        match self.recording.format {
            RecordFormat::Websockify => "",
            RecordFormat::Asciicast => ".cast",
        }
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn numbers_go_on_behind_the_highest_and_none_is_given_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in
            ["rec.3", "rec.17", "rec.x", "rec.99.cast", "rec2.50", "rec.99999999999999999999"]
        {
            fs::write(at(name), "before").expect("written");
        }
        let recording = |format| Recording { path: at("rec"), format };
        let mut shelf = Shelf::new(recording(RecordFormat::Websockify));
        shelf.create().expect("room");
        assert!(at("rec.18").exists());
        fs::write(at("rec.19"), "of another program").expect("written");
        fs::remove_file(at("rec.18")).expect("ours");
        shelf.create().expect("room");
        assert!(at("rec.20").exists() && !at("rec.18").exists());
        assert_eq!(fs::read(at("rec.19")).expect("there"), b"of another program");
        for name in ["rec.3", "rec.17", "rec.19", "rec.20"] {
            fs::remove_file(at(name)).expect("ours");
        }
        shelf.create().expect("room");
        assert!(at("rec.21").exists());
        Shelf::new(recording(RecordFormat::Asciicast)).create().expect("room");
        assert!(at("rec.100.cast").exists());
    }

    #[test]
    fn a_folder_that_comes_later_is_looked_at_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let later = folder.path().join("later");
        let format = RecordFormat::Websockify;
        let mut shelf = Shelf::new(Recording { path: later.join("rec"), format });
        let missing = shelf.create().expect_err("there is no folder");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert!(missing.to_string().starts_with(later.to_str().expect("text")), "{missing}");
        fs::create_dir(&later).expect("room");
        fs::write(later.join("rec.7"), "").expect("room");
        shelf.create().expect("room");
        assert!(later.join("rec.8").exists());
    }
}
