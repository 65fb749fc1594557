//! The time of day for workers: they read the system's clock; the zone, which takes a file, is read for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use penstock_core::control::WallTime;

/// How late a change of the zone's offset may be noticed.
const REFRESH: Duration = Duration::from_secs(10);
const DAY: i64 = 86_400;

/// Seconds that local time is ahead of UTC, shared.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Arc<AtomicI32>);

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock(Arc::new(AtomicI32::new(offset())))
    }

    /// Reads the clock; no system call on hosts with a vDSO.
    pub(crate) fn now(&self) -> WallTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        wall_time(since.as_secs(), self.0.load(Relaxed))
    }
}

/// Keeps the offset up to date, for ever.
pub(crate) async fn keep(clock: Clock) {
    loop {
        tokio::time::sleep(REFRESH).await;
        clock.0.store(offset(), Relaxed);
    }
}

fn offset() -> i32 {
    chrono::Local::now().offset().local_minus_utc()
}

fn wall_time(unix: u64, offset: i32) -> WallTime {
    let local = unix.cast_signed() + i64::from(offset);
    // 1970-01-01 was a Thursday.
    let weekday = (local.div_euclid(DAY) + 4).rem_euclid(7);
    let minute = local.rem_euclid(DAY) / 60;
    WallTime { unix, weekday: weekday as u8, minute: minute as u16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_day_and_minute_follow_the_offset() {
        let at = |unix, offset| {
            let WallTime { weekday, minute, .. } = wall_time(unix, offset);
            (weekday, minute)
        };
        assert_eq!(at(0, 0), (4, 0));
        assert_eq!(at(0, -60), (3, 23 * 60 + 59));
        // 2023-11-14 22:13:20 UTC, a Tuesday; already Wednesday in Nepal, 5:45 ahead.
        assert_eq!(at(1_700_000_000, 0), (2, 22 * 60 + 13));
        assert_eq!(at(1_700_000_000, 20_700), (3, 3 * 60 + 58));
    }
}
