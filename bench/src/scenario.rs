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

/// Penstock's cost must be at most `limit` times that of the cheapest rival.
pub(crate) struct Bar {
    pub(crate) rivals: &'static [&'static str],
    pub(crate) limit: f64,
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
        bars: &[
            Bar { rivals: &["squid"], limit: 0.60 },
            Bar { rivals: &["squid"], limit: 0.42 },
            Bar { rivals: &["nginx"], limit: 0.95 },
        ],
    },
    Scenario {
        name: "pingpong-64",
        title: "64-byte round trips on 64 tunnels",
        pattern: pingpong(64),
        unit: Unit::RoundTrip,
        reference: "bare-copy",
        path: Path::Copy,
        bars: &[Bar { rivals: HAPROXY, limit: 1.0 }, Bar { rivals: PEERS, limit: 0.90 }],
    },
    Scenario {
        name: "pingpong-1000",
        title: "64-byte round trips on 1,000 tunnels",
        pattern: pingpong(1000),
        unit: Unit::RoundTrip,
        reference: "bare-copy",
        path: Path::Copy,
        bars: &[Bar { rivals: PEERS, limit: 0.80 }],
    },
    Scenario {
        name: "bulk-1",
        title: "one stream, origin to client",
        pattern: bulk(1),
        unit: Unit::Gigabyte,
        reference: "bare-splice",
        path: Path::Splice,
        bars: &[
            Bar { rivals: &["squid"], limit: 0.45 },
            Bar { rivals: PEERS, limit: 1.05 },
            Bar { rivals: &["bare-splice"], limit: 1.05 },
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
        bars: &[],
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
        bars: &[
            Bar { rivals: DEFAULTS, limit: 0.45 },
            Bar { rivals: PEERS, limit: 0.90 },
            Bar { rivals: &["bare-splice"], limit: 1.10 },
        ],
    }
}
