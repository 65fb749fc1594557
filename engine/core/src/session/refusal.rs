//! What a refused client is told: side, phase, what was expected, what came, what to do. No secrets, no surmises.

use penstock_proto::http::{self, reply::Refusal};
use penstock_ring::{Errno, Kernel};

use super::{Session, State};
use crate::close::{Cause, CloseReason, Phase, Side};
use crate::config::{Door, Reach, Service};
use crate::control::Denied;
use crate::turn::{Step, Turn};

/// Seconds after which an overloaded proxy may be asked again.
pub(super) const RETRY_AFTER: u32 = 5;

/// One row of the table of refusals.
struct Row {
    status: u16,
    error: &'static str,
    expected: &'static str,
    came: &'static str,
    advice: &'static str,
}

impl Row {
    /// The reply in which nothing is special.
    fn refusal(&self, reason: CloseReason) -> Refusal<'static> {
        Refusal {
            status: self.status,
            error: self.error,
            errno: 0,
            side: reason.side.label(),
            phase: reason.phase.label(),
            expected: self.expected,
            came: self.came,
            advice: self.advice,
            date: "",
            retry_after: None,
            allow: None,
            fields: "",
        }
    }
}

impl Session {
    /// Answers with the reason, and lets the client read it.
    pub(super) fn refuse<K: Kernel>(
        &mut self,
        side: Side,
        cause: Cause,
        errno: Option<Errno>,
        turn: &mut Turn<K>,
    ) -> Step {
        let reason = CloseReason::new(side, self.phase(), cause);
        if let Some(errno) = errno {
            self.facts.detail = Some(errno.desc().into());
        }
        self.refuse_in_rfb(reason, turn)?;
        if self.is_browser() {
            return self.refuse_browser(reason, turn);
        }
        if !self.speaks_http() {
            return self.refuse_silently(reason, turn);
        }
        let late = side == Side::Target && cause == Cause::HandshakeTimeout;
        let mut row = if late { unsecured_in_time() } else { row(cause) };
        if late || cause == Cause::ConnectTimeout {
            row.status = self.listener().connect_timeout_status;
        }
        self.answer(reason, &row, row.came, errno.map_or(0, |errno| errno as i32), turn)
    }

    /// Answers a head that breaks the grammar or the limits.
    pub(super) fn refuse_head<K: Kernel>(
        &mut self,
        error: http::Error,
        turn: &mut Turn<K>,
    ) -> Step {
        let cause = of_head(error);
        let came = error.to_string();
        let row = Row {
            status: error.status(),
            error: error.squid_name(),
            expected: "CONNECT host:port HTTP/1.1",
            came: "",
            advice: "use this port as an HTTP proxy for CONNECT only",
        };
        self.facts.detail = Some(came.as_str().into());
        self.answer(CloseReason::new(Side::Client, Phase::Request, cause), &row, &came, 0, turn)
    }

    fn answer<K: Kernel>(
        &mut self,
        reason: CloseReason,
        row: &Row,
        came: &str,
        errno: i32,
        turn: &mut Turn<K>,
    ) -> Step {
        let refusal = Refusal {
            errno,
            came,
            retry_after: (reason.cause == Cause::Overloaded).then_some(RETRY_AFTER),
            allow: (row.status == 405).then_some("CONNECT"),
            ..row.refusal(reason)
        };
        self.answer_dated(reason, refusal, turn)
    }

    fn answer_dated<K: Kernel>(
        &mut self,
        reason: CloseReason,
        refusal: Refusal<'_>,
        turn: &mut Turn<K>,
    ) -> Step {
        let date = http_date(turn.outside.wall_time().unix);
        let mut reply = Vec::with_capacity(1024);
        Refusal { date: &date, ..refusal }.write(&mut reply);
        self.facts.status = refusal.status;
        self.reply_at_last(reason, reply, turn)
    }

    /// Answers whom the host denies it, in its words, if the client would understand any.
    pub(super) fn deny_client<K: Kernel>(
        &mut self,
        reason: CloseReason,
        denied: &Denied,
        turn: &mut Turn<K>,
    ) -> Step {
        if !self.speaks_http() {
            return self.refuse_silently(reason, turn);
        }
        let row = by_host(denied.status);
        let came = denied.words.as_deref().unwrap_or(row.came);
        let refusal = Refusal { came, fields: denied.fields.as_str(), ..row.refusal(reason) };
        self.answer_dated(reason, refusal, turn)
    }

    /// Whether the client would understand an answer: it speaks HTTP, and TLS stands if there is to be any.
    fn speaks_http(&self) -> bool {
        let listener = self.listener();
        let clear = listener.tls.is_none() || !self.layers.is_plain() || !self.is_new();
        listener.service == Service::Connect && clear
    }

    /// Whether nothing was heard of the client.
    fn is_new(&self) -> bool {
        matches!(self.state, State::Between | State::AwaitProxyHeader(_) | State::AwaitTls(_))
    }

    /// Ends a connection on which nothing can be said but by a person's terminal.
    fn refuse_silently<K: Kernel>(&mut self, reason: CloseReason, turn: &mut Turn<K>) -> Step {
        let words = match self.reads_text() {
            true => format!("penstock: {}\r\n", spoken(reason.cause)).into_bytes(),
            false => Vec::new(),
        };
        self.reply_at_last(reason, words, turn)
    }

    /// Sends an answer that is the last word, and gives the client the time to read it.
    pub(super) fn reply_at_last<K: Kernel>(
        &mut self,
        reason: CloseReason,
        reply: Vec<u8>,
        turn: &mut Turn<K>,
    ) -> Step {
        self.facts.reply_bytes += reply.len() as u32;
        let (receiving, ended) = self.leave_opening(turn);
        match self.layers.seal_bytes(reply.into()) {
            Ok(reply) => self.say_goodbye(reason, reply, receiving, ended, turn),
            Err(_) => Step::Break(reason),
        }
    }

    /// Whether a person reads what the target writes: a terminal's lines.
    fn reads_text(&self) -> bool {
        let listener = self.listener();
        let Service::Forward(destination) = &listener.service else { return false };
        let Reach::Door(door) = &destination.reach else { return false };
        let heard = listener.tls.is_none() || !self.is_new();
        matches!(**door, Door::Terminal(_)) && heard
    }
}

/// What is wrong with a head, for logs and metrics.
pub(super) fn of_head(error: http::Error) -> Cause {
    match error.status() {
        414 | 431 => Cause::TooLarge,
        405 | 501 => Cause::MethodRefused,
        _ => Cause::BadRequest,
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
pub(super) fn http_date(unix: u64) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(unix))
}

fn row(cause: Cause) -> Row {
    match cause {
        Cause::AccessDenied | Cause::LocalTarget | Cause::Loop => denied(cause),
        Cause::NameNotFound | Cause::NameLookupFailed => unnamed(cause),
        Cause::Overloaded | Cause::Exhausted | Cause::InUse => no_room(cause),
        Cause::TlsFailed | Cause::CertificateRefused | Cause::NotLetIn => insecure(cause),
        Cause::TokenLookupFailed => Row {
            status: 503,
            error: "ERR_CANNOT_FORWARD",
            expected: "a decision on whether this may be had",
            came: "none in time",
            advice: "try again later; the operator's log has the session",
        },
        Cause::HandshakeTimeout => Row {
            status: 408,
            error: "ERR_READ_TIMEOUT",
            expected: "a whole request head in time",
            came: "a part of one",
            advice: "send the request at once",
        },
        _ => unconnected(cause),
    }
}

/// The same for a person's eyes, in few words.
fn spoken(cause: Cause) -> &'static str {
    match cause {
        Cause::InUse => "this console is in use by somebody else; try again later",
        Cause::AccessDenied | Cause::LocalTarget | Cause::Loop => "you may not use this console",
        Cause::Overloaded | Cause::Exhausted => {
            "there is no room for one more session; try again later"
        }
        _ => "this console can't be reached now; the operator's log has the reason",
    }
}

fn denied(cause: Cause) -> Row {
    let (expected, came, advice) = match cause {
        Cause::LocalTarget => (
            "a target that is not the proxy's own host",
            "a loopback, link-local or unspecified address",
            "the operator can name it in a `dst` list of an allow rule",
        ),
        Cause::Loop => (
            "a target behind the proxy",
            "the proxy itself",
            "check the target: it leads back here",
        ),
        _ => (
            "a target that the access rules allow",
            "one that they deny",
            "ask the operator to allow it in `access`",
        ),
    };
    Row { status: 403, error: "ERR_ACCESS_DENIED", expected, came, advice }
}

fn by_host(status: u16) -> Row {
    let error = match status {
        407 => "ERR_CACHE_ACCESS_DENIED",
        _ => "ERR_ACCESS_DENIED",
    };
    Row {
        status,
        error,
        expected: "a request that whoever decides here allows",
        came: "one that is denied",
        advice: "ask the operator",
    }
}

fn unnamed(cause: Cause) -> Row {
    let (expected, came) = match cause {
        Cause::NameNotFound => ("a name with an address", "no such name"),
        _ => ("an answer of the name service", "none in time"),
    };
    let advice = "check the target's name, and the name service of the proxy's host";
    Row { status: 503, error: "ERR_DNS_FAIL", expected, came, advice }
}

fn unconnected(cause: Cause) -> Row {
    let routes = "check routes and firewalls between the proxy and the target";
    let (expected, came, advice) = match cause {
        Cause::ConnectRefused => (
            "a listening target",
            "connection refused",
            "check that the console's server listens on this port",
        ),
        Cause::ConnectTimeout => ("a connection to the target", "none in time", routes),
        _ => ("a route to the target", "none", routes),
    };
    Row { status: 503, error: "ERR_CONNECT_FAIL", expected, came, advice }
}

fn insecure(cause: Cause) -> Row {
    let (expected, came, advice) = match cause {
        Cause::CertificateRefused => (
            "a target's certificate that the proxy trusts",
            "another one",
            "the operator's log names the certificate's fault and its remedy",
        ),
        Cause::NotLetIn => (
            "a target that lets the proxy in",
            "a target that closed the connection",
            "the operator's log says what the target may miss",
        ),
        _ => (
            "TLS with the target",
            "none that both sides speak",
            "the operator's log has the reason",
        ),
    };
    Row { status: 503, error: "ERR_SECURE_CONNECT_FAIL", expected, came, advice }
}

fn unsecured_in_time() -> Row {
    Row {
        came: "none in time",
        advice: "check that the target speaks TLS on this port, and routes and firewalls between the proxy and it",
        ..insecure(Cause::TlsFailed)
    }
}

fn no_room(cause: Cause) -> Row {
    let (expected, came, advice) = match cause {
        Cause::InUse => (
            "a place among this listener's sessions",
            "all are taken",
            "try again later; the operator can raise `max_sessions`",
        ),
        Cause::Overloaded => (
            "room for one more connection",
            "the limit is reached",
            "try again later; the operator can raise `max_tunnels`",
        ),
        _ => (
            "descriptors and memory for one more connection",
            "none left",
            "try again later; the operator can raise the descriptor limit",
        ),
    };
    Row { status: 503, error: "ERR_CANNOT_FORWARD", expected, came, advice }
}
