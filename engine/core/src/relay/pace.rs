//! How a direction's bytes come: in bulk, or in small messages.
//!
//! What counts is the amount per turn, since that is what splicing saves copying of, and what a splice's extra system
//! calls are paid from. A conversation of 16 KiB messages never looks like bulk, however fast it is.

use std::time::Duration;

use penstock_ring::Time;

/// A turn that brought so much, or all that it could, is a bulk turn.
const BULK: u32 = 32 << 10;
/// A turn that brought less than this part of that takes back half of what a bulk turn gives.
const SMALL: u32 = 4;
/// But not so soon after one: a flood that is stopped and started comes in a full turn and the crumbs around it.
const CRUMBS: Duration = Duration::from_millis(1);
/// A longer silence takes back all: who is read from now and then is no bulk, however much it is each time.
const GAP: Duration = Duration::from_millis(50);
/// What a bulk turn gives.
const BULK_SCORE: u8 = 2;
/// Four bulk turns, with no small one between them, make a bulk direction.
const SCORE: u8 = 4 * BULK_SCORE;
/// A splice turn that moved less was not worth its system calls.
const THIN: usize = 4 << 10;
/// So many thin turns in a row end splicing.
const THIN_TURNS: u8 = 16;

/// The recent past of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    turn: u32,
    /// The time of that turn.
    at: Time,
    /// The last time that it was bulk.
    full_at: Time,
    bytes: u32,
    bulk: u8,
    thin: u8,
}

impl Pace {
    /// So many bytes were received in this turn, of `burst` that a turn can bring.
    pub(super) fn received(&mut self, turn: u32, now: Time, bytes: usize, burst: usize) {
        if turn != self.turn {
            let bulk = BULK.min(burst as u32);
            if now.since(self.at) > GAP {
                self.bulk = 0;
            } else if self.bytes >= bulk {
                self.full(self.at);
            } else if self.bytes < bulk / SMALL && now.since(self.full_at) >= CRUMBS {
                self.bulk = self.bulk.saturating_sub(1);
            }
            (self.turn, self.at, self.bytes) = (turn, now, 0);
        }
        self.bytes = self.bytes.saturating_add(bytes as u32);
    }

    /// The direction was stopped because its sink holds so many bytes of memory. Where the pool is short that can be one
    /// small message, which says nothing.
    pub(super) fn stopped(&mut self, now: Time, memory: usize) {
        if memory >= BULK as usize {
            self.full(now);
        }
    }

    fn full(&mut self, now: Time) {
        self.bulk = self.bulk.saturating_add(BULK_SCORE);
        self.full_at = now;
    }

    /// So many bytes were moved by a splice turn; none at all says nothing.
    pub(super) fn spliced(&mut self, bytes: usize) {
        match bytes {
            0 => {}
            THIN.. => self.thin = 0,
            _ => self.thin = self.thin.saturating_add(1),
        }
    }

    /// Whether splicing is worth a try.
    pub(super) fn is_bulk(&self) -> bool {
        self.bulk >= SCORE
    }

    /// Whether splicing has stopped being worth it.
    pub(super) fn is_thin(&self) -> bool {
        self.thin >= THIN_TURNS
    }

    /// Begins anew, after a change of mover.
    pub(super) fn reset(&mut self) {
        *self = Pace { turn: self.turn, at: self.at, ..Pace::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pace after turns that brought so many bytes, a millisecond apart.
    fn after(turns: &[usize], burst: usize) -> Pace {
        let mut pace = Pace::default();
        for (turn, bytes) in (1..).zip(turns) {
            let now = Time(u64::from(turn) * 1_000_000);
            pace.received(turn, now, bytes / 2, burst);
            pace.received(turn, now, bytes - bytes / 2, burst);
        }
        pace
    }

    #[test]
    fn bulk_needs_several_full_turns_and_no_small_one() {
        const BURST: usize = 64 << 10;
        assert!(after(&[65536, 65536, 65536, 65536, 1], BURST).is_bulk());
        assert!(after(&[65536, 65536, 16384, 65536, 65536, 1], BURST).is_bulk());
        assert!(!after(&[65536, 65536, 65536, 64, 65536, 1], BURST).is_bulk());
        assert!(!after(&[16384; 100], BURST).is_bulk());
    }

    #[test]
    fn a_flood_that_is_stopped_again_and_again_is_bulk() {
        let stopped: Vec<usize> = [65536, 4096].repeat(8);
        assert!(after(&stopped, 64 << 10).is_bulk());
        let chatter: Vec<usize> = [65536, 64, 64].repeat(20);
        assert!(!after(&chatter, 64 << 10).is_bulk());
    }

    #[test]
    fn a_turn_that_brings_all_it_can_is_full() {
        assert!(after(&[4096; 6], 4096).is_bulk());
        assert!(!after(&[4096, 4096, 4096, 64, 4096, 1], 4096).is_bulk());
    }

    #[test]
    fn now_and_then_is_no_bulk() {
        let mut pace = Pace::default();
        for turn in 1..20 {
            pace.received(turn, Time(u64::from(turn) * 60_000_000), 65536, 65536);
        }
        assert!(!pace.is_bulk());
    }

    #[test]
    fn thin_needs_a_run_of_small_splices() {
        let mut pace = Pace::default();
        (0..15).for_each(|_| pace.spliced(100));
        pace.spliced(8192);
        (0..15).for_each(|_| pace.spliced(100));
        assert!(!pace.is_thin());
        pace.spliced(100);
        assert!(pace.is_thin());
    }
}
