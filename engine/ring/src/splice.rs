//! splice(2) on the worker, and what each of its errnos means.
//!
//! Never `SPLICE_F_MORE`: it holds the tail of a message back until more comes, up to 200 ms. Neither side may block:
//! the pipe by `SPLICE_F_NONBLOCK`, the descriptor because every leg is `O_NONBLOCK`.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};

use crate::op::Splice;
use crate::pipes::Pipe;
use crate::sockets;

/// How one splice is asked for; the ring's splices use the same.
pub const FLAGS: SpliceFFlags = SpliceFFlags::SPLICE_F_NONBLOCK.union(SpliceFFlags::SPLICE_F_MOVE);

/// Moves up to `limit` bytes from a leg into its pipe.
pub fn fill(source: BorrowedFd<'_>, pipe: &mut Pipe, limit: usize) -> Splice {
    let result = step(source, pipe.write(), limit);
    filled(source, pipe, result)
}

/// Moves what is in the pipe to a leg.
pub fn drain(pipe: &mut Pipe, sink: BorrowedFd<'_>) -> Splice {
    if pipe.level() == 0 {
        return Splice::Blocked;
    }
    drained(pipe, step(pipe.read(), sink, pipe.level()))
}

/// The meaning of a result of splicing into a pipe, which is told of it.
pub fn filled(source: BorrowedFd<'_>, pipe: &mut Pipe, result: Result<usize, Errno>) -> Splice {
    match result {
        // splice(2) never gets past an urgent byte, and takes it for the end if an end lies somewhere behind it.
        Ok(0) | Err(Errno::EAGAIN) if pipe.level() == 0 && sockets::is_at_mark(source) => {
            Splice::Failed(Errno::EINVAL)
        }
        Ok(0) => Splice::Ended,
        Ok(n) => {
            pipe.filled(n);
            Splice::Moved(n)
        }
        // The leg has no bytes, or the pipe is full: one errno for both.
        Err(Errno::EAGAIN) => Splice::Blocked,
        // EINVAL: this kind of descriptor can't be spliced from. All others: the connection is broken.
        Err(errno) => Splice::Failed(errno),
    }
}

/// The meaning of a result of splicing out of a pipe, which is told of it.
pub fn drained(pipe: &mut Pipe, result: Result<usize, Errno>) -> Splice {
    match result {
        // We hold the pipe's writing end, so zero can't mean an end: nothing moved.
        Ok(0) | Err(Errno::EAGAIN) => Splice::Blocked,
        Ok(n) => {
            pipe.drained(n);
            Splice::Moved(n)
        }
        // EINVAL: this kind of descriptor can't be spliced to. EPIPE, ECONNRESET and others: the sink is broken.
        Err(errno) => Splice::Failed(errno),
    }
}

fn step(from: BorrowedFd<'_>, to: BorrowedFd<'_>, limit: usize) -> Result<usize, Errno> {
    // EINTR ends when the signals do.
    loop {
        match splice(from, None, to, None, limit, FLAGS) {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}
