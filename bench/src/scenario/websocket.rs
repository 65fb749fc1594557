//! The scenarios in which clients speak WebSocket, as consoles in browsers do, plain or by TLS.
//!
//! Clients ask for `/websockify` and the sub-protocol `binary`, send masked frames and get frames that are not.

use super::fields::*;
use super::list::BASE;
use super::{Path, Scenario, Special};
use crate::contestant::Legs;
use crate::load::Pattern;
use crate::record::Unit;

const WS: &str = "penstock-ws";
const EPOLL: &str = "penstock-ws-epoll";
const COPY: &str = "penstock-ws-copy";
const WSS: &str = "penstock-wss";
/// websockify's class over the engine.
const HOSTED: &str = "websockify-penstock";

const SPLICE_GOAL: f64 = 0.25;
/// The same where nothing is spliced.
const COPY_GOAL: f64 = 0.5;
const MESSAGE_GOAL: f64 = 0.15;
/// What Python adds is about the beginning of a console.
const HOSTED_SPLICE_GOAL: f64 = 0.3;
const HOSTED_MESSAGE_GOAL: f64 = 0.2;
/// Beside the same without WebSocket.
const MESSAGE_TO_PLAIN_GOAL: f64 = 1.25;
/// Bytes of private memory.
const IDLE_GOAL: f64 = 2048.0;

const fn consoles(pingpongs: usize) -> Pattern {
    Pattern { pingpongs, ..Pattern::NONE }
}

pub(super) const SETUP: Scenario = Scenario {
    name: "ws-setup",
    title: "connect, WebSocket, one byte and back, close; 16 clients",
    question: "What does it cost to open a console in a browser?",
    pattern: CONNECT,
    unit: Unit::Connection,
    turn: PROCESS_TURN,
    field: &[WS, "websockify", "bare-ws"],
    also: &[EPOLL, HOSTED],
    ..PLAIN
};

pub(super) const BULK_1: Scenario = Scenario {
    name: "ws-bulk-1",
    title: "one stream, origin to client who speaks WebSocket",
    question: "What does one large transfer to a browser cost?",
    pattern: down(1),
    field: &[],
    also: &[WS, COPY, "websockify", "bare-ws-splice", HOSTED],
    ..BULK_8
};

pub(super) const BULK_8: Scenario = Scenario {
    name: "ws-bulk-8",
    title: "8 streams, origin to clients who speak WebSocket",
    question: "What do 8 large transfers to browsers cost?",
    pattern: down(8),
    unit: Unit::Gigabyte,
    path: Path::Splice,
    reference: "bare-ws-splice",
    field: &[WS, COPY, "websockify", "bare-ws-splice", HOSTED],
    also: &[EPOLL, "bare-ws"],
    bars: &[
        cost_of(WS, &["websockify"], SPLICE_GOAL),
        cost_of(COPY, &["websockify"], COPY_GOAL),
        cost_of(HOSTED, &["websockify"], HOSTED_SPLICE_GOAL),
    ],
    ..PLAIN
};

pub(super) const MESSAGES_16: Scenario = Scenario {
    name: "ws-64-16",
    title: "64-byte round trips of 16 clients who speak WebSocket",
    question: "What does a key press in a browser cost?",
    pattern: consoles(16),
    ..MESSAGES_64
};

/// Beside Penstock's plain tunnels, which show what WebSocket adds.
pub(super) const MESSAGES_64: Scenario = Scenario {
    name: "ws-64-64",
    title: "64-byte round trips of 64 clients who speak WebSocket",
    question: "What does a key press cost among 64 browsers?",
    pattern: consoles(64),
    turn: PROCESS_TURN,
    field: &[WS, URING, "websockify", "bare-ws", HOSTED],
    also: &[EPOLL],
    bars: &[
        cost_of(WS, &["websockify"], MESSAGE_GOAL),
        cost_of(WS, &[URING], MESSAGE_TO_PLAIN_GOAL),
        cost_of(HOSTED, &["websockify"], HOSTED_MESSAGE_GOAL),
    ],
    ..PLAIN
};

pub(super) const MESSAGES_200: Scenario = Scenario {
    name: "ws-64-200",
    title: "64-byte round trips of 200 clients who speak WebSocket",
    question: "What does a key press cost among 200 browsers?",
    pattern: consoles(200),
    turn: PROCESS_TURN,
    field: &[],
    also: &[WS, "websockify", "bare-ws", HOSTED],
    bars: &[cost_of(HOSTED, &["websockify"], HOSTED_MESSAGE_GOAL)],
    ..PLAIN
};

pub(super) const UPLOAD_8: Scenario = Scenario {
    name: "ws-upload-8",
    title: "8 streams, clients who speak WebSocket to origin, in frames of 16 KiB",
    question: "What do 8 uploads from browsers cost?",
    pattern: Pattern { pushers: 8, ..Pattern::NONE },
    unit: Unit::Gigabyte,
    field: &[WS, "websockify", "bare-ws"],
    also: &[EPOLL],
    ..PLAIN
};

pub(super) const TLS_BULK_8: Scenario = Scenario {
    name: "wss-bulk-8",
    title: "8 streams, origin to clients who speak WebSocket by TLS",
    question: "What do 8 large transfers to browsers cost by TLS?",
    pattern: down(8),
    unit: Unit::Gigabyte,
    ..BY_TLS
};

pub(super) const TLS_MESSAGES_64: Scenario = Scenario {
    name: "wss-64-64",
    title: "64-byte round trips of 64 clients who speak WebSocket by TLS",
    question: "What does a key press cost among 64 browsers by TLS?",
    pattern: consoles(64),
    turn: PROCESS_TURN,
    ..BY_TLS
};

pub(super) const IDLE_50: Scenario = Scenario {
    name: "ws-idle-50",
    title: "private memory that 50 clients who speak WebSocket add after each was sent 1 MiB and fell silent",
    question: "What does a console in a browser cost that nobody looks at?",
    pattern: herd(50),
    group: "ws-idle",
    unit: Unit::BytesPerTunnel,
    special: Special::Fresh,
    path: Path::Any,
    reference: "websockify",
    field: &[WS, "websockify"],
    also: &[HOSTED],
    ..PLAIN
};

pub(super) const IDLE_2000: Scenario = Scenario {
    name: "ws-idle-2000",
    title: "private memory that 2,000 clients who speak WebSocket add after each was sent 1 MiB and fell silent",
    question: "And among 2,000 of them?",
    pattern: herd(2000),
    reference: WS,
    field: &[WS],
    also: &[EPOLL],
    without: &[("websockify", "a process for each of 2,000 consoles")],
    bars: &[memory_of(WS, IDLE_GOAL), memory_of(EPOLL, IDLE_GOAL)],
    ..IDLE_50
};

const PLAIN: Scenario =
    Scenario { group: "ws", legs: Legs::WebSocket, lead: WS, reference: "bare-ws", ..BASE };

const BY_TLS: Scenario = Scenario {
    group: "wss",
    legs: Legs::WebSocketByTls,
    lead: WSS,
    reference: "websockify-tls",
    path: Path::TlsFromClient,
    field: &[WSS, "websockify-tls"],
    ..BASE
};
