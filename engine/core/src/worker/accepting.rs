//! New connections: taken in while there is room, told so when there is none, left in the queue when not even that
//! is possible.
//!
//! Accepting that failed for want of descriptors pauses instead of spinning; those that live are not touched.

use std::sync::Arc;
use std::time::Duration;

use penstock_ring::{Close, Errno, Kernel, Leg, Outcome, Time};

use super::Worker;
use crate::session::{Session, discard};
use crate::sessions::{Recipient, Role};

/// How long accepting pauses after it failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that may be told at the same time that there is no room; further ones are closed at once. Their
/// descriptors come out of the reserve that `max_tunnels` leaves.
pub(super) const TURNED_AWAY_MAX: usize = 64;

/// A listening leg of this worker.
#[derive(Debug)]
pub(super) struct Listening {
    leg: Leg,
    /// Index into the configuration's listeners.
    config: u16,
    /// Accepting pauses until then.
    paused_until: Option<Time>,
}

impl Listening {
    pub(super) fn new(leg: Leg, config: u16) -> Listening {
        Listening { leg, config, paused_until: None }
    }
}

impl<K: Kernel> Worker<K> {
    pub(super) fn take_listener_event(&mut self, index: usize, outcome: Outcome) {
        match outcome {
            Outcome::Accepted(leg) => {
                match self.listening.get(index).map(|listening| listening.config) {
                    Some(config) if self.drain_until.is_none() => self.accepted(leg, config),
                    _ => self.turn.kernel.close(leg, Close::Normal),
                }
            }
            Outcome::AcceptFailed(errno) => self.accept_failed(index, errno),
            other => discard(other, &mut self.turn),
        }
    }

    pub(super) fn accept_again_at(&self) -> Option<Time> {
        self.listening.iter().filter_map(|listening| listening.paused_until).min()
    }

    pub(super) fn resume_accepting(&mut self) {
        for listening in &mut self.listening {
            if listening.paused_until.is_some_and(|until| until <= self.turn.now) {
                listening.paused_until = None;
                self.turn.kernel.accept(listening.leg, true);
            }
        }
    }

    /// Closes all listeners: who connects from now on is refused by the kernel.
    pub(super) fn stop_listening(&mut self) {
        for listening in self.listening.drain(..) {
            self.turn.kernel.close(listening.leg, Close::Normal);
        }
    }

    fn accepted(&mut self, leg: Leg, config: u16) {
        self.turn.counters.accepted.add(1);
        let has_place = self.turn.shared.enter();
        if !has_place {
            self.turn.counters.shed.add(1);
            if self.turned_away >= TURNED_AWAY_MAX {
                return self.turn.kernel.close(leg, Close::Normal);
            }
            self.turned_away += 1;
        }
        let admitting = Arc::clone(&self.turn.shared.config);
        let handle =
            self.sessions.insert(Session::new(admitting, config, leg, has_place, &self.turn));
        self.turn.counters.sessions.add(1);
        self.turn.kernel.set_owner(leg, Recipient::Session(handle, Role::Client).owner());
        let Some(session) = self.sessions.get_mut(handle) else { return };
        let step = if has_place {
            session.begin(handle, &mut self.turn)
        } else {
            session.turn_away(handle, &mut self.turn)
        };
        self.after(handle, step);
    }

    fn accept_failed(&mut self, index: usize, _errno: Errno) {
        self.turn.counters.accept_pauses.add(1);
        let until = self.turn.now + PAUSE;
        if let Some(listening) = self.listening.get_mut(index) {
            listening.paused_until = Some(until);
        }
    }
}
