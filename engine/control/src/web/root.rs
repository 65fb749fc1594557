//! The folder that pages are in, and nothing beyond it.
//!
//! The kernel does the watching: openat2(2) follows symbolic links as long as they stay beneath the folder. Where it is missing or forbidden,
//! each name is opened by itself, and symbolic links are not followed at all. What is neither a file nor a folder is not read.

use std::fs::{File, metadata};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::Mode;

/// Something was renamed while a path was looked up: that often it is tried again.
const TRIES: usize = 4;
/// FIFOs and devices must not hold up who opens them.
const READ: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);
const FOLDER: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_PATH).union(OFlag::O_DIRECTORY);

pub(super) struct Root {
    path: PathBuf,
    opened: Mutex<Option<Opened>>,
    without_openat2: AtomicBool,
    /// It was told that the folder can't be opened.
    is_told: AtomicBool,
}

struct Opened {
    folder: Arc<OwnedFd>,
    /// Device and inode.
    identity: (u64, u64),
}

impl Root {
    /// The folder at `path`, which is opened when something of it is wanted.
    pub(super) fn new(path: &Path) -> Root {
        Root {
            path: path.to_owned(),
            opened: Mutex::new(None),
            without_openat2: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
        }
    }

    /// Opens what is at `path` beneath it, for reading: a file, a folder, or something else. May wait.
    pub(super) fn open(&self, path: &Path) -> Result<File, Errno> {
        let folder = self.folder();
        if let (Err(errno), false) = (&folder, self.is_told.swap(folder.is_err(), Relaxed)) {
            let path = self.path.display();
            tracing::warn!("the pages of {path} can't be served: {}", errno.desc());
        }
        let folder = folder?;
        let opened = if self.without_openat2.load(Relaxed) {
            walk(folder.as_fd(), path)
        } else {
            self.open_beneath(folder.as_fd(), path)
        };
        opened.map(File::from)
    }

    fn open_beneath(&self, folder: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(READ).resolve(resolve);
        for _ in 1..TRIES {
            match openat2(folder, path, how) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                // Seccomp profiles that are older than this call know no better answer.
                Err(Errno::ENOSYS | Errno::EPERM) => {
                    self.without_openat2.store(true, Relaxed);
                    return walk(folder, path);
                }
                opened => return opened,
            }
        }
        openat2(folder, path, how)
    }

    /// The folder as it is now: whoever installs pages anew may put another one in its place.
    fn folder(&self) -> Result<Arc<OwnedFd>, Errno> {
        let now = metadata(&self.path).ok().map(|now| (now.dev(), now.ino()));
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match &*opened {
            Some(opened) if now.is_none_or(|now| now == opened.identity) => {
                Ok(opened.folder.clone())
            }
            _ => {
                let file = File::from(open(&self.path, FOLDER, Mode::empty())?);
                let is = file.metadata().map_err(|_| Errno::EIO)?;
                let folder = Arc::new(OwnedFd::from(file));
                let identity = (is.dev(), is.ino());
                *opened = Some(Opened { folder: folder.clone(), identity });
                Ok(folder)
            }
        }
    }
}

/// Name by name, for old kernels. `path` is made of plain names.
fn walk(folder: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let mut folders = path.parent().into_iter().flat_map(Path::iter);
    let last = path.file_name().ok_or(Errno::ENOENT)?;
    let step = |at: BorrowedFd<'_>, name, flags| {
        openat(at, name, flags | OFlag::O_NOFOLLOW, Mode::empty())
    };
    let Some(first) = folders.next() else { return step(folder, last, READ) };
    let mut at = step(folder, first, FOLDER)?;
    for name in folders {
        at = step(at.as_fd(), name, FOLDER)?;
    }
    step(at.as_fd(), last, READ)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::{fs, io};

    use super::*;

    /// top/secret, top/root/{a, sub/b}, and symbolic links: inside, sideways, dangling, absolute, out.
    fn tree() -> tempfile::TempDir {
        let top = tempfile::tempdir().expect("a folder");
        let root = top.path().join("root");
        fs::create_dir_all(root.join("sub")).expect("room");
        fs::write(top.path().join("secret"), "secret").expect("room");
        fs::write(root.join("a"), "a").expect("room");
        fs::write(root.join("sub/b"), "b").expect("room");
        let absolute = root.join("a");
        for (name, to) in [
            ("inside", Path::new("sub/b")),
            ("sub/up", Path::new("../a")),
            ("folder", Path::new("sub")),
            ("absolute", &absolute),
            ("out", Path::new("../secret")),
            ("system", Path::new("/etc")),
            ("magic", Path::new("/proc/self/root")),
        ] {
            symlink(to, root.join(name)).expect("room");
        }
        top
    }

    fn text(file: Result<File, Errno>) -> Result<String, Errno> {
        file.and_then(|file| io::read_to_string(file).map_err(|_| Errno::EISDIR))
    }

    #[test]
    fn links_are_followed_as_long_as_they_stay_inside() {
        let top = tree();
        let root = Root::new(&top.path().join("root"));
        let read = |path: &str| text(root.open(Path::new(path)));
        assert_eq!(read("a").as_deref(), Ok("a"));
        assert_eq!(read("inside").as_deref(), Ok("b"));
        assert_eq!(read("sub/up").as_deref(), Ok("a"));
        assert_eq!(read("folder/b").as_deref(), Ok("b"));
        for path in
            ["out", "absolute", "system/passwd", "magic/etc/passwd", "../secret", "/etc/passwd"]
        {
            assert_eq!(read(path), Err(Errno::EXDEV), "{path}");
        }
    }

    #[test]
    fn without_openat2_no_link_is_followed() {
        let top = tree();
        let root = Root::new(&top.path().join("root"));
        root.without_openat2.store(true, Relaxed);
        let read = |path: &str| text(root.open(Path::new(path)));
        assert_eq!(read("a").as_deref(), Ok("a"));
        assert_eq!(read("sub/b").as_deref(), Ok("b"));
        for path in ["out", "inside", "absolute"] {
            assert_eq!(read(path), Err(Errno::ELOOP), "{path}");
        }
        for path in ["folder/b", "system/passwd"] {
            assert_eq!(read(path), Err(Errno::ENOTDIR), "{path}");
        }
    }

    #[test]
    fn a_folder_put_in_its_place_is_served_from_then_on() {
        let top = tree();
        let path = top.path().join("root");
        let root = Root::new(&path);
        assert_eq!(text(root.open(Path::new("a"))).as_deref(), Ok("a"));
        fs::rename(&path, top.path().join("before")).expect("room");
        assert_eq!(text(root.open(Path::new("a"))).as_deref(), Ok("a"), "nothing better is there");
        fs::create_dir(&path).expect("room");
        fs::write(path.join("a"), "new").expect("room");
        assert_eq!(text(root.open(Path::new("a"))).as_deref(), Ok("new"));
    }

    #[test]
    fn a_folder_that_is_not_there_says_so() {
        let root = Root::new(Path::new("/nonexistent"));
        assert_eq!(root.open(Path::new("a")).map(|_| ()), Err(Errno::ENOENT));
    }

    #[test]
    fn what_is_opened_is_readable() {
        let top = tree();
        let mut file = Root::new(top.path()).open(Path::new("secret")).expect("a file");
        assert_eq!(file.read(&mut [0; 3]).ok(), Some(3));
    }
}
