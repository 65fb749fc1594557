//! What a ready leg does in its turn: accept, finish connecting, send what is queued, receive, give hints.

use std::io::IoSlice;
use std::os::fd::AsFd;

use nix::errno::Errno;

use super::held::{Bits, Held, Role};
use super::{Epoll, transfer};
use crate::buffers::Group;
use crate::op::{Arrival, Chunk, Event, Leg, Outcome, Readiness, Sent};
use crate::queue;
use crate::sockets::{self, Kind};

/// Connections that one listener accepts in a turn.
const ACCEPTS: usize = 64;
/// Bytes that one leg receives in a turn, before others have theirs; the last buffer may go beyond it.
const TURN_BYTES: usize = 64 * 1024;
/// Chunks that leave in one system call.
const PARTS: usize = 64;

impl Epoll {
    /// Serves a leg of the ready list.
    pub(super) fn serve(&mut self, leg: Leg, events: &mut Vec<Event>) {
        let Some(held) = self.legs.get_mut(leg) else { return };
        held.listed = false;
        let role = held.role;
        match role {
            Role::Listener => return self.accept_some(leg, events),
            Role::Connecting if !self.finish_connect(leg, events) => return,
            Role::Connecting | Role::Stream => {}
        }
        self.flush(leg, events);
        self.tell_stopped(leg, events);
        self.receive_some(leg, events);
        self.hint(leg, events);
    }

    /// Serves those who waited for a buffer, each with one, in order, while there are buffers. It ends: each of them takes a
    /// buffer or leaves the line.
    pub(super) fn serve_waiting(&mut self, events: &mut Vec<Event>) {
        for group in Group::ALL {
            while self.pool.free(group) > 0
                && let Some((leg, _)) = self.waiting.next(group)
            {
                let held = self.legs.get_mut(leg).expect("closed legs leave the line");
                held.waiting = false;
                self.receive_buffer(leg, group, events);
                self.list_if_receivable(leg);
            }
        }
    }

    /// Sends at once if nothing is queued, and queues what isn't accepted.
    pub(super) fn send_now(&mut self, leg: Leg, chunk: Chunk, ahead: bool) -> Sent {
        let Some(held) = self.legs.get_mut(leg) else {
            queue::release(chunk, &mut self.pool);
            return Sent::Failed(Errno::EBADF);
        };
        let mut accepted = 0;
        if held.queue.is_empty() && held.bits.contains(Bits::WRITABLE) {
            let part = match &chunk {
                Chunk::Pool(buffer) => self.pool.bytes(buffer),
                Chunk::Bytes(bytes) => bytes,
            };
            let len = part.len();
            let parts = &[IoSlice::new(part)];
            match transfer::write(held.descriptor.as_fd(), held.kind, parts, ahead) {
                Ok(n) if n == len => {
                    queue::release(chunk, &mut self.pool);
                    return Sent::Done;
                }
                Ok(n) => accepted = n,
                Err(Errno::EAGAIN) => {}
                Err(errno) => {
                    held.fail(errno);
                    queue::release(chunk, &mut self.pool);
                    return Sent::Failed(errno);
                }
            }
            held.bits &= !Bits::WRITABLE;
        }
        held.queue.push(chunk, &mut self.pool);
        if held.queue.is_empty() {
            return Sent::Done;
        }
        if accepted > 0 {
            held.queue.advance(accepted, &mut self.pool);
            held.untold = accepted;
            self.list(leg);
        }
        self.expect_writable(leg);
        Sent::Queued
    }

    fn accept_some(&mut self, listener: Leg, events: &mut Vec<Event>) {
        for _ in 0..ACCEPTS {
            let Some(held) = self.legs.get_mut(listener) else { return };
            if !held.accepting || !held.bits.contains(Bits::READABLE) {
                return;
            }
            let (owner, kind) = (held.owner, held.kind);
            let accepted = match sockets::accept(held.descriptor.as_fd()) {
                Ok(None) => {
                    held.bits &= !Bits::READABLE;
                    return;
                }
                Ok(Some((socket, peer))) => self
                    .register(Held::stream(socket, kind, peer, owner))
                    .map_err(|(errno, _)| errno),
                Err(errno) => Err(errno),
            };
            let outcome = match accepted {
                Ok(leg) => Outcome::Accepted(leg),
                Err(errno) => self.stop_accepting(listener, errno),
            };
            events.push(Event { owner, leg: listener, outcome });
        }
        self.list(listener);
    }

    /// Nobody but the caller knows when it is worth another try.
    fn stop_accepting(&mut self, listener: Leg, errno: Errno) -> Outcome {
        self.stats.accept_failed.add(1);
        if let Some(held) = self.legs.get_mut(listener) {
            held.accepting = false;
        }
        Outcome::AcceptFailed(errno)
    }

    /// Whether the leg is a connected stream now.
    fn finish_connect(&mut self, leg: Leg, events: &mut Vec<Event>) -> bool {
        let Some(held) = self.legs.get_mut(leg) else { return false };
        if !held.bits.contains(Bits::WRITABLE) {
            return false;
        }
        held.role = Role::Stream;
        let result = sockets::take_error(held.descriptor.as_fd());
        if let Err(errno) = result {
            held.broken = Some(errno);
            held.queue.clear(&mut self.pool);
        }
        events.push(Event { owner: held.owner, leg, outcome: Outcome::Connected(result) });
        result.is_ok()
    }

    /// Sends what is queued until nothing is left or the leg accepts no more.
    fn flush(&mut self, leg: Leg, events: &mut Vec<Event>) {
        let Some(held) = self.legs.get_mut(leg) else { return };
        let mut accepted = std::mem::take(&mut held.untold);
        let mut failure = None;
        // Bounded by what is queued.
        while !held.queue.is_empty() && held.bits.contains(Bits::WRITABLE) {
            let mut parts = [IoSlice::new(&[]); PARTS];
            let mut offered = 0;
            let mut count = 0;
            for (place, part) in parts.iter_mut().zip(held.queue.parts(&self.pool)) {
                *place = IoSlice::new(part);
                offered += part.len();
                count += 1;
            }
            match transfer::write(held.descriptor.as_fd(), held.kind, &parts[..count], false) {
                Ok(n) => {
                    held.queue.advance(n, &mut self.pool);
                    accepted += n;
                    if n < offered {
                        held.bits &= !Bits::WRITABLE;
                    }
                }
                Err(Errno::EAGAIN) => held.bits &= !Bits::WRITABLE,
                Err(errno) => {
                    held.fail(errno);
                    held.queue.clear(&mut self.pool);
                    failure = Some(errno);
                }
            }
        }
        let owner = held.owner;
        if accepted > 0 {
            events.push(Event { owner, leg, outcome: Outcome::Sent(accepted) });
        }
        if let Some(errno) = failure {
            events.push(Event { owner, leg, outcome: Outcome::SendFailed(errno) });
        }
    }

    fn tell_stopped(&mut self, leg: Leg, events: &mut Vec<Event>) {
        let Some(held) = self.legs.get_mut(leg) else { return };
        if std::mem::take(&mut held.stopping) {
            let outcome = Outcome::ReceiveEnded(Arrival::Stopped);
            events.push(Event { owner: held.owner, leg, outcome });
        }
    }

    /// Receives until nothing is left, the leg's share of the turn is used up, or no buffer is free. Bulk is received of one leg in a
    /// turn.
    fn receive_some(&mut self, leg: Leg, events: &mut Vec<Event>) {
        let mut received = 0;
        while received < TURN_BYTES {
            let Some(held) = self.legs.get_mut(leg) else { return };
            let Some(group) = held.receiving.filter(|_| held.is_receivable()) else { return };
            // What is moved on while the core's cache holds it costs less than what waited for that of other legs.
            if group == Group::Bulk && self.bulk_turn == self.turn {
                break;
            }
            if self.pool.free(group) == 0 || !self.waiting.is_empty(group) {
                if group == Group::Bulk {
                    return self.tell_short(leg, events);
                }
                held.waiting = true;
                return self.waiting.join(leg, group, self.now);
            }
            received += self.receive_buffer(leg, group, events);
            if self.receives_once(group) {
                break;
            }
        }
        self.list_if_receivable(leg);
    }

    /// Nobody stands in line for a buffer of this group.
    fn tell_short(&mut self, leg: Leg, events: &mut Vec<Event>) {
        let Some(held) = self.legs.get_mut(leg) else { return };
        (held.receiving, held.told) = (None, self.turn);
        self.stats.buffers_exhausted.add(1);
        let outcome = Outcome::ReceiveEnded(Arrival::Short);
        events.push(Event { owner: held.owner, leg, outcome });
    }

    /// Receives into one buffer; the number of bytes. The pool has a free one.
    fn receive_buffer(&mut self, leg: Leg, group: Group, events: &mut Vec<Event>) -> usize {
        let Some(held) = self.legs.get_mut(leg) else { return 0 };
        let index = self.pool.take(group).expect("the caller has looked");
        let descriptor = held.descriptor.as_fd();
        let result = self.pool.fill(descriptor, held.kind, group, index);
        let n = result.unwrap_or(0);
        if n == 0 {
            self.pool.put(group, index);
        }
        let outcome = match result {
            Err(Errno::EAGAIN) => {
                held.bits &= !Bits::READABLE;
                return 0;
            }
            Ok(0) => held.end(),
            // The master side of a terminal says so when the last slave is closed.
            Err(Errno::EIO) if held.kind == Kind::Plain => held.end(),
            Err(errno) => {
                held.broken = Some(errno);
                held.end()
            }
            Ok(n) => {
                // Only TCP fills a buffer as long as it has bytes, but for the cases that make it unsteady.
                if n < group.capacity()
                    && held.kind == Kind::Tcp
                    && !held.bits.contains(Bits::UNSTEADY)
                {
                    held.bits &= !Bits::READABLE;
                }
                if group.is_single() {
                    held.receiving = None;
                }
                if group == Group::Bulk {
                    self.bulk_turn = self.turn;
                }
                self.stats.received_bytes.add(n as u64);
                Outcome::Received(self.pool.hand_out(group, index, n))
            }
        };
        held.told = self.turn;
        events.push(Event { owner: held.owner, leg, outcome });
        n
    }

    fn list_if_receivable(&mut self, leg: Leg) {
        if self.legs.get(leg).is_some_and(Held::is_receivable) {
            self.list(leg);
        }
    }

    fn hint(&mut self, leg: Leg, events: &mut Vec<Event>) {
        let Some(held) = self.legs.get_mut(leg) else { return };
        let hints = std::mem::take(&mut held.hints);
        held.watched &= !hints;
        if !hints.is_empty() {
            let outcome = Outcome::Ready(Readiness::from(hints));
            events.push(Event { owner: held.owner, leg, outcome });
        }
    }
}

impl Held {
    /// Receiving is on, bytes are there, and the leg doesn't stand in line for a buffer already.
    fn is_receivable(&self) -> bool {
        self.receiving.is_some()
            && !self.waiting
            && self.role == Role::Stream
            && self.bits.contains(Bits::READABLE)
    }

    /// Receiving is over.
    fn end(&mut self) -> Outcome {
        self.receiving = None;
        Outcome::ReceiveEnded(self.broken.map_or(Arrival::Ended, Arrival::Failed))
    }

    /// Sending is over. EPIPE says only that it was over before, perhaps by our own shutdown.
    fn fail(&mut self, errno: Errno) {
        if errno != Errno::EPIPE {
            self.broken = Some(errno);
        }
    }
}
