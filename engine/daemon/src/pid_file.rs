//! A file that says which process serves, for as long as it does.
//!
//! In: its path, while what is wrong with it can still be told. Out: the number of the process, once it is known; at the end nothing, or an empty
//! file where its folder lets nobody take it away.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

/// See the module.
pub(crate) struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Makes it, or empties the one of before.
    pub(crate) fn create(path: PathBuf) -> io::Result<PidFile> {
        let file = File::create(&path)?;
        Ok(PidFile { path, file })
    }

    /// Writes who we are: in the background, that is somebody else.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        writeln!(self.file, "{}", std::process::id())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if fs::remove_file(&self.path).is_err() {
            // Whoever reads it must not take another process for us.
            let _ = self.file.set_len(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_our_number_while_we_live() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("pid");
        fs::write(&path, "99999999999\n").expect("our file");
        let mut file = PidFile::create(path.clone()).expect("our file");
        assert_eq!(fs::read_to_string(&path).expect("text"), "");
        file.write().expect("our file");
        assert_eq!(fs::read_to_string(&path).expect("text"), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
        assert!(PidFile::create(path.join("under/nothing")).is_err());
    }
}
