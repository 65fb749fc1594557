//! How a tunnel ends: what the end of one direction means for the other, and when all is said.
//!
//! With `close`, the first end ends the tunnel, after what was read is flushed both ways. With `forward`, it is passed
//! on as a half-close, and the other direction lives. A broken leg ends both: what it sent is still delivered, what was
//! meant for it is dropped.

use penstock_ring::{Arrival, Kernel};

use super::{FLUSH, Receiving, Relay, Way, source_side};
use crate::close::{Cause, CloseReason, Phase, Side};
use crate::config::HalfClose;
use crate::turn::{Step, Turn};

impl Relay {
    /// No more bytes arrive from the source of a copied direction.
    pub fn receive_ended<K: Kernel>(
        &mut self,
        way: Way,
        arrival: Arrival,
        turn: &mut Turn<K>,
    ) -> Step {
        self.ways[way as usize].receiving = Receiving::Off;
        match arrival {
            Arrival::Ended => self.source_ended(way, turn),
            Arrival::Failed(errno) => self.source_failed(way, Cause::of_errno(errno), turn),
            Arrival::Stopped => {
                // The sink may have drained while the stop was under way.
                self.listen(way, turn);
                self.settle(way, turn)
            }
        }
    }

    /// The source has finished sending.
    pub(super) fn source_ended<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        self.ways[way as usize].ended = true;
        self.note_ending(source_side(way), Cause::Finished, turn);
        if self.half_close == HalfClose::Close {
            self.silence(way.back(), turn)?;
        }
        self.settle(way, turn)
    }

    /// The source is broken.
    pub(super) fn source_failed<K: Kernel>(
        &mut self,
        way: Way,
        cause: Cause,
        turn: &mut Turn<K>,
    ) -> Step {
        self.ways[way as usize].ended = true;
        self.note_ending(source_side(way), cause, turn);
        self.give_up(way.back(), turn);
        self.settle(way, turn)?;
        self.verdict()
    }

    /// All of an ended direction was delivered.
    pub(super) fn delivered<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        if !self.ways[way as usize].done {
            self.ways[way as usize].done = true;
            self.drop_pipe(way, turn);
            if self.half_close == HalfClose::Forward {
                turn.kernel.shutdown(self.sink(way));
            }
        }
        self.verdict()
    }

    /// Drops what is left of a direction.
    pub(super) fn give_up<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        self.stop_listening(way, turn);
        self.drop_pipe(way, turn);
        let direction = &mut self.ways[way as usize];
        (direction.ended, direction.done) = (true, true);
    }

    /// Remembers why the tunnel will end, and sets a limit to the flushing unless ends are passed on.
    pub(super) fn note_ending<K: Kernel>(&mut self, side: Side, cause: Cause, turn: &Turn<K>) {
        self.ending.get_or_insert(CloseReason::new(side, Phase::Relay, cause));
        if self.half_close == HalfClose::Close || cause != Cause::Finished {
            self.flush_until.get_or_insert(turn.now + FLUSH);
        }
    }

    /// The tunnel is over when both directions are.
    pub(super) fn verdict(&self) -> Step {
        match self.ending {
            Some(reason) if self.ways.iter().all(|direction| direction.done) => Step::Break(reason),
            _ => Step::Continue(()),
        }
    }

    pub(super) fn flush_expired(&self) -> Step {
        let side =
            self.ways.iter().position(|direction| !direction.done).map_or(Side::Client, |index| {
                // The sink is the one that does not read.
                source_side(Way::BOTH[index].back())
            });
        Step::Break(CloseReason::new(side, Phase::Relay, Cause::FlushTimeout))
    }

    /// Reads no more of a direction; what was read is delivered.
    fn silence<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        if !self.ways[way as usize].ended {
            self.ways[way as usize].ended = true;
            self.stop_listening(way, turn);
            return self.settle(way, turn);
        }
        Step::Continue(())
    }
}
