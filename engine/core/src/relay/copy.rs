//! The copying mover: pool buffers, through the layers, from source to sink.
//!
//! Backpressure is not reading: a direction whose sink holds its limit of pool memory stops receiving, and goes on
//! when half of it has drained.

use penstock_ring::{Buffer, Errno, Kernel, Sent, Stop};

use super::{Goal, Mover, Receiving, Relay, Way, source_side};
use crate::turn::{Step, Turn};

impl Relay {
    /// Bytes have arrived from the source.
    pub fn received<K: Kernel>(&mut self, way: Way, buffer: Buffer, turn: &mut Turn<K>) -> Step {
        let direction = &mut self.ways[way as usize];
        if direction.done {
            turn.kernel.release(buffer);
            return Step::Continue(());
        }
        let length = buffer.len();
        direction.moved_at = turn.now;
        direction.pace.received(turn.number, length);
        let plain = self.layers[way as usize].decode(buffer);
        let chunk = self.layers[way.back() as usize].encode(plain);
        match turn.kernel.send(self.sink(way), chunk) {
            Sent::Done => self.account(way, length, turn),
            Sent::Queued => self.pause_if_full(way, turn),
            Sent::Failed(errno) => return self.sink_failed(way, errno, turn),
        }
        self.promote_if_bulk(way, turn)
    }

    /// The sink has accepted so many more of the queued bytes.
    pub fn sent<K: Kernel>(&mut self, way: Way, bytes: usize, turn: &mut Turn<K>) -> Step {
        let direction = &mut self.ways[way as usize];
        let overhead = bytes.min(direction.overhead as usize);
        direction.overhead -= overhead as u32;
        self.account(way, bytes - overhead, turn);
        let memory = turn.kernel.queued(self.sink(way)).memory;
        let direction = &mut self.ways[way as usize];
        if direction.paused && memory <= self.limit / 2 {
            direction.paused = false;
            self.listen(way, turn);
        }
        self.settle(way, turn)
    }

    /// Receives, if that is what this direction should do now.
    pub(super) fn listen<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        let source = self.source(way);
        let direction = &mut self.ways[way as usize];
        let wanted = direction.mover == Mover::Copy && !direction.ended && !direction.paused;
        if wanted && direction.receiving == Receiving::Off {
            direction.receiving = Receiving::On;
            turn.kernel.receive(source, direction.group);
        }
    }

    /// Stops receiving. [`Receiving::Off`] may come later.
    pub(super) fn stop_listening<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        let source = self.source(way);
        let direction = &mut self.ways[way as usize];
        if direction.receiving == Receiving::On {
            direction.receiving = match turn.kernel.receive_stop(source) {
                Stop::Done => Receiving::Off,
                Stop::Later => Receiving::Stopping,
            };
        }
    }

    /// The sink holds too much of the pool: stop reading until it has accepted some.
    fn pause_if_full<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        let low = turn.kernel.is_low(self.ways[way as usize].group);
        let limit = if low { 1 } else { self.limit };
        if !self.ways[way as usize].paused && turn.kernel.queued(self.sink(way)).memory >= limit {
            self.ways[way as usize].paused = true;
            turn.counters.backpressure.add(1);
            self.stop_listening(way, turn);
        }
    }

    /// The sink can't take any more: what it still sends is delivered, the rest is over.
    pub fn sink_failed<K: Kernel>(&mut self, way: Way, errno: Errno, turn: &mut Turn<K>) -> Step {
        self.note_ending(source_side(way.back()), crate::close::Cause::of_errno(errno), turn);
        self.give_up(way, turn);
        self.verdict()
    }

    fn promote_if_bulk<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        let plain = self.layers.iter().all(super::Layers::is_plain);
        let direction = &mut self.ways[way as usize];
        let eligible = direction.mover == Mover::Copy
            && !direction.ended
            && turn.now >= direction.splice_after;
        if plain && eligible && direction.pace.is_bulk() {
            return self.quiesce(way, Goal::Splice, turn);
        }
        Step::Continue(())
    }
}
