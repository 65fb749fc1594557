//! Pipes of directions, and splices through them: splice(2) on the worker, or `IORING_OP_SPLICE` if asked for.
//!
//! The pipe belongs to the source's leg. A ring splice counts as an operation of both legs that it touches, so neither
//! descriptor, nor the pipe, goes away under it.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use io_uring::{opcode, types::Fd};
use nix::errno::Errno;

use super::Uring;
use super::tag::Operation;
use super::tenant::{Conduit, Tenant};
use crate::buffers::Buffer;
use crate::op::{Event, Leg, NoPipe, Outcome, Splice};
use crate::options::SpliceMode;
use crate::pipes::take_out;
use crate::splice;

impl Uring {
    pub(super) fn room_of(&mut self, leg: Leg) -> Option<NonZeroUsize> {
        let Some(tenant) = self.open_mut(leg) else { return Some(NonZeroUsize::MAX) };
        tenant.unsent_limit.of_sink(tenant.descriptor.as_fd(), tenant.kind)
    }

    pub(super) fn open_pipe(&mut self, source: Leg) -> Result<(), NoPipe> {
        let Some(tenant) = self.open(source) else { return Err(NoPipe::Failed(Errno::EBADF)) };
        if !tenant.is_socket() {
            self.stats.pipe_off.add(1);
            return Err(NoPipe::Off);
        }
        match &tenant.conduit {
            // The ring still uses the one given back.
            Some(conduit) if conduit.abandoned => {
                self.stats.pipe_pool_empty.add(1);
                return Err(NoPipe::PoolEmpty);
            }
            Some(_) => return Ok(()),
            None => {}
        }
        let conduit = Conduit::new(self.pipes.open(self.now)?);
        self.legs.get_mut(source).expect("found open above").conduit = Some(Box::new(conduit));
        Ok(())
    }

    pub(super) fn close_pipe(&mut self, source: Leg) {
        if let Some(tenant) = self.legs.get_mut(source) {
            if let Some(conduit) = &mut tenant.conduit
                && conduit.is_in_use()
            {
                conduit.abandoned = true;
            } else if let Some(conduit) = tenant.conduit.take() {
                self.pipes.close(conduit.pipe);
            }
        }
    }

    pub(super) fn fill_pipe(&mut self, source: Leg, limit: usize) -> Splice {
        let ring = self.options.splice == SpliceMode::Ring;
        let Some(tenant) = self.open_mut(source) else { return Splice::Failed(Errno::EBADF) };
        let Some((descriptor, conduit)) = conduit(tenant) else {
            return Splice::Failed(Errno::EBADF);
        };
        if conduit.filling {
            return Splice::Later;
        }
        if ring {
            conduit.filling = true;
            let pipe = Fd(conduit.pipe.write().as_raw_fd());
            let from = Fd(descriptor.as_raw_fd());
            return self.start_splice(source, Operation::SpliceIn, from, pipe, limit);
        }
        let step = splice::fill(descriptor, &mut conduit.pipe, limit);
        self.stats.splice_inline.add(1);
        step
    }

    pub(super) fn drain_pipe(&mut self, source: Leg, sink: Leg) -> Splice {
        let ring = self.options.splice == SpliceMode::Ring;
        let Some(to) = self.open(sink).map(|tenant| tenant.descriptor.as_raw_fd()) else {
            return Splice::Failed(Errno::EBADF);
        };
        let Some((_, conduit)) = self.open_mut(source).and_then(conduit) else {
            return Splice::Failed(Errno::EBADF);
        };
        if conduit.draining.is_some() {
            return Splice::Later;
        }
        if ring && conduit.pipe.level() > 0 {
            conduit.draining = Some(sink);
            let (pipe, limit) = (Fd(conduit.pipe.read().as_raw_fd()), conduit.pipe.level());
            self.legs.get_mut(sink).expect("found open above").in_flight += 1;
            return self.start_splice(source, Operation::SpliceOut, pipe, Fd(to), limit);
        }
        self.drain_inline(source, sink)
    }

    /// Everything in the pipe, in pool buffers, unless the ring uses it.
    pub(super) fn take_from_pipe(&mut self, source: Leg) -> Option<Vec<Buffer>> {
        let (_, conduit) = self.legs.get_mut(source).and_then(conduit)?;
        if conduit.is_in_use() {
            return None;
        }
        take_out(&mut conduit.pipe, &mut self.pool)
    }

    fn drain_inline(&mut self, source: Leg, sink: Leg) -> Splice {
        let conduit = self.legs.get_mut(source).and_then(|tenant| tenant.conduit.take());
        let mut conduit = conduit.expect("found by the caller");
        let to = self.legs.get_mut(sink).expect("found by the caller");
        let step = splice::drain(&mut conduit.pipe, to.borrowed());
        if let Splice::Moved(bytes) = step {
            to.unsent_limit.took(bytes);
        }
        self.stats.splice_inline.add(1);
        self.legs.get_mut(source).expect("still there").conduit = Some(conduit);
        step
    }

    fn start_splice(
        &mut self,
        source: Leg,
        operation: Operation,
        from: Fd,
        to: Fd,
        limit: usize,
    ) -> Splice {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let entry =
            opcode::Splice::new(from, -1, to, -1, limit).flags(splice::FLAGS.bits()).build();
        self.stats.splice_ring.add(1);
        self.start(source, operation, entry);
        Splice::Later
    }

    pub(super) fn file_splice_in(
        &mut self,
        source: Leg,
        result: Result<usize, Errno>,
        events: &mut Vec<Event>,
    ) {
        let Some((descriptor, conduit)) = self.legs.get_mut(source).and_then(conduit_in_flight)
        else {
            return;
        };
        conduit.filling = false;
        let step = splice::filled(descriptor, &mut conduit.pipe, result);
        if !self.destroy_if_abandoned(source) {
            self.tell(source, Outcome::SplicedIn(step), events);
        }
    }

    pub(super) fn file_splice_out(
        &mut self,
        source: Leg,
        result: Result<usize, Errno>,
        events: &mut Vec<Event>,
    ) {
        let Some((_, conduit)) = self.legs.get_mut(source).and_then(conduit_in_flight) else {
            return;
        };
        let sink = conduit.draining.take().expect("a splice out is in flight, so it has a sink");
        let step = splice::drained(&mut conduit.pipe, result);
        if !self.destroy_if_abandoned(source) {
            self.tell(source, Outcome::SplicedOut(step), events);
        }
        if let Some(tenant) = self.legs.get_mut(sink) {
            tenant.in_flight -= 1;
            tenant.unsent_limit.took(result.unwrap_or(0));
        }
        self.free_if_done(sink);
    }

    /// Whether the direction has given its pipe up, which is destroyed as soon as the ring has done with it.
    fn destroy_if_abandoned(&mut self, source: Leg) -> bool {
        let Some(tenant) = self.legs.get_mut(source) else { return true };
        let Some(conduit) = &tenant.conduit else { return true };
        let abandoned = conduit.abandoned;
        if abandoned && !conduit.is_in_use() {
            let conduit = tenant.conduit.take().expect("seen above");
            self.pipes.destroy(conduit.pipe);
        }
        abandoned
    }
}

/// The descriptor and the pipe of a direction that has one.
fn conduit(tenant: &mut Tenant) -> Option<(BorrowedFd<'_>, &mut Conduit)> {
    conduit_in_flight(tenant).filter(|(_, conduit)| !conduit.abandoned)
}

/// As [`conduit`], also after the pipe was given back.
fn conduit_in_flight(tenant: &mut Tenant) -> Option<(BorrowedFd<'_>, &mut Conduit)> {
    Some((tenant.descriptor.as_fd(), tenant.conduit.as_mut()?))
}
