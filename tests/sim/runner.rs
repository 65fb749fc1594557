//! Runs many seeds on all cores, and tells of each that failed: its number, why, and the last things that happened.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::sim::report::Report;
use crate::sim::{oracle, scenario, tally, trace};

/// After so many failures no more seeds are run.
const ENOUGH: usize = 10;

/// Runs `count` seeds from `first` on; the report of those that passed, and the numbers of those that didn't.
pub fn run(first: u64, count: u64) -> (Report, Vec<u64>) {
    let next = AtomicU64::new(first);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let (mut report, mut failed) = (Report::new(), Vec::new());
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..workers).map(|_| scope.spawn(|| work(&next, first + count))).collect();
        for thread in threads {
            let (part, failures) = thread.join().expect("panics are caught seed by seed");
            report.merge(part);
            failed.extend(failures);
        }
    });
    failed.sort_unstable();
    (report, failed)
}

fn work(next: &AtomicU64, end: u64) -> (Report, Vec<u64>) {
    let (mut report, mut failed) = (Report::default(), Vec::new());
    while failed.len() < ENOUGH {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            break;
        }
        trace::clear();
        tally::take();
        match catch_unwind(AssertUnwindSafe(|| play(seed, &mut report))) {
            Ok(()) => {}
            Err(_) => {
                println!(
                    "\nseed {seed} failed; again with PENSTOCK_SIM_SEED={seed} PENSTOCK_SIM_SEEDS=1"
                );
                println!("the last things that happened:\n{}\n", trace::lines().join("\n"));
                failed.push(seed);
            }
        }
    }
    (report, failed)
}

fn play(seed: u64, report: &mut Report) {
    let mut run = scenario::run(seed);
    oracle::check(&mut run);
    report.take(&run);
}
