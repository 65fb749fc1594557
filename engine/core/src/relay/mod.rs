//! The relay: two legs, two directions, and the rules by which they end.
//!
//! In: outcomes of the two legs. Out: verbs, and a [`Step`] that says when the tunnel is over and why. Each direction has a
//! mover of its own ([`copy`](self) or splice), which changes while bytes flow; all changes go through `quiesce`. The
//! relay knows no service, no timers but its own, and never looks into the bytes.

mod copy;
mod direction;
mod ending;
mod fit;
mod heartbeat;
mod layered;
mod pace;
mod quiesce;
mod relieve;
mod splice;

use crate::close::{Cause, CloseReason, Phase, Side};
use crate::config::HalfClose;
use crate::layers::{Broken, Fault, Layers, User, WebSocket};
use crate::opaque::Opaque;
use crate::sessions::Handle;
use crate::timers::{Deadline, earlier};
use crate::turn::{Step, Turn};
use bytes::Bytes;
use penstock_ring::{Chunk, Errno, Kernel, Leg, Readiness, Time};

use direction::{Direction, Goal, Mover, PerWay};
pub(crate) use direction::{Receiving, Way};
pub(crate) use heartbeat::Heartbeat;
pub(crate) use layered::CONGESTED;

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
    limit: u32,
    /// Why it will end, once that is known.
    ending: Option<CloseReason>,
    /// What is behind it, if a leg broke.
    failure: Option<Box<Failure>>,
    /// When an ending tunnel is given up although bytes are left, or a silenced peer is not waited for any more.
    flush_until: Deadline,
    /// All is flushed; a silenced peer has not ended yet.
    lingering: bool,
    /// A browser that has left was told the last word, and that nothing follows.
    parted: bool,
    /// Bytes that came after that.
    dropped: u32,
    /// Until when the target has to say something, if it is one that may still turn out not to be there.
    unproved_until: Deadline,
    /// The target is one that never ends by itself.
    endless: bool,
    /// What passes is written down.
    recorded: bool,
}

impl Relay {
    /// Joins two connected legs, client and target; nothing moves before [`start`](Self::start).
    pub(crate) fn new(
        handle: Handle,
        legs: [Leg; 2],
        layers: [Layers; 2],
        half_close: HalfClose,
        limit: usize,
        now: Time,
    ) -> Relay {
        Relay {
            handle,
            legs,
            layers,
            ways: PerWay([Direction::new(now), Direction::new(now)]),
            half_close,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            ending: None,
            failure: None,
            flush_until: Deadline::NEVER,
            lingering: false,
            parted: false,
            dropped: 0,
            unproved_until: Deadline::NEVER,
            endless: false,
            recorded: false,
        }
    }

    /// Sends bytes of our own before all payload of this direction.
    pub(crate) fn say<K: Kernel>(&mut self, way: Way, bytes: Bytes, turn: &mut Turn<K>) -> Step {
        match self.layers[way.back() as usize].seal_bytes(bytes) {
            Ok(sealed) => self.send_overhead(way, sealed, turn),
            Err(error) => self.sink_unsealed(way, error, turn),
        }
    }

    /// So many bytes that are no payload were sent before the relay began, to client and target, and are queued still.
    pub(crate) fn take_over(&mut self, owed: [u32; 2]) {
        for way in Way::BOTH {
            let queued = owed[way.back() as usize];
            (self.ways[way].owed, self.ways[way].overhead) = (queued, queued);
        }
    }

    /// The target is a program: that it has reached anybody is shown by what it says, until then.
    pub(crate) fn prove_until(&mut self, until: Time) {
        self.unproved_until = Deadline::at(until);
    }

    /// The target is a terminal: nobody waits for its end, and closing it takes nothing back that was written to it.
    pub(crate) fn never_ends(&mut self) {
        self.endless = true;
    }

    /// What passes is written down.
    pub(crate) fn write_down(&mut self) {
        self.recorded = true;
    }

    /// Lets a direction go on from how its source was left by the prelude.
    pub(crate) fn resume<K: Kernel>(&mut self, way: Way, left: Left, turn: &mut Turn<K>) -> Step {
        let Left { receiving, ended, early, broken } = left;
        self.ways[way].receiving = receiving;
        if self.ways[way].done {
            // Nobody is there any more for what came.
            self.stop_listening(way, turn);
            return self.verdict();
        }
        if self.ways[way].silenced {
            self.ways[way].whole &= early.is_empty();
        } else if !early.is_empty() {
            let chunk = Chunk::Bytes(Vec::from(early).into());
            self.layers[way as usize].follow(&chunk, &turn.kernel, turn.now);
            self.pass_on(way, chunk, turn)?;
        }
        if let Some(fault) = broken {
            return self.source_garbled(way, Broken { fault, reply: Bytes::new() }, turn);
        }
        if ended {
            self.stop_listening(way, turn);
            return self.source_ended(way, turn);
        }
        self.listen(way, turn);
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

    /// With what a leg broke, if one did, in words.
    pub(crate) fn failure(&self) -> Option<Box<str>> {
        self.failure.as_ref().map(|failure| match &**failure {
            Failure::Errno(errno) => errno.desc().into(),
            Failure::Layer(fault) => fault.to_string().into(),
        })
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

    /// When somebody did something at the client, if that is watched.
    pub(crate) fn user(&self) -> Option<User> {
        self.layers[Way::ToTarget as usize].web_socket()?.user()
    }

    /// Client and target.
    pub(crate) fn legs(&self) -> [Leg; 2] {
        self.legs
    }

    /// The earliest time at which [`expired`](Self::expired) has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let [one, other] = self.ways.map(Direction::quiet_at);
        let own = earlier(self.flush_until.get(), self.unproved_until.get());
        earlier(earlier(one, other), earlier(own, self.heartbeat_at()))
    }

    /// Does what is due: gives up a flush, sends quiet directions back to copying.
    pub(crate) fn expired<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        if self.flush_until.is_over(turn.now) {
            return self.flush_expired(turn);
        }
        if self.unproved_until.is_over(turn.now) {
            // libvirt's clients speak first: of one that said nothing, no program has anything to tell.
            let asked = self.ways[Way::ToTarget].bytes > 0;
            let side = if asked { Side::Target } else { Side::Client };
            let (phase, cause) = (Phase::Connect, Cause::HandshakeTimeout);
            return Step::Break(CloseReason::new(side, phase, cause));
        }
        self.heartbeat(turn)?;
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

    /// Gives up the client's leg with all that is known of it, if it can be told something now: not within a frame, and not if it
    /// takes nothing any more, or would not understand.
    pub(crate) fn release_client(&mut self) -> Option<Released> {
        let [to_target, to_client] = [&self.ways[Way::ToTarget], &self.ways[Way::ToClient]];
        let layers = &mut self.layers[Way::ToTarget as usize];
        if to_client.done || to_client.announced || layers.web_socket().is_none() {
            return None;
        }
        let (receiving, ended) = (to_target.receiving, to_target.ended && !layers.is_leaving());
        Some(Released { layers: std::mem::take(layers), receiving, ended })
    }

    /// The same of a client that has broken the rules of WebSocket. Within a frame it could not be told; then there is nothing to wait for.
    pub(crate) fn release_offender(&mut self) -> Option<Released> {
        let layers = &mut self.layers[Way::ToTarget as usize];
        if self.ways[Way::ToClient].announced
            || !layers.web_socket().is_some_and(WebSocket::has_parted)
        {
            return None;
        }
        let receiving = self.ways[Way::ToTarget].receiving;
        Some(Released { layers: std::mem::take(layers), receiving, ended: false })
    }

    /// The same of a browser that has left, but has not said TLS's last word.
    pub(crate) fn release_leaver(&mut self) -> Option<Released> {
        let layers = &mut self.layers[Way::ToTarget as usize];
        if !layers.is_leaving() {
            return None;
        }
        let receiving = self.ways[Way::ToTarget].receiving;
        Some(Released { layers: std::mem::take(layers), receiving, ended: false })
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
        if bytes > 0 {
            direction.moved_at = turn.now;
        }
        if spliced {
            direction.spliced += bytes as u64;
        }
        turn.counters.bytes[way as usize][usize::from(spliced)].add(bytes as u64);
        self.flush_goes_on(turn);
    }
}

/// The client's leg, when the tunnel is over.
#[derive(Debug)]
pub(crate) struct Released {
    pub layers: Layers,
    pub receiving: Receiving,
    /// Its peer has finished sending.
    pub ended: bool,
}

/// How a leg was left before the relay began.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub receiving: Receiving,
    /// Its peer has finished sending.
    pub ended: bool,
    /// Payload that was read.
    pub early: Opaque,
    /// Why what came behind that can't be understood; its peer was told.
    pub broken: Option<Fault>,
}

/// What is behind a broken leg.
#[derive(Debug)]
enum Failure {
    Errno(Errno),
    Layer(Fault),
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
