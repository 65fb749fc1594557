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
use penstock_core::control::{Command, Mailbox, OpenError, SessionId};
use penstock_ring::{Close, Errno, Time};

use crate::sim::link::Holder;
use crate::sim::outside::{Desk, confuse};
use crate::sim::tally::{Fault, count};
use crate::sim::world::{End, World};

/// What comes of the question for a door.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Why it stays shut.
    pub shut: Option<Errno>,
    /// How long it takes.
    pub delay: Duration,
    /// No answer ever comes.
    pub lost: bool,
}

/// See the module.
pub struct Doors {
    /// Its number as a host.
    pub host: usize,
    /// What is expected, by the host of the client.
    pub plans: HashMap<usize, (Arc<Door>, Opening)>,
    /// The same of pages, each of whose doors is made anew.
    pub webs: HashMap<usize, Opening>,
    /// Doors opened for nobody, in percent of all.
    pub confused: u32,
    /// The mailbox was too full for an answer.
    pub lost: bool,
    desk: Desk,
    mailbox: Option<Mailbox>,
    answers: Vec<Answer>,
    handed_over: Vec<HandedOver>,
}

/// When whose door is answered for, and how; the door itself and the host behind it.
type Answer = (Time, SessionId, Arc<Door>, Result<usize, Errno>);

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
            host,
            plans: HashMap::new(),
            webs: HashMap::new(),
            confused: 0,
            lost: false,
            desk,
            mailbox: None,
            answers: Vec::new(),
            handed_over: Vec::new(),
        }
    }

    /// Where answers go.
    pub fn answer_to(&mut self, mailbox: Mailbox) {
        self.mailbox = Some(mailbox);
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
            self.answer_later(id, (door, client + 1), opening, world);
        }
        self.look_after(world);
    }

    /// Posts the answers whose time has come.
    pub fn step(&mut self, world: &mut World) {
        let due: Vec<_> = self.answers.extract_if(.., |(time, ..)| *time <= world.now).collect();
        for (_, id, door, result) in due {
            count(if result.is_ok() { Fault::DoorOpened } else { Fault::DoorShut });
            let result = match result {
                Ok(target) => Ok(self.open(&door, target, world)),
                Err(errno) => Err(OpenError { errno, detail: "the simulation says no".into() }),
            };
            let mailbox = self.mailbox.as_ref().expect("set at the start");
            // A full mailbox loses an answer; the session must live with that.
            self.lost |= mailbox.post(Command::Opened { id, result }).is_err();
        }
    }

    /// Descriptors that are open although nobody took them.
    pub fn left_open(&mut self, world: &mut World) -> usize {
        self.look_after(world);
        self.handed_over.len()
    }

    fn answer_later(
        &mut self,
        id: SessionId,
        (door, target): (Arc<Door>, usize),
        opening: Opening,
        world: &mut World,
    ) {
        if opening.lost {
            return count(Fault::DoorLost);
        }
        if opening.delay > Duration::from_secs(1) {
            count(Fault::DoorLate);
        }
        let result = opening.shut.map_or(Ok(target), Err);
        if world.random.percent(self.confused) {
            let other = confuse(id, &mut world.random);
            self.answers.push((world.now, other, Arc::clone(&door), result));
        }
        self.answers.push((world.now + opening.delay, id, door, result));
        world.wake_host(self.host, Duration::ZERO);
        world.wake_host(self.host, opening.delay);
    }

    /// A socket that leads to a target, and the descriptor that stands for it.
    fn open(&mut self, door: &Door, target: usize, world: &mut World) -> OwnedFd {
        let (one, other) = UnixStream::pair().expect("descriptors are left");
        other.set_nonblocking(true).expect("it is a socket");
        let end = world.link([Holder::Nobody, Holder::Host(target)]);
        let link = &mut world.links[end.link as usize];
        link.host = Some(target);
        link.is_terminal = matches!(door, Door::Terminal(_));
        if let Door::Web { cut, .. } = door {
            link.web = Some(cut.clone());
        }
        world.visitors.push((target, end.peer()));
        world.wake_host(target, Duration::ZERO);
        let number = one.as_raw_fd();
        world.opened.insert(number, end);
        self.handed_over.push(HandedOver { other, number, end });
        one.into()
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
