//! How a tunnel ends: what the end of one direction means for the other, and when all is said.
//!
//! An end is passed on once everything before it was delivered. With `forward` the other direction lives on. With `close`
//! it is silenced: what was read is flushed, what still comes is read and dropped, since closing a socket that holds
//! unread bytes resets the connection and the tail of what we sent with it. A broken leg ends both directions: what it
//! sent is still delivered, what was meant for it is dropped; whoever is still sending then is reset, and may lose the tail.

use std::time::Duration;

use penstock_ring::{Arrival, Errno, Interest, Kernel};

use super::{Failure, Goal, Mover, Receiving, Relay, Way, source_side};
use crate::close::{Cause, CloseReason, Phase, Side};
use crate::config::HalfClose;
use crate::timers::Deadline;
use crate::turn::{Step, Turn};

/// How long a sink may accept nothing of what is left to flush.
const FLUSH: Duration = Duration::from_secs(30);
/// How long a silenced peer may take to end, once all is flushed.
const LINGER: Duration = Duration::from_secs(2);
/// The same of a terminal, which has no end that could come: what was said to it is reported by then.
const LINGER_ENDLESS: Duration = Duration::from_millis(100);
/// How much it may still send meanwhile, in bytes.
const DROPPED: u32 = 1 << 20;

impl Relay {
    /// No more bytes arrive from the source of a copied direction.
    pub(crate) fn receive_ended<K: Kernel>(
        &mut self,
        way: Way,
        arrival: Arrival,
        turn: &mut Turn<K>,
    ) -> Step {
        self.ways[way].receiving = Receiving::Off;
        match arrival {
            Arrival::Ended => self.source_ended(way, turn),
            Arrival::Failed(errno) => self.source_failed(way, errno, turn),
            Arrival::Stopped => {
                // The sink may have drained while the stop was under way.
                self.listen(way, turn);
                self.settle(way, turn)
            }
            Arrival::Short => {
                self.take_smaller(way, turn);
                self.settle(way, turn)
            }
        }
    }

    /// The source has finished sending.
    pub(super) fn source_ended<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        let cause = self.cause_of_end(way);
        let whole = cause == Cause::Finished && !self.layers[way as usize].is_truncated();
        let direction = &mut self.ways[way];
        (direction.ended, direction.whole) = (true, direction.whole && whole);
        if cause != Cause::Finished && !direction.silenced {
            self.unfinish();
        }
        self.note_ending(source_side(way), cause, turn);
        if self.half_close == HalfClose::Close {
            self.silence(way.back(), turn)?;
        }
        self.settle(way, turn)
    }

    /// The source is broken.
    pub(super) fn source_failed<K: Kernel>(
        &mut self,
        way: Way,
        errno: Errno,
        turn: &mut Turn<K>,
    ) -> Step {
        self.failure.get_or_insert_with(|| Box::new(Failure::Errno(errno)));
        self.source_broken(way, Cause::of_broken_leg(errno), turn)
    }

    /// What the source sent is delivered, what is meant for it is dropped.
    pub(super) fn source_broken<K: Kernel>(
        &mut self,
        way: Way,
        cause: Cause,
        turn: &mut Turn<K>,
    ) -> Step {
        (self.ways[way].ended, self.ways[way].whole) = (true, false);
        // Of who is not listened to any more, only that it did not understand us matters.
        if !self.ways[way].silenced
            || matches!(cause, Cause::TlsFailed | Cause::BadFrame | Cause::UnknownMessage)
        {
            self.unfinish();
        }
        self.note_ending(source_side(way), cause, turn);
        self.give_up(way.back(), turn);
        self.settle(way, turn)?;
        self.verdict()
    }

    /// The sink can't take any more: what it still sends is delivered, the rest is over.
    pub(crate) fn sink_failed<K: Kernel>(
        &mut self,
        way: Way,
        errno: Errno,
        turn: &mut Turn<K>,
    ) -> Step {
        self.failure.get_or_insert_with(|| Box::new(Failure::Errno(errno)));
        // A program that ends before it has said anything has reached nobody, however we hear of it.
        let unproved = way == Way::ToTarget && self.unproved_until.get().is_some();
        let cause = if unproved { Cause::NotLetIn } else { Cause::of_broken_leg(errno) };
        if !self.is_empty(way, turn) {
            self.unfinish();
        }
        self.note_ending(source_side(way.back()), cause, turn);
        self.give_up(way, turn);
        self.verdict()
    }

    /// All of an ended direction was delivered: its end is passed on.
    pub(super) fn delivered<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        if self.ways[way].done {
            return self.verdict();
        }
        let last_word = self.farewell(way);
        if !last_word.is_empty() {
            self.send_overhead(way, last_word, turn)?;
            if !self.is_empty(way, turn) {
                return Step::Continue(());
            }
        }
        self.ways[way].done = true;
        self.drop_pipe(way, turn);
        self.verdict()?;
        turn.kernel.shutdown(self.sink(way));
        // Nobody reads from this leg any more; that it is gone would not be noticed. Where nothing more is meant for it, it
        // need not be.
        if !self.ways[way.back()].silenced {
            turn.kernel.watch(self.source(way), Interest::HangUp, true);
        }
        Step::Continue(())
    }

    /// A leg is gone both ways. Who reads from it finds out by reading; otherwise what is meant for it is over.
    pub(super) fn hung_up<K: Kernel>(&mut self, fed: Way, turn: &mut Turn<K>) -> Step {
        if self.ways[fed].done && !self.ways[fed.back()].done {
            return self.sink_failed(fed.back(), Errno::ECONNRESET, turn);
        }
        Step::Continue(())
    }

    /// Drops what is left of a direction.
    pub(super) fn give_up<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        self.stop_listening(way, turn);
        self.drop_pipe(way, turn);
        let direction = &mut self.ways[way];
        (direction.ended, direction.done) = (true, true);
    }

    /// So many bytes came that nobody wants any more. Who goes on sending after all was flushed is not waited for.
    pub(super) fn dropped<K: Kernel>(&mut self, bytes: usize, turn: &Turn<K>) -> Step {
        if self.is_flushed(turn) {
            self.dropped = self.dropped.saturating_add(bytes as u32);
        }
        match self.ending {
            Some(reason) if self.dropped > DROPPED => Step::Break(reason),
            _ => Step::Continue(()),
        }
    }

    /// Once nothing is left to flush, a silenced peer has a short time of its own.
    pub(super) fn linger_if_flushed<K: Kernel>(&mut self, turn: &Turn<K>) {
        let silenced = |way: &Way| self.ways[*way].silenced && !self.ways[*way].ended;
        let ends = |way: Way| way == Way::ToTarget || !self.endless;
        let Some(way) = Way::BOTH.into_iter().find(silenced) else { return };
        if !self.lingering && self.is_flushed(turn) {
            let time = if ends(way) { LINGER } else { LINGER_ENDLESS };
            self.lingering = true;
            self.flush_until = Deadline::at(turn.now + time);
        }
    }

    /// Some of what is left was accepted: the rest has time again.
    pub(super) fn flush_goes_on<K: Kernel>(&mut self, turn: &Turn<K>) {
        if self.flush_until.get().is_some() && !self.lingering {
            self.flush_until = Deadline::at(turn.now + FLUSH);
        }
    }

    /// The time to flush, or to linger, is over.
    pub(super) fn flush_expired<K: Kernel>(&self, turn: &Turn<K>) -> Step {
        let left =
            Way::BOTH.into_iter().find(|way| !self.ways[*way].done && !self.is_empty(*way, turn));
        match (left, self.ending) {
            (None, Some(reason)) => Step::Break(reason),
            // The sink is the one that does not read.
            (Some(way), _) => Step::Break(CloseReason::new(
                source_side(way.back()),
                Phase::Relay,
                Cause::FlushTimeout,
            )),
            (None, None) => Step::Continue(()),
        }
    }

    /// The tunnel is over when both directions are.
    pub(super) fn verdict(&self) -> Step {
        match self.ending {
            Some(reason) if self.ways.iter().all(|direction| direction.done) => Step::Break(reason),
            _ => Step::Continue(()),
        }
    }

    /// Remembers why the tunnel will end, and sets a limit to the flushing unless ends are passed on.
    pub(super) fn note_ending<K: Kernel>(&mut self, side: Side, cause: Cause, turn: &Turn<K>) {
        self.ending.get_or_insert(CloseReason::new(side, Phase::Relay, cause));
        if side == Side::Target {
            // It has shown what it is.
            self.unproved_until = Deadline::NEVER;
        }
        let broken = !matches!(cause, Cause::Finished | Cause::Truncated);
        if self.half_close == HalfClose::Close || broken {
            let until = self.flush_until.get().unwrap_or(turn.now + FLUSH);
            self.flush_until = Deadline::at(until);
        }
    }

    /// One side has ended in order, and then something was lost of the other: that is what will be told.
    fn unfinish(&mut self) {
        self.ending.take_if(|reason| reason.cause == Cause::Finished);
    }

    /// What still comes this way is dropped. Dropping needs copying: a pipe would have to be emptied somewhere.
    fn silence<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        self.ways[way].silenced = true;
        match self.ways[way].mover {
            Mover::Splice => self.quiesce(way, Goal::Copy, turn),
            Mover::Copy | Mover::Quiesce(_) => self.answer_parting(way, turn),
        }
    }

    fn is_flushed<K: Kernel>(&self, turn: &Turn<K>) -> bool {
        Way::BOTH.into_iter().all(|way| self.ways[way].done || self.is_empty(way, turn))
    }
}
