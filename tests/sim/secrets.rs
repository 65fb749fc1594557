//! Who reads the secrets for VNC servers: in time, late, never, or for somebody who never asked.

use std::collections::HashMap;
use std::time::Duration;

use penstock_core::control::{Command, Mailbox, Secrets, SessionId};
use penstock_ring::Time;

use crate::sim::outside::{Desk, confuse};
use crate::sim::tally::{Fault, count};
use crate::sim::world::World;

/// What becomes of a question.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What could be read.
    pub result: Result<Secrets, Box<str>>,
    /// How long it takes.
    pub delay: Duration,
    /// It never comes.
    pub lost: bool,
}

/// See the module.
pub struct Reader {
    /// Its number as a host.
    pub host: usize,
    /// By the host of the client.
    pub plans: HashMap<usize, Reading>,
    /// Answers for nobody, in percent of all answers.
    pub confused: u32,
    /// The mailbox was too full for an answer.
    pub lost: bool,
    desk: Desk,
    mailbox: Option<Mailbox>,
    answers: Vec<(Time, SessionId, Result<Secrets, Box<str>>)>,
}

impl Reader {
    /// One at a desk.
    pub fn new(host: usize, desk: Desk) -> Reader {
        Reader {
            host,
            plans: HashMap::new(),
            confused: 0,
            lost: false,
            desk,
            mailbox: None,
            answers: Vec::new(),
        }
    }

    /// Where answers go.
    pub fn answer_to(&mut self, mailbox: Mailbox) {
        self.mailbox = Some(mailbox);
    }

    /// Looks at what was asked since the last turn.
    pub fn turn(&mut self, world: &mut World) {
        for id in self.desk.take_secrets() {
            let handle = u64::from(id.generation) << 32 | u64::from(id.slot);
            let reading = self.plans[&world.callers[&handle]].clone();
            self.answer_later(id, reading, world);
        }
    }

    /// Posts the answers whose time has come.
    pub fn step(&mut self, world: &mut World) {
        let mailbox = self.mailbox.as_ref().expect("set at the start");
        for (_, id, result) in self.answers.extract_if(.., |(time, ..)| *time <= world.now) {
            count(if result.is_ok() { Fault::SecretsRead } else { Fault::SecretsMissing });
            // A full mailbox loses an answer; the session must live with that.
            self.lost |= mailbox.post(Command::Unsealed { id, result }).is_err();
        }
    }

    fn answer_later(&mut self, id: SessionId, reading: Reading, world: &mut World) {
        if reading.lost {
            return count(Fault::SecretsLost);
        }
        if reading.delay > Duration::from_secs(1) {
            count(Fault::SecretsLate);
        }
        if world.random.percent(self.confused) {
            let other = confuse(id, &mut world.random);
            self.answers.push((world.now, other, Ok(Secrets::default())));
        }
        self.answers.push((world.now + reading.delay, id, reading.result));
        world.wake_host(self.host, Duration::ZERO);
        world.wake_host(self.host, reading.delay);
    }
}
