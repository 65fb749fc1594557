//! Legs that wait for a buffer, in the order they came; each group has its own line.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::buffers::Group;
use crate::op::{Leg, Time};
use crate::stats::Stats;

/// The lines.
#[derive(Debug)]
pub struct Waiting {
    lines: [VecDeque<(Leg, Time)>; 3],
    stats: Arc<Stats>,
}

impl Waiting {
    /// Nobody waits.
    pub fn new(stats: Arc<Stats>) -> Waiting {
        Waiting { lines: Default::default(), stats }
    }

    /// A leg goes to the end of a line; counted. It must not stand in one already.
    pub fn join(&mut self, leg: Leg, group: Group, now: Time) {
        self.lines[group.index()].push_back((leg, now));
        self.stats.receivers_waiting.add(1);
        self.stats.buffers_exhausted.add(1);
    }

    /// The first of a line leaves it, to be served.
    pub fn next(&mut self, group: Group) -> Option<Leg> {
        let (leg, _) = self.lines[group.index()].pop_front()?;
        self.stats.receivers_waiting.sub(1);
        Some(leg)
    }

    /// A leg leaves its line unserved: it was closed, or stopped receiving.
    pub fn leave(&mut self, leg: Leg, group: Group) {
        let line = &mut self.lines[group.index()];
        let before = line.len();
        line.retain(|(waiting, _)| *waiting != leg);
        self.stats.receivers_waiting.sub((before - line.len()) as u64);
    }

    /// Whether nobody stands in a line.
    pub fn is_empty(&self, group: Group) -> bool {
        self.lines[group.index()].is_empty()
    }

    /// Since when the longest-waiting leg waits.
    pub fn since(&self) -> Option<Time> {
        self.lines.iter().filter_map(VecDeque::front).map(|(_, since)| *since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_served_in_order_and_remember_the_longest_wait() {
        let stats = Arc::<Stats>::default();
        let mut waiting = Waiting::new(stats.clone());
        let [a, b, c] = [0, 1, 2].map(|slot| Leg { slot, generation: 0 });
        waiting.join(a, Group::Small, Time(5));
        waiting.join(b, Group::Small, Time(6));
        waiting.join(c, Group::Record, Time(7));
        assert_eq!((waiting.since(), stats.receivers_waiting.get()), (Some(Time(5)), 3));
        waiting.leave(a, Group::Small);
        assert_eq!((waiting.since(), stats.receivers_waiting.get()), (Some(Time(6)), 2));
        assert_eq!(waiting.next(Group::Small), Some(b));
        assert_eq!(waiting.next(Group::Small), None);
        assert_eq!((waiting.next(Group::Record), waiting.since()), (Some(c), None));
        assert_eq!((stats.receivers_waiting.get(), stats.buffers_exhausted.get()), (0, 3));
    }
}
