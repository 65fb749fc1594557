//! Readiness hints by multishot poll, which is edge-triggered; the first hint comes at once if the leg is ready.
//!
//! Without multishot a poll is level-triggered and good for one hint. Its successor starts a while later: at once, a level
//! that nobody acts on would be a spin.

use std::time::Duration;

use io_uring::opcode;
use nix::errno::Errno;

use super::Uring;
use super::tenant::{Repeat, Tenant, place, watch_operation};
use crate::op::{Event, Interest, Leg, Outcome, Readiness, Time};
use crate::options::Feature;

/// How long a level is left alone before it is polled for again.
const RENEWAL: Duration = Duration::from_millis(1);

impl Uring {
    pub(super) fn turn_watch(&mut self, leg: Leg, interest: Interest, on: bool) {
        let Some(tenant) = self.open_mut(leg) else { return };
        let watch = &mut tenant.watches[place(interest)];
        match (*watch, on) {
            (Repeat::Off | Repeat::Spent, true) => self.arm_watch(leg, interest),
            (Repeat::On, false) => {
                *watch = Repeat::Leaving { again: false };
                self.cancel(leg, watch_operation(interest));
            }
            (Repeat::Spent, false) => *watch = Repeat::Off,
            (Repeat::Leaving { .. }, again) => *watch = Repeat::Leaving { again },
            (Repeat::On, true) | (Repeat::Off, false) => {}
        }
    }

    /// Starts spent polls anew when their time has come; else says when it will.
    pub(super) fn renew_watches(&mut self) -> Option<Time> {
        if self.spent.is_empty() {
            return None;
        }
        let renewal = *self.renewal.get_or_insert(self.now + RENEWAL);
        if self.refresh_clock() < renewal {
            return Some(renewal);
        }
        self.renewal = None;
        for (leg, interest) in std::mem::take(&mut self.spent) {
            let is_spent = |tenant: &Tenant| tenant.watches[place(interest)] == Repeat::Spent;
            if self.open(leg).is_some_and(is_spent) {
                self.arm_watch(leg, interest);
            }
        }
        None
    }

    fn arm_watch(&mut self, leg: Leg, interest: Interest) {
        let multi = !self.options.mask.hides(Feature::MultishotPoll);
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        tenant.watches[place(interest)] = Repeat::On;
        let events = match interest {
            Interest::Readable => libc::POLLIN | libc::POLLRDHUP,
            Interest::Writable => libc::POLLOUT,
            // ERR and HUP are always polled for.
            Interest::HangUp => 0,
        };
        let poll = opcode::PollAdd::new(tenant.fd(), events as u32).multi(multi).build();
        self.start(leg, watch_operation(interest), poll);
    }

    /// A hint, or the end of a poll.
    pub(super) fn file_watch(
        &mut self,
        leg: Leg,
        interest: Interest,
        result: Result<usize, Errno>,
        more: bool,
        events: &mut Vec<Event>,
    ) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        let watch = &mut tenant.watches[place(interest)];
        let state = *watch;
        if !more {
            *watch = if state == Repeat::On { Repeat::Spent } else { Repeat::Off };
        }
        if tenant.closing {
            return;
        }
        if !more && state == Repeat::On {
            self.spent.push((leg, interest));
        }
        match (state, result) {
            (Repeat::Leaving { again: true }, _) if !more => self.arm_watch(leg, interest),
            // A cancellation that was taken back came through all the same.
            (Repeat::On, Err(Errno::ECANCELED)) => {}
            (Repeat::On, result) => {
                let readiness = readiness(interest, result);
                if readiness != Readiness::default() {
                    self.tell(leg, Outcome::Ready(readiness), events);
                }
            }
            _ => {}
        }
    }
}

/// What a poll's answer means to somebody with this interest.
fn readiness(interest: Interest, result: Result<usize, Errno>) -> Readiness {
    // A poll that failed knows nothing, and a hint is never withheld.
    let bits = result.map_or(!0, |bits| bits as i32);
    let has = |wanted: i16| bits & i32::from(wanted) != 0;
    let gone = libc::POLLHUP | libc::POLLERR;
    Readiness {
        readable: interest == Interest::Readable && has(libc::POLLIN | libc::POLLRDHUP | gone),
        writable: interest == Interest::Writable && has(libc::POLLOUT | gone),
        hang_up: has(gone),
    }
}
