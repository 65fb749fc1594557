//! What a file means, for as long as it looks the same.
//!
//! In: the file's path, and how it is read. Out: what it means now. What could not be read is asked for again the next time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use penstock_core::control::TokenRefusal;

use crate::stamp::Stamp;

/// One file, and what it meant when it was last read.
pub(super) struct Kept<T> {
    path: PathBuf,
    last: Mutex<Option<Read<T>>>,
}

struct Read<T> {
    stamp: Option<Stamp>,
    is_settled: bool,
    meaning: Arc<T>,
}

impl<T> Kept<T> {
    pub(super) fn new(path: &Path) -> Kept<T> {
        Kept { path: path.to_owned(), last: Mutex::new(None) }
    }

    /// What it means now, by `read` if it may have changed. Waits for the file system.
    pub(super) fn get(
        &self,
        read: impl FnOnce(&Path) -> Result<T, TokenRefusal>,
    ) -> Result<Arc<T>, TokenRefusal> {
        let now = SystemTime::now();
        let stamp = Stamp::of(&self.path);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.as_ref().filter(|last| last.is_settled && last.stamp == stamp) {
            return Ok(known.meaning.clone());
        }
        *last = None;
        let meaning = Arc::new(read(&self.path)?);
        let is_settled = stamp.is_some_and(|stamp| stamp.is_settled(now));
        *last = Some(Read { stamp, is_settled, meaning: meaning.clone() });
        Ok(meaning)
    }
}
