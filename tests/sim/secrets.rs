//! Who reads the secrets for VNC servers: in time, late, never, or for somebody who never asked.

use std::collections::HashMap;

use penstock_core::control::{Command, Secrets};

use crate::sim::answers::{Answers, Manner};
use crate::sim::outside::Desk;
use crate::sim::tally::{Fault, count};
use crate::sim::world::World;

/// What becomes of a question.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What could be read.
    pub result: Result<Secrets, Box<str>>,
    /// How it comes.
    pub manner: Manner,
}

/// See the module.
pub struct Reader {
    /// By the host of the client.
    pub plans: HashMap<usize, Reading>,
    /// What was read, or not.
    pub answers: Answers<Result<Secrets, Box<str>>>,
    desk: Desk,
}

impl Reader {
    /// One at a desk.
    pub fn new(host: usize, desk: Desk) -> Reader {
        Reader { plans: HashMap::new(), answers: Answers::new(host), desk }
    }

    /// Looks at what was asked since the last turn.
    pub fn turn(&mut self, world: &mut World) {
        for id in self.desk.take_secrets() {
            let handle = u64::from(id.generation) << 32 | u64::from(id.slot);
            let Reading { result, manner } = self.plans[&world.callers[&handle]].clone();
            self.answers.give(id, result, manner, [Fault::SecretsLost, Fault::SecretsLate], world);
        }
    }

    /// Posts the answers whose time has come.
    pub fn step(&mut self, world: &mut World) {
        for (id, result) in self.answers.due(world.now) {
            count(if result.is_ok() { Fault::SecretsRead } else { Fault::SecretsMissing });
            self.answers.post(Command::Unsealed { id, result });
        }
    }
}
