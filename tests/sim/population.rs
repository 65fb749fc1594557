//! All hosts of a run: clients, what they want to reach, who knows names and tokens, who opens doors, who decides, and who hands over.

use crate::sim::around::Around;
use crate::sim::client::{Client, Stage};
use crate::sim::doors::Doors;
use crate::sim::kernel::Hosts;
use crate::sim::origin::Origin;
use crate::sim::outside::Resolver;
use crate::sim::policy::Policy;
use crate::sim::secrets::Reader;
use crate::sim::tokens::Tokens;
use crate::sim::world::World;

/// See the module. Client `i` is host `2i`, what it wants to reach is host `2i + 1`.
pub struct Population {
    /// In order of their numbers.
    pub clients: Vec<Client>,
    /// In order of their numbers.
    pub origins: Vec<Origin>,
    /// Behind them, in this order.
    pub resolver: Resolver,
    pub doors: Doors,
    pub tokens: Tokens,
    pub secrets: Reader,
    pub policy: Policy,
    pub around: Around,
}

impl Population {
    /// Whether every client and every origin has ended.
    pub fn is_gone(&self) -> bool {
        let talking = |origin: &Origin| {
            !origin.greeting.is_empty()
                || origin.talkers.iter().any(|talker| !talker.closed)
                || origin.web.iter().any(|server| !server.closed)
        };
        self.clients.iter().all(|client| client.stage == Stage::Gone)
            && !self.origins.iter().any(talking)
            && self.around.is_gone()
    }

    /// Some of those who would be handed over later are now.
    pub fn rush(&mut self, world: &mut World) {
        for number in self.around.laggards() {
            self.clients[number].hurry(world);
        }
        self.around.rush(world);
    }

    /// What is handed over before the worker begins.
    pub fn begin(&mut self, world: &mut World) {
        for errand in self.around.errands.iter().filter(|errand| errand.before_start) {
            self.clients[errand.number].step(world);
        }
        self.around.step(world);
    }
}

impl Hosts for Population {
    fn step(&mut self, host: usize, world: &mut World) {
        if host == self.resolver.answers.host {
            self.resolver.step(world);
        } else if host == self.doors.answers.host {
            self.doors.step(world);
        } else if host == self.tokens.answers.host {
            self.tokens.step(world);
        } else if host == self.secrets.answers.host {
            self.secrets.step(world);
        } else if host == self.policy.answers.host {
            self.policy.step(&mut self.doors, world);
        } else if host == self.around.host {
            self.around.step(world);
        } else if host.is_multiple_of(2) {
            self.clients[host / 2].step(world);
        } else {
            self.origins[host / 2].step(world);
        }
    }

    fn turn(&mut self, world: &mut World) {
        self.resolver.turn(world);
        self.doors.turn(world);
        self.tokens.turn(world);
        self.secrets.turn(world);
        self.policy.turn(world);
        self.around.turn(world);
    }
}
