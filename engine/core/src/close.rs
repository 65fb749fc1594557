//! Why a connection ended: one value, from which the log line, the metric labels and the C status are rendered.

use penstock_ring::Errno;

macro_rules! labelled {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $name:ident = $label:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $type { $($(#[$doc])* $name,)* }

        impl $type {
            /// All values, in index order.
            pub const ALL: &'static [$type] = &[$($type::$name,)*];

            /// The word for it in logs and metrics.
            pub const fn label(self) -> &'static str {
                match self { $($type::$name => $label,)* }
            }
        }
    };
}

labelled! {
    /// Who brought the end about.
    Side {
        /// The one that connected to us.
        Client = "client",
        /// The one that we connected to.
        Target = "target",
        /// We did.
        Penstock = "penstock",
    }
}

labelled! {
    /// How far the connection had come.
    Phase {
        /// Waiting for the PROXY header.
        ProxyHeader = "proxy_header",
        /// Agreeing on TLS, with the side that it is about.
        Tls = "tls",
        /// Waiting for the request head.
        Request = "request",
        /// Judged by the access rules, or its name being resolved.
        Admission = "admission",
        /// Connecting to the target.
        Connect = "connect",
        /// Agreeing with a VNC server, or a console's host, on who may come in.
        Login = "login",
        /// Carrying bytes.
        Relay = "relay",
        /// Serving pages.
        Page = "page",
    }
}

labelled! {
    /// What ended it.
    Cause {
        /// Everything was delivered and the streams ended in order.
        Finished = "finished",
        /// The peer left before the tunnel stood.
        HungUp = "hung_up",
        /// The peer reset the connection.
        Reset = "reset",
        /// The connection broke in another way (time-out of retransmission, unreachable …).
        Broken = "broken",
        /// A stream within TLS ended without the word that ends it: what is missing can't be told.
        Truncated = "truncated",
        /// TLS could not be agreed on, or was broken.
        TlsFailed = "tls_failed",
        /// Frames came that break the rules of WebSocket.
        BadFrame = "bad_frame",
        /// The certificate shown is not what it should be.
        CertificateRefused = "certificate_refused",
        /// The target did not let us in.
        NotLetIn = "not_let_in",
        /// The target offers no security that is allowed.
        NoCommonSecurity = "no_common_security",
        /// What comes first is not what the protocol has there.
        BadGreeting = "bad_greeting",
        /// A message that nobody knows, of somebody who may only look at a console.
        UnknownMessage = "unknown_message",
        /// Bytes in the clear came where TLS begins.
        Injected = "injected",
        /// The console has another name than the one that was looked up.
        OtherConsole = "other_console",
        /// What the target asks for could not be read.
        SecretMissing = "secret_missing",
        /// The request did not arrive in time.
        HandshakeTimeout = "handshake_timeout",
        /// No connection to the target in time.
        ConnectTimeout = "connect_timeout",
        /// No payload either way for the idle time-out.
        IdleTimeout = "idle_timeout",
        /// No key and no pointer moved for the user's idle time-out.
        UserIdle = "user_idle",
        /// Nothing was heard of the browser, though it was asked.
        DeadPeer = "dead_peer",
        /// The absolute lifetime is over.
        LifetimeEnd = "lifetime_end",
        /// What was read could not be flushed to a peer that does not read.
        FlushTimeout = "flush_timeout",
        /// A PROXY header was required and something else came, or it came from a source that is not trusted.
        BadProxyHeader = "bad_proxy_header",
        /// The request head breaks the grammar.
        BadRequest = "bad_request",
        /// The request head is larger than the limits.
        TooLarge = "too_large",
        /// Another method than CONNECT.
        MethodRefused = "method_refused",
        /// The page that asks is none that may.
        OriginRefused = "origin_refused",
        /// Who asks has not shown who it is, or is nobody who may.
        Unauthorized = "unauthorized",
        /// The token opens nothing.
        TokenRefused = "token_refused",
        /// Who knows tokens could not be asked.
        TokenLookupFailed = "token_lookup_failed",
        /// An access rule says no.
        AccessDenied = "access_denied",
        /// The target is loopback, link-local or unspecified, and no rule names it.
        LocalTarget = "local_target",
        /// The target is one of our own listeners.
        Loop = "loop",
        /// The target's name does not exist.
        NameNotFound = "name_not_found",
        /// The target's name could not be resolved now.
        NameLookupFailed = "name_lookup_failed",
        /// The target refused the connection.
        ConnectRefused = "connect_refused",
        /// The target can't be reached.
        Unreachable = "unreachable",
        /// As many tunnels as the limit allows.
        Overloaded = "overloaded",
        /// As many sessions as the listener allows.
        InUse = "in_use",
        /// No descriptor or memory was left.
        Exhausted = "exhausted",
        /// Its unread bytes pinned a pool that others waited for.
        PoolPinned = "pool_pinned",
        /// The drain time-out of a stop was over.
        Drained = "drained",
        /// Whoever handed it over has ended it.
        Cancelled = "cancelled",
    }
}

/// Side, phase and cause of an end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CloseReason {
    /// Who brought it about.
    pub side: Side,
    /// How far it had come.
    pub phase: Phase,
    /// What it was.
    pub cause: Cause,
}

impl CloseReason {
    /// Shorthand.
    pub const fn new(side: Side, phase: Phase, cause: Cause) -> CloseReason {
        CloseReason { side, phase, cause }
    }

    /// Number of different values.
    pub const COUNT: usize = Side::ALL.len() * Phase::ALL.len() * Cause::ALL.len();

    /// A dense index below [`COUNT`](Self::COUNT), for counters.
    pub const fn index(self) -> usize {
        (self.side as usize * Phase::ALL.len() + self.phase as usize) * Cause::ALL.len()
            + self.cause as usize
    }

    /// The value of an index.
    pub fn of_index(index: usize) -> Option<CloseReason> {
        let (rest, cause) = (index / Cause::ALL.len(), index % Cause::ALL.len());
        let (side, phase) = (rest / Phase::ALL.len(), rest % Phase::ALL.len());
        Some(CloseReason {
            side: *Side::ALL.get(side)?,
            phase: *Phase::ALL.get(phase)?,
            cause: Cause::ALL[cause],
        })
    }
}

impl Cause {
    /// What an errno means while connecting.
    pub fn of_connecting(errno: Errno) -> Cause {
        match errno {
            Errno::ECONNREFUSED | Errno::ECONNRESET => Cause::ConnectRefused,
            Errno::ETIMEDOUT => Cause::ConnectTimeout,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS => Cause::Exhausted,
            _ => Cause::Unreachable,
        }
    }

    /// What an errno means on a connection that stood.
    pub fn of_broken_leg(errno: Errno) -> Cause {
        match errno {
            Errno::ECONNRESET | Errno::EPIPE => Cause::Reset,
            _ => Cause::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_index() {
        let all: Vec<_> =
            (0..CloseReason::COUNT).map(|i| CloseReason::of_index(i).expect("dense")).collect();
        assert!(all.iter().enumerate().all(|(i, reason)| reason.index() == i));
        assert_eq!(CloseReason::of_index(CloseReason::COUNT), None);
    }
}
