//! What the driver knows of one leg. The states are named after what they await.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use io_uring::types::Fd;
use nix::errno::Errno;

use super::tag::Operation;
use crate::buffers::Group;
use crate::op::{Arrival, Interest, Leg, Owner, Time};
use crate::pipes::Pipe;
use crate::queue::Queue;
use crate::room::UnsentLimit;
use crate::sockets::Kind;

/// A leg. It stays in the table until the kernel has said its last word about every operation.
pub(super) struct Tenant {
    pub(super) descriptor: OwnedFd,
    pub(super) owner: Owner,
    pub(super) kind: Kind,
    /// Operations whose final completion has not been seen.
    pub(super) in_flight: u16,
    /// Closed by the caller: nothing is told of it any more.
    pub(super) closing: bool,
    pub(super) connecting: bool,
    pub(super) accept: Repeat,
    pub(super) receive: Receive,
    /// Of the receive that is in flight, or waits.
    pub(super) group: Group,
    /// The place in the line for a buffer that it was served at, and the turn of that.
    pub(super) served: (Time, u32),
    /// The turn in which the caller was last told of the receiving side.
    pub(super) told: u32,
    /// Whether the receive in flight is a wait for bytes.
    pub(super) arriving: bool,
    /// As a sink that is spliced to.
    pub(super) unsent_limit: UnsentLimit,
    /// Whether the receive in flight may complete more than once.
    pub(super) multishot: bool,
    pub(super) sending: Sending,
    /// Why nothing can be sent any more.
    pub(super) broken: Option<Errno>,
    /// Bytes at the front of the queue that were accepted at once, and not yet told of.
    pub(super) early: usize,
    pub(super) queue: Queue,
    pub(super) watches: [Repeat; 3],
    pub(super) conduit: Option<Box<Conduit>>,
    /// Somebody else may hold a duplicate of the descriptor.
    pub(super) adopted: bool,
}

/// Something that goes on by itself once it is on: accepting, watching.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Repeat {
    Off,
    On,
    /// Off as soon as its cancellation has come through, unless `again`.
    Leaving {
        again: bool,
    },
}

/// The receiving side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Receive {
    Off,
    /// Asked for before the connection was made.
    Connection,
    /// Stands in a line of `Waiting`.
    Buffer,
    /// Stands in the line of those who receive bulk.
    Turn,
    /// In flight.
    Bytes,
    /// In flight, and cancelled; `Stopped` follows, then it starts anew if `again` says for which group.
    Stop {
        again: Option<Group>,
    },
    /// Not in flight, and stopped. Outcomes of this turn may lie unread in the caller's hands, so `Stopped` follows in the
    /// next one.
    NextTurn {
        again: Option<Group>,
    },
}

/// The sending side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sending {
    Idle,
    /// On the list of legs with something to send.
    Turn,
    /// One send is in flight.
    Completion,
}

/// The pipe of a direction, at its source, and who uses it.
pub(super) struct Conduit {
    pub(super) pipe: Pipe,
    pub(super) filling: bool,
    /// The leg that a ring splice drains to.
    pub(super) draining: Option<Leg>,
    /// Given back while the ring used it.
    pub(super) abandoned: bool,
}

impl Conduit {
    pub(super) fn new(pipe: Pipe) -> Conduit {
        Conduit { pipe, filling: false, draining: None, abandoned: false }
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.filling || self.draining.is_some()
    }
}

impl Tenant {
    pub(super) fn new(descriptor: OwnedFd, owner: Owner, kind: Kind) -> Tenant {
        Tenant {
            descriptor,
            owner,
            kind,
            in_flight: 0,
            closing: false,
            connecting: false,
            accept: Repeat::Off,
            receive: Receive::Off,
            group: Group::Small,
            served: (Time::default(), 0),
            told: 0,
            arriving: false,
            unsent_limit: UnsentLimit::default(),
            multishot: false,
            sending: Sending::Idle,
            broken: None,
            early: 0,
            queue: Queue::default(),
            watches: [Repeat::Off; 3],
            conduit: None,
            adopted: false,
        }
    }

    pub(super) fn fd(&self) -> Fd {
        Fd(self.descriptor.as_raw_fd())
    }

    pub(super) fn borrowed(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    pub(super) fn is_socket(&self) -> bool {
        self.kind != Kind::Plain
    }

    /// Whether a socket has nothing to send before what is handed over now.
    pub(super) fn sends_nothing(&self) -> bool {
        let idle = self.sending == Sending::Idle && self.queue.is_empty();
        idle && self.is_socket() && !self.connecting
    }

    /// What a receive's end means that brought an error or nothing.
    pub(super) fn end_of(&self, result: Result<usize, Errno>) -> Arrival {
        match (result, self.broken) {
            // The error of a broken connection is told once, and a send was told of it: this is no clean end.
            (Ok(_), Some(errno)) => Arrival::Failed(errno),
            (Ok(_), None) => Arrival::Ended,
            // The master side of a terminal says so when the last slave is closed.
            (Err(Errno::EIO), _) if !self.is_socket() => Arrival::Ended,
            (Err(errno), _) => Arrival::Failed(errno),
        }
    }

    /// Whether an operation is in flight.
    pub(super) fn awaits(&self, operation: Operation) -> bool {
        let receives = matches!(self.receive, Receive::Bytes | Receive::Stop { .. });
        let conduit = self.conduit.as_ref();
        match operation {
            Operation::Accept => self.accept.is_in_flight(),
            Operation::Connect => self.connecting,
            Operation::Receive => receives && !self.arriving,
            Operation::Arrival => receives && self.arriving,
            Operation::Send => self.sending == Sending::Completion,
            Operation::WatchReadable => self.watches[place(Interest::Readable)].is_in_flight(),
            Operation::WatchWritable => self.watches[place(Interest::Writable)].is_in_flight(),
            Operation::WatchHangUp => self.watches[place(Interest::HangUp)].is_in_flight(),
            Operation::SpliceIn => conduit.is_some_and(|conduit| conduit.filling),
            Operation::SpliceOut => conduit.is_some_and(|conduit| conduit.draining.is_some()),
            Operation::Wake => false,
        }
    }

    /// Whether an operation in flight is to end early.
    pub(super) fn gives_up(&self, operation: Operation) -> bool {
        let leaves = |repeat: Repeat| matches!(repeat, Repeat::Leaving { .. });
        let wanted = match operation {
            Operation::Accept => !leaves(self.accept),
            Operation::Receive | Operation::Arrival => self.receive == Receive::Bytes,
            Operation::WatchReadable => !leaves(self.watches[place(Interest::Readable)]),
            Operation::WatchWritable => !leaves(self.watches[place(Interest::Writable)]),
            Operation::WatchHangUp => !leaves(self.watches[place(Interest::HangUp)]),
            _ => true,
        };
        self.awaits(operation) && (self.closing || !wanted)
    }
}

impl Repeat {
    pub(super) fn is_in_flight(self) -> bool {
        matches!(self, Repeat::On | Repeat::Leaving { .. })
    }
}

/// Place of an interest in [`Tenant::watches`].
pub(super) fn place(interest: Interest) -> usize {
    interest as usize
}

/// The operation that watches for an interest.
pub(super) fn watch_operation(interest: Interest) -> Operation {
    match interest {
        Interest::Readable => Operation::WatchReadable,
        Interest::Writable => Operation::WatchWritable,
        Interest::HangUp => Operation::WatchHangUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_leg_is_small() {
        assert!(size_of::<Tenant>() <= 160, "{} bytes", size_of::<Tenant>());
    }
}
