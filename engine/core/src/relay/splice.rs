//! The splicing mover: socket to pipe to socket, the bytes never seen.
//!
//! A run goes on until the sink is full, the source is empty, or the turn's byte budget is used up; then the next
//! readiness hint, or the next turn, runs it again. While quiescing, a run only empties the pipe.

use std::ops::ControlFlow;

use penstock_ring::{Errno, Group, Kernel, Splice, Time};

use super::{Goal, Mover, Relay, Way};
use crate::close::CloseReason;
use crate::turn::{Step, Turn};

/// Bytes that one direction may move in one turn, so that a flood does not starve its neighbours.
const BUDGET: usize = 1 << 20;

/// Bytes that go into an empty pipe at once. What a stuck sink leaves behind has to fit the
/// pool when the pipe is to be given back, so it is at most this part of the record buffers that nobody holds.
const CHUNK_MAX: usize = 128 << 10;
const CHUNK_MIN: usize = 64 << 10;
const POOL_PART: usize = 32;

const IN: usize = 0;
const OUT: usize = 1;

impl Relay {
    /// Splices as much as is possible and fair now.
    pub(crate) fn run<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        if !self.ways[way].has_pipe() || self.ways[way].mover == Mover::Quiesce(Goal::Splice) {
            return Step::Continue(());
        }
        if self.ways[way].in_flight != [false; 2] {
            // The hint may be newer than the result that is awaited.
            self.ways[way].hinted = true;
            return Step::Continue(());
        }
        let mut moved = 0;
        // Each turn of the loop moves bytes into or out of the pipe, at most BUDGET plus a pipe's content in all.
        while self.ways[way].in_flight == [false; 2] && !self.ways[way].done {
            let out = turn.kernel.pipe_level(self.source(way)) > 0;
            if !out && (self.is_draining(way) || moved >= BUDGET) {
                if moved >= BUDGET {
                    turn.runnable.push((self.handle, way));
                }
                break;
            }
            let result = if out {
                turn.kernel.splice_out(self.source(way), self.sink(way))
            } else {
                let chunk = turn.kernel.spare(Group::Record) / POOL_PART * Group::Record.capacity();
                turn.kernel.splice_in(self.source(way), chunk.clamp(CHUNK_MIN, CHUNK_MAX))
            };
            match self.took(way, out, result, turn)? {
                Some(bytes) => moved += if out { bytes } else { 0 },
                None => break,
            }
        }
        self.after_run(way, moved, turn)
    }

    /// A ring splice into the pipe has ended.
    pub(crate) fn spliced_in<K: Kernel>(
        &mut self,
        way: Way,
        result: Splice,
        turn: &mut Turn<K>,
    ) -> Step {
        self.ways[way].in_flight[IN] = false;
        if self.ways[way].done {
            return Step::Continue(());
        }
        self.took(way, false, result, turn)?;
        self.continue_run(way, result, turn)
    }

    /// A ring splice out of the pipe has ended.
    pub(crate) fn spliced_out<K: Kernel>(
        &mut self,
        way: Way,
        result: Splice,
        turn: &mut Turn<K>,
    ) -> Step {
        self.ways[way].in_flight[OUT] = false;
        if self.ways[way].done {
            return Step::Continue(());
        }
        if let Some(bytes) = self.took(way, true, result, turn)? {
            self.ways[way].pace.spliced(bytes);
        }
        self.continue_run(way, result, turn)
    }

    fn continue_run<K: Kernel>(&mut self, way: Way, result: Splice, turn: &mut Turn<K>) -> Step {
        match result {
            Splice::Blocked if !std::mem::take(&mut self.ways[way].hinted) => {
                self.settle(way, turn)
            }
            _ => self.run(way, turn),
        }
    }

    /// Takes up one splice's result: bytes that moved, or nothing if there is something to wait for.
    fn took<K: Kernel>(
        &mut self,
        way: Way,
        out: bool,
        result: Splice,
        turn: &mut Turn<K>,
    ) -> ControlFlow<CloseReason, Option<usize>> {
        match result {
            Splice::Moved(bytes) => {
                self.ways[way].moved_at = turn.now;
                if out {
                    self.account(way, bytes, turn);
                }
                return ControlFlow::Continue(Some(bytes));
            }
            Splice::Blocked => {}
            Splice::Later => self.ways[way].in_flight[usize::from(out)] = true,
            Splice::Ended => self.source_ended(way, turn)?,
            Splice::Failed(errno) if out => self.sink_failed(way, errno, turn)?,
            Splice::Failed(Errno::EINVAL) => self.cannot_splice(way, turn)?,
            Splice::Failed(errno) => self.source_failed(way, errno, turn)?,
        }
        ControlFlow::Continue(None)
    }

    fn after_run<K: Kernel>(&mut self, way: Way, moved: usize, turn: &mut Turn<K>) -> Step {
        self.ways[way].pace.spliced(moved);
        let direction = &self.ways[way];
        if direction.mover == Mover::Splice && !direction.ended && direction.pace.is_thin() {
            return self.quiesce(way, Goal::Copy, turn);
        }
        self.settle(way, turn)
    }

    /// Nothing new is read: the source has ended, or the direction is on its way to another mover.
    fn is_draining(&self, way: Way) -> bool {
        self.ways[way].ended || self.ways[way].mover != Mover::Splice
    }

    /// This source can't be spliced from after all; nothing has left it, so copying goes on where it stands.
    fn cannot_splice<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        turn.counters.splice_refused.add(1);
        self.ways[way].splice_after = Time(u64::MAX);
        self.quiesce(way, Goal::Copy, turn)
    }
}
