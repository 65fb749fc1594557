//! New connections: taken in while there is room, told so when there is none, left in the queue when not even that
//! is possible.
//!
//! Accepting that failed for want of descriptors pauses instead of spinning; those that live are not touched.

use std::sync::Arc;
use std::time::Duration;

use penstock_ring::{Close, Kernel, Leg, Outcome, Time};

use super::Worker;
use crate::session::{Session, discard};
use crate::sessions::{Recipient, Role};

/// How long accepting pauses after it failed.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a listener that is to be closed still takes in who is in its queue.
const EMPTY: Duration = Duration::from_millis(20);

/// A listening leg of this worker.
#[derive(Debug)]
pub(super) struct Listening {
    leg: Leg,
    /// Index into the configuration's listeners.
    config: u16,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Accepting,
    /// Accepting failed and is tried again at this time.
    Paused(Time),
    /// A stop was asked for: who is in the queue is still taken in, until this time.
    Emptying(Time),
    /// Accepting is off; what was accepted before comes in the next turn, then the socket is closed.
    Closing(Time),
    Closed,
}

impl Listening {
    pub(super) fn new(leg: Leg, config: u16) -> Listening {
        Listening { leg, config, state: State::Accepting }
    }
}

impl<K: Kernel> Worker<K> {
    pub(super) fn take_listener_event(&mut self, index: usize, outcome: Outcome) {
        match outcome {
            Outcome::Accepted(leg) => {
                match self.listening.get(index).map(|listening| listening.config) {
                    Some(config) => self.accepted(leg, config),
                    None => self.turn.kernel.close(leg, Close::Normal),
                }
            }
            Outcome::AcceptFailed(_) => {
                self.turn.counters.accept_pauses.add(1);
                let again = self.turn.now + PAUSE;
                if let Some(listening) = self.listening.get_mut(index)
                    && listening.state == State::Accepting
                {
                    listening.state = State::Paused(again);
                }
            }
            other => discard(other, &mut self.turn),
        }
    }

    /// When some listener has something to do.
    pub(super) fn listening_at(&self) -> Option<Time> {
        let at = |listening: &Listening| match listening.state {
            State::Paused(at) | State::Emptying(at) | State::Closing(at) => Some(at),
            State::Accepting | State::Closed => None,
        };
        self.listening.iter().filter_map(at).min()
    }

    pub(super) fn see_to_listeners(&mut self) {
        let now = self.turn.now;
        for listening in &mut self.listening {
            listening.state = match listening.state {
                State::Paused(until) if until <= now => {
                    self.turn.kernel.accept(listening.leg, true);
                    State::Accepting
                }
                State::Emptying(until) if until <= now => {
                    self.turn.kernel.accept(listening.leg, false);
                    State::Closing(now)
                }
                State::Closing(until) if until <= now => {
                    self.turn.kernel.close(listening.leg, Close::Normal);
                    State::Closed
                }
                state => state,
            };
        }
    }

    /// Whether every listening socket is closed.
    pub(super) fn is_deaf(&self) -> bool {
        self.listening.iter().all(|listening| listening.state == State::Closed)
    }

    /// Closes all listeners. Closing a socket resets whoever is in its queue, so the queue is emptied first, unless there
    /// is no time for it.
    pub(super) fn stop_listening(&mut self, at_once: bool) {
        for listening in &mut self.listening {
            match listening.state {
                State::Closed => {}
                _ if at_once => {
                    self.turn.kernel.close(listening.leg, Close::Normal);
                    listening.state = State::Closed;
                }
                State::Accepting | State::Paused(_) => {
                    listening.state = State::Emptying(self.turn.now + EMPTY)
                }
                State::Emptying(_) | State::Closing(_) => {}
            }
        }
    }

    fn accepted(&mut self, leg: Leg, config: u16) {
        self.turn.counters.accepted.add(1);
        let entered = self.turn.shared.enter(config);
        if entered.is_err() {
            self.turn.counters.shed.add(1);
            if self.turned_away >= self.turned_away_max {
                return self.turn.kernel.close(leg, Close::Normal);
            }
            self.turned_away += 1;
        }
        let admitting = Arc::clone(&self.turn.shared.config);
        let handle =
            self.sessions.insert(Session::new(admitting, config, leg, entered.is_ok(), &self.turn));
        self.turn.counters.sessions.add(1);
        self.turn.kernel.set_owner(leg, Recipient::Session(handle, Role::Client).owner());
        let Some(session) = self.sessions.get_mut(handle) else { return };
        let step = match entered {
            Ok(()) => session.begin(handle, &mut self.turn),
            Err(cause) => session.turn_away(handle, cause, &mut self.turn),
        };
        self.after(handle, step);
    }
}
