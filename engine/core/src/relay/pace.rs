//! How a direction's bytes come: in bulk, or in small messages.
//!
//! What counts is the amount per turn, since that is what splicing saves copying of, and what a splice's extra system
//! calls are paid from. A conversation of 16 KiB messages never looks like bulk, however fast it is.

/// A turn that brought so much is a bulk turn.
const BULK: u32 = 32 << 10;
/// A turn that brought less ends a run of bulk turns.
const SMALL: u32 = 8 << 10;
/// So many bulk turns, with no small one between them, make a bulk direction.
const BULK_TURNS: u8 = 4;
/// A splice turn that moved less was not worth its system calls.
const THIN: usize = 4 << 10;
/// So many thin turns in a row end splicing.
const THIN_TURNS: u8 = 16;

/// The recent past of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    turn: u32,
    bytes: u32,
    bulk: u8,
    thin: u8,
}

impl Pace {
    /// So many bytes were received in this turn.
    pub(super) fn received(&mut self, turn: u32, bytes: usize) {
        if turn != self.turn {
            match self.bytes {
                BULK.. => self.bulk = self.bulk.saturating_add(1),
                SMALL.. => {}
                _ => self.bulk = 0,
            }
            (self.turn, self.bytes) = (turn, 0);
        }
        self.bytes = self.bytes.saturating_add(bytes as u32);
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
        self.bulk >= BULK_TURNS
    }

    /// Whether splicing has stopped being worth it.
    pub(super) fn is_thin(&self) -> bool {
        self.thin >= THIN_TURNS
    }

    /// Begins anew, after a change of mover.
    pub(super) fn reset(&mut self) {
        *self = Pace { turn: self.turn, ..Pace::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(turns: &[usize]) -> Pace {
        let mut pace = Pace::default();
        for (turn, bytes) in turns.iter().enumerate() {
            pace.received(turn as u32 + 1, bytes / 2);
            pace.received(turn as u32 + 1, bytes - bytes / 2);
        }
        pace
    }

    #[test]
    fn bulk_needs_several_full_turns_and_no_small_one() {
        assert!(after(&[65536, 65536, 65536, 65536, 1]).is_bulk());
        assert!(after(&[65536, 65536, 16384, 65536, 65536, 1]).is_bulk());
        assert!(!after(&[65536, 65536, 65536, 64, 65536, 1]).is_bulk());
        assert!(!after(&[16384; 100]).is_bulk());
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
