//! One system call each: bytes from a leg to memory, and from memory to a leg.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, sendmsg};
use nix::sys::uio::writev;

use crate::buffers::{Group, Pool};
use crate::sockets::Kind;

/// A former owner who kept a duplicate may have made the description blocking again: the worker must not wait for that.
const FLAGS: MsgFlags = MsgFlags::MSG_NOSIGNAL.union(MsgFlags::MSG_DONTWAIT);

/// Reads into a free buffer of the pool; zero is the end.
///
/// # Errors
/// Of recv(2) or read(2).
pub(super) fn read(
    from: BorrowedFd<'_>,
    kind: Kind,
    pool: &mut Pool,
    group: Group,
    index: u32,
) -> Result<usize, Errno> {
    let (fd, capacity) = (from.as_raw_fd(), group.capacity());
    let to: NonNull<u8> = pool.writable(group, index);
    // EINTR ends when the signals do.
    loop {
        // SAFETY: the pool keeps `capacity` bytes at `to` mapped, and nobody holds buffer `index`: it was just taken from
        // the free list. The kernel writes only until the call returns.
        let result = unsafe {
            match kind {
                Kind::Plain => libc::read(fd, to.as_ptr().cast(), capacity),
                Kind::Tcp | Kind::Socket => {
                    libc::recv(fd, to.as_ptr().cast(), capacity, libc::MSG_DONTWAIT)
                }
            }
        };
        match Errno::result(result) {
            Err(Errno::EINTR) => {}
            result => return result.map(|n| n as usize),
        }
    }
}

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
