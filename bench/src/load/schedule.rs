//! When the operations of an open loop should begin.
//!
//! Each has its moment, whether or not those before it have ended; what can't begin then waits, and its latency counts
//! from that moment all the same. So a contestant that stalls pays for everything that would have happened meanwhile
//! (coordinated omission).

use std::time::{Duration, Instant};

pub(super) struct Schedule {
    start: Instant,
    /// Operations per second.
    rate: u32,
    issued: u64,
    /// Nothing is due from then on.
    end: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(start: Instant, rate: u32) -> Self {
        Schedule { start, rate, issued: 0, end: None }
    }

    pub(super) fn end_at(&mut self, end: Instant) {
        self.end = Some(end);
    }

    /// The next operation's moment.
    pub(super) fn next(&self) -> Option<Instant> {
        let nanos = u128::from(self.issued) * 1_000_000_000 / u128::from(self.rate);
        let due = self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.end.is_none_or(|end| due < end).then_some(due)
    }

    /// Takes the next operation if its moment has come: its number and when it should begin.
    pub(super) fn take(&mut self, now: Instant) -> Option<(u64, Instant)> {
        let due = self.next().filter(|due| *due <= now)?;
        self.issued += 1;
        Some((self.issued - 1, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_keep_their_moments_however_late_they_are_taken() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 1000);
        assert_eq!(schedule.take(start), Some((0, start)));
        assert_eq!(schedule.take(start), None);
        let late = start + Duration::from_millis(3);
        let taken: Vec<_> = std::iter::from_fn(|| schedule.take(late)).collect();
        let due = |n: u64| (n, start + Duration::from_millis(n));
        assert_eq!(taken, [due(1), due(2), due(3)]);
    }

    #[test]
    fn nothing_is_due_from_the_end_on() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 1000);
        schedule.end_at(start + Duration::from_millis(2));
        let count = std::iter::from_fn(|| schedule.take(start + Duration::from_secs(1))).count();
        assert_eq!((count, schedule.next()), (2, None));
    }
}
