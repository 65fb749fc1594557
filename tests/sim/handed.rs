//! What must be true of tunnels that were handed over, besides what is true of any: they are told of by their number, end by their own
//! timers, and by being cancelled only if they were; and how often each sort of them was met.

use std::time::Duration;

use penstock_core::close::{Cause, Phase};
use penstock_core::config::{
    Config, HalfClose, Listener, ProxyProtocol, SendProxy, Service, Timeouts,
};
use penstock_core::intake::Timer;
use penstock_ring::Time;

use crate::sim::errands::Errand;
use crate::sim::oracle::Case;
use crate::sim::policy::cookie;
use crate::sim::tally::{Fault, count};

/// Who is cancelled may be told so, and take this long to hear it.
const LAST_WORDS: Duration = Duration::from_secs(4);
/// A turn of the worker, and then some.
const AT_ONCE: Duration = Duration::from_millis(500);
/// A flush, at the end.
const FLUSH: Duration = Duration::from_secs(5);

/// A listener's terms, but for what a tunnel has for itself.
pub fn own_terms(settings: &Listener, errand: Option<&Errand>) -> (Timeouts, HalfClose) {
    let own = errand.map(|errand| errand.own).unwrap_or_default();
    let or = |timer: Timer, terms| match timer {
        Timer::Terms => terms,
        Timer::Never => None,
        Timer::After(span) => Some(span),
    };
    let terms = settings.timeouts;
    let (idle, lifetime) = (or(own.idle, terms.idle), or(own.lifetime, terms.lifetime));
    let half_close = own.half_close.unwrap_or(settings.half_close);
    (Timeouts { idle, lifetime, ..terms }, half_close)
}

/// Counts what was taken, and with which bytes.
pub fn count_terms(errand: &Errand, config: &Config, came: &[Vec<u8>; 2], stopping: bool) {
    let settings = &config.listeners[usize::from(errand.listener)];
    let Listener { tls, upstream_tls, proxy_protocol, send_proxy, service, .. } = settings;
    let console = matches!(service, Service::Console(_));
    let (header, sends) = (*proxy_protocol != ProxyProtocol::Off, *send_proxy != SendProxy::Off);
    let is_web = errand.web_socket.is_some();
    let plain = tls.is_none() && upstream_tls.is_none() && !header && !sends;
    let [client, target] = came;
    let hello = tls.is_some() && has_record(client);
    let handshake = console && client.starts_with(b"GET") && client.ends_with(b"\r\n\r\n");
    for (fault, is_met) in [
        (Fault::HandedPlain, plain && !is_web && !console),
        (Fault::HandedTlsClient, tls.is_some()),
        (Fault::HandedTlsTarget, upstream_tls.is_some()),
        (Fault::HandedWebSocket, is_web),
        (Fault::HandedConsole, console),
        (Fault::HandedHeaderIn, header),
        (Fault::HandedHeaderOut, sends),
        (Fault::HandedTerminal, errand.is_terminal),
        (Fault::HandedBeforeStart, errand.before_start),
        (Fault::HandedAtDrain, stopping),
        (Fault::EarlyClient, !client.is_empty()),
        (Fault::EarlyTarget, !target.is_empty()),
        (Fault::EarlyByte, client.len() == 1 || target.len() == 1),
        (Fault::EarlyMuch, client.len() == 64 << 10 || target.len() == 64 << 10),
        (Fault::EarlyHello, hello),
        (Fault::EarlyHandshake, handshake),
        (Fault::EarlyInjected, errand.injects),
    ] {
        if is_met {
            count(fault);
        }
    }
}

/// Whether it begins with a whole record of a handshake.
fn has_record(bytes: &[u8]) -> bool {
    let header = bytes.first_chunk().filter(|[kind, ..]: &&[u8; 5]| *kind == 22);
    header.is_some_and(|[.., high, low]| {
        bytes.len() >= 5 + usize::from(u16::from_be_bytes([*high, *low]))
    })
}

/// Counts a cancel, before it is noted.
pub fn count_cancel(errand: &Errand, [posted, is_over, by_id]: [bool; 3]) {
    for (fault, is_met) in [
        (Fault::CancelLost, !posted),
        (Fault::CancelOver, posted && is_over),
        (Fault::CancelTwice, posted && !is_over && !errand.cancelled.is_empty()),
        (Fault::CancelById, posted && by_id),
        (Fault::CancelAhead, posted && errand.id.is_none() && !is_over),
    ] {
        if is_met {
            count(fault);
        }
    }
}

impl Case<'_> {
    /// Whether it was told of before it became a session.
    pub fn is_turned_back(&self) -> bool {
        self.record.tag.is_some() && self.record.id.slot == u32::MAX
    }

    /// When it was taken up.
    pub fn began_at(&self) -> Time {
        self.ended_at - self.record.elapsed
    }

    /// Whether it was cancelled by then.
    pub fn was_cancelled(&self) -> bool {
        let first = self.errand.and_then(|errand| errand.cancelled.first());
        first.is_some_and(|at| *at <= self.ended_at)
    }

    /// All that is asked of what was handed over.
    pub fn check_handed(&self) {
        let Some(errand) = self.errand else {
            return assert!(self.record.tag.is_none(), "nobody handed it over: {self:?}");
        };
        let (record, settings) = (self.record, self.listener);
        assert_eq!(record.tag, errand.tag(), "another number: {self:?}");
        assert_eq!(usize::from(record.listener), self.client.wish.listener, "{self:?}");
        assert_eq!(record.cookie, cookie(errand.number), "{self:?}");
        if !matches!(settings.service, Service::Console(_)) || self.is_turned_back() {
            assert_eq!(record.target, errand.target_name, "another name: {self:?}");
        }
        let unheard = record.reason.phase == Phase::Relay
            || self.origin.talkers.iter().all(|talker| talker.got == 0);
        assert!(unheard, "the target heard of what was not for it: {self:?}");
        self.check_cancel(errand);
        self.check_lifetime();
        self.check_silence();
        self.count_timers(errand);
    }

    /// Who is cancelled ends: at once, or with a last word, of which there may have been another before.
    fn check_cancel(&self, errand: &Errand) {
        let Some(first) = errand.cancelled.first() else { return };
        let talks = self.client.wish.browser.is_some() || self.listener.tls.is_some();
        let at_once = self.record.reason.cause == Cause::Cancelled && !talks;
        let limit = if at_once { AT_ONCE } else { LAST_WORDS };
        let lived = self.ended_at.since(*first);
        assert!(lived <= limit, "cancelled, and lived {lived:?}: {self:?}");
    }

    /// Nothing lives longer than it may.
    fn check_lifetime(&self) {
        let lifetime = self.timeouts.lifetime.unwrap_or(Duration::MAX);
        let limit = lifetime.saturating_add(LAST_WORDS);
        assert!(self.record.elapsed <= limit, "longer than {lifetime:?}: {self:?}");
    }

    /// Where nobody says anything for long, it ends.
    fn check_silence(&self) {
        let (Some(client), Some(origin)) = self.talkers() else { return };
        let Some(idle) = self.timeouts.idle.filter(|_| self.record.reason.phase == Phase::Relay)
        else {
            return;
        };
        let spoke = [client, origin].map(|talker| talker.wrote_at.max(talker.got_at));
        let last = spoke.into_iter().fold(self.began_at(), Time::max);
        let Listener { tls, upstream_tls, proxy_protocol, .. } = self.listener;
        let begins = tls.is_none() && upstream_tls.is_none() && !self.asks();
        let opening = match begins && *proxy_protocol == ProxyProtocol::Off {
            true => Duration::ZERO,
            false => 2 * self.timeouts.handshake + self.timeouts.connect,
        };
        let silent = self.ended_at.since(last);
        let limit = idle + opening + FLUSH;
        assert!(silent <= limit, "silent for {silent:?} instead of {idle:?}: {self:?}");
    }

    /// Whether the client makes a request.
    fn asks(&self) -> bool {
        !matches!(self.listener.service, Service::Forward(_))
    }

    fn count_timers(&self, errand: &Errand) {
        let terms = &self.listener.timeouts;
        let spared = |timer: Timer, terms: Option<Duration>| {
            timer == Timer::Never && terms.is_some_and(|span| self.record.elapsed > span)
        };
        let cause = self.record.reason.cause;
        let own = |timer: Timer, fired| cause == fired && matches!(timer, Timer::After(_));
        for (fault, is_met) in [
            (Fault::OwnIdle, own(errand.own.idle, Cause::IdleTimeout)),
            (Fault::OwnLifetime, own(errand.own.lifetime, Cause::LifetimeEnd)),
            (Fault::OwnNever, spared(errand.own.lifetime, terms.lifetime)),
            (Fault::HandedNotDriven, self.is_turned_back() && cause == Cause::Broken),
        ] {
            if is_met {
                count(fault);
            }
        }
    }
}
