//! Legs that wait for a buffer, in the order they came; each group has its own line.
//!
//! A place in a line is the time since when it is held, and no two are equal: who was served and got nothing goes back to
//! the very place it left.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::buffers::Group;
use crate::op::{Leg, Time};
use crate::stats::Stats;

/// The lines.
#[derive(Debug)]
pub struct Waiting {
    lines: [VecDeque<(Leg, Time)>; Group::COUNT],
    /// The place handed out last, in any line.
    last: Time,
    stats: Arc<Stats>,
}

impl Waiting {
    /// Nobody waits.
    pub fn new(stats: Arc<Stats>) -> Waiting {
        Waiting { lines: Default::default(), last: Time::default(), stats }
    }

    /// A leg goes to the end of a line; counted. It must not stand in one already.
    pub fn join(&mut self, leg: Leg, group: Group, now: Time) {
        self.last = now.max(Time(self.last.0 + 1));
        self.lines[group.index()].push_back((leg, self.last));
        self.stats.receivers_waiting.add(1);
        self.stats.buffers_exhausted.add(1);
    }

    /// The first of a line leaves it, to be served; the place it had.
    pub fn next(&mut self, group: Group) -> Option<(Leg, Time)> {
        let first = self.lines[group.index()].pop_front()?;
        self.stats.receivers_waiting.sub(1);
        Some(first)
    }

    /// A leg that was served and got nothing goes back to its place; counted.
    pub fn rejoin(&mut self, leg: Leg, group: Group, place: Time) {
        let line = &mut self.lines[group.index()];
        line.insert(line.partition_point(|(_, since)| *since < place), (leg, place));
        self.stats.receivers_waiting.add(1);
        self.stats.buffers_exhausted.add(1);
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

    /// Since when the longest-waiting leg waits, and for what.
    pub fn longest(&self) -> Option<(Time, Group)> {
        let first = |group: Group| Some((self.lines[group.index()].front()?.1, group));
        Group::ALL.into_iter().filter_map(first).min_by_key(|(since, _)| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(waiting: &Waiting) -> Option<Time> {
        waiting.longest().map(|(since, _)| since)
    }

    #[test]
    fn lines_are_served_in_order_and_remember_the_longest_wait() {
        let stats = Arc::<Stats>::default();
        let mut waiting = Waiting::new(stats.clone());
        let [a, b, c] = [0, 1, 2].map(|slot| Leg { slot, generation: 0 });
        waiting.join(a, Group::Small, Time(5));
        waiting.join(b, Group::Small, Time(6));
        waiting.join(c, Group::Record, Time(7));
        assert_eq!((since(&waiting), stats.receivers_waiting.get()), (Some(Time(5)), 3));
        waiting.leave(a, Group::Small);
        assert_eq!((since(&waiting), stats.receivers_waiting.get()), (Some(Time(6)), 2));
        assert_eq!(waiting.next(Group::Small), Some((b, Time(6))));
        assert_eq!(waiting.next(Group::Small), None);
        assert_eq!(waiting.longest(), Some((Time(7), Group::Record)));
        assert_eq!((waiting.next(Group::Record), waiting.longest()), (Some((c, Time(7))), None));
        assert_eq!((stats.receivers_waiting.get(), stats.buffers_exhausted.get()), (0, 3));
    }

    #[test]
    fn who_was_served_in_vain_has_its_place_back() {
        let mut waiting = Waiting::new(Arc::default());
        let legs = [0, 1, 2, 3].map(|slot| Leg { slot, generation: 0 });
        for leg in legs {
            waiting.join(leg, Group::Small, Time(5));
        }
        let [first, second, third] =
            std::array::from_fn(|_| waiting.next(Group::Small).expect("four wait"));
        waiting.join(first.0, Group::Small, Time(5));
        waiting.rejoin(second.0, Group::Small, second.1);
        waiting.rejoin(third.0, Group::Small, third.1);
        assert_eq!(since(&waiting), Some(second.1));
        let order = std::iter::from_fn(|| waiting.next(Group::Small)).map(|(leg, _)| leg);
        assert_eq!(order.collect::<Vec<_>>(), [legs[1], legs[2], legs[3], legs[0]]);
    }
}
