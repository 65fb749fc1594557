//! One system call: bytes from memory to a leg.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::sendmsg;
use nix::sys::uio::writev;

use crate::sockets::{self, Kind};

/// Writes the parts in order; how many bytes were accepted. What goes `ahead` may wait for what follows.
///
/// # Errors
/// Of sendmsg(2) or writev(2).
pub(super) fn write(
    to: BorrowedFd<'_>,
    kind: Kind,
    parts: &[IoSlice<'_>],
    ahead: bool,
) -> Result<usize, Errno> {
    let flags = sockets::send_flags(ahead);
    // EINTR ends when the signals do.
    loop {
        let result = match kind {
            Kind::Plain => writev(to, parts),
            Kind::Tcp | Kind::Socket => sendmsg::<()>(to.as_raw_fd(), parts, &[], flags, None),
        };
        if result != Err(Errno::EINTR) {
            return result;
        }
    }
}
