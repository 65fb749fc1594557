//! One system call: bytes from memory to a leg.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, sendmsg};
use nix::sys::uio::writev;

use crate::sockets::Kind;

/// A former owner who kept a duplicate may have made the description blocking again: the worker must not wait for that.
const FLAGS: MsgFlags = MsgFlags::MSG_NOSIGNAL.union(MsgFlags::MSG_DONTWAIT);

/// Writes the parts in order; how many bytes were accepted.
///
/// # Errors
/// Of sendmsg(2) or writev(2).
pub(super) fn write(to: BorrowedFd<'_>, kind: Kind, parts: &[IoSlice<'_>]) -> Result<usize, Errno> {
    // EINTR ends when the signals do.
    loop {
        let result = match kind {
            Kind::Plain => writev(to, parts),
            Kind::Tcp | Kind::Socket => sendmsg::<()>(to.as_raw_fd(), parts, &[], FLAGS, None),
        };
        if result != Err(Errno::EINTR) {
            return result;
        }
    }
}
