//! Who takes part where, and who is compared with whom.

use std::time::Duration;

use super::Bar;
use crate::load::Pattern;
use crate::record::{self, Measure};

pub(super) const URING: &str = record::DEFAULT;
pub(super) const EPOLL: &str = "penstock-epoll";
const UNGATHERED: &str = "penstock-uring-ungathered";

/// Peers, each at every setting that could be its best; the hardest of them to beat is the best peer's best.
pub(super) const PEERS: &[&str] = &[
    "squid",
    "tinyproxy",
    "trafficserver",
    "haproxy-copy",
    "haproxy-wide",
    "haproxy-auto",
    "haproxy-splice",
    "nginx",
    "nginx-default",
];

/// Peers as they come.
pub(super) const DEFAULTS: &[&str] =
    &["squid", "tinyproxy", "trafficserver", "haproxy-copy", "nginx-default"];

pub(super) const BULK: &[&str] = &[
    URING,
    EPOLL,
    "squid",
    "haproxy-copy",
    "haproxy-wide",
    "haproxy-splice",
    "nginx",
    "nginx-default",
    "bare-copy",
    "bare-splice",
];

pub(super) const MESSAGES: &[&str] = &[
    URING,
    EPOLL,
    "squid",
    "haproxy-copy",
    "haproxy-auto",
    "haproxy-splice",
    "nginx",
    "bare-copy",
];

/// Beside a field of interactive peers, the bare relays and what a user may set.
pub(super) const OTHERS: &[&str] = &[
    UNGATHERED,
    "penstock-uring-ring",
    "penstock-uring-copy",
    "tinyproxy",
    "trafficserver",
    "haproxy-auto",
    "haproxy-wide",
    "tokio",
    "tokio-uring",
    "bare-splice",
];

/// Where many are measured already.
pub(super) const FEWER_OTHERS: &[&str] =
    &[UNGATHERED, "penstock-uring-copy", "trafficserver", "tokio"];

pub(super) const fn cost(rivals: &'static [&'static str], limit: f64) -> Bar {
    cost_of(URING, rivals, limit)
}

pub(super) const fn cost_of(
    ours: &'static str,
    rivals: &'static [&'static str],
    limit: f64,
) -> Bar {
    Bar { ours, measure: Measure::Figure, rivals, scenario: None, limit }
}

pub(super) const fn p99(rivals: &'static [&'static str], limit: f64) -> Bar {
    Bar { ours: URING, measure: Measure::P99, rivals, scenario: None, limit }
}

/// Against itself in another scenario.
pub(super) const fn growth(scenario: &'static str, limit: f64) -> Bar {
    let rivals = &[URING];
    Bar { ours: URING, measure: Measure::Figure, rivals, scenario: Some(scenario), limit }
}

/// What the driver without io_uring may cost beside the one with it.
pub(super) const fn epoll(limit: f64) -> Bar {
    Bar { ours: EPOLL, measure: Measure::Figure, rivals: &[URING], scenario: None, limit }
}

/// Two workers against one on either core: where there are only two, one is the load's, wake-ups are cheap there, and each of the two
/// workers has half of the tunnels.
pub(super) const fn workers(limit: f64) -> Bar {
    let rivals = &[URING, "penstock-uring-other"];
    Bar { ours: "penstock-uring-2", measure: Measure::FigureToMean, rivals, scenario: None, limit }
}

/// In bytes for each tunnel.
pub(super) const fn memory_of(ours: &'static str, limit: f64) -> Bar {
    absolute(ours, Measure::Absolute, limit)
}

pub(super) const fn absolute(ours: &'static str, measure: Measure, limit: f64) -> Bar {
    Bar { ours, measure, rivals: &[], scenario: None, limit }
}

/// From the origin to so many clients.
pub(super) const fn down(streams: usize) -> Pattern {
    Pattern { streams, ..Pattern::NONE }
}

/// So many that were sent 1 MiB and fell silent.
pub(super) const fn herd(streams: usize) -> Pattern {
    Pattern { streams, fill: Some(1 << 20), ..Pattern::NONE }
}

/// So many clients that come for one byte and back, again and again.
pub(super) const CONNECT: Pattern = Pattern { setups: 16, message: 1, ..Pattern::NONE };

/// Of a process: of 64 that are always busy one or the other waits for 200 ms.
pub(super) const PROCESS_TURN: Duration = Duration::from_millis(10);
