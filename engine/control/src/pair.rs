//! Connections within the process: one end for a worker, the other for who serves it here.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net;
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};
use penstock_core::control::OpenError;
use penstock_core::ring::Errno;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long the other end has to end after ours.
const LINGERING: Duration = Duration::from_secs(2);

/// The end that is handed out, and ours; needs the event loop.
pub(crate) fn pair() -> Result<(OwnedFd, UnixStream), OpenError> {
    let made = || {
        let (theirs, ours) = net::UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        Ok((theirs.into(), UnixStream::from_std(ours)?))
    };
    made().map_err(|error: io::Error| OpenError {
        errno: error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
        detail: "no connection within Penstock could be made: see LimitNOFILE".into(),
    })
}

/// Why nobody else is served.
pub(crate) fn full(what: &str, most: usize) -> OpenError {
    let detail =
        format!("all {most} connections to {what} are in use: they end when they are idle");
    OpenError { errno: Errno::EAGAIN, detail: detail.into() }
}

/// Ends our side, and reads out the other one: a socket that is closed with unread bytes reports a broken connection, and not an end.
pub(crate) async fn leave(stream: &UnixStream) {
    let _ = shutdown(stream.as_raw_fd(), Shutdown::Write);
    let _ = timeout(LINGERING, read_out(stream)).await;
}

async fn read_out(stream: &UnixStream) {
    let mut dropped = [0; 4096];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut dropped) {
            Ok(0) => return,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}
