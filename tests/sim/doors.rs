//! Doors: what is opened for a worker by somebody who may wait. In time, late, never, or not at all.
//!
//! Each descriptor that is handed over stands for a socket of the world, and is one end of a real pair: the other end tells
//! whether it was closed. None may be left open that nobody took.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::Door;
use penstock_core::control::{Command, OpenError, SessionId};
use penstock_ring::{Close, Errno};

use crate::sim::answers::{Answers, Manner};
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
    handed_over: Vec<HandedOver>,
}

/// A door, and the host behind it.
type Answer = (Arc<Door>, Result<usize, Errno>);

/// A descriptor that may be open still, or was taken.
struct HandedOver {
    other: UnixStream,
    number: RawFd,
    end: End,
}

impl Doors {
    /// Doors at a desk.
    pub fn new(host: usize, desk: Desk) -> Doors {
        Doors {
            plans: HashMap::new(),
            webs: HashMap::new(),
            answers: Answers::new(host),
            desk,
            handed_over: Vec::new(),
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
        self.look_after(world);
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
        self.look_after(world);
        self.handed_over.len()
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
        let (one, other) = UnixStream::pair().expect("descriptors are left");
        other.set_nonblocking(true).expect("it is a socket");
        let end = world.link([Holder::Nobody, Holder::Host(target)]);
        world.links[end.link as usize].host = Some(target);
        world.visitors.push((target, end.peer()));
        world.wake_host(target, Duration::ZERO);
        let number = one.as_raw_fd();
        world.opened.insert(number, end);
        self.handed_over.push(HandedOver { other, number, end });
        (one.into(), end)
    }

    fn look_after(&mut self, world: &mut World) {
        self.handed_over.retain_mut(|HandedOver { other, number, end }| {
            let waits = world.opened.get(number) == Some(end);
            let mut is_open = || {
                let read = other.read(&mut [0]);
                read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
            };
            if waits && is_open() {
                return true;
            }
            if waits {
                world.opened.remove(number);
            }
            let half = world.half(*end);
            if half.holder == Holder::Nobody && half.open {
                count(Fault::DoorForNobody);
                world.close_end(*end, Close::Normal);
            }
            false
        });
    }
}

fn handle(id: SessionId) -> u64 {
    u64::from(id.generation) << 32 | u64::from(id.slot)
}
