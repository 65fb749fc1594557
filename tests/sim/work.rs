//! What a leg does when something has happened to it: accepts, connects, sends, receives.

use penstock_ring::{Arrival, Errno, Group, Leg, Outcome};

use crate::sim::kernel::{Hosts, Lane, SimKernel};
use crate::sim::leg::{Kind, Receive, Tenant};
use crate::sim::link::{Holder, Read};
use crate::sim::tally::{Fault, count};
use crate::sim::world::{Door, End, handle_of};

impl<H: Hosts> SimKernel<H> {
    pub(super) fn serve(&mut self, leg: Leg) {
        match self.live(leg).map(|tenant| tenant.kind) {
            Some(Kind::Listener(index)) => self.accept_some(leg, index),
            Some(Kind::Stream) => {
                self.send_some(leg);
                self.receive_some(leg);
            }
            None => {}
        }
    }

    pub(super) fn lacks_descriptors(&self) -> bool {
        self.descriptors_out || self.legs.len() >= self.temper.descriptors
    }

    fn accept_some(&mut self, listener: Leg, index: usize) {
        while self.live(listener).is_some_and(|tenant| tenant.accepting) {
            if self.world.listening[index].backlog.is_empty() {
                return;
            }
            let span = self.delay();
            if self.lacks_descriptors() {
                count(Fault::AcceptFailed);
                self.live_mut(listener).expect("just looked").accepting = false;
                self.stats.accept_failed.add(1);
                return self.file(
                    listener,
                    Lane::Other,
                    span,
                    Outcome::AcceptFailed(Errno::EMFILE),
                );
            }
            let end = self.world.listening[index].backlog.pop_front().expect("it isn't empty");
            let owner = self.live(listener).expect("just looked").owner;
            let mut tenant = Tenant::new(owner, Kind::Stream);
            let client = self.world.links[end.link as usize].caller;
            (tenant.end, tenant.peer, tenant.local) =
                (Some(end), client, Some(self.world.listening[index].address));
            let leg = self.legs.insert(tenant);
            self.world.hold(end, Holder::Leg(leg.slot));
            self.say(leg, "accepted", index);
            self.file(listener, Lane::Other, span, Outcome::Accepted(leg));
        }
    }

    /// Sends a part of what waits; there is one send at a time.
    fn send_some(&mut self, leg: Leg) {
        let tenant = self.legs.get(leg).expect("just looked");
        let Some(end) = tenant.end.filter(|_| tenant.out.queued().bytes > 0 && !tenant.out.sending)
        else {
            return;
        };
        let queued = tenant.out.queued().bytes;
        // One byte at least, so that a broken or full socket says so.
        let most = self.short(queued.min(self.world.room(end).max(1)));
        let bytes = self.legs.get(leg).expect("just looked").out.front(most, &self.pool);
        let span = self.delay();
        match self.world.write(end, &bytes) {
            Ok(n) => {
                count(Fault::SentLater);
                if n < queued {
                    count(Fault::ShortWrite);
                }
                self.legs.get_mut(leg).expect("just looked").out.sending = true;
                self.file(leg, Lane::Other, span, Outcome::Sent(n));
            }
            Err(Errno::EAGAIN) => {}
            Err(errno) => {
                let out = &mut self.legs.get_mut(leg).expect("just looked").out;
                out.failed = Some(errno);
                out.clear(&mut self.pool);
                self.file(leg, Lane::Other, span, Outcome::SendFailed(errno));
            }
        }
    }

    /// Serves those who wait for a buffer, in order, each with one.
    pub(super) fn serve_lines(&mut self) {
        for group in Group::ALL {
            // Bounded by the free buffers, and by the line.
            while self.pool.free(group) > 0
                && let Some((leg, _)) = self.pool.lines[group.index()].pop_front()
            {
                self.legs.get_mut(leg).expect("closed legs leave the line").waiting = false;
                self.receive_one(leg, true);
                self.touch(leg);
            }
        }
    }

    fn receive_some(&mut self, leg: Leg) {
        while self.receive_one(leg, false) {}
    }

    /// Receives one buffer, or an end; who has waited in line does not go to its end again. False if there is nothing
    /// more to receive for now.
    fn receive_one(&mut self, leg: Leg, first: bool) -> bool {
        let Some(tenant) = self.live(leg) else { return false };
        let group = match tenant.receive {
            Receive::On(group) | Receive::Stopping { group, left: 1.., .. } => group,
            _ => return false,
        };
        let Some(end) =
            tenant.end.filter(|_| !tenant.waiting && tenant.arriving < self.temper.batch)
        else {
            return false;
        };
        let there = match self.world.look(end) {
            Read::Bytes(there) => there,
            Read::Blocked => return false,
            Read::Ended => return self.receive_ended(leg, Arrival::Ended),
            Read::Failed(errno) => return self.receive_ended(leg, Arrival::Failed(errno)),
        };
        if group == Group::Bulk && self.lacks_bulk() {
            return self.bulk_is_short(leg);
        }
        if self.pool.free(group) == 0 || !first && !self.pool.lines[group.index()].is_empty() {
            return self.join_line(leg, group);
        }
        self.fill_one(leg, end, group, there)
    }

    fn fill_one(&mut self, leg: Leg, end: End, group: Group, there: usize) -> bool {
        let most = there.min(group.capacity());
        let n = self.short(most);
        if n < most {
            count(Fault::ShortRead);
        }
        let mut bytes = Vec::with_capacity(n);
        self.world.read(end, n, &mut bytes);
        let buffer = self.pool.fill(group, &bytes).expect("one is free");
        self.stats.received_bytes.add(n as u64);
        if group == Group::Bulk {
            count(Fault::Bulk);
        }
        let span = self.delay();
        let tenant = self.legs.get_mut(leg).expect("looked up by the caller");
        tenant.arriving += 1;
        if tenant.arriving > 1 {
            count(Fault::SeveralBuffers);
        }
        match &mut tenant.receive {
            Receive::Stopping { left, .. } => {
                count(Fault::LateBuffer);
                *left = if group.is_single() { 0 } else { *left - 1 };
            }
            receive if group.is_single() => *receive = Receive::Off,
            _ => {}
        }
        self.file(leg, Lane::Arrival, span, Outcome::Received(buffer));
        // A busy leg of a poor pool leaves something for others.
        let low = self.pool.free(group) < 4 || self.pool.free(group) < self.pool.total(group) / 8;
        !low || {
            self.touch(leg);
            false
        }
    }

    fn lacks_bulk(&mut self) -> bool {
        self.pool.free(Group::Bulk) == 0 || self.world.random.percent(self.temper.bulk_short)
    }

    /// Nobody waits for a buffer of bulk; who was told to stop hears of that alone.
    fn bulk_is_short(&mut self, leg: Leg) -> bool {
        let is_on = |tenant: &Tenant| matches!(tenant.receive, Receive::On(_));
        if self.live(leg).is_some_and(is_on) {
            count(Fault::BulkShort);
            self.stats.buffers_exhausted.add(1);
            return self.receive_ended(leg, Arrival::Short);
        }
        false
    }

    fn join_line(&mut self, leg: Leg, group: Group) -> bool {
        count(Fault::NoBuffers);
        self.starving = true;
        self.stats.buffers_exhausted.add(1);
        self.legs.get_mut(leg).expect("looked up by the caller").waiting = true;
        let now = self.world.now;
        self.pool.lines[group.index()].push_back((leg, now));
        false
    }

    fn receive_ended(&mut self, leg: Leg, arrival: Arrival) -> bool {
        let span = self.delay();
        let tenant = self.legs.get_mut(leg).expect("looked up by the caller");
        if matches!(tenant.receive, Receive::Stopping { .. }) {
            count(Fault::StopOvertaken);
            // The stop that is under way has nothing to stop any more.
            tenant.stops += 1;
        }
        (tenant.receive, tenant.ending) = (Receive::Off, true);
        self.file(leg, Lane::Arrival, span, Outcome::ReceiveEnded(arrival));
        false
    }

    pub(super) fn stopped(&mut self, leg: Leg, number: u64) {
        let tenant = self.legs.get_mut(leg).expect("the stop was under way");
        tenant.in_flight -= 1;
        if tenant.closed {
            return self.bury(leg);
        }
        let Receive::Stopping { again, .. } = tenant.receive else { return };
        if tenant.stops != number {
            return;
        }
        tenant.receive = again.map_or(Receive::Off, Receive::On);
        tenant.waiting = false;
        self.pool.leave_line(leg);
        self.file(leg, Lane::Arrival, Default::default(), Outcome::ReceiveEnded(Arrival::Stopped));
        self.touch(leg);
    }

    pub(super) fn dialed(&mut self, leg: Leg) {
        let Some(tenant) = self.legs.get(leg) else { return };
        if tenant.closed {
            return;
        }
        let peer = tenant.peer.expect("it was connected to");
        let address = self.world.addresses[&peer];
        let result = match address.door {
            Door::Open(_) => Ok(()),
            Door::Refuse(_) => Err(Errno::ECONNREFUSED),
            Door::Unreachable(_) => Err(Errno::EHOSTUNREACH),
            Door::Lost | Door::NoRoute => Err(Errno::ETIMEDOUT),
        };
        match result {
            Err(Errno::ECONNREFUSED) => count(Fault::ConnectRefused),
            Err(Errno::EHOSTUNREACH) => count(Fault::ConnectUnreachableLater),
            _ => {}
        }
        if result.is_ok() {
            let handle = handle_of(tenant.owner);
            let host = address.host.unwrap_or_else(|| self.world.target_of(handle));
            let end = self.world.link([Holder::Leg(leg.slot), Holder::Host(host)]);
            let tenant = self.legs.get_mut(leg).expect("just looked");
            tenant.end = Some(end);
            self.world.links[end.link as usize].host = Some(host);
            self.world.visitors.push((host, end.peer()));
            self.world.wake_host(host, Default::default());
        }
        let span = self.delay();
        self.legs.get_mut(leg).expect("just looked").connecting = false;
        self.file(leg, Lane::Other, span, Outcome::Connected(result));
    }
}
