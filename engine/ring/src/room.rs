//! How much a socket would accept now, by the rule by which poll(2) calls it writable; and what it holds and takes in unread.
//!
//! A sink that does not read must not pin more of the kernel's memory than keeps it busy: what a TCP socket holds unsent is
//! limited (`TCP_NOTSENT_LOWAT`), on top of the limit of its buffer. Whoever has not yet shown that it reads gets little: a
//! burst that ends in a stuck sink would teach the source's receive buffer to hold far more than the sink ever does.

use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use crate::op::Intake;
use crate::sockets::Kind;

/// Bytes that a TCP sink may hold unsent at first.
const UNSENT_FIRST: u32 = 128 << 10;
/// The same, of a sink that is known to read.
const UNSENT_MAX: u32 = 1 << 20;
/// Bytes that a sink has to take to be known as one that reads: more than the buffers on the way hold of a stuck one.
const PROOF: usize = 16 << 20;

/// `SIOCOUTQNSD` of `<linux/sockios.h>`: bytes queued and not sent.
const UNSENT: libc::Ioctl = 0x894B;
// SK_MEMINFO_* of `<linux/sock_diag.h>`, from Linux 4.12.
const RECEIVED: usize = 0;
const RECEIVE_LIMIT: usize = 1;
const ALLOCATED: usize = 2;
const LIMIT: usize = 3;
const QUEUED: usize = 5;

/// What a leg may hold unsent as a sink, which grows once it has shown that it reads.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct UnsentLimit {
    /// Bytes; none is set yet if zero.
    unsent: u32,
    /// Bytes that it has taken, up to those of a proof.
    taken: u32,
}

impl UnsentLimit {
    /// Takes note of bytes that went out.
    pub(crate) fn took(&mut self, bytes: usize) {
        self.taken = PROOF.min(self.taken as usize + bytes) as u32;
    }

    /// Limits what a TCP socket holds unsent, if that has changed.
    fn apply(&mut self, socket: BorrowedFd<'_>) {
        let unsent = if self.taken as usize == PROOF { UNSENT_MAX } else { UNSENT_FIRST };
        if std::mem::replace(&mut self.unsent, unsent) != unsent {
            limit_unsent(socket, unsent);
        }
    }

    /// What a leg would accept now as a sink.
    pub(crate) fn of_sink(&mut self, socket: BorrowedFd<'_>, kind: Kind) -> Option<NonZeroUsize> {
        if kind == Kind::Tcp {
            self.apply(socket);
        }
        self.room(socket)
    }

    /// Bytes that would be accepted now; none if poll(2) would not call the socket writable. What is no socket, or can't
    /// say, accepts anything.
    fn room(&self, socket: BorrowedFd<'_>) -> Option<NonZeroUsize> {
        let Some(info) = memory(socket).filter(|info| info[LIMIT] > 0) else {
            return Some(NonZeroUsize::MAX);
        };
        // TCP counts what is queued; other sockets only what is allocated.
        let taken = if info[QUEUED] > 0 { info[QUEUED] } else { info[ALLOCATED] };
        let free = info[LIMIT].saturating_sub(taken);
        // A sixteenth for what the kernel counts besides the bytes.
        let free_bytes = free - free / 16;
        if free < taken / 2 {
            return None;
        }
        if self.unsent == 0 {
            return NonZeroUsize::new(free_bytes as usize);
        }
        let unsent = if info[QUEUED] > 0 { unsent(socket) } else { 0 };
        if unsent >= self.unsent / 2 {
            return None;
        }
        NonZeroUsize::new(free_bytes.min(self.unsent - unsent) as usize)
    }
}

/// What a TCP socket holds unread, and takes in.
pub(crate) fn intake(socket: BorrowedFd<'_>) -> Intake {
    memory(socket).map_or(Intake::default(), |info| Intake {
        unread: info[RECEIVED],
        // Half of the buffer is for what the kernel counts besides the bytes.
        window: info[RECEIVE_LIMIT] / 2,
    })
}

fn limit_unsent(socket: BorrowedFd<'_>, limit: u32) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn a_sink_may_hold_more_unsent_once_it_has_read() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let mut limit = UnsentLimit::default();
        let room = |limit: &mut UnsentLimit| {
            limit.apply(stream.as_fd());
            limit.room(stream.as_fd()).expect("nothing is queued").get()
        };
        assert_eq!(room(&mut limit), UNSENT_FIRST as usize);
        limit.took(PROOF - 1);
        assert_eq!(room(&mut limit), UNSENT_FIRST as usize);
        limit.took(1);
        assert!(room(&mut limit) > UNSENT_FIRST as usize);
    }
}
