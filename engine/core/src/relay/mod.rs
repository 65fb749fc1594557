//! The relay: two legs, two directions, and the rules by which they end.
//!
//! In: outcomes of the two legs. Out: verbs, and a [`Step`] that says when the tunnel is over and why. Each direction has a
//! mover of its own ([`copy`](self) or splice), which changes while bytes flow; all changes go through `quiesce`. The
//! relay knows no service, no timers but its own, and never looks into the bytes.

mod copy;
mod direction;
mod ending;
mod fit;
mod pace;
mod quiesce;
mod relieve;
mod splice;

use bytes::Bytes;
use penstock_ring::{Chunk, Errno, Kernel, Leg, Readiness, Sent, Time};

use crate::close::{CloseReason, Side};
use crate::config::HalfClose;
use crate::layers::Layers;
use crate::sessions::Handle;
use crate::timers::earlier;
use crate::turn::{Step, Turn};

use direction::{Direction, Goal, Mover, PerWay};
pub(crate) use direction::{Receiving, Way};

/// A tunnel that carries bytes.
#[derive(Debug)]
pub(crate) struct Relay {
    handle: Handle,
    /// Client, target.
    legs: [Leg; 2],
    layers: [Layers; 2],
    ways: PerWay<Direction>,
    half_close: HalfClose,
    /// Pool memory that one direction may hold at most, in bytes.
    limit: usize,
    /// Why it will end, once that is known.
    ending: Option<CloseReason>,
    /// The errno behind it, if a leg broke.
    failure: Option<Errno>,
    /// When an ending tunnel is given up although bytes are left, or a silenced peer is not waited for any more.
    flush_until: Option<Time>,
    /// All is flushed; a silenced peer has not ended yet.
    lingering: bool,
    /// Bytes that came after that.
    dropped: usize,
}

impl Relay {
    /// Joins two connected legs; nothing moves before [`start`](Self::start).
    pub(crate) fn new(
        handle: Handle,
        client: Leg,
        target: Leg,
        half_close: HalfClose,
        limit: usize,
        now: Time,
    ) -> Relay {
        Relay {
            handle,
            legs: [client, target],
            layers: [Layers::Plain; 2],
            ways: PerWay([Direction::new(now), Direction::new(now)]),
            half_close,
            limit,
            ending: None,
            failure: None,
            flush_until: None,
            lingering: false,
            dropped: 0,
        }
    }

    /// Sends bytes of our own before all payload of this direction.
    pub(crate) fn say<K: Kernel>(&mut self, way: Way, bytes: Bytes, turn: &mut Turn<K>) -> Step {
        let length = bytes.len();
        match turn.kernel.send(self.sink(way), Chunk::Bytes(bytes)) {
            Sent::Done => {}
            Sent::Queued => {
                self.ways[way].overhead += length as u16;
                self.ways[way].owed += length as u32;
            }
            Sent::Failed(errno) => return self.sink_failed(way, errno, turn),
        }
        Step::Continue(())
    }

    /// Sends payload that was read before the relay began.
    pub(crate) fn early<K: Kernel>(
        &mut self,
        way: Way,
        bytes: Vec<u8>,
        turn: &mut Turn<K>,
    ) -> Step {
        let length = bytes.len();
        self.pass_on(way, Chunk::Bytes(bytes.into()), length, turn)
    }

    /// Starts both directions. `receiving` and `ended` say how the client's leg was left by the prelude.
    pub(crate) fn start<K: Kernel>(
        &mut self,
        receiving: Receiving,
        ended: bool,
        turn: &mut Turn<K>,
    ) -> Step {
        self.ways[Way::ToTarget].receiving = receiving;
        if ended {
            self.source_ended(Way::ToTarget, turn)?;
        } else {
            self.listen(Way::ToTarget, turn);
        }
        self.listen(Way::ToClient, turn);
        Step::Continue(())
    }

    /// Takes up a readiness hint of one leg: it may concern the direction that it feeds, and the one that it drains.
    pub(crate) fn ready<K: Kernel>(
        &mut self,
        side: Side,
        readiness: Readiness,
        turn: &mut Turn<K>,
    ) -> Step {
        let fed = way_from(side);
        if readiness.readable || readiness.hang_up {
            self.run_later(fed, turn);
        }
        if readiness.writable || readiness.hang_up {
            self.run_later(fed.back(), turn);
        }
        if readiness.hang_up { self.hung_up(fed, turn) } else { Step::Continue(()) }
    }

    /// The errno with which a leg broke, if one did.
    pub(crate) fn failure(&self) -> Option<Errno> {
        self.failure
    }

    /// Payload in bytes accepted by the sinks, client to target and back.
    pub(crate) fn bytes(&self) -> [u64; 2] {
        self.ways.map(|direction| direction.bytes)
    }

    /// Payload that went through pipes, both ways, in bytes.
    pub(crate) fn spliced(&self) -> u64 {
        self.ways.iter().map(|direction| direction.spliced).sum()
    }

    /// How each direction is moved now.
    pub(crate) fn movers(&self) -> [&'static str; 2] {
        self.ways.map(|direction| direction.mover.label())
    }

    /// How often each direction changed its mover.
    pub(crate) fn switches(&self) -> [u32; 2] {
        self.ways.map(|direction| direction.switches)
    }

    /// The last time that payload moved either way.
    pub(crate) fn last_active(&self) -> Time {
        self.ways[Way::ToTarget].moved_at.max(self.ways[Way::ToClient].moved_at)
    }

    /// Client and target.
    pub(crate) fn legs(&self) -> [Leg; 2] {
        self.legs
    }

    /// The earliest time at which [`expired`](Self::expired) has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let [one, other] = self.ways.map(Direction::quiet_at);
        earlier(earlier(one, other), self.flush_until)
    }

    /// Does what is due: gives up a flush, sends quiet directions back to copying.
    pub(crate) fn expired<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        if self.flush_until.is_some_and(|until| until <= turn.now) {
            return self.flush_expired(turn);
        }
        for way in Way::BOTH {
            if self.ways[way].quiet_at().is_some_and(|at| at <= turn.now) {
                self.ways[way].checked_at = turn.now;
                // Bytes left in the pipe of a slow sink mean stuck, not quiet.
                if turn.kernel.pipe_level(self.source(way)) == 0 {
                    self.quiesce(way, Goal::Copy, turn)?;
                } else {
                    self.relieve(way, turn)?;
                }
            }
        }
        Step::Continue(())
    }

    fn source(&self, way: Way) -> Leg {
        self.legs[way as usize]
    }

    fn sink(&self, way: Way) -> Leg {
        self.legs[way.back() as usize]
    }

    /// Counts payload that the sink has accepted.
    fn account<K: Kernel>(&mut self, way: Way, bytes: usize, turn: &Turn<K>) {
        let direction = &mut self.ways[way];
        let spliced =
            direction.mover != Mover::Copy && direction.mover != Mover::Quiesce(Goal::Splice);
        direction.bytes += bytes as u64;
        direction.moved_at = turn.now;
        if spliced {
            direction.spliced += bytes as u64;
        }
        turn.counters.bytes[way as usize][usize::from(spliced)].add(bytes as u64);
        self.flush_goes_on(turn);
    }
}

/// The direction that a side's leg feeds.
pub(crate) fn way_from(side: Side) -> Way {
    match side {
        Side::Client => Way::ToTarget,
        _ => Way::ToClient,
    }
}

/// The side whose leg feeds a direction.
fn source_side(way: Way) -> Side {
    match way {
        Way::ToTarget => Side::Client,
        Way::ToClient => Side::Target,
    }
}
