//! Connecting to the target: one candidate after the other, overlapping (RFC 8305), until one stands.
//!
//! Meanwhile the client may send ahead: up to 64 KiB are kept for the target, then reading stops, but a hang-up is still
//! noticed. None of it is ever sent to a target that did not become the tunnel's.

use std::net::SocketAddr;
use std::time::Duration;

use penstock_ring::{Arrival, Close, Errno, Interest, Kernel, Leg, Outcome, Readiness, Stop};

use super::prelude::EARLY;
use super::{Session, State, discard};
use crate::close::{Cause, CloseReason, Side};
use crate::config::HalfClose;
use crate::relay::Receiving;
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
        let State::AwaitConnection(opening) = &mut self.state else { return Step::Continue(()) };
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
        let (State::AwaitConnection(opening), Outcome::Connected(result)) =
            (&mut self.state, &outcome)
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
        let State::AwaitConnection(opening) = std::mem::replace(&mut self.state, State::Between)
        else {
            return Step::Continue(());
        };
        opening.close_attempts(turn);
        turn.counters.setup[2].record(turn.now.since(opening.dial_at));
        self.begin_relay(*opening, target, turn)
    }

    /// Time is up for one attempt, or for all of them.
    pub(super) fn dial_expired<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let (State::AwaitName(opening) | State::AwaitConnection(opening)) = &mut self.state else {
            return Step::Continue(());
        };
        if opening.is_late(turn.now) {
            let naming = matches!(self.state, State::AwaitName(_));
            let cause = if naming { Cause::NameLookupFailed } else { Cause::ConnectTimeout };
            return self.refuse(Side::Target, cause, Some(Errno::ETIMEDOUT), turn);
        }
        match opening.next_attempt {
            Some(at) if at <= turn.now => self.dial(turn),
            _ => Step::Continue(()),
        }
    }

    /// What the client does while its tunnel is being set up.
    pub(super) fn step_early<K: Kernel>(&mut self, outcome: Outcome, turn: &mut Turn<K>) -> Step {
        let left = |phase, cause| Step::Break(CloseReason::new(Side::Client, phase, cause));
        let (phase, half_close) = (self.phase(), self.listener().half_close);
        let (State::AwaitName(opening) | State::AwaitConnection(opening)) = &mut self.state else {
            discard(outcome, turn);
            return Step::Continue(());
        };
        match outcome {
            Outcome::Received(buffer) => {
                opening.early.extend_from_slice(turn.kernel.bytes(&buffer));
                turn.kernel.release(buffer);
                if opening.early.len() >= EARLY && opening.receiving == Receiving::On {
                    opening.receiving = match turn.kernel.receive_stop(self.client) {
                        Stop::Done => Receiving::Off,
                        Stop::Later => Receiving::Stopping,
                    };
                    turn.kernel.watch(self.client, Interest::HangUp, true);
                }
            }
            Outcome::ReceiveEnded(arrival) => {
                opening.receiving = Receiving::Off;
                match arrival {
                    Arrival::Stopped => {}
                    Arrival::Failed(_) => return left(phase, Cause::Reset),
                    // Who sent nothing ahead and waits for no answer has gone.
                    Arrival::Ended
                        if half_close == HalfClose::Close && opening.early.is_empty() =>
                    {
                        return left(phase, Cause::HungUp);
                    }
                    Arrival::Ended => opening.client_ended = true,
                }
            }
            Outcome::Ready(Readiness { hang_up: true, .. }) => return left(phase, Cause::HungUp),
            other => discard(other, turn),
        }
        Step::Continue(())
    }
}
