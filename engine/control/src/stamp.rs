//! What tells one state of a file from another, so that only what has changed is read again.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Two changes that are nearer to one another may bear the same time: file systems count in such steps.
const STEP: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    modified: (i64, i64),
    /// Permissions are not the content, but may be what was in the way.
    changed: (i64, i64),
    size: u64,
    identity: (u64, u64),
}

impl Stamp {
    /// None: there is no such file, or we may not know.
    pub(crate) fn of(path: &Path) -> Option<Stamp> {
        fs::metadata(path).ok().as_ref().map(Stamp::from)
    }

    /// Whether whatever changes from `now` on will have another stamp.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let settled = now.saturating_sub(STEP).as_secs().cast_signed();
        self.modified.0 < settled && self.changed.0 < settled
    }
}

impl From<&Metadata> for Stamp {
    fn from(file: &Metadata) -> Stamp {
        Stamp {
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
            size: file.size(),
            identity: (file.dev(), file.ino()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_just_changed_is_not_settled() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "a").expect("written");
        let stamp = Stamp::of(&path).expect("there");
        let now = SystemTime::now();
        assert!(!stamp.is_settled(now) && !stamp.is_settled(now + Duration::from_secs(1)));
        assert!(stamp.is_settled(now + Duration::from_secs(4)));
        // Whatever time somebody has given it.
        let file = fs::File::options().write(true).open(&path).expect("ours");
        file.set_modified(UNIX_EPOCH).expect("ours");
        assert!(!Stamp::of(&path).expect("there").is_settled(now));
    }
}
