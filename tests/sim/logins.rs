//! What must be true of logins: whoever has a console was let in by both sides, nobody hears of one before its server has agreed, whoever
//! is refused is told in RFB, and each end has its cause.

use std::time::Duration;

use penstock_core::close::{Cause, Phase, Side};
use penstock_core::config::VncMode;

use crate::sim::login::Login;
use crate::sim::oracle::Case;
use crate::sim::talker::Talker;
use crate::sim::tally::{Fault, count};
use crate::sim::vnc_viewer::Told;

/// A person who is to type a password takes no longer.
const PERSON: Duration = Duration::from_secs(300);

impl Case<'_> {
    /// All that is asked of logins alone.
    pub fn check_login(&self) {
        if self.listener.vnc.is_none() {
            return;
        }
        let is_in = self.record.reason.phase == Phase::Relay;
        let fails = &self.client.wish.login_fails;
        assert!(!is_in || fails.is_empty(), "let in in spite of {fails:?}: {self:?}");
        let host = self.host();
        let guest = self.client.talker.as_ref().and_then(|talker| talker.login.as_deref());
        if is_in {
            assert!(host.is_some_and(Login::has_let_in), "nobody has let it in: {self:?}");
        }
        self.check_agreed(guest, host);
        self.check_shared(host);
        self.check_told_in_rfb(guest);
    }

    /// The login at the server that it was for.
    pub fn host(&self) -> Option<&Login> {
        let logins = self.origin.talkers.iter().filter_map(|talker| talker.login.as_deref());
        logins.max_by_key(|login| (login.is_over(), login.heard()))
    }

    /// Nobody hears of more than a version before the server has agreed.
    fn check_agreed(&self, guest: Option<&Login>, host: Option<&Login>) {
        let Some(vnc) = &self.listener.vnc else { return };
        let Some(offered_at) = guest.and_then(|guest| guest.agreed_at) else { return };
        let Some(host) = host else { panic!("offered without a server: {self:?}") };
        let in_time = match vnc.mode {
            VncMode::Authenticate if host.is_agreed_at_once() => true,
            VncMode::Authenticate => host.agreed_at.is_some_and(|at| at <= offered_at),
            VncMode::Bridge => host.chosen().is_some() || self.record.tls.target.is_some(),
        };
        assert!(in_time, "offered before the server has agreed: {self:?}");
    }

    /// Where that is forced, nobody is thrown out.
    fn check_shared(&self, host: Option<&Login>) {
        let forced = self.listener.vnc.as_ref().is_some_and(|vnc| vnc.force_shared);
        let Some(shared) = host.and_then(Login::shared) else { return };
        let said = self.client.wish.vnc.as_ref().map(|part| part.party.shared);
        let due = if forced { Some(1) } else { said };
        assert_eq!(Some(shared), due, "shared: {self:?}");
    }

    /// Whoever can be told is told.
    fn check_told_in_rfb(&self, guest: Option<&Login>) {
        let (Some(guest), Some(talker)) = (guest, self.client.talker.as_ref()) else { return };
        let reason = self.record.reason;
        let by_server = matches!(
            reason.cause,
            Cause::NotLetIn
                | Cause::NoCommonSecurity
                | Cause::BadGreeting
                | Cause::CertificateRefused
                | Cause::Injected
                | Cause::Unauthorized
        );
        let refused = matches!(reason.phase, Phase::Login | Phase::Tls)
            && (reason.side == Side::Target || reason.cause == Cause::Unauthorized)
            && by_server;
        let well = self.client.left.is_none() && !talker.harmed && talker.failed.is_none();
        let awaits = guest.viewer().is_some_and(|viewer| viewer.awaits_verdict());
        if refused && well {
            assert!(!awaits, "not told in RFB: {self:?}");
            if matches!(guest.told(), Some(Told::Refused(_))) {
                count(Fault::RefusedInRfb);
            }
        }
    }

    /// Whether anything explains an end before the login's.
    pub fn is_login_explained(&self) -> bool {
        let reason = self.record.reason;
        if !matches!(reason.phase, Phase::Login | Phase::Tls) {
            return false;
        }
        if self.client.wish.explains.contains(&reason.cause) {
            return reason.cause != Cause::HandshakeTimeout
                || self.record.elapsed >= self.timeouts.handshake;
        }
        let client = self.client.talker.as_ref();
        let fault = match reason.side {
            Side::Client => self.client.left.is_some() || client.is_some_and(is_faulty),
            Side::Target => self.origin.talkers.iter().any(is_faulty),
            Side::Penstock => false,
        };
        match reason.cause {
            Cause::HandshakeTimeout => {
                let slow = |talker: &Talker| {
                    let tls = talker.line.manner().is_some_and(|manner| manner.is_slow());
                    tls || talker.is_slow() || is_faulty(talker)
                };
                let somebody = client.is_some_and(slow) || self.origin.talkers.iter().any(slow);
                let late = self.record.elapsed >= self.timeouts.handshake;
                late && (somebody || self.client.left.is_some() || self.exhausted)
            }
            Cause::HungUp | Cause::Reset | Cause::Truncated | Cause::TlsFailed => fault,
            Cause::NotLetIn | Cause::BadFrame | Cause::Broken | Cause::ConnectTimeout => fault,
            _ => false,
        }
    }

    /// How long it may take until a login is over.
    pub fn login_time(&self) -> Duration {
        let timeouts = &self.timeouts;
        let whole = 2 * timeouts.handshake + timeouts.connect;
        match self.listener.vnc.as_ref().map(|vnc| vnc.mode) {
            // A person may think, and the server then.
            Some(VncMode::Bridge) => whole + PERSON + timeouts.handshake,
            _ => whole,
        }
    }

    /// Whether passwords are not bridged to who comes in the clear: this is found when the server is there.
    pub fn is_bridge_denied(&self) -> bool {
        self.listener.vnc.is_some()
            && self.record.reason.cause == Cause::AccessDenied
            && self.record.reason.side == Side::Client
            && self.record.reason.phase != Phase::Admission
    }

    /// Bytes that were said to the client in the login, as it has heard them.
    pub fn login_heard(&self) -> u64 {
        let login = self.client.talker.as_ref().and_then(|talker| talker.login.as_deref());
        login.map_or(0, Login::heard)
    }

    /// ClientInit, where it counts as payload.
    pub fn login_asked(&self) -> u64 {
        let forced = self.listener.vnc.as_ref().is_some_and(|vnc| vnc.force_shared);
        u64::from(!forced && self.host().is_some_and(|host| host.shared().is_some()))
    }
}

/// Whether it has broken off, or done something against a protocol.
fn is_faulty(talker: &Talker) -> bool {
    let left = talker.login.as_deref().is_some_and(|login| login.left);
    left || talker.harmed || talker.line.is_spoiled() || talker.line.error().is_some()
}
