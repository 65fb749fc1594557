//! Descriptors that stand for sockets of the world, for a worker to take.
//!
//! Each is one end of a real pair, or of a real terminal: the other end tells whether it was closed. None may be left open that nobody took.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use penstock_ring::Close;

use crate::sim::link::Holder;
use crate::sim::tally::{Fault, count};
use crate::sim::world::{End, World};

/// See the module.
pub struct Descriptors {
    given: Vec<Given>,
    /// What is counted of one that was closed, and driven by nobody.
    untaken: Fault,
}

/// A descriptor that may be open still, or was taken.
struct Given {
    other: File,
    number: RawFd,
    end: End,
}

impl Given {
    fn is_open(&mut self) -> bool {
        self.other.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

impl Descriptors {
    /// None yet.
    pub fn new(untaken: Fault) -> Descriptors {
        Descriptors { given: Vec::new(), untaken }
    }

    /// A socket for that end of a link.
    pub fn socket(&mut self, end: End, world: &mut World) -> OwnedFd {
        let (one, other) = UnixStream::pair().expect("descriptors are left");
        self.give(one.into(), other.into(), end, world)
    }

    /// A terminal for that end of a link.
    pub fn terminal(&mut self, end: End, world: &mut World) -> OwnedFd {
        let pty = openpty(None, None).expect("terminals are left");
        self.give(pty.slave, pty.master, end, world)
    }

    fn give(&mut self, one: OwnedFd, other: OwnedFd, end: End, world: &mut World) -> OwnedFd {
        fcntl(&other, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("it is open");
        let number = one.as_raw_fd();
        world.hold(end, Holder::Nobody);
        world.opened.insert(number, end);
        self.given.push(Given { other: other.into(), number, end });
        one
    }

    /// Takes one back that nobody else has touched.
    pub fn take_back(&mut self, one: OwnedFd, world: &mut World) {
        let at = self.given.iter().position(|given| given.number == one.as_raw_fd());
        let mut given = self.given.swap_remove(at.expect("it was given, and is not closed"));
        assert!(given.is_open(), "what was given back is closed");
        let stood_for = world.opened.remove(&given.number);
        assert_eq!(stood_for, Some(given.end), "what was given back was driven meanwhile");
    }

    /// Of those that were closed and driven by nobody, the sockets are closed, too.
    pub fn look_after(&mut self, world: &mut World) {
        let untaken = self.untaken;
        self.given.retain_mut(|given| {
            let waits = world.opened.get(&given.number) == Some(&given.end);
            if waits && given.is_open() {
                return true;
            }
            if waits {
                world.opened.remove(&given.number);
            }
            let half = world.half(given.end);
            if half.holder == Holder::Nobody && half.open {
                count(untaken);
                world.close_end(given.end, Close::Normal);
            }
            false
        });
    }

    /// Those that are open although nobody took them.
    pub fn left_open(&mut self, world: &mut World) -> usize {
        self.look_after(world);
        self.given.len()
    }
}
