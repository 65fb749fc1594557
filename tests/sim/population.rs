//! All hosts of a run: clients, what they want to reach, who knows names and tokens, who opens doors, and who decides.

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
    }
}
