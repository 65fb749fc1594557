//! Who knows tokens: judges them in time, late, never, or for somebody who never asked.

use std::collections::HashMap;
use std::time::Duration;

use penstock_core::control::{Command, Found, Mailbox, Place, SessionId, TokenFault, TokenRefusal};
use penstock_ring::Time;

use crate::sim::outside::{Desk, confuse};
use crate::sim::tally::{Fault, count};
use crate::sim::world::World;

/// What becomes of a token.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What it names, or why it names nothing.
    pub result: Result<Place, TokenFault>,
    /// How long it takes.
    pub delay: Duration,
    /// It never comes.
    pub lost: bool,
}

/// See the module.
pub struct Tokens {
    /// Its number as a host.
    pub host: usize,
    /// By token.
    pub known: HashMap<String, Judgement>,
    /// Answers for nobody, in percent of all answers.
    pub confused: u32,
    /// The mailbox was too full for an answer.
    pub lost: bool,
    desk: Desk,
    mailbox: Option<Mailbox>,
    answers: Vec<(Time, SessionId, Result<Place, TokenFault>)>,
}

impl Tokens {
    /// Tokens at a desk.
    pub fn new(host: usize, desk: Desk) -> Tokens {
        Tokens {
            host,
            known: HashMap::new(),
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
        for (id, token) in self.desk.take_tokens() {
            let known = self.known.get(token.secret()).cloned();
            let judgement = known.unwrap_or_else(|| panic!("nobody would show {token:?}"));
            self.answer_later(id, judgement, world);
        }
    }

    /// Posts the answers whose time has come.
    pub fn step(&mut self, world: &mut World) {
        let mailbox = self.mailbox.as_ref().expect("set at the start");
        for (_, id, result) in self.answers.extract_if(.., |(time, ..)| *time <= world.now) {
            count(if result.is_ok() { Fault::TokenJudged } else { Fault::TokenRefused });
            let detail = "the simulation says no";
            let result = result.map(Found::from);
            let result = result.map_err(|why| TokenRefusal { why, detail: detail.into() });
            // A full mailbox loses an answer; the session must live with that.
            self.lost |= mailbox.post(Command::Judged { id, result }).is_err();
        }
    }

    fn answer_later(&mut self, id: SessionId, judgement: Judgement, world: &mut World) {
        if judgement.lost {
            return count(Fault::TokenLost);
        }
        if judgement.delay > Duration::from_secs(1) {
            count(Fault::TokenLate);
        }
        if world.random.percent(self.confused) {
            let other = confuse(id, &mut world.random);
            self.answers.push((world.now, other, judgement.result.clone()));
        }
        self.answers.push((world.now + judgement.delay, id, judgement.result));
        world.wake_host(self.host, Duration::ZERO);
        world.wake_host(self.host, judgement.delay);
    }
}
