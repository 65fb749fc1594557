//! What the epoll driver holds of each leg. Two per tunnel, so it stays small: idle tunnels are the common kind.

use std::net::SocketAddr;
use std::ops::{BitAnd, BitAndAssign, BitOrAssign, Not};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;

use crate::buffers::Group;
use crate::op::{Interest, Owner, Readiness};
use crate::pipes::Pipe;
use crate::queue::Queue;
use crate::room::UnsentLimit;
use crate::sockets::Kind;

/// A leg.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) descriptor: OwnedFd,
    pub(super) kind: Kind,
    pub(super) role: Role,
    pub(super) owner: Owner,
    pub(super) peer: Option<SocketAddr>,
    pub(super) queue: Queue,
    /// Accepted when they were handed over in part; the caller takes them for queued until it is told.
    pub(super) untold: usize,
    /// Of the direction that starts here.
    pub(super) pipe: Option<Pipe>,
    /// What is known: set by edges, cleared by a system call that would have blocked.
    pub(super) bits: Bits,
    /// What the caller wants to be told of.
    pub(super) watched: Bits,
    /// What the caller is still to be told of.
    pub(super) hints: Bits,
    pub(super) receiving: Option<Group>,
    /// Stands in the line for a buffer.
    pub(super) waiting: bool,
    /// The caller is to be told that receiving has stopped.
    pub(super) stopping: bool,
    /// A listener that accepts.
    pub(super) accepting: bool,
    /// Stands in the list of ready legs.
    pub(super) listed: bool,
    /// Somebody else may hold a duplicate of the descriptor.
    pub(super) adopted: bool,
    /// Registered for edges of readability. Who reads by the clock would only be woken by them.
    pub(super) readable_edges: bool,
    /// Registered for edges of writability too.
    pub(super) writable_edges: bool,
    /// As a sink that is spliced to.
    pub(super) unsent_limit: UnsentLimit,
    /// Turn of the last `Received` or `ReceiveEnded`.
    pub(super) told: u32,
    /// What broke the connection. A socket tells its error once; after that, reading looks like a clean end.
    pub(super) broken: Option<Errno>,
}

const _: () = assert!(size_of::<Held>() < 200);

/// What a leg is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Listener,
    Connecting,
    Stream,
}

impl Held {
    pub(super) fn listener(descriptor: OwnedFd, kind: Kind, owner: Owner) -> Held {
        Held { role: Role::Listener, accepting: true, ..Held::new(descriptor, kind, None, owner) }
    }

    pub(super) fn connecting(descriptor: OwnedFd, address: SocketAddr, owner: Owner) -> Held {
        let held = Held::new(descriptor, Kind::Tcp, Some(address), owner);
        Held { role: Role::Connecting, writable_edges: true, ..held }
    }

    /// A connected stream. It is taken to be writable until a send says otherwise, and to be silent until an edge does.
    pub(super) fn stream(
        descriptor: OwnedFd,
        kind: Kind,
        peer: Option<SocketAddr>,
        owner: Owner,
    ) -> Held {
        Held { bits: Bits::WRITABLE, ..Held::new(descriptor, kind, peer, owner) }
    }

    fn new(descriptor: OwnedFd, kind: Kind, peer: Option<SocketAddr>, owner: Owner) -> Held {
        Held {
            descriptor,
            kind,
            role: Role::Stream,
            owner,
            peer,
            queue: Queue::default(),
            untold: 0,
            pipe: None,
            bits: Bits::default(),
            watched: Bits::default(),
            hints: Bits::default(),
            receiving: None,
            waiting: false,
            stopping: false,
            accepting: false,
            listed: false,
            adopted: false,
            readable_edges: true,
            writable_edges: false,
            unsent_limit: UnsentLimit::default(),
            told: 0,
            broken: None,
        }
    }

    /// The edges to register for.
    pub(super) fn interest(&self) -> EpollFlags {
        let is_stream = self.role != Role::Listener;
        let mut edges = EpollFlags::EPOLLET;
        edges.set(EpollFlags::EPOLLIN, self.readable_edges);
        // Bytes that come wake who waits for this, too, and then it is told nothing.
        edges.set(EpollFlags::EPOLLPRI, self.readable_edges && is_stream);
        edges.set(EpollFlags::EPOLLOUT, self.writable_edges);
        edges.set(EpollFlags::EPOLLRDHUP, is_stream);
        edges
    }

    /// Learns from an edge.
    pub(super) fn edge(&mut self, flags: EpollFlags) {
        let mut news = Bits::default();
        if flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP) {
            news |= Bits::READABLE;
        }
        if flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLPRI) {
            news |= Bits::UNSTEADY;
        }
        if flags.contains(EpollFlags::EPOLLOUT) {
            news |= Bits::WRITABLE;
        }
        if flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            news |= Bits::READABLE;
            news |= Bits::WRITABLE;
            news |= Bits::HANG_UP;
            news |= Bits::UNSTEADY;
        }
        self.bits |= news;
        self.hints |= news & self.watched;
    }
}

/// A set of facts about a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Bits(u8);

impl Bits {
    pub(super) const READABLE: Bits = Bits(1);
    pub(super) const WRITABLE: Bits = Bits(2);
    pub(super) const HANG_UP: Bits = Bits(4);
    /// A short read doesn't mean that nothing is left: behind it may be a FIN that no further edge tells of, or the rest
    /// of a stream that was interrupted by an urgent byte.
    pub(super) const UNSTEADY: Bits = Bits(8);
    /// Not known to be readable, but bytes may be left that no edge tells of: a splice stopped early, at their end or because
    /// the pipe was full.
    pub(super) const DOUBTFUL: Bits = Bits(16);

    pub(super) fn contains(self, other: Bits) -> bool {
        self & other == other
    }

    pub(super) fn is_empty(self) -> bool {
        self == Bits::default()
    }
}

impl From<Interest> for Bits {
    fn from(interest: Interest) -> Bits {
        match interest {
            Interest::Readable => Bits::READABLE,
            Interest::Writable => Bits::WRITABLE,
            Interest::HangUp => Bits::HANG_UP,
        }
    }
}

impl From<Bits> for Readiness {
    fn from(bits: Bits) -> Readiness {
        Readiness {
            readable: bits.contains(Bits::READABLE),
            writable: bits.contains(Bits::WRITABLE),
            hang_up: bits.contains(Bits::HANG_UP),
        }
    }
}

impl BitAnd for Bits {
    type Output = Bits;

    fn bitand(self, other: Bits) -> Bits {
        Bits(self.0 & other.0)
    }
}

impl Not for Bits {
    type Output = Bits;

    fn not(self) -> Bits {
        Bits(!self.0)
    }
}

impl BitAndAssign for Bits {
    fn bitand_assign(&mut self, other: Bits) {
        self.0 &= other.0;
    }
}

impl BitOrAssign for Bits {
    fn bitor_assign(&mut self, other: Bits) {
        self.0 |= other.0;
    }
}
