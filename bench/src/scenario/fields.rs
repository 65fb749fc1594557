//! Who takes part where, and who is compared with whom.

use super::Bar;
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
    Bar { ours: URING, measure: Measure::Figure, rivals, scenario: None, limit }
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

pub(super) const fn absolute(ours: &'static str, measure: Measure, limit: f64) -> Bar {
    Bar { ours, measure, rivals: &[], scenario: None, limit }
}
