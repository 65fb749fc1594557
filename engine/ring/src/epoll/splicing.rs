//! Pipes of directions, and splice(2) through them on the worker. The pipe belongs to the source's leg.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;

use nix::errno::Errno;

use super::Epoll;
use super::held::{Bits, Role};
use crate::buffers::Buffer;
use crate::op::{Leg, NoPipe, Splice};
use crate::pipes::take_out;
use crate::sockets::Kind;
use crate::splice;

impl Epoll {
    pub(super) fn room_of(&mut self, leg: Leg) -> Option<NonZeroUsize> {
        let Some(held) = self.legs.get_mut(leg) else { return Some(NonZeroUsize::MAX) };
        let room = held.unsent_limit.of_sink(held.descriptor.as_fd(), held.kind);
        if room.is_none() {
            held.bits &= !Bits::WRITABLE;
        }
        room
    }

    pub(super) fn open_pipe(&mut self, source: Leg) -> Result<(), NoPipe> {
        let Some(held) = self.legs.get_mut(source) else {
            return Err(NoPipe::Failed(Errno::EBADF));
        };
        if held.kind == Kind::Plain || held.role == Role::Listener {
            self.stats.pipe_off.add(1);
            return Err(NoPipe::Off);
        }
        if held.pipe.is_none() {
            held.pipe = Some(self.pipes.open(self.now)?);
        }
        Ok(())
    }

    pub(super) fn fill_pipe(&mut self, source: Leg, limit: usize) -> Splice {
        let Some(held) = self.legs.get_mut(source) else { return Splice::Failed(Errno::EBADF) };
        let Some(pipe) = &mut held.pipe else { return Splice::Failed(Errno::EBADF) };
        self.stats.splice_inline.add(1);
        let result = splice::fill(held.descriptor.as_fd(), pipe, limit);
        match result {
            // An empty pipe can't be full, so it is the leg that has no bytes.
            Splice::Blocked if pipe.level() == 0 => held.bits &= !Bits::READABLE,
            Splice::Moved(bytes) if bytes < limit => {
                let again = held.bits.contains(Bits::DOUBTFUL);
                held.bits &= !Bits::READABLE;
                held.bits |= Bits::DOUBTFUL;
                if again {
                    self.silence(source);
                }
            }
            // What can't be spliced from isn't broken, and may be read from.
            Splice::Failed(Errno::EINVAL) => {
                held.bits |= Bits::READABLE;
                held.bits |= Bits::UNSTEADY;
            }
            Splice::Failed(errno) => held.broken = Some(errno),
            _ => {}
        }
        result
    }

    /// Nobody asked between two short fills: this source is read by the clock.
    fn silence(&mut self, source: Leg) {
        if let Some(held) = self.legs.get_mut(source)
            && std::mem::take(&mut held.readable_edges)
        {
            self.ask_again(source);
        }
    }

    pub(super) fn drain_pipe(&mut self, source: Leg, sink: Leg) -> Splice {
        let Some(mut pipe) = self.legs.get_mut(source).and_then(|held| held.pipe.take()) else {
            return Splice::Failed(Errno::EBADF);
        };
        let result = match self.legs.get_mut(sink) {
            Some(held) => {
                self.stats.splice_inline.add(1);
                let result = splice::drain(&mut pipe, held.descriptor.as_fd());
                if let Splice::Moved(bytes) = result {
                    held.unsent_limit.took(bytes);
                }
                match result {
                    Splice::Failed(errno) => held.broken = Some(errno),
                    _ if pipe.level() > 0 => held.bits &= !Bits::WRITABLE,
                    _ => {}
                }
                result
            }
            None => Splice::Failed(Errno::EBADF),
        };
        self.legs.get_mut(source).expect("its pipe was here").pipe = Some(pipe);
        result
    }

    pub(super) fn take_from_pipe(&mut self, source: Leg) -> Option<Vec<Buffer>> {
        let pipe = self.legs.get_mut(source)?.pipe.as_mut()?;
        take_out(pipe, &mut self.pool)
    }

    pub(super) fn level_of_pipe(&self, source: Leg) -> usize {
        self.legs.get(source).and_then(|held| held.pipe.as_ref()).map_or(0, |pipe| pipe.level())
    }

    pub(super) fn close_pipe(&mut self, source: Leg) {
        if let Some(pipe) = self.legs.get_mut(source).and_then(|held| held.pipe.take()) {
            self.pipes.close(pipe);
        }
    }
}
