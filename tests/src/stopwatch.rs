//! How long something took of the time in which anybody could do anything.
//!
//! In: when it began. Out: the time since then, with and without the pauses of the machine. An upper bound in a test is a claim
//! about the daemon: that a virtual machine stood still for two seconds, or that a busy one let no process of ours run, is
//! nothing against it. A lower bound is a claim about the clock, and pauses count. Whatever starves this process for 20 ms is taken for a
//! pause: a bound under heavy load of the daemon's own has to be by the clock, and generous.

use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a thread of its own looks at the clock.
const TICK: Duration = Duration::from_millis(10);
/// Looks that are further apart show a pause.
const PAUSE: Duration = Duration::from_millis(30);

/// All pauses up to the last look.
#[derive(Debug)]
struct Looks {
    last: Instant,
    paused: Duration,
}

impl Looks {
    fn look(&mut self, now: Instant) -> Duration {
        let gap = now.saturating_duration_since(self.last);
        if gap > PAUSE {
            self.paused += gap - TICK;
        }
        self.last = now;
        self.paused
    }
}

/// The pauses of this process until now.
fn paused() -> Duration {
    static LOOKS: OnceLock<Mutex<Looks>> = OnceLock::new();
    let looks = LOOKS.get_or_init(|| {
        thread::spawn(|| {
            loop {
                thread::sleep(TICK);
                paused();
            }
        });
        Mutex::new(Looks { last: Instant::now(), paused: Duration::ZERO })
    });
    looks.lock().unwrap_or_else(PoisonError::into_inner).look(Instant::now())
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    begun: Instant,
    paused: Duration,
}

impl Stopwatch {
    /// Begins now.
    pub fn start() -> Stopwatch {
        // A pause between the two is part of neither.
        let begun = Instant::now();
        Stopwatch { paused: paused(), begun }
    }

    /// The time since then, without pauses.
    pub fn elapsed(&self) -> Duration {
        let paused = paused().saturating_sub(self.paused);
        self.begun.elapsed().saturating_sub(paused)
    }

    /// The time since then by the clock.
    pub fn real(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether what ends now has lasted as long as that by the clock, and without pauses no longer.
    pub fn is_within(&self, span: Range<Duration>) -> bool {
        span.start <= self.real() && self.elapsed() < span.end
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_pause_of_the_whole_process_is_not_counted() {
        let watch = Stopwatch::start();
        thread::sleep(Duration::from_millis(100));
        let stop = format!("kill -STOP {0}; sleep 1; kill -CONT {0}", std::process::id());
        assert!(Command::new("sh").args(["-c", &stop]).status().expect("a shell").success());
        assert!(watch.real() >= Duration::from_millis(1100), "{watch:?}");
        let counted = watch.elapsed();
        assert!(counted < Duration::from_millis(900), "{counted:?}");
        let within = Duration::from_millis(1100)..Duration::from_millis(900);
        assert!(watch.is_within(within), "real time below, counted time above");
    }

    #[test]
    fn what_is_waited_for_is_counted() {
        // The looks of a busy machine may be late, and all of them of one that stands still; but not for so long.
        let is_counted = |_: u32| {
            let watch = Stopwatch::start();
            thread::sleep(Duration::from_millis(300));
            assert!(watch.real() >= Duration::from_millis(300));
            watch.elapsed() > Duration::from_millis(20)
        };
        assert!((0..30).any(is_counted));
    }
}
