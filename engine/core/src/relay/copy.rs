//! The copying mover: pool buffers, through the layers, from source to sink.
//!
//! Backpressure is not reading: a direction whose sink holds its limit of pool memory stops receiving, and goes on
//! when half of it has drained.

use bytes::Bytes;
use penstock_ring::queue::chunk_len;
use penstock_ring::{Buffer, Chunk, Group, Kernel, Sent, Stop};

use super::direction::Direction;
use super::fit::largest;
use super::pace::THIN;
use super::splice::gathers;
use super::{Goal, Mover, Receiving, Relay, Way};
use crate::timers::Deadline;
use crate::turn::{Step, Turn};

/// A direction may hold this part of the buffers that nobody holds, and always one.
const SHARE: usize = 128;

impl Relay {
    /// Bytes have arrived from the source.
    pub(crate) fn received<K: Kernel>(
        &mut self,
        way: Way,
        buffer: Buffer,
        turn: &mut Turn<K>,
    ) -> Step {
        let plain = self.can_splice(way);
        let sink = &self.layers[way.back() as usize];
        let direction = &mut self.ways[way];
        let length = buffer.len();
        if buffer.group().is_single() && direction.receiving == Receiving::On {
            direction.receiving = Receiving::Off;
        }
        if way == Way::ToClient {
            self.unproved_until = Deadline::NEVER;
        }
        if self.ways[way].done || self.ways[way].silenced {
            self.drop_received(way, buffer, turn)?;
            self.listen(way, turn);
            return self.dropped(length, turn);
        }
        let direction = &mut self.ways[way];
        direction.pace.received(turn.number, turn.now, length);
        let suits = |group| sink.seals_within(group);
        let largest = largest(plain, suits, |group| turn.kernel.spare(group));
        let fitting = direction.fit.received(direction.group, length, largest);
        self.ways[way.back()].pace.answered(turn.number);
        if self.layers[way as usize].is_plain() {
            self.ways[way].moved_at = turn.now;
            self.pass_on(way, Chunk::Pool(buffer), turn)?;
        } else {
            self.convert(way, buffer, turn)?;
        }
        if let Some(group) = fitting {
            self.change_buffers(way, group, turn);
        }
        self.pause_if_full(way, turn);
        self.receive_next(way, length, turn);
        self.promote_if_bulk(way, turn)
    }

    /// Of single buffers, the next one is asked for: at once, or when more has come, where all of a part of one was taken.
    fn receive_next<K: Kernel>(&mut self, way: Way, length: usize, turn: &mut Turn<K>) {
        let direction = &self.ways[way];
        if !direction.group.is_single() || direction.receiving != Receiving::Off {
            return;
        }
        let partial = (THIN..direction.group.capacity()).contains(&length);
        let bulk = partial && turn.gathering.is_on() && direction.pace.is_bulk();
        turn.gathering.brought(length);
        if bulk && gathers(length, turn.kernel.intake(self.source(way))) {
            self.ways[way].scheduled = true;
            turn.gathering.push((self.handle, way), turn.now);
        } else {
            self.listen(way, turn);
        }
    }

    /// There is no buffer for bulk: smaller ones will do.
    pub(super) fn take_smaller<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        let spare = |group| if group == Group::Bulk { 0 } else { turn.kernel.spare(group) };
        let sink = &self.layers[way.back() as usize];
        let group = largest(self.can_splice(way), |group| sink.seals_within(group), spare);
        self.change_buffers(way, group, turn);
    }

    /// Receives into other buffers from now on; what comes until receiving has stopped comes in the old ones.
    fn change_buffers<K: Kernel>(&mut self, way: Way, group: Group, turn: &mut Turn<K>) {
        turn.counters.refits.add(1);
        self.ways[way].group = group;
        self.stop_listening(way, turn);
        self.listen(way, turn);
    }

    /// Hands payload to the sink.
    pub(super) fn pass_on<K: Kernel>(
        &mut self,
        way: Way,
        chunk: Chunk,
        turn: &mut Turn<K>,
    ) -> Step {
        self.record(way, &chunk, turn);
        let length = chunk_len(&chunk);
        let sink = &mut self.layers[way.back() as usize];
        let chunk = match sink.seal(chunk, &mut turn.kernel, &turn.counters) {
            Ok((before, chunk)) if before.is_empty() => chunk,
            Ok((before, chunk)) => {
                let step = self.send_overhead(way, before, turn);
                // Of a sink that broke, nothing is left but to give back.
                if self.ways[way].done || step.is_break() {
                    discard_chunk(chunk, turn);
                    return step;
                }
                chunk
            }
            Err(error) => return self.sink_unsealed(way, error, turn),
        };
        self.hand_over(way, chunk, length, turn)
    }

    /// Sends so many bytes of payload in what was made of them.
    pub(super) fn hand_over<K: Kernel>(
        &mut self,
        way: Way,
        chunk: Chunk,
        length: usize,
        turn: &mut Turn<K>,
    ) -> Step {
        let sealed = chunk_len(&chunk);
        let sent = turn.kernel.send(self.sink(way), chunk);
        self.note_sent(way, sent, sealed, length, turn)
    }

    /// Sends what is no payload, as it is.
    pub(super) fn send_overhead<K: Kernel>(
        &mut self,
        way: Way,
        bytes: Bytes,
        turn: &mut Turn<K>,
    ) -> Step {
        let length = bytes.len();
        if length == 0 {
            return Step::Continue(());
        }
        let sent = turn.kernel.send(self.sink(way), Chunk::Bytes(bytes));
        self.note_sent(way, sent, length, 0, turn)
    }

    /// So many bytes were sent, of which so many are payload.
    pub(super) fn note_sent<K: Kernel>(
        &mut self,
        way: Way,
        sent: Sent,
        bytes: usize,
        payload: usize,
        turn: &mut Turn<K>,
    ) -> Step {
        match sent {
            Sent::Done if payload > 0 => self.account(way, payload, turn),
            Sent::Done => {}
            Sent::Queued => {
                self.ways[way].owed += bytes as u32;
                self.ways[way].overhead += (bytes - payload) as u32;
            }
            Sent::Failed(errno) => return self.sink_failed(way, errno, turn),
        }
        Step::Continue(())
    }

    /// The sink has accepted so many more of the queued bytes.
    pub(crate) fn sent<K: Kernel>(&mut self, way: Way, bytes: usize, turn: &mut Turn<K>) -> Step {
        let overhead = self.overhead_in(way, bytes);
        let direction = &mut self.ways[way];
        direction.overhead -= overhead as u32;
        direction.owed -= bytes as u32;
        self.account(way, bytes - overhead, turn);
        let memory = turn.kernel.queued(self.sink(way)).memory;
        if self.ways[way].paused && memory <= self.allowance(way, turn) / 2 {
            self.ways[way].paused = false;
            self.listen(way, turn);
        }
        if self.is_framed(way) && self.ways[way].owed == 0 {
            self.run_later(way, turn);
        }
        self.settle(way, turn)
    }

    /// How much of the next so many bytes is no payload. Layers put theirs evenly among it; else it comes before all.
    fn overhead_in(&self, way: Way, bytes: usize) -> usize {
        let Direction { owed, overhead, .. } = self.ways[way];
        let overhead = overhead as usize;
        match self.layers[way.back() as usize].is_bare() {
            true => bytes.min(overhead),
            false => (bytes as u64 * overhead as u64 / u64::from(owed)) as usize,
        }
    }

    /// Receives, if that is what this direction should do now.
    pub(super) fn listen<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        let source = self.source(way);
        let direction = &mut self.ways[way];
        let wanted = direction.mover == Mover::Copy
            && !direction.ended
            && !direction.paused
            && !direction.scheduled;
        if wanted && direction.receiving == Receiving::Off {
            direction.receiving = Receiving::On;
            turn.kernel.receive(source, direction.group);
        }
    }

    /// Stops receiving. [`Receiving::Off`] may come later.
    pub(super) fn stop_listening<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        let source = self.source(way);
        let direction = &mut self.ways[way];
        if direction.receiving == Receiving::On {
            direction.receiving = match turn.kernel.receive_stop(source) {
                Stop::Done => Receiving::Off,
                Stop::Later => Receiving::Stopping,
            };
        }
    }

    /// The sink holds too much of the pool: stop reading until it has accepted some.
    fn pause_if_full<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        let memory = turn.kernel.queued(self.sink(way)).memory;
        if !self.ways[way].paused && memory > 0 && memory >= self.allowance(way, turn) {
            self.ways[way].paused = true;
            turn.counters.backpressure.add(1);
            self.stop_listening(way, turn);
        }
    }

    /// Pool memory that a direction may hold now, in bytes: its limit, or a share of what is left. Whoever comes late finds a
    /// buffer too, however many do not read.
    fn allowance<K: Kernel>(&self, way: Way, turn: &Turn<K>) -> usize {
        let group = self.ways[way].group;
        let share = turn.kernel.spare(group) / SHARE * group.stride();
        // Of bulk through layers, one is sent while the next is filled.
        let least = if group == Group::Bulk { 2 * group.stride() } else { group.stride() };
        share.clamp(least, least.max(self.limit as usize))
    }

    fn promote_if_bulk<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        let plain = self.can_splice(way);
        let direction = &mut self.ways[way];
        let eligible = direction.mover == Mover::Copy
            && !direction.ended
            && turn.now >= direction.splice_after;
        if plain && eligible && direction.pace.is_bulk() {
            return self.quiesce(way, Goal::Splice, turn);
        }
        Step::Continue(())
    }
}

pub(super) fn discard_chunk<K: Kernel>(chunk: Chunk, turn: &mut Turn<K>) {
    if let Chunk::Pool(buffer) = chunk {
        turn.kernel.release(buffer);
    }
}
