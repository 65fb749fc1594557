//! Who knows tokens: judges them in time, late, never, or for somebody who never asked.

use std::collections::HashMap;

use penstock_core::control::{Command, Found, Place, TokenFault, TokenRefusal};

use crate::sim::answers::{Answers, Manner};
use crate::sim::outside::Desk;
use crate::sim::tally::{Fault, count};
use crate::sim::world::World;

/// What becomes of a token.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What it names, or why it names nothing.
    pub result: Result<Place, TokenFault>,
    /// How it comes.
    pub manner: Manner,
}

/// See the module.
pub struct Tokens {
    /// By token.
    pub known: HashMap<String, Judgement>,
    /// What is said of them.
    pub answers: Answers<Result<Place, TokenFault>>,
    desk: Desk,
}

impl Tokens {
    /// Tokens at a desk.
    pub fn new(host: usize, desk: Desk) -> Tokens {
        Tokens { known: HashMap::new(), answers: Answers::new(host), desk }
    }

    /// Looks at what was asked since the last turn.
    pub fn turn(&mut self, world: &mut World) {
        for (id, token) in self.desk.take_tokens() {
            let known = self.known.get(token.secret()).cloned();
            let Judgement { result, manner } =
                known.unwrap_or_else(|| panic!("nobody would show {token:?}"));
            self.answers.give(id, result, manner, [Fault::TokenLost, Fault::TokenLate], world);
        }
    }

    /// Posts the answers whose time has come.
    pub fn step(&mut self, world: &mut World) {
        for (id, result) in self.answers.due(world.now) {
            count(if result.is_ok() { Fault::TokenJudged } else { Fault::TokenRefused });
            let detail = "the simulation says no";
            let result = result.map(Found::from);
            let result = result.map_err(|why| TokenRefusal { why, detail: detail.into() });
            self.answers.post(Command::Judged { id, result });
        }
    }
}
