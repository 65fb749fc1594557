//! A timer wheel with one entry per session, at its earliest deadline.
//!
//! In: slots and times. Out: slots whose time has come, never too early, at most one tick (8 ms) too late. Who is told
//! looks at its own deadlines and sets the next one, so that moving a deadline further away costs nothing at all.
//!
//! Four levels of 64 buckets: level 0 holds the next half second tick by tick, each further level is 64 times as coarse,
//! and an entry moves down a level when its coarse bucket is reached. Setting and clearing are O(1).

use std::time::Duration;

use penstock_ring::Time;

/// Length of one tick.
pub(crate) const TICK: Duration = Duration::from_millis(8);

const LEVELS: usize = 4;
const BITS: u32 = 6;
const BUCKETS: usize = 1 << BITS;
const NONE: u32 = u32::MAX;
/// What lies further ahead is placed anew after this long (about 37 hours).
const SPAN: u64 = (1 << (BITS * LEVELS as u32)) - 1;

/// The earlier of two times, either of which may never come.
pub(crate) fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}

/// A time that may never come, in the space of one that does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Deadline(Time);

impl Deadline {
    pub(crate) const NEVER: Deadline = Deadline(Time(u64::MAX));

    pub(crate) fn at(time: Time) -> Deadline {
        Deadline(time)
    }

    /// When, if ever.
    pub(crate) fn get(self) -> Option<Time> {
        Some(self.0).filter(|_| self != Deadline::NEVER)
    }

    pub(crate) fn is_over(self, now: Time) -> bool {
        self.0 <= now
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// All ticks up to this one have been told of.
    tick: u64,
    levels: [Level; LEVELS],
    entries: Vec<Entry>,
    len: usize,
}

#[derive(Debug)]
struct Level {
    /// A bit per bucket that isn't empty.
    occupied: u64,
    heads: [u32; BUCKETS],
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u64,
    previous: u32,
    next: u32,
    /// `level * 64 + bucket`, or [`UNSET`].
    place: u16,
}

const UNSET: u16 = u16::MAX;

impl Default for Wheel {
    fn default() -> Self {
        let levels = [(); LEVELS].map(|()| Level { occupied: 0, heads: [NONE; BUCKETS] });
        Wheel { tick: 0, levels, entries: Vec::new(), len: 0 }
    }
}

impl Wheel {
    /// Sets the one entry of `slot`, whatever it was before.
    pub(crate) fn set(&mut self, slot: u32, at: Time) {
        self.clear(slot);
        if self.entries.len() <= slot as usize {
            self.entries.resize(
                slot as usize + 1,
                Entry { at: 0, previous: NONE, next: NONE, place: UNSET },
            );
        }
        self.entries[slot as usize].at = tick_after(at).max(self.tick + 1);
        self.link(slot);
        self.len += 1;
    }

    /// Takes the entry of `slot` out, if there is one.
    pub(crate) fn clear(&mut self, slot: u32) {
        if self.entries.get(slot as usize).is_some_and(|entry| entry.place != UNSET) {
            self.unlink(slot);
            self.len -= 1;
        }
    }

    /// Sets the entry of `slot` unless it is set to this tick or an earlier one.
    pub(crate) fn advance(&mut self, slot: u32, at: Time) {
        let set = self.entries.get(slot as usize).filter(|entry| entry.place != UNSET);
        if set.is_none_or(|entry| tick_after(at).max(self.tick + 1) < entry.at) {
            self.set(slot, at);
        }
    }

    /// When to call [`expire`](Self::expire) next; it may be that nothing is due then.
    pub(crate) fn next(&self) -> Option<Time> {
        self.next_tick().map(|tick| Time(tick * TICK.as_nanos() as u64))
    }

    /// Appends the slots whose time has come by `now` to `due`, and forgets their entries.
    pub(crate) fn expire(&mut self, now: Time, due: &mut Vec<u32>) {
        let target = now.0 / TICK.as_nanos() as u64;
        // Each turn empties a bucket or moves it down a level; an entry goes through at most four.
        while let Some(tick) = self.next_tick().filter(|tick| *tick <= target) {
            self.tick = tick;
            for level in (1..LEVELS).rev() {
                if tick & ((1 << (BITS * level as u32)) - 1) == 0 {
                    self.cascade(level);
                }
            }
            self.fire(due);
        }
        self.tick = self.tick.max(target);
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn fire(&mut self, due: &mut Vec<u32>) {
        let bucket = (self.tick & (BUCKETS as u64 - 1)) as usize;
        while self.levels[0].heads[bucket] != NONE {
            let slot = self.levels[0].heads[bucket];
            self.unlink(slot);
            self.len -= 1;
            due.push(slot);
        }
    }

    /// Moves the bucket that begins now one or more levels down.
    fn cascade(&mut self, level: usize) {
        let bucket = ((self.tick >> (BITS * level as u32)) & (BUCKETS as u64 - 1)) as usize;
        let mut slot = std::mem::replace(&mut self.levels[level].heads[bucket], NONE);
        self.levels[level].occupied &= !(1 << bucket);
        while slot != NONE {
            let next = self.entries[slot as usize].next;
            self.link(slot);
            slot = next;
        }
    }

    /// Puts an entry where its time belongs, as seen from the present tick.
    fn link(&mut self, slot: u32) {
        let ahead = (self.entries[slot as usize].at - self.tick).min(SPAN);
        let level = ((63 - (ahead | 1).leading_zeros()) / BITS) as usize;
        let bucket =
            (((self.tick + ahead) >> (BITS * level as u32)) & (BUCKETS as u64 - 1)) as usize;
        let head = std::mem::replace(&mut self.levels[level].heads[bucket], slot);
        self.levels[level].occupied |= 1 << bucket;
        if head != NONE {
            self.entries[head as usize].previous = slot;
        }
        let entry = &mut self.entries[slot as usize];
        (entry.previous, entry.next) = (NONE, head);
        entry.place = (level * BUCKETS + bucket) as u16;
    }

    fn unlink(&mut self, slot: u32) {
        let Entry { previous, next, place, .. } = self.entries[slot as usize];
        let (level, bucket) = (place as usize / BUCKETS, place as usize % BUCKETS);
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
        } else {
            self.levels[level].heads[bucket] = next;
            if next == NONE {
                self.levels[level].occupied &= !(1 << bucket);
            }
        }
        self.entries[slot as usize].place = UNSET;
    }

    /// The next tick at which a bucket fires or moves down.
    fn next_tick(&self) -> Option<u64> {
        let of_level = |(index, level): (usize, &Level)| {
            let shift = BITS * index as u32;
            let following = (self.tick >> shift) + 1;
            let ahead = level
                .occupied
                .rotate_right((following & (BUCKETS as u64 - 1)) as u32)
                .trailing_zeros();
            (level.occupied != 0).then(|| (following + u64::from(ahead)) << shift)
        };
        self.levels.iter().enumerate().filter_map(of_level).min()
    }
}

/// The first tick that is not before `at`.
fn tick_after(at: Time) -> u64 {
    at.0.div_ceil(TICK.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tick: u64) -> Time {
        Time(tick * TICK.as_nanos() as u64)
    }

    /// A small generator of the tests' own: the same numbers each time.
    fn numbers() -> impl Iterator<Item = u64> {
        std::iter::successors(Some(0x9e37_79b9_7f4a_7c15u64), |x| {
            let x = x ^ (x << 13);
            let x = x ^ (x >> 7);
            Some(x ^ (x << 17))
        })
    }

    #[test]
    fn each_entry_fires_once_and_never_early() {
        let mut wheel = Wheel::default();
        let mut expected = std::collections::BTreeMap::new();
        for (slot, n) in numbers().take(2000).enumerate() {
            let tick = 1 + n % [60, 5_000, 300_000, 20_000_000][slot % 4];
            wheel.set(slot as u32, at(tick));
            expected.insert(slot as u32, tick);
        }
        let (mut now, mut due) = (0, Vec::new());
        for step in numbers().map(|n| 1 + n % 30_000) {
            now += step;
            wheel.expire(at(now), &mut due);
            for slot in due.drain(..) {
                let tick = expected.remove(&slot).expect("fired once");
                assert!(tick <= now, "slot {slot} of tick {tick} at {now}");
            }
            assert!(expected.values().all(|tick| *tick > now), "an entry is late at {now}");
            if expected.is_empty() {
                break;
            }
        }
        assert!(wheel.len() == 0 && wheel.next().is_none());
    }

    #[test]
    fn an_entry_moves_and_is_cleared() {
        let (mut wheel, mut due) = (Wheel::default(), Vec::new());
        wheel.set(7, at(10));
        wheel.set(8, at(10));
        wheel.set(7, at(500));
        wheel.clear(8);
        wheel.expire(at(499), &mut due);
        assert_eq!((due.len(), wheel.len()), (0, 1));
        assert!(wheel.next().is_some_and(|next| next <= at(500)));
        wheel.expire(at(500), &mut due);
        assert_eq!(due, [7]);
    }
}
