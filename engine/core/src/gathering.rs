//! Directions that splice, between two runs: they let bytes gather.
//!
//! In: directions whose last run took all there was, and what each run brought. Out: all of them at once, after a pause. The
//! worker sleeps on meanwhile, unless somebody else wakes it. The pause is short while a run brings much, and up to four
//! times as long while it brings little: a run costs about the same either way.

use std::time::Duration;

use penstock_ring::Time;

use crate::turn::Runnable;

/// Runs that bring less, in bytes, are worth a longer pause.
const LITTLE: usize = 128 << 10;
/// Runs that bring more need none so long.
const MUCH: usize = 384 << 10;
/// The longest pause is so many times the shortest.
const RANGE: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct Gathering {
    directions: Vec<Runnable>,
    /// When all of them have their run.
    at: Time,
    longest: Duration,
    pause: Duration,
    /// Since the last pause: runs that brought something, and bytes.
    runs: usize,
    bytes: usize,
}

impl Gathering {
    /// With pauses of at most `longest`; none at all if it is zero.
    pub(crate) fn new(longest: Duration) -> Gathering {
        let pause = longest / RANGE;
        Gathering { directions: Vec::new(), at: Time(0), longest, pause, runs: 0, bytes: 0 }
    }

    /// Whether there are pauses.
    pub(crate) fn is_on(&self) -> bool {
        !self.longest.is_zero()
    }

    /// A run brought so many bytes.
    pub(crate) fn brought(&mut self, bytes: usize) {
        self.runs += 1;
        self.bytes += bytes;
    }

    /// Adds a direction.
    pub(crate) fn push(&mut self, direction: Runnable, now: Time) {
        if self.directions.is_empty() {
            self.at = now + self.pause;
        }
        self.directions.push(direction);
    }

    /// When to call [`take_due`](Self::take_due).
    pub(crate) fn due(&self) -> Option<Time> {
        Some(self.at).filter(|_| !self.directions.is_empty())
    }

    /// All directions, once the pause is over.
    pub(crate) fn take_due(&mut self, now: Time) -> impl Iterator<Item = Runnable> {
        let due = self.due().is_some_and(|at| at <= now);
        if due {
            self.adapt();
        }
        self.directions.drain(..if due { self.directions.len() } else { 0 })
    }

    fn adapt(&mut self) {
        let average = self.bytes / self.runs.max(1);
        (self.runs, self.bytes) = (0, 0);
        if average < LITTLE {
            self.pause = (self.pause * 2).min(self.longest);
        } else if average > MUCH {
            self.pause = (self.pause / 2).max(self.longest / RANGE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::Way;
    use crate::sessions::Handle;

    const LONGEST: Duration = Duration::from_micros(1000);
    const DIRECTION: Runnable = (Handle { slot: 7, generation: 1 }, Way::ToClient);

    /// How long a direction waits that comes at `now`.
    fn pause(gathering: &mut Gathering, now: Time) -> Duration {
        gathering.push(DIRECTION, now);
        gathering.push(DIRECTION, now + LONGEST / 8);
        let at = gathering.due().expect("somebody waits");
        assert_eq!(gathering.take_due(Time(at.0 - 1)).count(), 0, "too early");
        assert_eq!(gathering.take_due(at).count(), 2, "all at once");
        assert_eq!(gathering.due(), None);
        at.since(now)
    }

    #[test]
    fn pauses_grow_while_little_comes_and_shrink_while_much_does() {
        let mut gathering = Gathering::new(LONGEST);
        let mut pauses = Vec::new();
        for bytes in [0, 1000, 1000, 200 << 10, 1 << 20, 1 << 20, 1 << 20] {
            if bytes > 0 {
                gathering.brought(bytes);
            }
            pauses.push(pause(&mut gathering, Time(5_000_000)).as_micros());
        }
        assert_eq!(pauses, [250, 500, 1000, 1000, 1000, 500, 250]);
    }

    #[test]
    fn what_counts_is_the_average_of_all_runs() {
        let mut gathering = Gathering::new(LONGEST);
        (0..9).for_each(|_| gathering.brought(1000));
        gathering.brought(1 << 20);
        assert_eq!(pause(&mut gathering, Time(0)), LONGEST / 4);
        assert_eq!(pause(&mut gathering, Time(0)), LONGEST / 2);
    }

    #[test]
    fn it_may_be_off() {
        assert!(Gathering::new(LONGEST).is_on() && !Gathering::new(Duration::ZERO).is_on());
    }
}
