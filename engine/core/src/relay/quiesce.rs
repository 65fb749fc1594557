//! Quiesce: the one way from a state in which bytes flow to one in which none is under way.
//!
//! Receiving stops, everything that still arrives is delivered, and when no operation is in flight and queue and pipe are
//! empty, the direction is quiet and its [`Goal`] begins. No byte is lost or overtaken, on any kernel, however late
//! the last one comes.

use std::time::Duration;

use penstock_ring::{Interest, Kernel, NoPipe};

use super::direction::NEVER;
use super::pace::Pace;
use super::{Goal, Mover, Receiving, Relay, Way};
use crate::turn::{Step, Turn};

/// After a promotion that found no pipe, the next one waits so long.
pub(super) const RETRY: Duration = Duration::from_secs(1);

impl Relay {
    /// Begins the way to `goal`. A direction that can't go there stays as it is.
    pub(super) fn quiesce<K: Kernel>(&mut self, way: Way, goal: Goal, turn: &mut Turn<K>) -> Step {
        if goal == Goal::Splice {
            if !self.take_pipe(way, turn) {
                return Step::Continue(());
            }
            // There are pipes; but a slow sink may take for ever to become quiet.
            turn.kernel.pipe_close(self.source(way));
        }
        self.ways[way].mover = Mover::Quiesce(goal);
        turn.counters.quiesce[0].add(1);
        match goal {
            Goal::Splice => self.stop_listening(way, turn),
            Goal::Copy => {
                turn.kernel.watch(self.source(way), Interest::Readable, false);
                // What is in the pipe has to wait for it.
                let left = turn.kernel.pipe_level(self.source(way)) > 0;
                turn.kernel.watch(self.sink(way), Interest::Writable, left);
            }
        }
        self.settle(way, turn)
    }

    /// Looks whether something that was waited for has come about: quiet, or the end.
    pub(super) fn settle<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        if let Mover::Quiesce(goal) = self.ways[way].mover
            && self.is_quiet(way, turn)
        {
            turn.counters.quiesce[1].add(1);
            self.arrive(way, goal, turn);
        }
        self.answer_parting(way, turn)?;
        if self.ways[way].ended && self.is_quiet(way, turn) {
            self.delivered(way, turn)?;
        }
        self.linger_if_flushed(turn);
        Step::Continue(())
    }

    /// Nothing of this direction is under way: not in the kernel's hands, not queued, not in the pipe.
    fn is_quiet<K: Kernel>(&self, way: Way, turn: &Turn<K>) -> bool {
        let direction = &self.ways[way];
        let settled = match direction.mover {
            Mover::Copy | Mover::Quiesce(Goal::Splice) => direction.receiving == Receiving::Off,
            Mover::Splice | Mover::Quiesce(Goal::Copy) => direction.in_flight == [false; 2],
        };
        // What is queued before copying begins leaves before all that is copied.
        let copies_next = direction.mover == Mover::Quiesce(Goal::Copy);
        let empty =
            if copies_next { self.pipe_is_empty(way, turn) } else { self.is_empty(way, turn) };
        settled && empty
    }

    /// Neither queue nor pipe holds a byte.
    pub(super) fn is_empty<K: Kernel>(&self, way: Way, turn: &Turn<K>) -> bool {
        self.ways[way].owed == 0 && self.pipe_is_empty(way, turn)
    }

    fn pipe_is_empty<K: Kernel>(&self, way: Way, turn: &Turn<K>) -> bool {
        !self.ways[way].is_spliced() || turn.kernel.pipe_level(self.source(way)) == 0
    }

    fn arrive<K: Kernel>(&mut self, way: Way, goal: Goal, turn: &mut Turn<K>) {
        let source = self.source(way);
        let direction = &mut self.ways[way];
        direction.pace = Pace::default();
        direction.paused = direction.owed > 0;
        direction.checked_at = turn.now;
        let was_spliced = goal == Goal::Copy;
        let goal = if direction.ended || direction.silenced { Goal::Copy } else { goal };
        if goal == Goal::Splice {
            (direction.mover, direction.room) = (Mover::Splice, 0);
            turn.kernel.watch(source, Interest::Readable, true);
        } else {
            self.drop_pipe(way, turn);
            self.listen(way, turn);
        }
        if was_spliced || goal == Goal::Splice {
            self.ways[way].switches += 1;
            turn.counters.switches[usize::from(goal == Goal::Splice)].add(1);
        }
    }

    pub(super) fn take_pipe<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> bool {
        let Err(cause) = turn.kernel.pipe_open(self.source(way)) else {
            return true;
        };
        if cause != NoPipe::Off {
            turn.counters.splice_refused.add(1);
        }
        let again = if cause == NoPipe::Off { NEVER } else { turn.now + RETRY };
        self.ways[way].splice_after = again;
        false
    }

    /// Gives the pipe back, with whatever is in it, and splices no more.
    pub(super) fn drop_pipe<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        if self.ways[way].is_spliced() {
            self.ways[way].mover = Mover::Copy;
            turn.kernel.watch(self.source(way), Interest::Readable, false);
            turn.kernel.watch(self.sink(way), Interest::Writable, false);
            turn.kernel.pipe_close(self.source(way));
        }
    }
}
