//! Virtual time, and what is bound to happen in it.
//!
//! In: actions with a time. Out: the actions that are due, in an order that depends on the seed alone.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::Duration;

use penstock_ring::{Errno, Leg, Owner, Time};

use crate::sim::link::{Link, Signal};
use crate::sim::random::Random;

/// One side of a link: a socket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct End {
    /// Index of the link.
    pub link: u32,
    /// 0: the side that connected.
    pub side: u8,
}

impl End {
    /// The other side.
    pub fn peer(self) -> End {
        End { side: 1 - self.side, ..self }
    }
}

/// Something that happens at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Action {
    /// Bytes (and FIN) on their way from this side arrive at the other.
    Deliver(End),
    /// The connection breaks, as this side sees it.
    Break(End, i32),
    /// A host looks at its sockets and its plan.
    Step(usize),
    /// The host that a leg connects to answers.
    Dialed(Handle),
    /// A receive stop takes effect; the number tells the stops of a leg apart.
    Stop(Handle, u64),
    /// A splice handed to the ring is made.
    SpliceIn(Handle, usize),
    /// The same, out of a pipe and to another leg.
    SpliceOut(Handle, Handle),
    /// Descriptors run out, or are there again.
    Descriptors(bool),
}

/// A [`Leg`] that can be ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Handle(pub u32, pub u32);

impl From<Leg> for Handle {
    fn from(leg: Leg) -> Handle {
        Handle(leg.slot, leg.generation)
    }
}

impl From<Handle> for Leg {
    fn from(handle: Handle) -> Leg {
        Leg { slot: handle.0, generation: handle.1 }
    }
}

/// What owners of both legs of a session have in common.
pub fn handle_of(owner: Owner) -> u64 {
    owner.0 & ((1 << 56) - 1)
}

/// What a host does with a connection that is asked of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// Takes it, after a while.
    Open(Duration),
    /// Refuses it, after a while.
    Refuse(Duration),
    /// connect(2) itself fails: no route.
    NoRoute,
    /// An ICMP message says so, after a while.
    Unreachable(Duration),
    /// Nobody ever answers.
    Lost,
}

/// Somebody who can be connected to.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// Who looks after its sockets; none: the host that belongs to whoever called us.
    pub host: Option<usize>,
    /// What happens to those who knock.
    pub door: Door,
}

/// Who takes connections on our side.
#[derive(Debug)]
pub struct Listening {
    /// The listening leg.
    pub leg: Leg,
    /// Where it listens.
    pub address: SocketAddr,
    /// Connections nobody has accepted yet.
    pub backlog: VecDeque<End>,
    /// False once it is closed.
    pub open: bool,
}

/// All there is outside of the worker.
#[derive(Debug)]
pub struct World {
    /// Virtual time.
    pub now: Time,
    /// The seed's choices.
    pub random: Random,
    /// All links ever made.
    pub links: Vec<Link>,
    /// Hosts by address; an address that is missing has no route.
    pub addresses: HashMap<SocketAddr, Address>,
    /// Our listeners, in the order in which they were made.
    pub listening: Vec<Listening>,
    /// Connections that hosts have not looked at yet.
    pub visitors: Vec<(usize, End)>,
    /// Most bytes that one side of a link may have in its buffers.
    pub socket_sizes: &'static [usize],
    /// The host that called us, by the handle of the session that it became.
    pub callers: HashMap<u64, usize>,
    /// Sockets of ours that were opened elsewhere, by the descriptors that stand for them.
    pub opened: HashMap<RawFd, End>,
    /// Descriptors ran out at some time.
    pub descriptors_failed: bool,
    /// How long a delivery takes at most.
    pub latency: Duration,
    pub(super) signals: Vec<Signal>,
    agenda: BinaryHeap<Reverse<(Time, u64, Action)>>,
    sequence: u64,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> World {
        World {
            now: Time(1_000_000_000),
            random: Random::new(seed),
            links: Vec::new(),
            addresses: HashMap::new(),
            listening: Vec::new(),
            visitors: Vec::new(),
            callers: HashMap::new(),
            opened: HashMap::new(),
            socket_sizes: &[4096, 16 << 10, 64 << 10, 256 << 10],
            descriptors_failed: false,
            latency: Duration::from_micros(200),
            signals: Vec::new(),
            agenda: BinaryHeap::new(),
            sequence: 0,
        }
    }

    /// Lets something happen later.
    pub fn after(&mut self, span: Duration, action: Action) {
        self.sequence += 1;
        self.agenda.push(Reverse((self.now + span, self.sequence, action)));
    }

    /// Lets a host look at its plan.
    pub fn wake_host(&mut self, host: usize, span: Duration) {
        self.after(span, Action::Step(host));
    }

    /// When something happens next.
    pub fn next_time(&self) -> Option<Time> {
        self.agenda.peek().map(|Reverse((time, ..))| *time)
    }

    /// The next action whose time has come.
    pub fn due(&mut self) -> Option<Action> {
        if self.next_time()? > self.now {
            return None;
        }
        self.agenda.pop().map(|Reverse((.., action))| action)
    }

    /// The next connection for a host.
    pub fn visitor(&mut self, host: usize) -> Option<End> {
        let at = self.visitors.iter().position(|(whose, _)| *whose == host)?;
        Some(self.visitors.remove(at).1)
    }

    /// The host of the target that belongs to whoever called us.
    pub fn target_of(&self, handle: u64) -> usize {
        self.callers[&handle] + 1
    }

    /// Breaks both sides of a link, as ETIMEDOUT does when the net between them is gone.
    pub fn time_out(&mut self, end: End, span: Duration) {
        for end in [end, end.peer()] {
            self.after(span, Action::Break(end, Errno::ETIMEDOUT as i32));
        }
    }
}
