//! The scenarios in which browsers open consoles of VNC. Penstock encrypts them to the origin: VeNCrypt, X509None, its certificate checked.
//! websockify can't, and carries the same in the clear: browsers log in at the origin themselves, which asks for nothing.

use super::fields::*;
use super::list::BASE;
use super::{Path, Scenario, Special};
use crate::contestant::Legs;
use crate::load::Pattern;
use crate::record::Unit;

const OURS: &str = "penstock-vnc";
const EPOLL: &str = "penstock-vnc-epoll";
const THEIRS: &str = "websockify-vnc";

/// With TLS, beside a process for each console without it.
const LOGIN_GOAL: f64 = 0.25;
const MESSAGE_GOAL: f64 = 0.25;
/// Bytes of private memory: what TLS and WebSocket may have alone.
const IDLE_GOAL: f64 = 8192.0;

pub(super) const LOGIN: Scenario = Scenario {
    name: "vnc-login",
    title: "connect, WebSocket, login at a VNC server, one byte and back, close; 16 clients",
    question: "What does it cost to open a console in a browser, encrypted to the hypervisor?",
    pattern: CONNECT,
    unit: Unit::Connection,
    turn: PROCESS_TURN,
    bars: &[cost_of(OURS, &[THEIRS], LOGIN_GOAL)],
    ..VNC
};

pub(super) const LOGIN_AGAIN: Scenario = Scenario {
    name: "vnc-login-again",
    title: "the same at a VNC server whose TLS gives tickets",
    question: "What does one more console of the same hypervisor cost?",
    pattern: Pattern { resumes: true, ..CONNECT },
    ..LOGIN
};

pub(super) const MESSAGES_64: Scenario = Scenario {
    name: "vnc-64-64",
    title: "64-byte round trips on 64 consoles of VNC",
    question: "What does a key press cost in a console that is encrypted to the hypervisor?",
    pattern: Pattern { pingpongs: 64, ..Pattern::NONE },
    turn: PROCESS_TURN,
    bars: &[cost_of(OURS, &[THEIRS], MESSAGE_GOAL)],
    ..VNC
};

pub(super) const BULK_8: Scenario = Scenario {
    name: "vnc-bulk-8",
    title: "8 consoles of VNC, origin to clients",
    question: "What do 8 films cost that are encrypted to the hypervisor?",
    pattern: down(8),
    unit: Unit::Gigabyte,
    ..VNC
};

pub(super) const IDLE_50: Scenario = Scenario {
    name: "vnc-idle-50",
    title: "private memory that 50 consoles of VNC add after each was sent 1 MiB and fell silent",
    question: "What does a console cost that nobody looks at, if it is encrypted to the hypervisor?",
    pattern: herd(50),
    group: "vnc-idle",
    unit: Unit::BytesPerTunnel,
    special: Special::Fresh,
    also: &[],
    ..VNC
};

pub(super) const IDLE_2000: Scenario = Scenario {
    name: "vnc-idle-2000",
    title: "private memory that 2,000 consoles of VNC add after each was sent 1 MiB and fell silent",
    question: "And among 2,000 of them?",
    pattern: herd(2000),
    reference: OURS,
    field: &[OURS],
    also: &[EPOLL],
    without: &[(THEIRS, "a process for each of 2,000 consoles")],
    bars: &[memory_of(OURS, IDLE_GOAL), memory_of(EPOLL, IDLE_GOAL)],
    ..IDLE_50
};

const VNC: Scenario = Scenario {
    group: "vnc",
    legs: Legs::Vnc,
    lead: OURS,
    reference: THEIRS,
    path: Path::Vnc,
    field: &[OURS, THEIRS],
    also: &[EPOLL],
    ..BASE
};
