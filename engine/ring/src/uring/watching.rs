//! Readiness hints: one poll per hint, which looks at the level when it starts.
//!
//! A multishot poll would tell of each edge, also of those that come while the caller is at work on the leg anyway, and each
//! of them costs a completion. But every poll is told of a half-close, and again and again. Who does not wait for one goes on
//! with a multishot, which is told once.

use io_uring::opcode;
use nix::errno::Errno;

use super::Uring;
use super::tenant::{Repeat, place, watch_operation};
use crate::op::{Event, Interest, Leg, Outcome, Readiness};

impl Uring {
    pub(super) fn turn_watch(&mut self, leg: Leg, interest: Interest, on: bool) {
        let Some(tenant) = self.open_mut(leg) else { return };
        let watch = &mut tenant.watches[place(interest)];
        match (*watch, on) {
            (Repeat::Off, true) => self.arm_watch(leg, interest, false),
            (Repeat::On, false) => {
                *watch = Repeat::Leaving { again: false };
                self.cancel(leg, watch_operation(interest));
            }
            (Repeat::Leaving { .. }, again) => *watch = Repeat::Leaving { again },
            (Repeat::On, true) | (Repeat::Off, false) => {}
        }
    }

    fn arm_watch(&mut self, leg: Leg, interest: Interest, multishot: bool) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        tenant.watches[place(interest)] = Repeat::On;
        let events = match interest {
            Interest::Readable => libc::POLLIN | libc::POLLRDHUP,
            Interest::Writable => libc::POLLOUT,
            // ERR and HUP are always polled for.
            Interest::HangUp => 0,
        };
        let poll = opcode::PollAdd::new(tenant.fd(), events as u32);
        let poll = poll.multi(multishot).build();
        self.start(leg, watch_operation(interest), poll);
    }

    /// A poll has something to say; it is over unless there is `more`.
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
            *watch = Repeat::Off;
        }
        let readiness = readiness(interest, result);
        match state {
            _ if tenant.closing => {}
            Repeat::Leaving { again: true } if !more => self.arm_watch(leg, interest, false),
            Repeat::On if readiness != Readiness::default() => {
                self.turn_watch(leg, interest, false);
                self.tell(leg, Outcome::Ready(readiness), events);
            }
            Repeat::On if !more => self.arm_watch(leg, interest, true),
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
