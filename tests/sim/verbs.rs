//! The verbs of the contract, each with the rules that its caller has to keep.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use penstock_ring::{
    Buffer, Chunk, Close, Errno, Event, Group, Intake, Interest, Kernel, Leg, NoPipe, Outcome,
    Owner, Queued, Sent, Splice, Stats, Stop, Time, Waker,
};

use crate::sim::kernel::{Hosts, Lane, SimKernel};
use crate::sim::leg::{Kind, Receive, Tenant, chunk_bytes, cut, give_back, length};
use crate::sim::link::Holder;
use crate::sim::tally::{Fault, count};
use crate::sim::world::{Action, Door, Handle, Listening, handle_of};

/// Where those have connected to who are handed over.
const OURS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5_000));

impl<H: Hosts> Kernel for SimKernel<H> {
    fn now(&self) -> Time {
        self.world.now
    }

    fn refresh(&mut self) -> Time {
        let span = self.world.random.span(Duration::from_micros(2));
        self.world.now = self.world.now + span;
        self.world.now
    }

    fn listen(&mut self, descriptor: OwnedFd, owner: Owner) -> Result<Leg, (Errno, OwnedFd)> {
        let mut tenant = Tenant::new(owner, Kind::Listener(self.world.listening.len()));
        (tenant.descriptor, tenant.accepting) = (Some(descriptor), true);
        let leg = self.legs.insert(tenant);
        let address = SocketAddr::from(([127, 0, 0, 1], 3128 + self.world.listening.len() as u16));
        self.world.listening.push(Listening {
            leg,
            address,
            backlog: Default::default(),
            open: true,
        });
        Ok(leg)
    }

    fn accept(&mut self, listener: Leg, on: bool) {
        self.refuse_closed(listener, "accept");
        self.live_mut(listener).expect("just looked").accepting = on;
        self.touch(listener);
    }

    fn adopt(&mut self, descriptor: OwnedFd, owner: Owner) -> Result<Leg, (Errno, OwnedFd)> {
        let number = descriptor.as_raw_fd();
        let opened = self.world.opened.contains_key(&number);
        if opened && self.world.random.percent(self.temper.adopt_fails) {
            count(Fault::AdoptFailed);
            return Err((Errno::EPERM, descriptor));
        }
        let opened = self.world.opened.remove(&number);
        let mut tenant = Tenant::new(owner, Kind::Stream);
        tenant.peer = opened.and_then(|end| self.world.links[end.link as usize].caller);
        tenant.local = tenant.peer.map(|_| OURS);
        tenant.descriptor = Some(descriptor);
        let leg = self.legs.insert(tenant);
        let end = opened.unwrap_or_else(|| self.world.link([Holder::Nobody; 2]));
        self.world.hold(end, Holder::Leg(leg.slot));
        self.legs.get_mut(leg).expect("just made").end = Some(end);
        self.say(leg, "adopted", 0);
        Ok(leg)
    }

    fn connect(&mut self, address: SocketAddr, owner: Owner) -> Result<Leg, Errno> {
        if self.lacks_descriptors() || self.world.random.percent(self.temper.connect_fails) {
            count(Fault::ConnectNoDescriptor);
            return Err(Errno::EMFILE);
        }
        let door = self.world.addresses.get(&address).map_or(Door::NoRoute, |address| address.door);
        let span = match door {
            Door::NoRoute => {
                count(Fault::ConnectUnreachable);
                return Err(Errno::ENETUNREACH);
            }
            Door::Open(span) | Door::Refuse(span) | Door::Unreachable(span) => span,
            // As long as Linux sends SYNs.
            Door::Lost => {
                count(Fault::ConnectLost);
                Duration::from_secs(127)
            }
        };
        let mut tenant = Tenant::new(owner, Kind::Stream);
        (tenant.peer, tenant.connecting) = (Some(address), true);
        let leg = self.legs.insert(tenant);
        self.world.after(span, Action::Dialed(Handle::from(leg)));
        self.say(leg, "connect", 0);
        Ok(leg)
    }

    fn set_owner(&mut self, leg: Leg, owner: Owner) {
        self.refuse_closed(leg, "set_owner");
        let tenant = self.live_mut(leg).expect("just looked");
        tenant.owner = owner;
        let host = tenant.end.and_then(|end| self.world.links[end.link as usize].host);
        if let Some(host) = host {
            self.world.callers.insert(handle_of(owner), host);
        }
    }

    fn peer(&self, leg: Leg) -> Option<SocketAddr> {
        self.live(leg)?.peer
    }

    fn local(&self, leg: Leg) -> Option<SocketAddr> {
        self.live(leg)?.local
    }

    fn receive(&mut self, leg: Leg, group: Group) {
        self.refuse_closed(leg, "receive");
        let tenant = self.live_mut(leg).expect("just looked");
        assert!(!tenant.connecting, "receive on {leg:?}, which is not connected");
        match &mut tenant.receive {
            Receive::Off => tenant.receive = Receive::On(group),
            Receive::On(_) => {}
            Receive::Stopping { again, .. } => *again = Some(group),
        }
        self.touch(leg);
    }

    fn receive_stop(&mut self, leg: Leg) -> Stop {
        self.refuse_closed(leg, "receive_stop");
        let (later, turn, batch) = (self.later(), self.turn, self.temper.batch);
        let tenant = self.live_mut(leg).expect("just looked");
        let group = match &mut tenant.receive {
            Receive::Off if tenant.ending => return Stop::Later,
            Receive::Off if tenant.arriving == 0 && tenant.told != turn => return Stop::Done,
            Receive::Off => Group::Small,
            Receive::On(group) => *group,
            Receive::Stopping { again, .. } => {
                *again = None;
                return Stop::Later;
            }
        };
        if !later && tenant.arriving == 0 && tenant.told != turn {
            count(Fault::StopAtOnce);
            tenant.receive = Receive::Off;
            tenant.waiting = false;
            self.pool.leave_line(leg);
            return Stop::Done;
        }
        count(Fault::StopLater);
        let left = if tenant.receive == Receive::Off { 0 } else { batch };
        tenant.receive = Receive::Stopping { group, again: None, left };
        tenant.stops += 1;
        tenant.in_flight += 1;
        let stop = Action::Stop(Handle::from(leg), tenant.stops);
        let span = self.delay();
        self.world.after(span, stop);
        Stop::Later
    }

    fn bytes<'k>(&'k self, buffer: &'k Buffer) -> &'k [u8] {
        self.pool.bytes(buffer)
    }

    fn memory<'k>(&'k mut self, buffer: &'k Buffer) -> &'k mut [u8] {
        self.pool.memory(buffer)
    }

    fn release(&mut self, buffer: Buffer) {
        self.pool.release(buffer);
        self.pool.scribble(&mut self.world.random);
    }

    fn send(&mut self, leg: Leg, mut chunk: Chunk) -> Sent {
        self.refuse_closed(leg, "send");
        if let Chunk::Pool(buffer) = &chunk {
            self.pool.queue(buffer);
        }
        let later = self.later();
        let tenant = self.live(leg).expect("just looked");
        assert!(!tenant.shut, "send on {leg:?} after shutdown");
        assert!(!tenant.connecting, "send on {leg:?}, which is not connected");
        let empty = tenant.out.queued().bytes == 0;
        if let Some(errno) = tenant.out.failed {
            give_back(chunk, &mut self.pool);
            return Sent::Failed(errno);
        }
        if length(&chunk) == 0 {
            give_back(chunk, &mut self.pool);
            return Sent::Done;
        }
        let mut written = 0;
        if empty && !later {
            match self.write_now(leg, &chunk) {
                Ok(n) => written = n,
                Err(errno) => {
                    give_back(chunk, &mut self.pool);
                    self.live_mut(leg).expect("just looked").out.failed = Some(errno);
                    return Sent::Failed(errno);
                }
            }
        }
        if written == length(&chunk) {
            count(Fault::SentAtOnce);
            give_back(chunk, &mut self.pool);
            return Sent::Done;
        }
        cut(&mut chunk, written);
        let out = &mut self.live_mut(leg).expect("just looked").out;
        out.push(chunk);
        if written > 0 {
            out.early = written;
            self.file(leg, Lane::Other, Duration::ZERO, Outcome::Sent(written));
        }
        self.touch(leg);
        Sent::Queued
    }

    fn send_ahead(&mut self, leg: Leg, bytes: Bytes) -> Sent {
        self.send(leg, Chunk::Bytes(bytes))
    }

    fn queued(&self, leg: Leg) -> Queued {
        self.live(leg).map_or(Queued::default(), |tenant| tenant.out.queued())
    }

    fn watch(&mut self, leg: Leg, interest: Interest, on: bool) {
        self.refuse_closed(leg, "watch");
        self.live_mut(leg).expect("just looked").watched[interest as usize] = on;
        if on {
            self.hint_if_ready(leg, interest);
        } else if self.world.random.percent(self.temper.stale / 4) {
            self.hint_too_late(leg, interest);
        }
    }

    fn intake(&self, leg: Leg) -> Intake {
        // Of every third source the kernel can tell nothing; some have bytes, as far as it knows, that nobody can splice.
        let unread = if leg.slot.is_multiple_of(5) { 4096 } else { 0 };
        let known = Intake { unread, window: 1 << 20 };
        if leg.slot.is_multiple_of(3) { Intake::default() } else { known }
    }

    fn room(&mut self, leg: Leg) -> Option<NonZeroUsize> {
        self.refuse_closed(leg, "room");
        let Some(end) = self.live(leg).and_then(|tenant| tenant.end) else {
            return Some(NonZeroUsize::MAX);
        };
        if self.world.half(end).broken.is_some() {
            return Some(NonZeroUsize::MAX);
        }
        // The system counts otherwise than it accepts.
        let room = self.world.room(end);
        let says_more = room > 0 && self.world.random.percent(40);
        NonZeroUsize::new(if says_more { room + self.world.random.below(4096) } else { room })
    }

    fn pipe_open(&mut self, source: Leg) -> Result<(), NoPipe> {
        self.refuse_closed(source, "pipe_open");
        let tenant = self.legs.get_mut(source).expect("just looked");
        if tenant.pipe.is_none() {
            tenant.pipe = Some(self.pipes.open(&mut self.world.random, &self.stats)?);
        }
        Ok(())
    }

    fn splice_in(&mut self, source: Leg, limit: usize) -> Splice {
        self.refuse_closed(source, "splice_in");
        let ring = self.world.random.percent(self.temper.splice_ring);
        let tenant = self.live_mut(source).expect("just looked");
        assert!(limit > 0, "a splice of nothing");
        assert_eq!(tenant.receive, Receive::Off, "splice from {source:?}, which is received from");
        assert_eq!(
            tenant.arriving, 0,
            "splice from {source:?}, of which buffers are still to come"
        );
        let pipe = tenant.pipe.as_mut().expect("splice without a pipe");
        assert!(!pipe.filling, "a second splice into the same pipe");
        if ring {
            pipe.filling = true;
            tenant.in_flight += 1;
            let span = self.world.random.span(20 * self.temper.delay);
            self.world.after(span, Action::SpliceIn(Handle::from(source), limit));
            return Splice::Later;
        }
        count(Fault::SpliceInline);
        self.move_in(source, limit)
    }

    fn splice_out(&mut self, source: Leg, sink: Leg) -> Splice {
        self.refuse_closed(source, "splice_out");
        self.refuse_closed(sink, "splice_out to");
        let ring = self.world.random.percent(self.temper.splice_ring);
        let queued = self.live(sink).expect("just looked").out.queued().bytes;
        assert_eq!(queued, 0, "splice to {sink:?} overtakes what is queued there");
        assert!(!self.live(sink).expect("just looked").shut, "splice to {sink:?} after shutdown");
        let tenant = self.live_mut(source).expect("just looked");
        let pipe = tenant.pipe.as_mut().expect("splice without a pipe");
        assert!(!pipe.draining, "a second splice out of the same pipe");
        if ring {
            pipe.draining = true;
            tenant.in_flight += 1;
            let span = self.world.random.span(20 * self.temper.delay);
            self.world.after(span, Action::SpliceOut(Handle::from(source), Handle::from(sink)));
            return Splice::Later;
        }
        count(Fault::SpliceInline);
        self.move_out(source, sink)
    }

    fn pipe_level(&self, source: Leg) -> usize {
        self.live(source).and_then(|tenant| tenant.pipe.as_ref()).map_or(0, |pipe| pipe.level())
    }

    fn pipe_take(&mut self, source: Leg) -> Option<Vec<Buffer>> {
        self.refuse_closed(source, "pipe_take");
        let group = Group::Record;
        let spare = self.pool.free(group).saturating_sub(self.pool.total(group) / 8);
        let mut pipe = self.live_mut(source).expect("just looked").pipe.take()?;
        let needed = pipe.level().div_ceil(group.capacity());
        let mut taken = None;
        if needed > 0 && needed <= spare && !pipe.filling && !pipe.draining {
            count(Fault::PipeTaken);
            let mut buffers = Vec::new();
            while pipe.level() > 0 {
                let n = pipe.level().min(group.capacity());
                let buffer = self.pool.fill(group, &pipe.contents()[..n]).expect("counted above");
                self.pool.hand_over(&buffer);
                pipe.drain(n);
                buffers.push(buffer);
            }
            taken = Some(buffers);
        }
        self.live_mut(source).expect("just looked").pipe = Some(pipe);
        taken
    }

    fn pipes_scarce(&self) -> bool {
        (self.pipes.limit - self.pipes.in_use()) * 4 < self.pipes.limit
    }

    fn pipe_close(&mut self, source: Leg) {
        self.refuse_closed(source, "pipe_close");
        let tenant = self.live_mut(source).expect("just looked");
        if let Some(pipe) = tenant.pipe.take() {
            self.close_pipe(pipe);
        }
    }

    fn shutdown(&mut self, leg: Leg) {
        self.refuse_closed(leg, "shutdown");
        let tenant = self.live_mut(leg).expect("just looked");
        assert_eq!(tenant.out.queued().bytes, 0, "shutdown of {leg:?} with bytes queued");
        tenant.shut = true;
        let end = tenant.end.filter(|end| !self.world.links[end.link as usize].is_terminal);
        if let Some(end) = end {
            self.world.finish(end);
        }
        self.say(leg, "shutdown", 0);
    }

    fn close(&mut self, leg: Leg, how: Close) {
        self.refuse_closed(leg, "close");
        self.say(leg, "close", how as usize);
        self.end_leg(leg, how);
    }

    fn wait(&mut self, until: Option<Time>, events: &mut Vec<Event>) {
        self.take_turn(until, events);
    }

    fn waker(&self) -> Waker {
        self.bell.clone()
    }

    fn spare(&self, group: Group) -> usize {
        let apart: usize = self
            .legs
            .all()
            .filter_map(|leg| self.legs.get(leg))
            .map(|tenant| tenant.out.apart())
            .sum();
        self.pool.free(group).saturating_sub(apart / group.stride())
    }

    fn starved_since(&self) -> Option<Time> {
        self.pool.waiting_since()
    }

    fn starved_group(&self) -> Option<Group> {
        self.pool.waiting_group()
    }

    fn pinned(&self, leg: Leg, group: Group) -> usize {
        self.live(leg).map_or(0, |tenant| tenant.out.pinned(group))
    }

    fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }
}

impl<H: Hosts> SimKernel<H> {
    /// The caller must not use a leg that it has closed.
    fn refuse_closed(&self, leg: Leg, verb: &str) {
        assert!(self.live(leg).is_some(), "{verb} on {leg:?}, which is closed");
    }

    fn write_now(&mut self, leg: Leg, chunk: &Chunk) -> Result<usize, Errno> {
        let most = self.short(length(chunk));
        let tenant = self.legs.get(leg).expect("looked up by the caller");
        let end = tenant.end.expect("only connected legs send");
        let whole = length(chunk);
        let written = match self.world.write(end, &chunk_bytes(chunk, &self.pool)[..most]) {
            Err(Errno::EAGAIN) => 0,
            other => other?,
        };
        if written < whole {
            count(Fault::ShortWrite);
            self.world.want_room(end);
        }
        Ok(written)
    }
}
