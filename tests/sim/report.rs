//! What all runs together have met: faults, transitions of sessions, ends, and the use of quiesce. A zero is a hole in the
//! simulation, and fails.

use std::fmt;

use penstock_core::close::{Cause, Phase, Side};
use penstock_core::config::{Destination, Listener, ProxyProtocol, Reach, Service};
use penstock_core::control::Record;
use penstock_core::metrics::{Counters, HANDSHAKES, VNC_ROLES, VNC_SECURITY};

use crate::sim::listeners::{is_program, is_terminal};
use crate::sim::scenario::Run;
use crate::sim::tally::{self, Tally};

/// Ends that every full run must have seen, by phase.
const ENDS: &[(Phase, &[Cause])] = &[
    (
        Phase::ProxyHeader,
        &[Cause::BadProxyHeader, Cause::HungUp, Cause::HandshakeTimeout, Cause::Cancelled],
    ),
    (
        Phase::Tls,
        &[
            Cause::TlsFailed,
            Cause::CertificateRefused,
            Cause::NotLetIn,
            Cause::HandshakeTimeout,
            Cause::HungUp,
            Cause::Reset,
            Cause::LifetimeEnd,
            Cause::Drained,
            Cause::Cancelled,
        ],
    ),
    (
        Phase::Request,
        &[
            Cause::HungUp,
            Cause::Reset,
            Cause::HandshakeTimeout,
            Cause::BadRequest,
            Cause::TooLarge,
            Cause::MethodRefused,
            Cause::TlsFailed,
            Cause::OriginRefused,
            Cause::Unauthorized,
            Cause::InUse,
            Cause::Overloaded,
            Cause::LifetimeEnd,
            Cause::Drained,
            Cause::Cancelled,
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
            Cause::TokenRefused,
            Cause::TokenLookupFailed,
            Cause::SecretMissing,
            Cause::Broken,
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
            Cause::InUse,
            Cause::Overloaded,
            Cause::HandshakeTimeout,
            Cause::BadFrame,
            Cause::Injected,
            Cause::HungUp,
            Cause::Reset,
            Cause::LifetimeEnd,
            Cause::Drained,
        ],
    ),
    (
        Phase::Login,
        &[
            Cause::NotLetIn,
            Cause::NoCommonSecurity,
            Cause::BadGreeting,
            Cause::Injected,
            Cause::Unauthorized,
            Cause::HandshakeTimeout,
            Cause::HungUp,
            Cause::Reset,
        ],
    ),
    (
        Phase::Relay,
        &[
            Cause::Finished,
            Cause::Truncated,
            Cause::TlsFailed,
            Cause::NotLetIn,
            Cause::BadFrame,
            Cause::UnknownMessage,
            Cause::Reset,
            Cause::IdleTimeout,
            Cause::UserIdle,
            Cause::DeadPeer,
            Cause::LifetimeEnd,
            Cause::Cancelled,
            Cause::FlushTimeout,
            Cause::PoolPinned,
            Cause::Drained,
        ],
    ),
    (Phase::Page, &[Cause::Finished, Cause::LifetimeEnd]),
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
        for (_, record) in &run.records {
            let (phase, cause) = (record.reason.phase, record.reason.cause);
            self.add("end", format!("{} -> {}", phase.label(), cause.label()), 1);
            let listener = &run.choices.config.listeners[usize::from(record.listener)];
            for pair in path(listener, record).windows(2) {
                self.add("transition", format!("{} -> {}", pair[0], pair[1]), 1);
            }
        }
        self.take_counters(&run.counters);
        self.take_secure(run);
    }

    fn take_counters(&mut self, counters: &Counters) {
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
            ("buffers refitted", counters.refits.get()),
            ("records opened apart", counters.tls_apart[0].get()),
            ("records sealed apart", counters.tls_apart[1].get()),
            ("WebSockets of bytes", counters.upgrades[0].get()),
            ("WebSockets of Base64", counters.upgrades[1].get()),
            ("frames put together apart", counters.frames_apart.get()),
            ("requests for pages", counters.page_requests.get()),
            ("pings", counters.pings.get()),
        ] {
            self.add("counter", row.to_owned(), count);
        }
        for (role, counts) in VNC_ROLES.iter().zip(&counters.vnc_logins) {
            for (security, count) in VNC_SECURITY.iter().zip(counts) {
                self.add("login", format!("{role}, {security}"), count.get());
            }
        }
        for (side, counts) in ["client", "target"].iter().zip(&counters.handshakes) {
            for (label, count) in HANDSHAKES.iter().zip(counts) {
                self.add("handshake", format!("{side}, {label}"), count.get());
            }
        }
    }

    /// Which layers stood on either side of tunnels, and what came of them.
    fn take_secure(&mut self, run: &Run) {
        for client_side in [false, true] {
            for target_side in [false, true] {
                let fits = |record: &Record| {
                    let tls = &record.tls;
                    (tls.client.is_some(), tls.target.is_some()) == (client_side, target_side)
                };
                let relayed = |record: &Record| record.reason.phase == Phase::Relay;
                let records = run.records.iter().map(|(_, record)| record);
                let count = records.filter(|record| relayed(record) && fits(record)).count();
                let word = |secure| if secure { "TLS" } else { "plain" };
                let row = format!("{} <-> {}", word(client_side), word(target_side));
                self.add("tunnel", row, count as u64);
            }
        }
        for (_, record) in &run.records {
            let agreed = [&record.tls.client, &record.tls.target];
            for agreed in agreed.into_iter().flatten() {
                self.add("agreed", format!("{} {}", agreed.version(), agreed.suite), 1);
            }
            let service = &run.choices.config.listeners[usize::from(record.listener)].service;
            let kind = match service {
                Service::Connect => "CONNECT",
                Service::Console(_) if record.bytes_spliced > 0 => "console, spliced",
                Service::Console(_) => "console, copied",
                Service::Forward(_) if is_program(service) => "forward to a program",
                Service::Forward(_) if is_terminal(service) => "forward to a terminal",
                Service::Forward(destination) => match destination.reach {
                    Reach::Door(_) => "forward to a UNIX socket",
                    Reach::Network(_) => "forward to the network",
                    Reach::HandedOver => "handed over",
                },
            };
            self.add("service", kind.to_owned(), u64::from(record.reason.phase == Phase::Relay));
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

/// The phases that a connection went through.
fn path(listener: &Listener, record: &Record) -> Vec<&'static str> {
    const OF_TARGET: &str = "tls of target";
    let is_door = matches!(
        listener.service.destination(),
        Some(Destination { reach: Reach::Door(_) | Reach::HandedOver, .. })
    );
    let asks = !matches!(listener.service, Service::Forward(_));
    let pages = record.reason.phase == Phase::Page;
    let path = [
        (listener.proxy_protocol == ProxyProtocol::Required, Phase::ProxyHeader.label()),
        (listener.tls.is_some(), Phase::Tls.label()),
        (asks, Phase::Request.label()),
        (!is_door && !pages, Phase::Admission.label()),
        (true, Phase::Connect.label()),
        (listener.vnc.is_some() && !pages, Phase::Login.label()),
        (listener.upstream_tls.is_some() && !pages, OF_TARGET),
        (true, if pages { Phase::Page.label() } else { Phase::Relay.label() }),
    ];
    let path = path.into_iter().filter_map(|(is_on, label)| is_on.then_some(label));
    let last = match (record.reason.phase, record.reason.side) {
        (Phase::Tls, Side::Target) => OF_TARGET,
        (phase, _) => phase.label(),
    };
    let mut went: Vec<_> = path.collect();
    let end = went.iter().position(|label| *label == last).map_or(0, |at| at + 1);
    went.truncate(end);
    went
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
