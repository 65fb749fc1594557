//! Handshakes of a window, at whichever end the load speaks TLS, and whether they were of the kind that was to be measured.

use anyhow::{Result, ensure};

use super::Pattern;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handshakes {
    fresh: u64,
    resumed: u64,
}

/// Clients of OpenSSL's forget a session now and then whose connection did not end in order.
const RESUMED_MIN: f64 = 0.9;

impl Handshakes {
    /// What a connection knew before an event, and what it knows now.
    pub(super) fn count(&mut self, before: Option<bool>, now: Option<bool>) {
        match (before, now) {
            (None, Some(true)) => self.resumed += 1,
            (None, Some(false)) => self.fresh += 1,
            _ => {}
        }
    }

    pub(super) fn check(self, pattern: &Pattern) -> Result<()> {
        let Handshakes { fresh, resumed } = self;
        let share = resumed as f64 / (fresh + resumed) as f64;
        match pattern.resumes {
            true => ensure!(
                share >= RESUMED_MIN,
                "{fresh} of {} sessions were made anew instead of taken up again",
                fresh + resumed
            ),
            false => ensure!(resumed == 0, "{resumed} sessions were taken up again"),
        }
        Ok(())
    }
}
