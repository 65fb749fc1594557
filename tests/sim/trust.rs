//! What must be true besides the bytes: ends within TLS mean what they say, whoever gets an alert has earned it, nobody is served
//! without TLS where it has to be spoken, nothing takes longer than its time-out, and counters are right.

use std::time::Duration;

use penstock_core::close::{Cause, CloseReason, Phase, Side};
use penstock_core::config::HalfClose;

use crate::sim::client::Leave;
use crate::sim::consoles;
use crate::sim::listeners::is_program;
use crate::sim::login::Login;
use crate::sim::oracle::Case;
use crate::sim::plan::Ending;
use crate::sim::scenario::Run;
use crate::sim::talker::{Talker, WORDS};
use crate::sim::tally::{Fault, count};
use crate::sim::vnc::has_tls_within;

/// How long a refused client may take to read why, and then some.
const GOODBYE: Duration = Duration::from_secs(3);

impl Case<'_> {
    /// Ends and alerts.
    pub fn check_secrecy(&self) {
        let (client, origin) = self.talkers();
        for talker in [client, origin].into_iter().flatten() {
            let refused =
                self.asks_for(Cause::CertificateRefused) || self.asks_for(Cause::TlsFailed);
            let earned = talker.line.is_spoiled() || talker.harmed || refused;
            assert!(talker.line.error().is_none() || earned, "an alert for nothing: {self:?}");
        }
        for (source, sink) in [(client, origin), (origin, client)] {
            self.check_end(source, sink);
        }
        self.check_last_words();
        self.check_required();
        let words = client.and_then(|client| client.words.as_deref()).unwrap_or_default();
        let refused = self.record.reason.phase != Phase::Relay;
        let is_begun = words.starts_with(WORDS) || WORDS.starts_with(words);
        assert!(words.is_empty() || refused && is_begun, "words instead of payload: {self:?}");
    }

    /// What was said before what can't be understood was delivered, unless it came too late to be wanted, or its reader went.
    fn check_last_words(&self) {
        let (Some(client), Some(origin)) = self.talkers() else { return };
        let CloseReason { side, phase, cause } = self.record.reason;
        let (source, sink) = match side {
            Side::Client => (client, origin),
            _ => (origin, client),
        };
        // How much of what was framed went into records is not known.
        let garbled = match cause {
            Cause::TlsFailed => source.line.is_garbled() && source.line.frames().is_none(),
            Cause::BadFrame | Cause::UnknownMessage => !source.line.is_secure_spoiled(),
            _ => false,
        };
        let garbled = garbled && phase == Phase::Relay;
        let wanted =
            self.half_close == HalfClose::Forward || sink.plan.ending == Ending::FinishSecond;
        // Who talks on meanwhile may be reset with what was delivered unread.
        let broken = sink.failed.is_some() || self.client.failed.is_some();
        let well = source.plan.is_clean() && sink.is_clean() && !sink.gave_up && !broken;
        if garbled && wanted && well && self.client.left.is_none() {
            count(Fault::TlsLastWords);
            assert_eq!(sink.got, source.passing(), "lost before a broken record: {self:?}");
        }
    }

    /// Nobody gets any further without TLS where it has to be spoken.
    fn check_required(&self) {
        let (reason, tls) = (self.record.reason, &self.record.tls);
        let only = self.listener.tls.as_ref().is_some_and(|tls| tls.only);
        let served = match reason.phase {
            Phase::ProxyHeader | Phase::Request => false,
            Phase::Admission if self.is_turned_back() => false,
            Phase::Tls => reason.side == Side::Target && !has_tls_within(self.listener),
            Phase::Admission | Phase::Connect | Phase::Login if has_tls_within(self.listener) => {
                false
            }
            Phase::Admission | Phase::Connect | Phase::Login | Phase::Relay | Phase::Page => true,
        };
        assert!(tls.client.is_some() || !only || !served, "served without TLS: {self:?}");
        let upstream = self.listener.upstream_tls.is_some();
        // Of a login, its server decides.
        let within = self.host().and_then(Login::chosen).is_none_or(|(in_tls, _)| in_tls);
        let relayed = reason.phase == Phase::Relay && upstream && within;
        assert!(tls.target.is_some() || !relayed, "relayed without TLS: {self:?}");
    }

    /// Who is told that all has come has got all.
    fn check_end(&self, source: Option<&Talker>, sink: Option<&Talker>) {
        let Some(sink) = sink.filter(|sink| sink.line.was_closed()) else { return };
        if self.record.reason.phase != Phase::Relay {
            return assert_eq!(sink.got, 0, "payload before the tunnel stood: {self:?}");
        }
        // In the clear, to leave is to end in order.
        let left = matches!(self.client.left, Some(Leave::Close));
        let ended = |source: &Talker| source.finished || left && !source.line.is_secure();
        let whole = source.is_some_and(|source| ended(source) && source.passing() == sink.got);
        assert!(whole, "told that nothing is missing, and something is: {self:?}");
    }

    /// Of directions that ended in order, all is told: the last word, and how much it was.
    pub fn check_account(&self, [up, down]: [bool; 2]) {
        let (Some(client), Some(origin)) = self.talkers() else { return };
        let told = |sink: &Talker| match sink.line.frames() {
            Some(_) => sink.line.is_dismissed(),
            None => !sink.line.is_secure() || sink.line.was_closed(),
        };
        if up {
            assert!(told(origin), "the target was not told of the end: {self:?}");
            let asked = origin.got + self.login_asked();
            assert_eq!(self.record.bytes_to_target, asked, "to the target: {self:?}");
        }
        if down {
            // Of a program that said nothing it is not known whether it reached anybody.
            let mute = is_program(&self.listener.service) && origin.sent == 0;
            assert!(told(client) || mute, "the client was not told of the end: {self:?}");
            let reply = self.client.answer.len() as u64 + self.login_heard();
            assert_eq!(self.record.bytes_to_client, reply + client.got, "to the client: {self:?}");
        }
    }

    /// Nothing that has a time-out takes longer.
    pub fn check_time(&self) {
        let (reason, timeouts) = (self.record.reason, &self.timeouts);
        let token = consoles::token_time(self.listener);
        let browser = self.client.wish.browser.as_ref();
        let asks_for_pages = browser.is_some_and(|(browser, _)| browser.pages > 0);
        let whole = 2 * timeouts.handshake + token + timeouts.connect;
        // Who leaves may do so while it is the target's TLS that is awaited.
        let awaits_client = self.listener.tls.is_some() && self.record.tls.client.is_none();
        let limit = match (reason.phase, reason.side) {
            // Before a console, pages may take as long as they are read.
            (Phase::Request | Phase::Admission | Phase::Connect | Phase::Tls | Phase::Login, _)
                if asks_for_pages =>
            {
                Duration::MAX
            }
            (Phase::Login, _) => self.login_time() + token,
            (Phase::Tls, Side::Client) if has_tls_within(self.listener) => {
                self.login_time() + token
            }
            (Phase::Tls, Side::Client) if !awaits_client => whole,
            (Phase::ProxyHeader | Phase::Request, _) | (Phase::Tls, Side::Client) => {
                timeouts.handshake
            }
            (Phase::Admission, _) => timeouts.handshake + token + timeouts.connect,
            (Phase::Connect | Phase::Tls, _) => whole,
            // Who does not read may hold up the end of it.
            (Phase::Relay, Side::Client | Side::Penstock)
                if self.is_program_awaited() && reason.cause != Cause::FlushTimeout =>
            {
                whole
            }
            (Phase::Relay | Phase::Page, _) => Duration::MAX,
        };
        let elapsed = self.record.elapsed;
        let in_time = elapsed <= limit.saturating_add(GOODBYE);
        assert!(in_time, "{elapsed:?} instead of {limit:?}: {self:?}");
        let secure = self.record.tls.client.is_some() || self.record.tls.target.is_some();
        assert!(!secure || self.record.bytes_spliced == 0, "records were spliced: {self:?}");
    }
}

/// What was counted is what was recorded.
pub fn check_counters(run: &Run) {
    let records = || run.records.iter().map(|(_, record)| record);
    let counters = &run.counters;
    let handed = records().filter(|record| record.tag.is_some()).count();
    assert_eq!(counters.handed_over.get(), handed as u64, "handed over");
    let agreed = [
        records().filter(|record| record.tls.client.is_some()).count(),
        records().filter(|record| record.tls.target.is_some()).count(),
    ];
    for (agreed, [full, resumed, _]) in agreed.into_iter().zip(&counters.handshakes) {
        assert_eq!(full.get() + resumed.get(), agreed as u64, "handshakes");
    }
    let to_target: u64 = records().map(|record| record.bytes_to_target).sum();
    let [copied, spliced] = &counters.bytes[0];
    assert_eq!(copied.get() + spliced.get(), to_target, "payload to targets");
    let through_pipes: u64 = records().map(|record| record.bytes_spliced).sum();
    assert_eq!(counters.bytes.iter().map(|way| way[1].get()).sum::<u64>(), through_pipes);
}
