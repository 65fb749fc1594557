//! How much a socket would accept now, by the rule by which poll(2) calls it writable.
//!
//! A sink that does not read must not pin more of the kernel's memory than keeps it busy: what a TCP socket holds unsent is
//! limited (`TCP_NOTSENT_LOWAT`), on top of the limit of its buffer.

use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// Bytes that a TCP sink may hold unsent.
const UNSENT_MAX: u32 = 1 << 20;

/// `SIOCOUTQNSD` of `<linux/sockios.h>`: bytes queued and not sent.
const UNSENT: libc::Ioctl = 0x894B;
// SK_MEMINFO_* of `<linux/sock_diag.h>`, from Linux 4.12.
const ALLOCATED: usize = 2;
const LIMIT: usize = 3;
const QUEUED: usize = 5;

/// Limits what a TCP socket holds unsent.
pub(crate) fn limit_unsent(socket: BorrowedFd<'_>) {
    let limit = UNSENT_MAX;
    // SAFETY: `limit` outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const limit).cast(),
            size_of::<u32>() as libc::socklen_t,
        )
    };
    debug_assert_eq!(Errno::result(result).map(drop), Ok(()));
}

/// Bytes that would be accepted now; none if poll(2) would not call the socket writable. What is no socket, or can't say,
/// accepts anything.
pub(crate) fn room(socket: BorrowedFd<'_>) -> Option<NonZeroUsize> {
    let Some(info) = memory(socket).filter(|info| info[LIMIT] > 0) else {
        return Some(NonZeroUsize::MAX);
    };
    // TCP counts what is queued; other sockets only what is allocated.
    let taken = if info[QUEUED] > 0 { info[QUEUED] } else { info[ALLOCATED] };
    let free = info[LIMIT].saturating_sub(taken);
    let unsent = if info[QUEUED] > 0 { unsent(socket) } else { 0 };
    if free < taken / 2 || unsent >= UNSENT_MAX / 2 {
        return None;
    }
    // A sixteenth for what the kernel counts besides the bytes.
    NonZeroUsize::new((free - free / 16).min(UNSENT_MAX - unsent) as usize)
}

fn memory(socket: BorrowedFd<'_>) -> Option<[u32; 9]> {
    let mut info = [0; 9];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` and `length` outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(info)
}

fn unsent(socket: BorrowedFd<'_>) -> u32 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: `bytes` outlives the call. What is no TCP socket refuses, and writes nothing.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), UNSENT, &raw mut bytes) };
    if result == 0 { bytes.max(0) as u32 } else { 0 }
}
