//! How a direction's bytes come: in bulk, or in conversation.
//!
//! What counts is how much comes before the other side answers. A conversation of 16 KiB messages never looks like bulk,
//! however fast it is; a flood does, however small the pieces are in which a crowded worker takes it.

use std::time::Duration;

use penstock_ring::Time;

/// So many unanswered bytes are one point.
const RUN: u32 = 32 << 10;
/// So many points make a bulk direction.
const SCORE: u32 = 8;
/// An answer to fewer bytes than this takes a point back.
const SMALL: u32 = 8 << 10;
/// A longer silence takes back all: who is read from now and then is no bulk, however much it is each time.
const GAP: Duration = Duration::from_millis(50);
/// A splice that moved less was not worth its system calls.
pub(super) const THIN: usize = 4 << 10;
/// So many thin ones in a row end splicing.
const THIN_SPLICES: u8 = 16;

/// The recent past of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// When bytes came last.
    at: Time,
    turn: u32,
    unanswered: u32,
    score: u32,
    thin: u8,
}

impl Pace {
    /// So many bytes came.
    pub(super) fn received(&mut self, turn: u32, now: Time, bytes: usize) {
        if now.since(self.at) > GAP {
            (self.unanswered, self.score) = (0, 0);
        }
        let before = self.unanswered;
        self.unanswered = before.saturating_add(bytes as u32);
        self.score = self.score.saturating_add(self.unanswered / RUN - before / RUN);
        (self.at, self.turn) = (now, turn);
    }

    /// The other direction had bytes. What comes both ways in one turn answers nothing.
    pub(super) fn answered(&mut self, turn: u32) {
        if turn == self.turn || self.unanswered == 0 {
            return;
        }
        if self.unanswered < SMALL {
            self.score = self.score.saturating_sub(1);
        }
        self.unanswered = 0;
    }

    /// So many bytes went into the pipe.
    pub(super) fn spliced(&mut self, bytes: usize) {
        self.thin = if bytes < THIN { self.thin.saturating_add(1) } else { 0 };
    }

    /// Whether splicing is worth a try.
    pub(super) fn is_bulk(&self) -> bool {
        self.score >= SCORE
    }

    /// Whether splicing has stopped being worth it.
    pub(super) fn is_thin(&self) -> bool {
        self.thin >= THIN_SPLICES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pace after messages of so many bytes, a millisecond apart, in pieces, each answered or not.
    fn after(messages: &[usize], pieces: usize, answered: bool) -> Pace {
        let mut pace = Pace::default();
        for (turn, bytes) in (1..).step_by(2).zip(messages) {
            let now = Time(u64::from(turn) * 500_000);
            (0..pieces).for_each(|_| pace.received(turn, now, bytes / pieces));
            if answered {
                pace.answered(turn + 1);
            }
        }
        pace
    }

    #[test]
    fn a_flood_is_bulk_in_whatever_pieces_it_comes() {
        assert!(after(&[65536; 4], 16, false).is_bulk());
        assert!(after(&[4096; 64], 1, false).is_bulk());
        assert!(!after(&[4096; 63], 1, false).is_bulk());
    }

    #[test]
    fn a_conversation_is_none_unless_its_messages_are_heavy() {
        assert!(!after(&[16384; 1000], 4, true).is_bulk());
        assert!(!after(&[64; 1000], 1, true).is_bulk());
        assert!(after(&[131_072; 2], 32, true).is_bulk());
        assert!(!after(&[65536, 64, 64].repeat(20), 1, true).is_bulk(), "small talk prevails");
    }

    #[test]
    fn floods_both_ways_answer_nothing() {
        let mut pace = Pace::default();
        for turn in 1..=64 {
            pace.received(turn, Time(u64::from(turn) * 1000), 4096);
            pace.answered(turn);
        }
        assert!(pace.is_bulk());
    }

    #[test]
    fn now_and_then_is_no_bulk() {
        let mut pace = Pace::default();
        for turn in 1..20 {
            pace.received(turn, Time(u64::from(turn) * 60_000_000), 65536);
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
