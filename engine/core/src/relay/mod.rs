//! The relay: two legs, two directions, and the rules by which they end.
//!
//! In: outcomes of the two legs. Out: verbs, and a [`Step`] that says when the tunnel is over and why. Each direction has a
//! mover of its own ([`copy`](self) or splice), which changes while bytes flow; all changes go through `quiesce`. The
//! relay knows no service, no timers but its own, and never looks into the bytes.

mod copy;
mod direction;
mod ending;
mod pace;
mod quiesce;
mod splice;

use std::time::Duration;

use bytes::Bytes;
use penstock_ring::{Chunk, Kernel, Leg, Readiness, Sent, Time};

use crate::close::{CloseReason, Side};
use crate::config::HalfClose;
use crate::layers::Layers;
use crate::sessions::Handle;
use crate::turn::{Step, Turn};

pub use direction::{Direction, Goal, Mover, QUIET, Receiving, Way};

/// How long the rest may take to be flushed once a tunnel is ending.
pub const FLUSH: Duration = Duration::from_secs(30);

/// A tunnel that carries bytes.
#[derive(Debug)]
pub struct Relay {
    handle: Handle,
    /// Client, target.
    legs: [Leg; 2],
    layers: [Layers; 2],
    ways: [Direction; 2],
    half_close: HalfClose,
    /// Pool memory that one direction may hold, in bytes.
    limit: usize,
    /// Why it will end, once that is known.
    ending: Option<CloseReason>,
    /// When an ending tunnel is given up although bytes are left.
    flush_until: Option<Time>,
}

impl Relay {
    /// Joins two connected legs; nothing moves before [`start`](Self::start).
    pub fn new(
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
            ways: [Direction::new(now), Direction::new(now)],
            half_close,
            limit,
            ending: None,
            flush_until: None,
        }
    }

    /// Sends bytes of our own before all payload of this direction.
    pub fn say<K: Kernel>(&mut self, way: Way, bytes: Bytes, turn: &mut Turn<K>) -> Step {
        let length = bytes.len() as u32;
        match turn.kernel.send(self.sink(way), Chunk::Bytes(bytes)) {
            Sent::Done => {}
            Sent::Queued => self.ways[way as usize].overhead += length,
            Sent::Failed(errno) => return self.sink_failed(way, errno, turn),
        }
        Step::Continue(())
    }

    /// Sends payload that was read before the relay began.
    pub fn early<K: Kernel>(&mut self, way: Way, bytes: Vec<u8>, turn: &mut Turn<K>) -> Step {
        let length = bytes.len();
        match turn.kernel.send(self.sink(way), Chunk::Bytes(bytes.into())) {
            Sent::Done => self.account(way, length, turn),
            Sent::Queued => {}
            Sent::Failed(errno) => return self.sink_failed(way, errno, turn),
        }
        Step::Continue(())
    }

    /// Starts both directions. `receiving` and `ended` say how the client's leg was left by the prelude.
    pub fn start<K: Kernel>(
        &mut self,
        receiving: Receiving,
        ended: bool,
        turn: &mut Turn<K>,
    ) -> Step {
        self.ways[Way::ToTarget as usize].receiving = receiving;
        if ended {
            self.source_ended(Way::ToTarget, turn)?;
        } else {
            self.listen(Way::ToTarget, turn);
        }
        self.listen(Way::ToClient, turn);
        Step::Continue(())
    }

    /// Takes up a readiness hint of one leg: it may concern the direction that it feeds, and the one that it drains.
    pub fn ready<K: Kernel>(&mut self, side: Side, readiness: Readiness, turn: &mut Turn<K>) {
        let fed = way_from(side);
        if readiness.readable || readiness.hang_up {
            self.run_later(fed, turn);
        }
        if readiness.writable || readiness.hang_up {
            self.run_later(fed.back(), turn);
        }
    }

    /// Payload in bytes accepted by the sinks, client to target and back.
    pub fn bytes(&self) -> [u64; 2] {
        [self.ways[0].bytes, self.ways[1].bytes]
    }

    /// Payload that went through pipes, both ways, in bytes.
    pub fn spliced(&self) -> u64 {
        self.ways[0].spliced + self.ways[1].spliced
    }

    /// How each direction is moved now.
    pub fn movers(&self) -> [&'static str; 2] {
        [self.ways[0].mover.label(), self.ways[1].mover.label()]
    }

    /// How often each direction changed its mover.
    pub fn switches(&self) -> [u32; 2] {
        [self.ways[0].switches, self.ways[1].switches]
    }

    /// The last time that payload moved either way.
    pub fn last_active(&self) -> Time {
        self.ways[0].moved_at.max(self.ways[1].moved_at)
    }

    /// Client and target.
    pub fn legs(&self) -> [Leg; 2] {
        self.legs
    }

    /// The earliest time at which [`expired`](Self::expired) has something to do.
    pub fn deadline(&self) -> Option<Time> {
        let quiet = self.ways.iter().filter_map(Direction::quiet_at);
        quiet.chain(self.flush_until).min()
    }

    /// Does what is due: gives up a flush, sends quiet directions back to copying.
    pub fn expired<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        if self.flush_until.is_some_and(|until| until <= turn.now) {
            return self.flush_expired();
        }
        for way in Way::BOTH {
            if self.ways[way as usize].quiet_at().is_some_and(|at| at <= turn.now) {
                self.ways[way as usize].checked_at = turn.now;
                // A full pipe before a slow sink isn't quiet.
                if turn.kernel.pipe_level(self.source(way)) == 0 {
                    self.quiesce(way, Goal::Copy, turn)?;
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
        let direction = &mut self.ways[way as usize];
        let spliced =
            direction.mover != Mover::Copy && direction.mover != Mover::Quiesce(Goal::Splice);
        direction.bytes += bytes as u64;
        direction.moved_at = turn.now;
        if spliced {
            direction.spliced += bytes as u64;
        }
        turn.counters.bytes[way as usize][usize::from(spliced)].add(bytes as u64);
    }

    fn run_later<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        if self.ways[way as usize].has_pipe() {
            turn.runnable.push((self.handle, way));
        }
    }
}

/// The direction that a side's leg feeds.
pub fn way_from(side: Side) -> Way {
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
