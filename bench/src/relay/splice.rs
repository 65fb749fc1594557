//! Moves with splice(2) through pipes of 1 MiB, taken from a free list and returned to it when empty.

use std::io::Result;
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

use super::{Flow, Mover};

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

    fn lane(&mut self) -> Result<Pipe> {
        if let Some(pipe) = self.free.pop() {
            return Ok(pipe);
        }
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // Over the user's quota the kernel refuses: the pipe then keeps its 64 KiB.
        let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE as i32));
        Ok(Pipe { read, write, pending: 0 })
    }

    fn pump(&mut self, pipe: &mut Pipe, from: &TcpStream, to: &TcpStream) -> Result<Flow> {
        if pipe.pending == 0 {
            match splice(from, None, &pipe.write, None, PIPE_SIZE, FLAGS) {
                Ok(0) => return Ok(Flow::Ended),
                Ok(len) => pipe.pending = len,
                Err(Errno::EAGAIN) => return Ok(Flow::Source),
                Err(e) => return Err(e.into()),
            }
        }
        match splice(&pipe.read, None, to, None, pipe.pending, FLAGS) {
            Ok(len) => pipe.pending -= len,
            Err(Errno::EAGAIN) => {}
            Err(e) => return Err(e.into()),
        }
        Ok(if pipe.pending == 0 { Flow::Source } else { Flow::Sink })
    }

    fn retire(&mut self, pipe: Pipe) {
        if pipe.pending == 0 {
            self.free.push(pipe);
        }
    }
}

const PIPE_SIZE: usize = 1 << 20;
const FLAGS: SpliceFFlags = SpliceFFlags::SPLICE_F_NONBLOCK.union(SpliceFFlags::SPLICE_F_MOVE);
