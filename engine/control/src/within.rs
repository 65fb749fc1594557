//! Sockets within a folder: found on no way that leads out of it, and connected to as they were found.
//!
//! In: a folder that the operator named, and a way from there that somebody else did. Out: the socket's file, held open, so that nobody can put
//! another one in its place. It refuses symbolic links anywhere on the way, `..`, and whatever is no socket.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use penstock_core::ring::Errno;
use penstock_core::ring::unix::connect_unix;

/// The socket's file, open for nothing but being connected to.
///
/// # Errors
/// EXDEV if the way is none that stays within, ELOOP at a symbolic link, ENOTSOCK; else of openat(2).
pub(crate) fn find(folder: &Path, name: &Path) -> Result<OwnedFd, Errno> {
    let (parents, last) = split(name)?;
    let there = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let mut folder = open(folder, there | OFlag::O_DIRECTORY, Mode::empty())?;
    for parent in parents {
        folder = openat(&folder, parent, there | OFlag::O_NOFOLLOW, Mode::empty())?;
        match kind(&folder)? {
            SFlag::S_IFLNK => return Err(Errno::ELOOP),
            SFlag::S_IFDIR => {}
            _ => return Err(Errno::ENOTDIR),
        }
    }
    let socket = openat(&folder, last, there | OFlag::O_NOFOLLOW, Mode::empty())?;
    match kind(&socket)? {
        SFlag::S_IFLNK => Err(Errno::ELOOP),
        SFlag::S_IFSOCK => Ok(socket),
        _ => Err(Errno::ENOTSOCK),
    }
}

/// Connects to the very file that was found.
///
/// # Errors
/// Those of [`find`], and of connect(2).
pub(crate) fn connect(folder: &Path, name: &Path) -> Result<OwnedFd, Errno> {
    let socket = find(folder, name)?;
    connect_unix(&PathBuf::from(format!("/proc/self/fd/{}", socket.as_raw_fd())))
}

/// The folders on the way, and what is at its end.
fn split(name: &Path) -> Result<(Vec<&OsStr>, &OsStr), Errno> {
    let part = |component| match component {
        Component::CurDir => None,
        Component::Normal(part) => Some(Ok(part)),
        _ => Some(Err(Errno::EXDEV)),
    };
    let mut parts = name.components().filter_map(part).collect::<Result<Vec<&OsStr>, Errno>>()?;
    let last = parts.pop().ok_or(Errno::EXDEV)?;
    Ok((parts, last))
}

fn kind(file: impl AsFd) -> Result<SFlag, Errno> {
    Ok(SFlag::from_bits_truncate(fstat(file)?.st_mode) & SFlag::S_IFMT)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn only_sockets_within_the_folder_are_found() {
        let outside = tempfile::tempdir().expect("a folder");
        let folder = outside.path().join("vm");
        fs::create_dir_all(folder.join("a/b")).expect("made");
        // Its name begins as the folder's does.
        fs::create_dir(outside.path().join("vm-evil")).expect("made");
        let places = ["vm/socket", "vm/a/b/deep", "vm-evil/socket", "socket"];
        let _listeners =
            places.map(|place| UnixListener::bind(outside.path().join(place)).expect("bound"));
        fs::write(folder.join("file"), "").expect("written");
        symlink("socket", folder.join("link")).expect("made");
        symlink("../vm-evil", folder.join("way")).expect("made");
        for name in ["socket", "a/b/deep", "./socket", "a//b/deep"] {
            assert!(find(&folder, Path::new(name)).is_ok(), "{name}");
        }
        let absolute = folder.join("socket");
        for (name, errno) in [
            ("../socket", Errno::EXDEV),
            ("a/../socket", Errno::EXDEV),
            ("../vm-evil/socket", Errno::EXDEV),
            (absolute.to_str().expect("text"), Errno::EXDEV),
            ("", Errno::EXDEV),
            (".", Errno::EXDEV),
            ("link", Errno::ELOOP),
            ("way/socket", Errno::ELOOP),
            ("file", Errno::ENOTSOCK),
            ("a", Errno::ENOTSOCK),
            ("file/socket", Errno::ENOTDIR),
            ("none", Errno::ENOENT),
            ("with\0zero", Errno::EINVAL),
        ] {
            assert_eq!(find(&folder, Path::new(name)).err(), Some(errno), "{name}");
        }
    }

    #[test]
    fn what_was_found_is_what_is_connected_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).expect("bound");
        let found = find(folder.path(), Path::new("socket")).expect("there");
        // Somebody puts another one in its place.
        fs::remove_file(&path).expect("there");
        let other = UnixListener::bind(&path).expect("bound");
        other.set_nonblocking(true).expect("ours");
        let _stream = connect_unix(Path::new(&format!("/proc/self/fd/{}", found.as_raw_fd())))
            .expect("it still listens");
        listener.accept().expect("that was us");
        assert!(other.accept().is_err());
        let stream = connect(folder.path(), Path::new("socket")).expect("now it is the other");
        other.accept().expect("that was us");
        drop(UnixStream::from(stream));
    }
}
