//! What is measured: a table of load patterns with their units, references and bars.

use std::time::Duration;

use crate::load::{Pattern, Sample};

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) pattern: Pattern,
    pub(crate) unit: Unit,
    /// The contestant whose cost is 1.
    pub(crate) reference: &'static str,
    /// The mover that Penstock must have used.
    pub(crate) path: Path,
    pub(crate) bars: &'static [Bar],
}

/// What a cost is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Microseconds per connection.
    Connection,
    /// Microseconds per round trip.
    RoundTrip,
    /// Milliseconds per 10^9 bytes.
    Gigabyte,
}

/// The mover that a scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Copy,
    Splice,
    Both,
}

/// What one of ours must reach: at most `limit` times the lowest of the rivals.
pub(crate) struct Bar {
    pub(crate) ours: &'static str,
    pub(crate) measure: Measure,
    pub(crate) rivals: &'static [&'static str],
    pub(crate) limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// CPU per unit.
    Cost,
    /// The 99th percentile of the latency.
    P99,
}

impl Measure {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Measure::Cost => "CPU",
            Measure::P99 => "p99",
        }
    }

    pub(crate) fn of(self, sample: &Sample, unit: Unit) -> f64 {
        match self {
            Measure::Cost => unit.cost(sample),
            Measure::P99 => sample.latency.value_at_quantile(0.99) as f64,
        }
    }
}

impl Unit {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Unit::Connection => "us/connection",
            Unit::RoundTrip => "us/round trip",
            Unit::Gigabyte => "ms/GB",
        }
    }

    /// CPU per unit, in the unit of the label.
    pub(crate) fn cost(self, sample: &Sample) -> f64 {
        match self {
            Unit::Connection | Unit::RoundTrip => {
                sample.cpu.as_secs_f64() * 1e6 / sample.rounds as f64
            }
            Unit::Gigabyte => sample.cpu.as_secs_f64() * 1e3 / (sample.bytes as f64 / 1e9),
        }
    }
}

const NONE: Pattern =
    Pattern { streams: 0, pingpongs: 0, setups: 0, message: 64, pause: Duration::ZERO };

const fn pingpong(pingpongs: usize) -> Pattern {
    Pattern { pingpongs, ..NONE }
}

const fn bulk(streams: usize) -> Pattern {
    Pattern { streams, ..NONE }
}

const fn cost(rivals: &'static [&'static str], limit: f64) -> Bar {
    Bar { ours: "penstock-uring", measure: Measure::Cost, rivals, limit }
}

const fn p99(rivals: &'static [&'static str]) -> Bar {
    Bar { ours: "penstock-uring", measure: Measure::P99, rivals, limit: 1.0 }
}

/// What the driver without io_uring may cost beside the one with it.
const fn epoll(limit: f64) -> Bar {
    Bar { ours: "penstock-epoll", measure: Measure::Cost, rivals: &["penstock-uring"], limit }
}

const HAPROXY: &[&str] = &["haproxy-copy", "haproxy-auto", "haproxy-splice"];
const PEERS: &[&str] = &["squid", "haproxy-copy", "haproxy-auto", "haproxy-splice", "nginx"];
/// Peers that move bulk as their default settings have it.
const DEFAULTS: &[&str] = &["squid", "haproxy-copy", "nginx"];

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "setup",
        title: "connect, one 64-byte round trip, close; 16 clients",
        pattern: Pattern { setups: 16, ..NONE },
        unit: Unit::Connection,
        reference: "bare-copy",
        path: Path::Copy,
        bars: &[cost(&["squid"], 0.60), cost(&["squid"], 0.42), cost(&["nginx"], 0.95), epoll(1.4)],
    },
    Scenario {
        name: "pingpong-64",
        title: "64-byte round trips on 64 tunnels",
        pattern: pingpong(64),
        unit: Unit::RoundTrip,
        reference: "bare-copy",
        path: Path::Copy,
        bars: &[cost(HAPROXY, 1.0), cost(PEERS, 0.90), p99(PEERS), epoll(1.25)],
    },
    Scenario {
        name: "pingpong-1000",
        title: "64-byte round trips on 1,000 tunnels",
        pattern: pingpong(1000),
        unit: Unit::RoundTrip,
        reference: "bare-copy",
        path: Path::Copy,
        bars: &[cost(PEERS, 0.80), p99(PEERS), epoll(1.25)],
    },
    Scenario {
        name: "bulk-1",
        title: "one stream, origin to client",
        pattern: bulk(1),
        unit: Unit::Gigabyte,
        reference: "bare-splice",
        path: Path::Splice,
        bars: &[
            cost(&["squid"], 0.45),
            cost(PEERS, 1.05),
            cost(&["bare-splice"], 1.05),
            epoll(1.25),
        ],
    },
    bulk_many("bulk-8", "8 streams, origin to client", 8),
    bulk_many("bulk-32", "32 streams, origin to client", 32),
    Scenario {
        name: "mixed",
        title: "8 bulk streams beside 64 tunnels with a 64-byte round trip every 20 ms (p50, p99)",
        pattern: Pattern { streams: 8, pingpongs: 64, pause: Duration::from_millis(20), ..NONE },
        unit: Unit::Gigabyte,
        reference: "bare-splice",
        path: Path::Both,
        bars: &[p99(PEERS), epoll(1.25)],
    },
];

const fn bulk_many(name: &'static str, title: &'static str, streams: usize) -> Scenario {
    Scenario {
        name,
        title,
        pattern: bulk(streams),
        unit: Unit::Gigabyte,
        reference: "bare-splice",
        path: Path::Splice,
        bars: BULK_MANY_BARS,
    }
}

const BULK_MANY_BARS: &[Bar] =
    &[cost(DEFAULTS, 0.45), cost(PEERS, 0.90), cost(&["bare-splice"], 1.10), epoll(1.25)];
