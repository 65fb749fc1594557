//! The scenarios, in the order in which they are measured and shown.

use std::time::Duration;

use super::fields::*;
use super::{Bar, Path, Scenario, Special, tls, vnc, websocket};
use crate::contestant::Legs;
use crate::load::{Burst, Pace, Pattern};
use crate::record::{Measure, Unit};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "setup",
        group: "setup",
        title: "connect, one 64-byte round trip, close; 16 clients",
        question: "What does it cost to open a console?",
        pattern: Pattern { setups: 16, ..Pattern::NONE },
        unit: Unit::Connection,
        field: &[URING, EPOLL, "squid", "haproxy-copy", "haproxy-auto", "nginx", "bare-copy"],
        also: &["tinyproxy", "trafficserver", "tokio", "tokio-uring", "bare-splice"],
        bars: &[cost(&["squid"], 0.42), cost(&["nginx"], 0.95), epoll(1.4)],
        ..BASE
    },
    Scenario {
        name: "setup-open",
        group: "setup",
        title: "2,000 connections per second, each with one 64-byte round trip, begun on schedule; latency from the scheduled moment",
        question: "How long does a user wait for a console when others keep opening theirs?",
        pattern: Pattern { setups: 1000, pace: Pace::Rate(2000), ..Pattern::NONE },
        unit: Unit::Connection,
        field: &[URING, EPOLL, "squid", "haproxy-copy", "nginx", "bare-copy"],
        also: &["trafficserver", "tokio"],
        ..BASE
    },
    Scenario {
        name: "pingpong-64",
        title: "64-byte round trips on 64 tunnels",
        question: "What does a key press or a mouse move cost?",
        field: MESSAGES,
        also: OTHERS,
        bars: &[cost(PEERS, 0.90), p99(PEERS, 1.0), epoll(1.25)],
        ..pingpong(64)
    },
    Scenario {
        name: "pingpong-256",
        title: "64-byte round trips on 256 tunnels",
        question: "Does a message cost more beside 256 consoles?",
        field: &[],
        also: &[
            URING,
            EPOLL,
            "squid",
            "haproxy-copy",
            "haproxy-auto",
            "nginx",
            "tokio",
            "bare-copy",
        ],
        ..pingpong(256)
    },
    Scenario {
        name: "pingpong-1000",
        title: "64-byte round trips on 1,000 tunnels",
        question: "Does a message cost more beside 1,000 consoles?",
        field: MESSAGES,
        also: &["trafficserver", "tokio", "tokio-uring"],
        without: &[("tinyproxy", "a thread for each of 1,000 tunnels")],
        bars: &[cost(PEERS, 0.80), p99(PEERS, 1.0), growth("pingpong-64", 1.35), epoll(1.25)],
        ..pingpong(1000)
    },
    Scenario {
        name: "pingpong-4000",
        title: "64-byte round trips on 4,000 tunnels",
        question: "Does a message cost more beside 4,000 consoles?",
        field: &[URING, EPOLL, "haproxy-auto", "bare-copy"],
        also: &["haproxy-copy", "nginx", "tokio"],
        without: &[
            ("tinyproxy", "a thread for each of 4,000 tunnels"),
            ("haproxy-splice", "four pipe ends beside two sockets for each of 4,000 tunnels"),
            ("bare-splice", "four pipe ends beside two sockets for each of 4,000 tunnels"),
        ],
        bars: &[growth("pingpong-64", 1.6), epoll(1.25)],
        ..pingpong(4000)
    },
    Scenario {
        name: "messages-open",
        group: "messages-open",
        title: "5,000 64-byte messages per second on 64 tunnels, sent on schedule; latency from the scheduled moment",
        question: "How long does an answer take under a steady load?",
        pattern: Pattern { pingpongs: 64, pace: Pace::Rate(5000), ..Pattern::NONE },
        field: &[URING, EPOLL, "squid", "haproxy-copy", "nginx", "bare-copy"],
        also: &["haproxy-auto", "trafficserver", "tokio", "tokio-uring"],
        bars: &[p99(PEERS, 1.0)],
        ..BASE
    },
    Scenario {
        name: "message-16k",
        title: "16 KiB round trips on 16 tunnels; everybody runs without privileges",
        question: "What do larger messages cost, such as small pictures?",
        ..MESSAGE_16K
    },
    Scenario {
        name: "message-16k-nopipes",
        title: "16 KiB round trips on 16 tunnels, after a stream that wanted pipes; the user's pipe quota is used up",
        group: "message-16k-nopipes",
        question: "Is there a cliff where the kernel has no pipes left to give?",
        pattern: Pattern { pingpongs: 16, message: 16 << 10, prelude: true, ..Pattern::NONE },
        path: Path::NoPipe,
        special: Special::Unprivileged { pipes_used_up: true },
        ..MESSAGE_16K
    },
    Scenario {
        name: "bulk-1",
        title: "one stream, origin to client",
        question: "What does one large transfer cost?",
        pattern: Pattern { streams: 1, ..Pattern::NONE },
        also: FEWER_OTHERS,
        bars: &[cost(BEST_OR_BARE, 1.05), epoll(1.25)],
        ..BULK_MANY
    },
    Scenario {
        name: "bulk-8",
        title: "8 streams, origin to client",
        question: "What do 8 large transfers cost?",
        pattern: Pattern { streams: 8, ..Pattern::NONE },
        ..BULK_MANY
    },
    Scenario {
        name: "mixed",
        title: "8 streams of 1 GB/s in all beside 3,200 64-byte messages per second on 64 tunnels, both sent on schedule; latency from the scheduled moment",
        question: "Do large transfers make the consoles beside them slow, where everybody carries the same?",
        pattern: Pattern { stream_rate: Some(1_000_000_000), ..MIXED },
        path: Path::Both,
        also: FEWER_OTHERS,
        bars: &[p99(PEERS, 1.0), epoll(1.25)],
        ..BULK_MANY
    },
    Scenario {
        name: "mixed-flat-out",
        title: "8 streams as fast as they go beside 3,200 64-byte messages per second on 64 tunnels, sent on schedule; latency from the scheduled moment",
        question: "Do consoles make the large transfers beside them dearer?",
        pattern: MIXED,
        path: Path::Both,
        also: FEWER_OTHERS,
        bars: &[growth("bulk-8", 1.15), epoll(1.25)],
        ..BULK_MANY
    },
    Scenario {
        name: "phases",
        title: "4 tunnels, each in turn 500 round trips of 64 bytes and 8 MiB at once; the CPU of both for each of these round trips",
        question: "What does a console cost that is quiet now and plays a film then?",
        pattern: Pattern {
            pingpongs: 4,
            burst: Some(Burst { after: 500, bytes: 8 << 20 }),
            ..Pattern::NONE
        },
        unit: Unit::RoundTrip,
        path: Path::Alternating,
        reference: "bare-copy",
        field: &[URING, EPOLL, "squid", "haproxy-copy", "haproxy-splice", "nginx", "bare-copy"],
        also: &["penstock-uring-copy", "haproxy-auto", "tokio", "bare-splice"],
        bars: &[epoll(1.25)],
        ..BULK_MANY
    },
    Scenario {
        name: "bulk-32",
        title: "32 streams, origin to client",
        question: "What do 32 large transfers cost?",
        pattern: Pattern { streams: 32, ..Pattern::NONE },
        also: FEWER_OTHERS,
        ..BULK_MANY
    },
    Scenario {
        name: "nginx-bulk-8",
        group: "nginx",
        title: "8 streams, origin to client, by nginx with Penstock's module and without",
        question: "What does nginx gain by handing its sessions over?",
        pattern: Pattern { streams: 8, ..Pattern::NONE },
        path: Path::Any,
        special: Special::Closed,
        lead: "nginx-penstock",
        reference: "nginx",
        field: &["nginx-penstock", "nginx-penstock-epoll", "nginx", "nginx-default"],
        also: &["bare-splice"],
        bars: &[cost_of("nginx-penstock", &["nginx", "nginx-default"], 0.5)],
        ..BULK_MANY
    },
    Scenario {
        name: "idle-1000",
        title: "private memory that 1,000 tunnels add after each carried 1 MiB and fell silent",
        question: "What does a console cost that nobody looks at?",
        field: &[URING, "haproxy-copy"],
        also: &[
            EPOLL,
            "squid",
            "nginx-default",
            "trafficserver",
            "haproxy-splice",
            "nginx",
            "tokio",
        ],
        ..idle(1000)
    },
    Scenario {
        name: "idle-5000",
        title: "private memory that 5,000 tunnels add after each carried 1 MiB and fell silent",
        question: "And among 5,000 of them?",
        field: &[URING],
        also: &[EPOLL, "haproxy-copy"],
        without: &[
            ("squid", "5,000 of its tunnels take minutes to fill"),
            ("nginx-default", "5,000 of its tunnels take minutes to fill"),
        ],
        bars: &[
            absolute(URING, Measure::Absolute, 1024.0),
            absolute(EPOLL, Measure::Absolute, 1024.0),
            absolute(URING, Measure::CoreShare, 0.005),
        ],
        ..idle(5000)
    },
    Scenario {
        name: "slow-readers",
        group: "slow-readers",
        title: "64-byte round trips on 64 tunnels beside 100 clients that stopped reading a flood",
        question: "Do consoles suffer from neighbours that do not read?",
        pattern: Pattern { pingpongs: 64, stalled: 100, ..Pattern::NONE },
        path: Path::Any,
        field: &[URING, EPOLL, "haproxy-copy", "nginx", "bare-copy"],
        also: &["squid", "trafficserver", "haproxy-splice", "tokio"],
        ..BASE
    },
    Scenario {
        name: "lone",
        group: "lone",
        title: "64-byte round trips on one tunnel; client and origin never sleep, the median latency",
        question: "How quick is a single console on a quiet machine?",
        pattern: Pattern { pingpongs: 1, spin: true, ..Pattern::NONE },
        unit: Unit::Latency,
        lead: "penstock-uring-busy",
        special: Special::Closed,
        field: &[
            URING,
            "penstock-uring-busy",
            "squid",
            "haproxy-copy",
            "haproxy-busy",
            "nginx",
            "bare-copy",
        ],
        also: &["bare-copy-busy"],
        bars: &[Bar {
            ours: "penstock-uring-busy",
            measure: Measure::P50,
            rivals: &["squid", "haproxy-copy", "haproxy-busy", "nginx"],
            scenario: None,
            limit: 0.5,
        }],
        ..BASE
    },
    Scenario {
        name: "workers-messages",
        title: "5,000 64-byte messages per second on 64 tunnels; two workers on two cores against one worker on either (where there are only two cores, one is the load's)",
        question: "Does a second worker make messages dearer?",
        pattern: Pattern { pingpongs: 64, pace: Pace::Rate(5000), ..Pattern::NONE },
        ..WORKERS
    },
    Scenario {
        name: "workers-setups",
        title: "1,000 connections per second, each with one 64-byte round trip; two workers on two cores against one worker on either (where there are only two cores, one is the load's)",
        question: "Does a second worker make opening a console dearer?",
        pattern: Pattern { setups: 1000, pace: Pace::Rate(1000), ..Pattern::NONE },
        unit: Unit::Connection,
        ..WORKERS
    },
    tls::FROM_BULK_1,
    tls::FROM_BULK_8,
    tls::FROM_BULK_64,
    tls::FROM_UPLOAD_8,
    tls::FROM_HANDSHAKE,
    tls::FROM_RESUME,
    tls::TO_BULK_1,
    tls::TO_BULK_8,
    tls::TO_BULK_64,
    tls::TO_UPLOAD_8,
    tls::TO_HANDSHAKE,
    tls::TO_RESUME,
    tls::FROM_IDLE,
    tls::TO_IDLE,
    websocket::SETUP,
    websocket::BULK_1,
    websocket::BULK_8,
    websocket::MESSAGES_16,
    websocket::MESSAGES_64,
    websocket::MESSAGES_200,
    websocket::UPLOAD_8,
    websocket::TLS_BULK_8,
    websocket::TLS_MESSAGES_64,
    websocket::IDLE_50,
    websocket::IDLE_2000,
    vnc::LOGIN,
    vnc::LOGIN_AGAIN,
    vnc::MESSAGES_64,
    vnc::BULK_8,
    vnc::IDLE_50,
    vnc::IDLE_2000,
];

pub(super) const BASE: Scenario = Scenario {
    name: "",
    group: "",
    title: "",
    question: "",
    pattern: Pattern::NONE,
    legs: Legs::Plain,
    turn: Duration::from_micros(200),
    unit: Unit::RoundTrip,
    lead: URING,
    reference: "bare-copy",
    path: Path::Copy,
    field: &[],
    also: &[],
    without: &[],
    series: None,
    special: Special::None,
    bars: &[],
};

const fn pingpong(tunnels: u32) -> Scenario {
    Scenario {
        group: "pingpong",
        pattern: Pattern { pingpongs: tunnels as usize, ..Pattern::NONE },
        series: Some(("tunnels", tunnels)),
        ..BASE
    }
}

/// After its tunnels fell silent, a herd is watched for a second or two: for the memory that stays, and for its CPU.
const fn idle(tunnels: u32) -> Scenario {
    Scenario {
        group: "idle",
        pattern: Pattern { streams: tunnels as usize, fill: Some(1 << 20), ..Pattern::NONE },
        unit: Unit::BytesPerTunnel,
        reference: "haproxy-copy",
        path: Path::Any,
        series: Some(("idle tunnels", tunnels)),
        special: Special::Fresh,
        ..BASE
    }
}

const MESSAGE_16K: Scenario = Scenario {
    group: "message-16k",
    pattern: Pattern { pingpongs: 16, message: 16 << 10, ..Pattern::NONE },
    special: Special::Unprivileged { pipes_used_up: false },
    field: MESSAGES,
    also: &["penstock-uring-copy", "tokio", "bare-splice"],
    bars: &[cost(&["bare-copy"], 1.10), p99(&["bare-copy"], 1.10), epoll(1.25)],
    ..BASE
};

const MIXED: Pattern =
    Pattern { streams: 8, pingpongs: 64, pace: Pace::Rate(3200), ..Pattern::NONE };

const BULK_MANY: Scenario = Scenario {
    group: "bulk",
    unit: Unit::Gigabyte,
    reference: "bare-splice",
    path: Path::Splice,
    field: BULK,
    also: OTHERS,
    bars: &[cost(DEFAULTS, 0.45), cost(PEERS, 0.90), cost(&["bare-splice"], 1.10), epoll(1.25)],
    ..BASE
};

const BEST_OR_BARE: &[&str] = &[
    "squid",
    "tinyproxy",
    "trafficserver",
    "haproxy-copy",
    "haproxy-auto",
    "haproxy-splice",
    "nginx",
    "nginx-default",
    "bare-splice",
];

const WORKERS: Scenario = Scenario {
    group: "workers",
    special: Special::Closed,
    reference: URING,
    field: &[URING, "penstock-uring-2", "penstock-uring-other"],
    bars: &[workers(1.1)],
    ..BASE
};
