//! Handshakes of a window, and whether they were of the kind that was to be measured.
//!
//! Clients of the load decide whether a session is to be taken up again, and a contestant can but refuse. Towards the origin the contestant
//! decides: what it makes of the tickets that it is given is what it costs.

use anyhow::{Result, ensure};

use super::Pattern;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handshakes {
    /// With clients.
    fresh: u64,
    resumed: u64,
    /// With the origin, resumed.
    again: u64,
}

/// When a window begins, some tickets may have lost their validity.
const RESUMED_MIN: f64 = 0.98;

impl Handshakes {
    /// What a client knew before an event, and what it knows now.
    pub(super) fn count(&mut self, before: Option<bool>, now: Option<bool>) {
        match (before, now) {
            (None, Some(true)) => self.resumed += 1,
            (None, Some(false)) => self.fresh += 1,
            _ => {}
        }
    }

    /// The same of the origin.
    pub(super) fn count_at_origin(&mut self, before: Option<bool>, now: Option<bool>) {
        self.again += u64::from((before, now) == (None, Some(true)));
    }

    pub(super) fn check(self, pattern: &Pattern) -> Result<()> {
        let Handshakes { fresh, resumed, again } = self;
        let all = fresh + resumed;
        if !pattern.resumes {
            let count = resumed + again;
            ensure!(count == 0, "{count} sessions were taken up again");
        } else if all > 0 {
            ensure!(
                resumed as f64 / all as f64 >= RESUMED_MIN,
                "{fresh} of {all} sessions were made anew instead of taken up again"
            );
        }
        Ok(())
    }
}
