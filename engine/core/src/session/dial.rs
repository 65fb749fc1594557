//! Connecting to the target: one candidate after the other, overlapping (RFC 8305), until one stands.

use std::net::SocketAddr;
use std::time::Duration;

use penstock_ring::{Close, Errno, Kernel, Leg, Outcome};

use super::{Session, State, discard};
use crate::close::{Cause, Side};
use crate::sessions::{Recipient, Role};
use crate::turn::{Step, Turn};

/// How long one attempt has the field to itself (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

impl Session {
    /// Starts the next attempt; without one under way and none left, the client is told.
    pub(super) fn dial<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        self.dial_after(Errno::EHOSTUNREACH, turn)
    }

    /// The same, after an attempt that failed in this way.
    fn dial_after<K: Kernel>(&mut self, mut failure: Errno, turn: &mut Turn<K>) -> Step {
        let State::AwaitTarget(opening) = &mut self.state else { return Step::Continue(()) };
        let owner = Recipient::Session(self.handle, Role::Target).owner();
        while let Some(candidate) = opening.candidates.pop_front() {
            self.facts.connected = Some(candidate);
            match turn.kernel.connect(candidate, owner) {
                Ok(leg) => {
                    opening.attempts.push((leg, candidate));
                    opening.next_attempt = Some(turn.now + ATTEMPT_DELAY);
                    return Step::Continue(());
                }
                Err(errno) => failure = errno,
            }
        }
        opening.next_attempt = None;
        if opening.attempts.is_empty() {
            let cause = Cause::of_connecting(failure);
            let side = if cause == Cause::Exhausted { Side::Penstock } else { Side::Target };
            return self.refuse(side, cause, Some(failure), turn);
        }
        Step::Continue(())
    }

    pub(super) fn step_dial<K: Kernel>(
        &mut self,
        leg: Leg,
        outcome: Outcome,
        turn: &mut Turn<K>,
    ) -> Step {
        let (State::AwaitTarget(opening), Outcome::Connected(result)) = (&mut self.state, &outcome)
        else {
            discard(outcome, turn);
            return Step::Continue(());
        };
        let Some(index) = opening.attempts.iter().position(|(attempt, _)| *attempt == leg) else {
            return Step::Continue(());
        };
        let (_, address) = opening.attempts.swap_remove(index);
        match *result {
            Ok(()) => self.connected(leg, address, turn),
            Err(errno) => {
                turn.kernel.close(leg, Close::Normal);
                self.dial_after(errno, turn)
            }
        }
    }

    fn connected<K: Kernel>(
        &mut self,
        target: Leg,
        address: SocketAddr,
        turn: &mut Turn<K>,
    ) -> Step {
        self.facts.connected = Some(address);
        if turn.shared.listens_everywhere(address)
            && turn.kernel.local(target).is_some_and(|local| local.ip() == address.ip())
        {
            turn.kernel.close(target, Close::Normal);
            return self.refuse(Side::Penstock, Cause::Loop, None, turn);
        }
        if let State::AwaitTarget(opening) = &mut self.state {
            opening.close_legs(turn);
            opening.attempts.clear();
            opening.next_attempt = None;
        }
        self.target_connected(target, turn)
    }
}
