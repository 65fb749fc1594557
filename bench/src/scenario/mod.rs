//! What is measured: load patterns, who takes part, and the bars.

mod fields;
mod list;
#[cfg(test)]
mod tests;
mod tls;
mod vnc;
mod websocket;

use std::time::Duration;

use crate::contestant::Legs;
use crate::load::{Pace, Pattern, Sample, Timing};
use crate::record::{self, Measure, Unit};
pub(crate) use list::SCENARIOS;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Scenarios of one group stand side by side and are measured round by round, so that they can be compared.
    pub(crate) group: &'static str,
    pub(crate) title: &'static str,
    pub(crate) question: &'static str,
    pub(crate) pattern: Pattern,
    /// Where those who take part speak TLS or WebSocket.
    pub(crate) legs: Legs,
    /// The time in which each tunnel should have its turn, for each of them.
    pub(crate) turn: Duration,
    pub(crate) unit: Unit,
    /// The one of ours that it is about.
    pub(crate) lead: &'static str,
    /// The contestant whose figure is 1.
    pub(crate) reference: &'static str,
    /// The mover that Penstock must have used.
    pub(crate) path: Path,
    /// Who takes part.
    pub(crate) field: &'static [&'static str],
    /// Who takes part when there is time.
    pub(crate) also: &'static [&'static str],
    /// Who can't take part, and why.
    pub(crate) without: &'static [(&'static str, &'static str)],
    pub(crate) series: Option<(&'static str, u32)>,
    pub(crate) special: Special,
    pub(crate) bars: &'static [Bar],
}

/// What a scenario needs of its contestants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    None,
    /// All run as one user without privileges, whose pipes are used up or not.
    Unprivileged {
        pipes_used_up: bool,
    },
    /// Each round starts a fresh process: memory that was used once is there already the next time.
    Fresh,
    /// Only those named take part, whatever a file of contestants says.
    Closed,
}

/// The mover that a scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Copy,
    Splice,
    Both,
    /// To and fro on the same tunnels.
    Alternating,
    Any,
    /// Copied, since the user's pipes were used up.
    NoPipe,
    /// Opened or sealed on its way, and so copied.
    TlsFromClient,
    TlsToOrigin,
    /// The same, behind a login.
    Vnc,
}

/// What one of ours must reach: at most `limit` times the lowest of the rivals.
pub(crate) struct Bar {
    pub(crate) ours: &'static str,
    pub(crate) measure: Measure,
    pub(crate) rivals: &'static [&'static str],
    /// Where the rivals were measured; none: here.
    pub(crate) scenario: Option<&'static str>,
    pub(crate) limit: f64,
}

impl Scenario {
    /// Whether `name` takes part.
    pub(crate) fn admits(&self, name: &str, quick: bool) -> bool {
        self.field.contains(&name) || (!quick && self.also.contains(&name))
    }

    /// Why one that could have taken part did not; None of whom nobody would expect.
    pub(crate) fn why_without(&self, name: &str, quick: bool) -> Option<&'static str> {
        let told = self.without.iter().find(|(absent, _)| *absent == name).map(|(_, why)| *why);
        let is_late = quick && self.also.contains(&name);
        told.or_else(|| is_late.then_some("not in a quick run"))
    }

    /// Long enough for each tunnel to have its turn, and for a 99th percentile where operations come on schedule; a herd is
    /// given time to fall silent.
    pub(crate) fn timing(&self, timing: Timing, idle: Duration, samples: u32) -> Timing {
        if self.pattern.fill.is_some() {
            return Timing { warm_up: HERD_REST, window: idle };
        }
        let turns = self.turn * self.pattern.tunnels() as u32;
        let scheduled = match self.pattern.pace {
            Pace::Rate(rate) => Duration::from_secs(1) * samples / rate,
            Pace::Closed => Duration::ZERO,
        };
        Timing {
            warm_up: timing.warm_up.max(turns / 4),
            window: timing.window.max(turns).max(scheduled),
        }
    }

    pub(crate) fn record_bars(&self) -> Vec<record::Bar> {
        self.bars.iter().map(Bar::record).collect()
    }
}

/// Twice what the engine waits before it takes a pipe back.
const HERD_REST: Duration = Duration::from_millis(600);

impl Bar {
    fn record(&self) -> record::Bar {
        let rival = |name: &&str| record::Rival {
            contestant: (*name).into(),
            scenario: self.scenario.map(Into::into),
        };
        record::Bar {
            ours: self.ours.into(),
            measure: self.measure,
            rivals: self.rivals.iter().map(rival).collect(),
            limit: self.limit,
        }
    }
}

/// A round's figure, in the unit.
pub(crate) fn figure(unit: Unit, sample: &Sample) -> f64 {
    match unit {
        Unit::Connection | Unit::RoundTrip => {
            sample.used.cpu.as_secs_f64() * 1e6 / sample.operations as f64
        }
        Unit::Gigabyte => sample.used.cpu.as_secs_f64() * 1e3 / (sample.bytes as f64 / 1e9),
        Unit::BytesPerTunnel => sample.grown as f64 / sample.operations as f64,
        Unit::Latency => sample.latency.value_at_quantile(0.5) as f64 / 1e3,
    }
}
