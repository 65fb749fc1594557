//! Doors: what is opened for a worker by somebody who may wait. In time, late, never, or not at all.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::Door;
use penstock_core::control::{Command, OpenError, SessionId};
use penstock_ring::Errno;

use crate::sim::answers::{Answers, Manner};
use crate::sim::descriptors::Descriptors;
use crate::sim::link::Holder;
use crate::sim::outside::Desk;
use crate::sim::tally::{Fault, count};
use crate::sim::world::{End, World};

/// What comes of the question for a door.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Why it stays shut.
    pub shut: Option<Errno>,
    /// How the answer comes.
    pub manner: Manner,
}

/// See the module.
pub struct Doors {
    /// What is expected, by the host of the client.
    pub plans: HashMap<usize, (Arc<Door>, Opening)>,
    /// The same of pages, each of whose doors is made anew.
    pub webs: HashMap<usize, Opening>,
    /// Doors that are opened, or stay shut.
    pub answers: Answers<Answer>,
    desk: Desk,
    descriptors: Descriptors,
}

/// A door, and the host behind it.
type Answer = (Arc<Door>, Result<usize, Errno>);

impl Doors {
    /// Doors at a desk.
    pub fn new(host: usize, desk: Desk) -> Doors {
        Doors {
            plans: HashMap::new(),
            webs: HashMap::new(),
            answers: Answers::new(host),
            desk,
            descriptors: Descriptors::new(Fault::DoorForNobody),
        }
    }

    /// Looks at what was asked since the last turn, and at what became of what was handed over.
    pub fn turn(&mut self, world: &mut World) {
        for (id, door) in self.desk.take_doors() {
            let client = world.callers[&handle(id)];
            let opening = match &*door {
                Door::Web { .. } => self.webs[&client],
                _ => {
                    let (expected, opening) = &self.plans[&client];
                    assert_eq!(door, *expected, "somebody else's door");
                    *opening
                }
            };
            let result = opening.shut.map_or(Ok(client + 1), Err);
            let missed = [Fault::DoorLost, Fault::DoorLate];
            self.answers.give(id, (door, result), opening.manner, missed, world);
        }
        self.descriptors.look_after(world);
    }

    /// Posts the answers whose time has come.
    pub fn step(&mut self, world: &mut World) {
        for (id, (door, result)) in self.answers.due(world.now) {
            count(if result.is_ok() { Fault::DoorOpened } else { Fault::DoorShut });
            let result = match result {
                Ok(target) => Ok(self.open(&door, target, world)),
                Err(errno) => Err(OpenError { errno, detail: "the simulation says no".into() }),
            };
            self.answers.post(Command::Opened { id, result });
        }
    }

    /// Descriptors that are open although nobody took them.
    pub fn left_open(&mut self, world: &mut World) -> usize {
        self.descriptors.left_open(world)
    }

    /// A socket that leads to a target, and the descriptor that stands for it.
    fn open(&mut self, door: &Door, target: usize, world: &mut World) -> OwnedFd {
        let (one, end) = self.make(target, world);
        let link = &mut world.links[end.link as usize];
        link.is_terminal = matches!(door, Door::Terminal(_));
        if let Door::Web { cut, .. } = door {
            link.web = Some(cut.clone());
        }
        one
    }

    /// A socket that leads to a target, without any door.
    pub fn bring(&mut self, target: usize, world: &mut World) -> OwnedFd {
        self.make(target, world).0
    }

    fn make(&mut self, target: usize, world: &mut World) -> (OwnedFd, End) {
        let end = world.link([Holder::Nobody, Holder::Host(target)]);
        world.links[end.link as usize].host = Some(target);
        world.visitors.push((target, end.peer()));
        world.wake_host(target, Duration::ZERO);
        (self.descriptors.socket(end, world), end)
    }
}

fn handle(id: SessionId) -> u64 {
    u64::from(id.generation) << 32 | u64::from(id.slot)
}
