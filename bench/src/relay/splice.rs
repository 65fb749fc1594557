//! Moves with splice(2) through pipes of 1 MiB, taken from a free list and returned to it when empty.

use std::io::{ErrorKind, Result};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

use super::{Flow, Mover, is_would_block};

#[derive(Default)]
pub(super) struct Splice {
    free: Vec<Pipe>,
}

pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    /// Bytes inside.
    pending: usize,
}

impl Mover for Splice {
    type Lane = Pipe;

    fn lane(&mut self, _: usize) -> Result<Pipe> {
        if let Some(pipe) = self.free.pop() {
            return Ok(pipe);
        }
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // Over the user's quota the kernel refuses: the pipe then keeps its 64 KiB.
        let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE as i32));
        Ok(Pipe { read, write, pending: 0 })
    }

    fn pump(&mut self, pipe: &mut Pipe, from: &TcpStream, to: &TcpStream) -> Result<Flow> {
        if pipe.is_empty() {
            match pipe.fill(from) {
                Err(e) if is_would_block(&e) => return Ok(Flow::Source),
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(Flow::Ended),
                filled => filled?,
            };
        }
        pipe.drain(to)
    }

    fn retire(&mut self, pipe: Pipe) {
        if pipe.is_empty() {
            self.free.push(pipe);
        }
    }
}

impl Pipe {
    pub(super) fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// How many bytes it has taken; an end is an error.
    pub(super) fn fill(&mut self, from: &TcpStream) -> Result<usize> {
        self.pending = splice(from, None, &self.write, None, PIPE_SIZE, FLAGS)?;
        match self.pending {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            length => Ok(length),
        }
    }

    pub(super) fn drain(&mut self, to: &TcpStream) -> Result<Flow> {
        match splice(&self.read, None, to, None, self.pending, FLAGS) {
            Ok(length) => self.pending -= length,
            Err(Errno::EAGAIN) => {}
            Err(e) => return Err(e.into()),
        }
        Ok(if self.is_empty() { Flow::Source } else { Flow::Sink })
    }
}

const PIPE_SIZE: usize = 1 << 20;
const FLAGS: SpliceFFlags = SpliceFFlags::SPLICE_F_NONBLOCK.union(SpliceFFlags::SPLICE_F_MOVE);
