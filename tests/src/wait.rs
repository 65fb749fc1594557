//! Waiting for what must come true soon.

use std::thread::sleep;
use std::time::Duration;

use crate::Stopwatch;

/// Asks every 10 ms until the answer is there.
///
/// # Panics
/// After `limit`, of which pauses of the machine are no part, with `what` was awaited.
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(watch.elapsed() < limit, "waited {limit:?} in vain: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// [`until`] for a condition.
///
/// # Panics
/// After `limit`, with `what` was awaited.
pub fn until_true(what: &str, limit: Duration, mut ask: impl FnMut() -> bool) {
    until(what, limit, || ask().then_some(()));
}
