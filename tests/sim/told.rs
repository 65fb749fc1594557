//! What whoever is turned away is told: an answer or words where they are understood, whole, an alert where TLS failed, and that
//! this was all.

use penstock_core::close::{Cause, Phase, Side};
use penstock_core::config::Service;

use crate::sim::listeners::is_terminal;
use crate::sim::oracle::Case;
use crate::sim::talker::{Talker, WORDS};

/// Whoever goes on sending so much is not heard out, and may lose what it was told.
const DROPPED: u64 = 1 << 20;

impl Case<'_> {
    /// Nobody who stays and listens is left without a word.
    pub fn check_refusal(&self) {
        let Some(client) = self.client.talker.as_ref() else { return };
        self.check_answered();
        if self.client.left.is_some() || client.harmed || self.is_drowned(client) {
            return;
        }
        if self.record.status >= 400 {
            self.check_answer(client);
        }
        self.check_words(client);
        self.check_alert(client);
    }

    /// Whether it went on sending until nobody heard it out.
    pub(super) fn is_drowned(&self, client: &Talker) -> bool {
        self.world.half(client.line.end).written > DROPPED
    }

    /// Whether it was understood what the client wants, and it does not get it for reasons that are not its own.
    fn is_denied(&self) -> bool {
        let reason = self.record.reason;
        let ended = matches!(reason.cause, Cause::LifetimeEnd | Cause::Drained | Cause::PoolPinned);
        let asked = self.record.target.is_some();
        asked && reason.phase != Phase::Relay && reason.side != Side::Client && !ended
    }

    /// Whoever asked gets an answer.
    fn check_answered(&self) {
        let answered = self.record.status >= 400 || self.listener.service != Service::Connect;
        assert!(answered || !self.is_denied(), "no answer to what was asked: {self:?}");
    }

    /// Whoever was refused could read why.
    fn check_answer(&self, client: &Talker) {
        let whole =
            self.client.status == Some(self.record.status) && self.client.has_whole_refusal();
        assert!(whole, "the refusal was lost: {self:?}");
        let closed = client.line.was_closed() || !client.line.is_secure();
        assert!(closed, "not told that this was all of the refusal: {self:?}");
    }

    /// At a terminal, people read.
    fn check_words(&self, client: &Talker) {
        let words = client.words.as_deref().unwrap_or_default();
        let told = words.starts_with(WORDS) || self.client.answer.starts_with(WORDS);
        let reads = is_terminal(&self.listener.service) && self.is_denied();
        assert!(told || !reads, "not told in words: {self:?}");
    }

    /// Of TLS that the client has spoiled in no way, it learns by an alert that it failed.
    fn check_alert(&self, client: &Talker) {
        let reason = self.record.reason;
        let failed = matches!(reason.cause, Cause::TlsFailed | Cause::CertificateRefused)
            && reason.side == Side::Client
            && client.line.is_secure();
        assert!(!failed || client.line.error().is_some(), "no alert was heard: {self:?}");
    }
}
