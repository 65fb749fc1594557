//! A pool that stays empty: somebody holds it who does not read.
//!
//! Backpressure keeps each direction within its limit, but enough stuck directions can hold the whole pool while others
//! wait. When a receiver has waited too long, the session that holds most is ended, with a reason of its own.

use std::time::Duration;

use penstock_ring::{Kernel, Time};

use super::Worker;
use crate::close::{Cause, CloseReason, Side};

/// How long a receiver may wait for a buffer before somebody has to go.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks; each one walks the table of sessions.
const INTERVAL: Duration = Duration::from_millis(200);
/// Slots looked at in one go.
const SLICE: u32 = 256;

impl<K: Kernel> Worker<K> {
    pub(super) fn starvation_at(&self) -> Option<Time> {
        let since = self.turn.kernel.starved_since()?;
        Some((since + PATIENCE).max(self.starvation_checked + INTERVAL))
    }

    pub(super) fn relieve_starvation(&mut self) {
        if self.starvation_at().is_none_or(|at| at > self.turn.now) {
            return;
        }
        let Some(group) = self.turn.kernel.starved_group() else { return };
        self.starvation_checked = self.turn.now;
        let (mut worst, mut from) = (None, Some(0));
        while let Some(start) = from {
            let (sessions, next) = self.sessions.slice(start, SLICE);
            for (handle, session) in sessions {
                let pinned = session.pinned(group, &self.turn.kernel);
                if pinned > worst.map_or(0, |(_, _, most)| most) {
                    worst = Some((handle, session.phase(), pinned));
                }
            }
            from = next;
        }
        if let Some((handle, phase, _)) = worst {
            self.finish(handle, CloseReason::new(Side::Penstock, phase, Cause::PoolPinned));
        }
    }
}
