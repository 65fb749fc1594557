//! What all runs together have met: faults, transitions of sessions, ends, and the use of quiesce. A zero is a hole in the
//! simulation, and fails.

use std::fmt;

use penstock_core::close::{Cause, Phase};
use penstock_core::config::ProxyProtocol;

use crate::sim::scenario::Run;
use crate::sim::tally::{self, Tally};

/// Ends that every full run must have seen, by phase.
const ENDS: &[(Phase, &[Cause])] = &[
    (Phase::ProxyHeader, &[Cause::BadProxyHeader, Cause::HungUp, Cause::HandshakeTimeout]),
    (
        Phase::Request,
        &[
            Cause::HungUp,
            Cause::Reset,
            Cause::HandshakeTimeout,
            Cause::BadRequest,
            Cause::TooLarge,
            Cause::MethodRefused,
            Cause::Overloaded,
            Cause::LifetimeEnd,
            Cause::Drained,
        ],
    ),
    (
        Phase::Admission,
        &[
            Cause::AccessDenied,
            Cause::LocalTarget,
            Cause::Loop,
            Cause::NameNotFound,
            Cause::NameLookupFailed,
            Cause::Overloaded,
            Cause::HungUp,
            Cause::Reset,
            Cause::LifetimeEnd,
            Cause::Drained,
        ],
    ),
    (
        Phase::Connect,
        &[
            Cause::ConnectRefused,
            Cause::ConnectTimeout,
            Cause::Unreachable,
            Cause::Exhausted,
            Cause::HungUp,
            Cause::Reset,
            Cause::LifetimeEnd,
            Cause::Drained,
        ],
    ),
    (
        Phase::Relay,
        &[
            Cause::Finished,
            Cause::Reset,
            Cause::IdleTimeout,
            Cause::LifetimeEnd,
            Cause::FlushTimeout,
            Cause::PoolPinned,
            Cause::Drained,
        ],
    ),
];

/// See the module.
#[derive(Default)]
pub struct Report {
    totals: Tally,
    seeds: u64,
}

impl Report {
    /// Rows for all that must occur.
    pub fn new() -> Report {
        let mut report = Report::default();
        for (phase, causes) in ENDS {
            for cause in *causes {
                report.add("end", format!("{} -> {}", phase.label(), cause.label()), 0);
            }
        }
        report
    }

    /// Adds a run that has ended well.
    pub fn take(&mut self, run: &Run) {
        self.seeds += 1;
        for (key, count) in tally::take() {
            *self.totals.entry(key).or_default() += count;
        }
        for record in &run.records {
            let (phase, cause) = (record.reason.phase, record.reason.cause);
            self.add("end", format!("{} -> {}", phase.label(), cause.label()), 1);
            let listener = &run.choices.config.listeners[usize::from(record.listener)];
            let first = usize::from(listener.proxy_protocol == ProxyProtocol::Off);
            for pair in Phase::ALL[first..=(phase as usize).max(first)].windows(2) {
                self.add("transition", format!("{} -> {}", pair[0].label(), pair[1].label()), 1);
            }
        }
        let counters = &run.counters;
        let [begun, quiet] = [counters.quiesce[0].get(), counters.quiesce[1].get()];
        for (row, count) in [
            ("begun", begun),
            ("became quiet", quiet),
            ("copy -> splice", counters.switches[1].get()),
            ("splice -> copy", counters.switches[0].get()),
            ("ended before it was quiet", begun - quiet),
            ("promotion refused a pipe", counters.splice_refused.get()),
        ] {
            self.add("quiesce", row.to_owned(), count);
        }
        for (row, count) in [
            ("bytes copied", counters.bytes[0][0].get() + counters.bytes[1][0].get()),
            ("bytes spliced", counters.bytes[0][1].get() + counters.bytes[1][1].get()),
            ("runs that had gathered", counters.gathered.get()),
            ("stopped reading for a slow sink", counters.backpressure.get()),
            ("answers for nobody", counters.answers_stale.get()),
            ("outcomes for nobody", counters.outcomes_stale.get()),
            ("turned away", counters.shed.get()),
            ("accepting paused", counters.accept_pauses.get()),
            ("questions refused", counters.questions_refused.get()),
        ] {
            self.add("counter", row.to_owned(), count);
        }
    }

    /// Adds another report's rows.
    pub fn merge(&mut self, other: Report) {
        self.seeds += other.seeds;
        for (key, count) in other.totals {
            *self.totals.entry(key).or_default() += count;
        }
    }

    /// What never occurred.
    pub fn zeros(&self) -> Vec<String> {
        let never = self.totals.iter().filter(|(_, count)| **count == 0);
        never.map(|((kind, name), _)| format!("{kind}: {name}")).collect()
    }

    fn add(&mut self, kind: &'static str, name: String, count: u64) {
        *self.totals.entry((kind, name)).or_default() += count;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} seeds", self.seeds)?;
        for ((kind, name), count) in &self.totals {
            writeln!(f, "{kind:<11} {name:<44} {count:>12}")?;
        }
        Ok(())
    }
}
