//! The scenarios in which one of the two legs is TLS: from the client, or to the origin.
//!
//! Everybody speaks TLS 1.3 with AES-256-GCM and X25519, and shows the same certificate of ECDSA on P-256: the load offers nothing else.

use super::fields::*;
use super::list::BASE;
use super::{Path, Scenario, Special};
use crate::contestant::Legs;
use crate::load::Pattern;
use crate::record::Unit;

const FROM: &str = "penstock-tls";
const FROM_EPOLL: &str = "penstock-tls-epoll";
const TO: &str = "penstock-to-tls";
const TO_EPOLL: &str = "penstock-to-tls-epoll";

/// Peers, each at every setting that could be its best.
const FROM_PEERS: &[&str] =
    &["haproxy-tls", "haproxy-tls-wide", "nginx-tls", "nginx-tls-wide", "hitch", "stunnel"];
const TO_PEERS: &[&str] = &[
    "haproxy-to-tls",
    "haproxy-to-tls-wide",
    "nginx-to-tls",
    "nginx-to-tls-wide",
    "stunnel-to-tls",
];

const BULK_GOAL: f64 = 0.6;
const HANDSHAKE_GOAL: f64 = 0.8;
/// Bytes of private memory.
const IDLE_GOAL: f64 = 6144.0;

const UP_8: Pattern = Pattern { pushers: 8, ..Pattern::NONE };
const AGAIN: Pattern = Pattern { resumes: true, ..CONNECT };

/// A loop that is a measure and no bound, whoever does not win by his buffers, and Penstock's other driver.
const FROM_OTHERS: &[&str] =
    &[FROM_EPOLL, "haproxy-tls", "nginx-tls", "hitch", "stunnel", "bare-tls"];
/// Where many are measured already.
const FROM_ALL_BUT_DEFAULTS: &[&str] =
    &[FROM, "haproxy-tls-wide", "nginx-tls-wide", "hitch", "stunnel", "bare-tls"];
const TO_ALL_BUT_DEFAULTS: &[&str] =
    &[TO, "haproxy-to-tls-wide", "nginx-to-tls-wide", "stunnel-to-tls", "bare-to-tls"];
const THREADS: &str = "a thread for each of 64 streams, of which some get no turn in a window";

pub(super) const FROM_BULK_1: Scenario = Scenario {
    name: "tls-bulk-1",
    title: "one stream, origin to client who speaks TLS",
    question: "What does one large transfer cost if its client speaks TLS?",
    pattern: down(1),
    field: &[],
    also: FROM_ALL_BUT_DEFAULTS,
    ..FROM_BULK_8
};

pub(super) const FROM_BULK_8: Scenario = Scenario {
    name: "tls-bulk-8",
    title: "8 streams, origin to clients who speak TLS",
    question: "What do 8 large transfers cost if their clients speak TLS?",
    pattern: down(8),
    unit: Unit::Gigabyte,
    field: &[FROM, "haproxy-tls-wide", "nginx-tls-wide"],
    bars: &[cost_of(FROM, FROM_PEERS, BULK_GOAL)],
    ..FROM_BASE
};

pub(super) const FROM_BULK_64: Scenario = Scenario {
    name: "tls-bulk-64",
    title: "64 streams, origin to clients who speak TLS",
    question: "What do 64 large transfers cost if their clients speak TLS?",
    pattern: down(64),
    field: &[],
    also: &[FROM, "haproxy-tls-wide", "nginx-tls-wide", "hitch", "bare-tls"],
    without: &[("stunnel", THREADS)],
    ..FROM_BULK_8
};

pub(super) const FROM_UPLOAD_8: Scenario = Scenario {
    name: "tls-upload-8",
    title: "8 streams, clients who speak TLS to origin",
    question: "What do 8 uploads cost if their clients speak TLS?",
    pattern: UP_8,
    ..FROM_BULK_8
};

pub(super) const FROM_HANDSHAKE: Scenario = Scenario {
    name: "tls-handshake",
    title: "connect, TLS handshake, one byte and back, close; 16 clients",
    question: "What does it cost to open a console by TLS?",
    pattern: CONNECT,
    unit: Unit::Connection,
    field: &[FROM, "nginx-tls", "hitch"],
    also: &[FROM_EPOLL, "haproxy-tls", "stunnel", "bare-tls"],
    bars: &[cost_of(FROM, FROM_PEERS, HANDSHAKE_GOAL)],
    ..FROM_BASE
};

pub(super) const FROM_RESUME: Scenario = Scenario {
    name: "tls-resume",
    title: "connect, TLS session taken up again by its ticket, one byte and back, close; 16 clients",
    question: "What does it cost to open a console by TLS for a client who was here before?",
    pattern: AGAIN,
    ..FROM_HANDSHAKE
};

pub(super) const FROM_IDLE: Scenario = Scenario {
    name: "tls-idle-1000",
    title: "private memory that 1,000 tunnels of clients who speak TLS add after each carried 1 MiB and fell silent",
    question: "What does a console by TLS cost that nobody looks at?",
    pattern: herd(1000),
    group: "tls-idle",
    unit: Unit::BytesPerTunnel,
    special: Special::Fresh,
    reference: "haproxy-tls",
    field: &[FROM],
    also: &[FROM_EPOLL, "haproxy-tls", "nginx-tls", "hitch", "stunnel"],
    bars: &[memory_of(FROM, IDLE_GOAL)],
    ..FROM_BASE
};

pub(super) const TO_BULK_1: Scenario = Scenario {
    name: "to-tls-bulk-1",
    title: "one stream, origin that speaks TLS to client",
    question: "What does one large transfer cost if its origin speaks TLS?",
    pattern: down(1),
    field: &[],
    also: TO_ALL_BUT_DEFAULTS,
    without: &[],
    ..TO_BULK_8
};

pub(super) const TO_BULK_8: Scenario = Scenario {
    name: "to-tls-bulk-8",
    title: "8 streams, origin that speaks TLS to clients",
    question: "What do 8 large transfers cost if their origin speaks TLS?",
    pattern: down(8),
    unit: Unit::Gigabyte,
    field: &[TO, "haproxy-to-tls-wide", "nginx-to-tls-wide"],
    also: &[TO_EPOLL, "haproxy-to-tls", "nginx-to-tls", "stunnel-to-tls", "bare-to-tls"],
    without: &[("hitch", "it does not check whom it speaks TLS with")],
    bars: &[cost_of(TO, TO_PEERS, BULK_GOAL)],
    ..TO_BASE
};

pub(super) const TO_BULK_64: Scenario = Scenario {
    name: "to-tls-bulk-64",
    title: "64 streams, origin that speaks TLS to clients",
    question: "What do 64 large transfers cost if their origin speaks TLS?",
    pattern: down(64),
    field: &[],
    also: &[TO, "haproxy-to-tls-wide", "nginx-to-tls-wide", "bare-to-tls"],
    without: &[("stunnel-to-tls", THREADS)],
    ..TO_BULK_8
};

pub(super) const TO_UPLOAD_8: Scenario = Scenario {
    name: "to-tls-upload-8",
    title: "8 streams, clients to origin that speaks TLS",
    question: "What do 8 uploads cost if their origin speaks TLS?",
    pattern: UP_8,
    also: &["stunnel-to-tls", "bare-to-tls"],
    without: &[],
    ..TO_BULK_8
};

pub(super) const TO_HANDSHAKE: Scenario = Scenario {
    name: "to-tls-handshake",
    title: "connect, TLS handshake with the origin, one byte and back, close; 16 clients",
    question: "What does it cost to open a console whose hypervisor speaks TLS?",
    pattern: CONNECT,
    unit: Unit::Connection,
    field: &[],
    also: &[TO, "haproxy-to-tls", "nginx-to-tls", "stunnel-to-tls", "bare-to-tls"],
    bars: &[cost_of(TO, TO_PEERS, HANDSHAKE_GOAL)],
    ..TO_BASE
};

pub(super) const TO_RESUME: Scenario = Scenario {
    name: "to-tls-resume",
    title: "connect, TLS handshake with an origin that gives tickets, one byte and back, close; 16 clients",
    question: "What does it cost to open one more console of the same hypervisor by TLS?",
    pattern: AGAIN,
    ..TO_HANDSHAKE
};

pub(super) const TO_IDLE: Scenario = Scenario {
    name: "to-tls-idle-1000",
    title: "private memory that 1,000 tunnels to an origin that speaks TLS add after each carried 1 MiB and fell silent",
    question: "What does a console cost that nobody looks at, if its hypervisor speaks TLS?",
    pattern: herd(1000),
    group: "tls-idle",
    unit: Unit::BytesPerTunnel,
    special: Special::Fresh,
    reference: "haproxy-to-tls",
    field: &[],
    also: &[TO, TO_EPOLL, "haproxy-to-tls", "nginx-to-tls"],
    bars: &[memory_of(TO, IDLE_GOAL)],
    ..TO_BASE
};

const FROM_BASE: Scenario = Scenario {
    group: "tls",
    legs: Legs::TlsFromClient,
    lead: FROM,
    reference: "bare-tls",
    path: Path::TlsFromClient,
    also: FROM_OTHERS,
    ..BASE
};

const TO_BASE: Scenario = Scenario {
    group: "to-tls",
    legs: Legs::TlsToOrigin,
    lead: TO,
    reference: "bare-to-tls",
    path: Path::TlsToOrigin,
    ..BASE
};
