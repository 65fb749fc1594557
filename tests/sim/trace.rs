//! The last things that happened in the run of this thread, for the report of a failure.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;

use penstock_ring::Time;

const KEPT: usize = 120;

thread_local! {
    static TRACE: RefCell<VecDeque<Line>> = const { RefCell::new(VecDeque::new()) };
    static LOUD: bool = std::env::var_os("PENSTOCK_SIM_TRACE").is_some();
}

#[derive(Clone, Copy)]
struct Line {
    time: Time,
    who: u64,
    what: &'static str,
    number: i64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { time, who, what, number } = self;
        write!(f, "{:>14.6} {:>6} {what} {number}", time.0 as f64 / 1e9, who)
    }
}

/// Writes down that `who` (a slot, a host) did `what` with a number; all lines are printed at once if
/// `PENSTOCK_SIM_TRACE` is set.
pub fn note(time: Time, who: u64, what: &'static str, number: i64) {
    let line = Line { time, who, what, number };
    if LOUD.with(|loud| *loud) {
        println!("{line}");
    }
    TRACE.with_borrow_mut(|lines| {
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    });
}

/// Forgets everything; at the start of a seed.
pub fn clear() {
    TRACE.with_borrow_mut(VecDeque::clear);
}

/// What is remembered, oldest first.
pub fn lines() -> Vec<String> {
    TRACE.with_borrow(|lines| lines.iter().map(ToString::to_string).collect())
}
