//! Listening UNIX sockets: made with their owner and permissions before anybody can connect, removed when nobody listens.
//!
//! In: a path. Out: a listening socket, and the file that stands for it. A file that nobody listens behind any more is
//! replaced; a socket that is in use, and whatever else is there, is left alone.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Pid, Uid, chown};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::sockets::errno;
use nix::errno::Errno;

/// How long a socket may outlive the process that listened on it.
const LINGERING_MAX: Duration = Duration::from_secs(2);

/// The file of a listening socket. Dropping it removes the file, unless it is somebody else's by now.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// Listens on `path`.
///
/// # Errors
/// EADDRINUSE if somebody else does, EEXIST if it is no socket; else of socket(2), bind(2), chown(2), chmod(2), rename(2).
pub fn bind_unix(
    path: &Path,
    mode: u32,
    owner: (Option<u32>, Option<u32>),
    backlog: u32,
) -> io::Result<(OwnedFd, SocketFile)> {
    ensure_replaceable(path)?;
    // Under another name at first: whoever finds the socket finds it finished.
    let unfinished = path.with_file_name(format!(".{}", std::process::id()));
    let _ = fs::remove_file(&unfinished);
    let made = make(&unfinished, mode, owner, backlog).and_then(|socket| {
        let file = fs::symlink_metadata(&unfinished)?;
        fs::rename(&unfinished, path)?;
        Ok((socket, SocketFile { path: path.to_owned(), identity: (file.dev(), file.ino()) }))
    });
    if made.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    made
}

/// Connects to a UNIX socket, at once or not at all.
///
/// # Errors
/// Of socket(2) and connect(2); EAGAIN if its queue is full.
pub fn connect_unix(path: &Path) -> Result<OwnedFd, Errno> {
    let socket =
        Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None).map_err(errno)?;
    socket.connect(&SockAddr::unix(path).map_err(errno)?).map_err(errno)?;
    Ok(socket.into())
}

fn make(
    path: &Path,
    mode: u32,
    (owner, group): (Option<u32>, Option<u32>),
    backlog: u32,
) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    // The file gets the permissions of the socket: none, until all is set.
    fchmod(socket.as_fd(), Mode::empty())?;
    socket.bind(&SockAddr::unix(path)?)?;
    chown(path, owner.map(Uid::from_raw), group.map(Gid::from_raw))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

fn ensure_replaceable(path: &Path) -> io::Result<()> {
    let file = match fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !file.file_type().is_socket() {
        return Err(Errno::EEXIST.into());
    }
    let deadline = Instant::now() + LINGERING_MAX;
    loop {
        match connect_unix(path) {
            Err(Errno::ECONNREFUSED | Errno::ENOENT) => return Ok(()),
            Ok(socket) if is_abandoned(&socket) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(_) | Err(_) => return Err(Errno::EADDRINUSE.into()),
        }
    }
}

/// Whether the process that listened is gone. A ring with an accept on it may keep a socket alive for a moment longer.
fn is_abandoned(socket: &OwnedFd) -> bool {
    let listener = getsockopt(socket, PeerCredentials).map(|peer| peer.pid());
    listener.is_ok_and(|pid| pid > 0 && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let still = fs::symlink_metadata(&self.path);
        if still.is_ok_and(|file| (file.dev(), file.ino()) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn place(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("penstock-unix-{}-{name}", std::process::id()));
        // Of a process that had the same number.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("made");
        folder.join("socket")
    }

    #[test]
    fn a_socket_has_its_permissions_and_goes_with_who_listens() {
        let path = place("mode");
        let (socket, file) = bind_unix(&path, 0o640, (None, None), 4).expect("bound");
        let mode = fs::metadata(&path).expect("there").mode();
        assert_eq!(mode & 0o777, 0o640);
        UnixStream::connect(&path).expect("somebody listens");
        drop((socket, file));
        assert!(!path.exists());
    }

    #[test]
    fn what_is_left_behind_is_replaced_and_what_is_in_use_is_not() {
        let path = place("stale");
        let (socket, file) = bind_unix(&path, 0o600, (None, None), 4).expect("bound");
        let error = bind_unix(&path, 0o600, (None, None), 4).expect_err("it is in use");
        assert_eq!(errno(error), Errno::EADDRINUSE);
        drop(socket);
        let (_socket, newer) = bind_unix(&path, 0o600, (None, None), 4).expect("nobody listens");
        drop(file);
        assert!(path.exists(), "it is somebody else's now");
        drop(newer);
        fs::write(&path, "a document").expect("written");
        let error = bind_unix(&path, 0o600, (None, None), 4).expect_err("it is no socket");
        assert_eq!(errno(error), Errno::EEXIST);
        assert_eq!(fs::read(&path).expect("there"), b"a document");
    }
}
