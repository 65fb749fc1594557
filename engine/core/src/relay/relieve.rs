//! A stuck direction gives its pipe back, so that those who move can have it.
//!
//! Pipes are few. What lies in the pipe of a sink that does not read moves into the sink's queue, through pool buffers; the
//! direction goes on by copying, under the backpressure of its limit. Only where pipes are scarce and the pool is not.

use penstock_ring::{Buffer, Chunk, Kernel};

use super::quiesce::RETRY;
use super::{Goal, Relay, Way};
use crate::turn::{Step, Turn};

impl Relay {
    pub(super) fn relieve<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        if !turn.kernel.pipes_scarce() {
            return Step::Continue(());
        }
        let Some(buffers) = turn.kernel.pipe_take(self.source(way)) else {
            return Step::Continue(());
        };
        turn.counters.pipes_relieved.add(1);
        let mut step = Step::Continue(());
        for buffer in buffers {
            // Of a sink that broke meanwhile, nothing is left but to give back.
            if self.ways[way].done || step.is_break() {
                turn.kernel.release(buffer);
                continue;
            }
            step = self.pass_on_from_pipe(way, buffer, turn);
        }
        step?;
        self.went_out(way, turn)?;
        if self.ways[way].done {
            return Step::Continue(());
        }
        self.ways[way].splice_after = turn.now + RETRY;
        self.quiesce(way, Goal::Copy, turn)
    }

    fn pass_on_from_pipe<K: Kernel>(
        &mut self,
        way: Way,
        buffer: Buffer,
        turn: &mut Turn<K>,
    ) -> Step {
        let length = buffer.len();
        // Its header may have gone ahead.
        match self.ways[way].announced {
            true => self.hand_over(way, Chunk::Pool(buffer), length, turn),
            false => self.pass_on(way, Chunk::Pool(buffer), turn),
        }
    }
}
