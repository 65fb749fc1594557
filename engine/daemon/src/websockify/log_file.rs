//! The file of --log-file: lines in, and the file that has the name once the old one was moved away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Set by whoever has moved the file away.
    moved: Arc<AtomicBool>,
}

impl LogFile {
    pub(super) fn open(path: &Path, moved: Arc<AtomicBool>) -> io::Result<LogFile> {
        Ok(LogFile { path: path.to_owned(), file: opened(path)?, moved })
    }

    /// If there can be no new one, the old one is better than none.
    pub(super) fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        if self.moved.swap(false, Relaxed) {
            match opened(&self.path) {
                Ok(file) => self.file = file,
                Err(error) => writeln!(self.file, "this file can't be opened anew: {error}")?,
            }
        }
        self.file.write_all(line)
    }
}

fn opened(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_moved_file_is_left_when_that_is_said() {
        let dir = tempfile::tempdir().expect("a directory");
        let [path, old] = ["log", "log.1"].map(|name| dir.path().join(name));
        let read = |path: &Path| fs::read_to_string(path).expect("it is there");
        let moved = Arc::new(AtomicBool::new(false));
        let mut log = LogFile::open(&path, moved.clone()).expect("our directory");
        log.write_all(b"1\n").expect("room");
        fs::rename(&path, &old).expect("our directory");
        log.write_all(b"2\n").expect("room");
        moved.store(true, Relaxed);
        log.write_all(b"3\n").expect("room");
        assert_eq!((read(&old), read(&path)), ("1\n2\n".into(), "3\n".into()));
        fs::remove_file(&path).expect("our directory");
        fs::create_dir(&path).expect("our directory");
        moved.store(true, Relaxed);
        log.write_all(b"4\n").expect("what is open can be written to");
    }
}
