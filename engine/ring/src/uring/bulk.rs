//! Receiving bulk: on the worker, one leg in each turn.
//!
//! What is opened, sealed and sent while the core's cache still holds it costs a tenth less than what was received together with
//! that of other legs, and one buffer serves all of them. So the ring only says when there are bytes. That is a system call more for
//! each buffer, which is nothing beside 256 KiB.
//!
//! ```text
//! Off ──receive──▶ Turn ──nothing there──▶ Bytes (a poll) ──there are──▶ Turn
//!                   └──bytes, an end, no buffer──▶ Off
//! ```

use nix::errno::Errno;

use super::Uring;
use super::tenant::Receive;
use crate::buffers::Group;
use crate::op::{Arrival, Event, Leg, Outcome};

impl Uring {
    /// A leg goes to the end of the line.
    pub(super) fn join_bulk(&mut self, leg: Leg) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        tenant.receive = Receive::Turn;
        self.bulk.push_back(leg);
    }

    /// A leg leaves the line unserved.
    pub(super) fn leave_bulk(&mut self, leg: Leg) {
        self.bulk.retain(|waiting| *waiting != leg);
    }

    /// Once per turn: the first of the line that has something to tell.
    pub(super) fn serve_bulk(&mut self, events: &mut Vec<Event>) {
        let before = events.len();
        while events.len() == before
            && let Some(leg) = self.bulk.pop_front()
        {
            match self.receive_bulk(leg) {
                Some(outcome) => self.tell_receiver(leg, outcome, events),
                None => self.poll_arrival(leg),
            }
        }
    }

    /// What a leg of the line is to be told, if it is to be told anything yet.
    fn receive_bulk(&mut self, leg: Leg) -> Option<Outcome> {
        let tenant = self.legs.get_mut(leg).expect("closed legs leave the line");
        tenant.receive = Receive::Off;
        let Some(index) = self.pool.take(Group::Bulk) else {
            self.stats.buffers_exhausted.add(1);
            return Some(Outcome::ReceiveEnded(Arrival::Short));
        };
        let result = self.pool.fill(tenant.borrowed(), tenant.kind, Group::Bulk, index);
        if let Ok(n @ 1..) = result {
            self.stats.received_bytes.add(n as u64);
            return Some(Outcome::Received(self.pool.hand_out(Group::Bulk, index, n)));
        }
        self.pool.put(Group::Bulk, index);
        match result {
            Err(Errno::EAGAIN) => None,
            result => Some(Outcome::ReceiveEnded(tenant.end_of(result))),
        }
    }
}
