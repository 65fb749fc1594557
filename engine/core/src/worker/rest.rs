//! When a worker rests.
//!
//! What its busiest moment took of the heap can be given back then; only whoever chose the allocator knows how, and it takes the
//! worker's own thread. A worker that never rests is asked to now and then: among a thousand silent tunnels one may talk.

use std::time::Duration;

use penstock_ring::Time;

/// Without an event for so long, a worker rests.
const QUIET: Duration = Duration::from_secs(1);
/// After so long it is due in any case.
const LATEST: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Rest {
    /// What is called.
    call: Option<fn()>,
    /// The first and the last event since the last rest.
    stirred: Option<(Time, Time)>,
}

impl Rest {
    pub(super) fn new(call: Option<fn()>) -> Rest {
        Rest { call, stirred: None }
    }

    /// When the next one is due. Nothing that has not stirred needs one.
    pub(super) fn due(&self) -> Option<Time> {
        self.call?;
        self.stirred.map(|(first, last)| (last + QUIET).min(first + LATEST))
    }

    /// A turn is over, in which something was heard or not.
    pub(super) fn turn(&mut self, now: Time, heard: bool) {
        if heard {
            let first = self.stirred.map_or(now, |(first, _)| first);
            self.stirred = Some((first, now));
        }
        if self.due().is_some_and(|due| due <= now)
            && let Some(call) = self.call
        {
            self.stirred = None;
            call();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_worker_rests_once_after_it_was_busy_and_now_and_then_while_it_is() {
        static RESTS: AtomicU32 = AtomicU32::new(0);
        let mut rest = Rest::new(Some(|| {
            RESTS.fetch_add(1, Ordering::Relaxed);
        }));
        let mut rests_after = |seconds: u64, heard: bool| {
            rest.turn(Time(seconds * SECOND), heard);
            (RESTS.load(Ordering::Relaxed), rest.due().map(|due| due.0 / SECOND))
        };
        assert_eq!(rests_after(1, false), (0, None));
        assert_eq!(rests_after(2, true), (0, Some(3)));
        assert_eq!(rests_after(3, false), (1, None));
        assert_eq!(rests_after(9, false), (1, None));
        for busy in 10..20 {
            assert_eq!(rests_after(busy, true), (1, Some(busy + 1)));
        }
        assert_eq!(rests_after(20, true), (2, None));
    }

    #[test]
    fn whoever_has_nothing_to_give_back_is_not_woken_for_it() {
        let mut rest = Rest::new(None);
        rest.turn(Time(0), true);
        assert_eq!(rest.due(), None);
    }
}
