//! Answers of somebody who may wait: in time, late, never, or for somebody who never asked.
//!
//! In: what is to be said to whom, after how long. Out: what is due, to be made a command of and posted.

use std::time::Duration;

use penstock_core::control::{Command, Mailbox, SessionId};
use penstock_ring::Time;

use crate::sim::random::Random;
use crate::sim::tally::{Fault, count};
use crate::sim::world::World;

/// See the module.
pub struct Answers<T> {
    /// The number of whoever gives them, as a host.
    pub host: usize,
    /// Answers for nobody, in percent of all.
    pub confused: u32,
    /// The mailbox was too full for one.
    pub lost: bool,
    mailbox: Option<Mailbox>,
    waiting: Vec<(Time, SessionId, T)>,
}

/// How one comes.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How long it takes.
    pub delay: Duration,
    /// It never comes.
    pub lost: bool,
}

impl Manner {
    /// Whether whoever asked may have given it up by then.
    pub fn is_slow(self) -> bool {
        self.lost || self.delay > SLOW
    }
}

/// From then on it counts as late.
const SLOW: Duration = Duration::from_secs(1);

impl<T: Clone> Answers<T> {
    /// None yet.
    pub fn new(host: usize) -> Answers<T> {
        Answers { host, confused: 0, lost: false, mailbox: None, waiting: Vec::new() }
    }

    /// Where they go.
    pub fn go_to(&mut self, mailbox: Mailbox) {
        self.mailbox = Some(mailbox);
    }

    /// Has one come; what is counted if it never does, or comes late. Whether somebody who never asked gets it, too.
    pub fn give(
        &mut self,
        id: SessionId,
        answer: T,
        manner: Manner,
        [lost, late]: [Fault; 2],
        world: &mut World,
    ) -> bool {
        if manner.lost {
            count(lost);
            return false;
        }
        if manner.delay > SLOW {
            count(late);
        }
        let is_confused = world.random.percent(self.confused);
        if is_confused {
            let other = confuse(id, &mut world.random);
            self.waiting.push((world.now, other, answer.clone()));
        }
        self.waiting.push((world.now + manner.delay, id, answer));
        world.wake_host(self.host, Duration::ZERO);
        world.wake_host(self.host, manner.delay);
        is_confused
    }

    /// Those whose time has come.
    pub fn due(&mut self, now: Time) -> Vec<(SessionId, T)> {
        let due = self.waiting.extract_if(.., |(time, ..)| *time <= now);
        due.map(|(_, id, answer)| (id, answer)).collect()
    }

    /// A full mailbox loses it; the session must live with that.
    pub fn post(&mut self, command: Command) {
        let mailbox = self.mailbox.as_ref().expect("set at the start");
        self.lost |= mailbox.post(command).is_err();
    }
}

/// An id that looks like one that asked: of one before it, or of one that there will not be for long, lest it ask by then.
fn confuse(id: SessionId, random: &mut Random) -> SessionId {
    match random.below(3) {
        0 => SessionId { generation: id.generation.wrapping_sub(1) & 0xff_ffff, ..id },
        1 => SessionId { generation: (id.generation + 0x40_0000) & 0xff_ffff, ..id },
        _ => SessionId { slot: id.slot + 1_000_000, ..id },
    }
}
