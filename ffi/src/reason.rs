//! Why a connection ended, as numbers for C: those of the engine's close reasons, one by one.

use std::ffi::c_char;

use penstock_core::close::{Cause, Phase, Side};

use crate::edge::{UNKNOWN, lasting};

/// Who brought an end about.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum penstock_side {
    /// The one that connected.
    Client = 1,
    /// The one that it was connected to.
    Target = 2,
    /// The engine.
    Penstock = 3,
}

/// How far a connection had come.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum penstock_phase {
    /// Waiting for the PROXY header.
    ProxyHeader = 1,
    /// Agreeing on TLS, with the side that it is about.
    Tls = 2,
    /// Waiting for the request head.
    Request = 3,
    /// Judged by rules, by its token or by the host, or its name being resolved.
    Admission = 4,
    /// Connecting to the target.
    Connect = 5,
    /// Agreeing with a VNC server, or a console's host, on who may come in.
    Login = 6,
    /// Carrying bytes.
    Relay = 7,
    /// Serving pages.
    Page = 8,
}

/// What ended a connection.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum penstock_cause {
    /// Everything was delivered and the streams ended in order.
    Finished = 1,
    /// The peer left before the tunnel stood.
    HungUp = 2,
    /// The peer reset the connection.
    Reset = 3,
    /// The connection broke in another way (time-out of retransmission, unreachable …).
    Broken = 4,
    /// A stream within TLS ended without the word that ends it: what is missing can't be told.
    Truncated = 5,
    /// TLS could not be agreed on, or was broken.
    TlsFailed = 6,
    /// Frames came that break the rules of WebSocket.
    BadFrame = 7,
    /// The certificate shown is not what it should be.
    CertificateRefused = 8,
    /// The target did not let us in.
    NotLetIn = 9,
    /// The target offers no security that is allowed.
    NoCommonSecurity = 10,
    /// What comes first is not what the protocol has there.
    BadGreeting = 11,
    /// A message that nobody knows, of somebody who may only look at a console.
    UnknownMessage = 12,
    /// Bytes in the clear came where TLS begins.
    Injected = 13,
    /// The console has another name than the one that was looked up.
    OtherConsole = 14,
    /// What the target asks for could not be read.
    SecretMissing = 15,
    /// The request did not arrive in time.
    HandshakeTimeout = 16,
    /// No connection to the target in time.
    ConnectTimeout = 17,
    /// No payload either way for the idle time-out.
    IdleTimeout = 18,
    /// No key and no pointer moved for the user's idle time-out.
    UserIdle = 19,
    /// Nothing was heard of the browser, though it was asked.
    DeadPeer = 20,
    /// The absolute lifetime is over.
    LifetimeEnd = 21,
    /// What was read could not be flushed to a peer that does not read.
    FlushTimeout = 22,
    /// A PROXY header was required and something else came, or it came from a source that is not trusted.
    BadProxyHeader = 23,
    /// The request head breaks the grammar.
    BadRequest = 24,
    /// The request head is larger than the limits.
    TooLarge = 25,
    /// Another method than CONNECT.
    MethodRefused = 26,
    /// The page that asks is none that may.
    OriginRefused = 27,
    /// Who asks has not shown who it is, or is nobody who may.
    Unauthorized = 28,
    /// The token opens nothing.
    TokenRefused = 29,
    /// Who knows tokens could not be asked.
    TokenLookupFailed = 30,
    /// An access rule says no.
    AccessDenied = 31,
    /// The target is loopback, link-local or unspecified, and no rule names it.
    LocalTarget = 32,
    /// The target is one of our own listeners.
    Loop = 33,
    /// The target's name does not exist.
    NameNotFound = 34,
    /// The target's name could not be resolved now.
    NameLookupFailed = 35,
    /// The target refused the connection.
    ConnectRefused = 36,
    /// The target can't be reached.
    Unreachable = 37,
    /// As many tunnels as the limit allows.
    Overloaded = 38,
    /// As many sessions as the listener allows.
    InUse = 39,
    /// No descriptor or memory was left.
    Exhausted = 40,
    /// Its unread bytes pinned a pool that others waited for.
    PoolPinned = 41,
    /// The drain time-out of a stop was over.
    Drained = 42,
    /// Whoever handed it over has ended it.
    Cancelled = 43,
}

impl From<Side> for penstock_side {
    fn from(value: Side) -> penstock_side {
        match value {
            Side::Client => penstock_side::Client,
            Side::Target => penstock_side::Target,
            Side::Penstock => penstock_side::Penstock,
        }
    }
}

impl From<Phase> for penstock_phase {
    fn from(value: Phase) -> penstock_phase {
        match value {
            Phase::ProxyHeader => penstock_phase::ProxyHeader,
            Phase::Tls => penstock_phase::Tls,
            Phase::Request => penstock_phase::Request,
            Phase::Admission => penstock_phase::Admission,
            Phase::Connect => penstock_phase::Connect,
            Phase::Login => penstock_phase::Login,
            Phase::Relay => penstock_phase::Relay,
            Phase::Page => penstock_phase::Page,
        }
    }
}

impl From<Cause> for penstock_cause {
    fn from(value: Cause) -> penstock_cause {
        match value {
            Cause::Finished => penstock_cause::Finished,
            Cause::HungUp => penstock_cause::HungUp,
            Cause::Reset => penstock_cause::Reset,
            Cause::Broken => penstock_cause::Broken,
            Cause::Truncated => penstock_cause::Truncated,
            Cause::TlsFailed => penstock_cause::TlsFailed,
            Cause::BadFrame => penstock_cause::BadFrame,
            Cause::CertificateRefused => penstock_cause::CertificateRefused,
            Cause::NotLetIn => penstock_cause::NotLetIn,
            Cause::NoCommonSecurity => penstock_cause::NoCommonSecurity,
            Cause::BadGreeting => penstock_cause::BadGreeting,
            Cause::UnknownMessage => penstock_cause::UnknownMessage,
            Cause::Injected => penstock_cause::Injected,
            Cause::OtherConsole => penstock_cause::OtherConsole,
            Cause::SecretMissing => penstock_cause::SecretMissing,
            Cause::HandshakeTimeout => penstock_cause::HandshakeTimeout,
            Cause::ConnectTimeout => penstock_cause::ConnectTimeout,
            Cause::IdleTimeout => penstock_cause::IdleTimeout,
            Cause::UserIdle => penstock_cause::UserIdle,
            Cause::DeadPeer => penstock_cause::DeadPeer,
            Cause::LifetimeEnd => penstock_cause::LifetimeEnd,
            Cause::FlushTimeout => penstock_cause::FlushTimeout,
            Cause::BadProxyHeader => penstock_cause::BadProxyHeader,
            Cause::BadRequest => penstock_cause::BadRequest,
            Cause::TooLarge => penstock_cause::TooLarge,
            Cause::MethodRefused => penstock_cause::MethodRefused,
            Cause::OriginRefused => penstock_cause::OriginRefused,
            Cause::Unauthorized => penstock_cause::Unauthorized,
            Cause::TokenRefused => penstock_cause::TokenRefused,
            Cause::TokenLookupFailed => penstock_cause::TokenLookupFailed,
            Cause::AccessDenied => penstock_cause::AccessDenied,
            Cause::LocalTarget => penstock_cause::LocalTarget,
            Cause::Loop => penstock_cause::Loop,
            Cause::NameNotFound => penstock_cause::NameNotFound,
            Cause::NameLookupFailed => penstock_cause::NameLookupFailed,
            Cause::ConnectRefused => penstock_cause::ConnectRefused,
            Cause::Unreachable => penstock_cause::Unreachable,
            Cause::Overloaded => penstock_cause::Overloaded,
            Cause::InUse => penstock_cause::InUse,
            Cause::Exhausted => penstock_cause::Exhausted,
            Cause::PoolPinned => penstock_cause::PoolPinned,
            Cause::Drained => penstock_cause::Drained,
            Cause::Cancelled => penstock_cause::Cancelled,
        }
    }
}

fn named(mut all: impl Iterator<Item = (u32, &'static str)>, number: u32) -> *const c_char {
    lasting(all.find(|(one, _)| *one == number).map_or(UNKNOWN, |(_, label)| label))
}

/// The word for a penstock_side in logs and metrics, such as `client`; `unknown` for a number that is none.
///
/// The text lives for ever. Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_side_name(side: u32) -> *const c_char {
    named(Side::ALL.iter().map(|side| (penstock_side::from(*side) as u32, side.label())), side)
}

/// The word for a penstock_phase in logs and metrics, such as `relay`; `unknown` for a number that is none.
///
/// The text lives for ever. Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_phase_name(phase: u32) -> *const c_char {
    named(
        Phase::ALL.iter().map(|phase| (penstock_phase::from(*phase) as u32, phase.label())),
        phase,
    )
}

/// The word for a penstock_cause in logs and metrics, such as `idle_timeout`; `unknown` for a number that is none.
///
/// The text lives for ever. Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_cause_name(cause: u32) -> *const c_char {
    named(
        Cause::ALL.iter().map(|cause| (penstock_cause::from(*cause) as u32, cause.label())),
        cause,
    )
}
