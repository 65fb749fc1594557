//! What a refused browser is told: before the 101 a status and a few words, after it a close code and a reason. Names of hosts and
//! remedies are for the operator's log; the number of the session leads there.

use penstock_proto::http::{self, page::Page};
use penstock_ring::Kernel;

use crate::close::{Cause, CloseReason, Phase, Side};
use crate::control::Denied;
use crate::layers::Parting;
use crate::session::facts::Method;
use crate::session::refusal::{RETRY_AFTER, http_date, of_head};
use crate::session::{Session, State};
use crate::turn::{Step, Turn};

impl Session {
    /// Answers a browser, in the words that it understands now.
    pub(in crate::session) fn refuse_browser<K: Kernel>(
        &mut self,
        reason: CloseReason,
        turn: &mut Turn<K>,
    ) -> Step {
        // As its predecessors do it: that a target is not there is told through the WebSocket.
        if reason.side == Side::Target {
            self.upgrade(turn)?;
            // What it sent ahead may have been its end.
            if matches!(self.state, State::AwaitGoodbye(_)) {
                return Step::Continue(());
            }
        }
        if reason.cause == Cause::TokenRefused && self.console().is_some_and(|c| c.silent) {
            return Step::Break(reason);
        }
        match self.layers.web_socket() {
            Some(_) => self.refuse_by_close(reason, turn),
            None => self.refuse_by_status(reason, status(reason.cause), turn),
        }
    }

    /// Answers a head that breaks the grammar or the limits.
    pub(super) fn refuse_request<K: Kernel>(
        &mut self,
        error: http::Error,
        turn: &mut Turn<K>,
    ) -> Step {
        self.facts.detail = Some(error.to_string().into());
        let reason = CloseReason::new(Side::Client, Phase::Request, of_head(error));
        self.refuse_by_status(reason, error.status(), turn)
    }

    /// Says why by a close frame, before there is a tunnel.
    pub(super) fn refuse_by_close<K: Kernel>(
        &mut self,
        reason: CloseReason,
        turn: &mut Turn<K>,
    ) -> Step {
        let (code, words) = closing(reason.cause);
        let words = format!("{words} (session {})", self.handle.id(turn.worker));
        let (receiving, ended) = self.leave_opening(turn);
        let last_word = self.layers.close(Parting::Dismissed(code, &words));
        self.say_goodbye(reason, last_word, receiving, ended, turn)
    }

    fn refuse_by_status<K: Kernel>(
        &mut self,
        reason: CloseReason,
        status: u16,
        turn: &mut Turn<K>,
    ) -> Step {
        let page = Page {
            retry_after: (status == 503).then_some(RETRY_AFTER),
            allow: (status == 405).then_some("GET"),
            realm: (status == 401).then_some("Penstock"),
            ..Page::new(status, words(reason.cause))
        };
        self.answer_by_page(reason, page, turn)
    }

    /// Answers whom the host denies it, in its words.
    pub(in crate::session) fn deny_browser<K: Kernel>(
        &mut self,
        reason: CloseReason,
        denied: &Denied,
        turn: &mut Turn<K>,
    ) -> Step {
        let said = denied.words.as_deref().unwrap_or(words(reason.cause));
        let page = Page { fields: denied.fields.as_str(), ..Page::new(denied.status, said) };
        self.answer_by_page(reason, page, turn)
    }

    fn answer_by_page<K: Kernel>(
        &mut self,
        reason: CloseReason,
        page: Page<'_>,
        turn: &mut Turn<K>,
    ) -> Step {
        let (date, session) =
            (http_date(turn.outside.wall_time().unix), self.handle.id(turn.worker).to_string());
        let page = Page { session: &session, date: &date, ..page };
        let mut reply = Vec::with_capacity(512);
        let wants_body =
            !matches!(&self.facts.method, Method::Other(method) if **method == *"HEAD");
        page.write(wants_body, &mut reply);
        self.facts.status = page.status;
        self.reply_at_last(reason, reply, turn)
    }

    /// Whether a browser is there that would understand an answer, or a close frame if somebody else has said its 101.
    pub(in crate::session) fn is_browser(&self) -> bool {
        let heard = match self.state {
            State::AwaitProxyHeader(_) | State::AwaitTls(_) => false,
            // Who is turned away may be about to speak TLS: nothing can be said in the clear.
            State::Between => {
                let clear = self.listener().tls.is_none() || self.layers.is_secure();
                clear || !matches!(self.facts.method, Method::Unknown)
            }
            _ => true,
        };
        self.console().is_some() && heard || self.layers.web_socket().is_some()
    }
}

fn status(cause: Cause) -> u16 {
    match cause {
        Cause::BadRequest => 400,
        Cause::Unauthorized => 401,
        Cause::MethodRefused => 405,
        Cause::HandshakeTimeout => 408,
        Cause::TooLarge => 431,
        Cause::OriginRefused
        | Cause::TokenRefused
        | Cause::AccessDenied
        | Cause::LocalTarget
        | Cause::Loop => 403,
        _ => 503,
    }
}

/// For the person who looks at the browser.
fn words(cause: Cause) -> &'static str {
    match cause {
        Cause::BadRequest | Cause::TooLarge => {
            "The request is not one that this server understands."
        }
        Cause::Unauthorized => {
            "You have to say who you are, or are nobody who may use this console."
        }
        Cause::MethodRefused => "This address serves consoles through WebSocket, and no pages.",
        Cause::HandshakeTimeout => "The request did not come in time.",
        Cause::OriginRefused => "This console may not be opened from the page that asks for it.",
        Cause::TokenRefused => "The link to this console is not valid, or not valid any more.",
        Cause::AccessDenied | Cause::LocalTarget | Cause::Loop => "You may not use this console.",
        Cause::TokenLookupFailed => "It can't be found out now which console this is.",
        Cause::Overloaded | Cause::Exhausted | Cause::InUse => {
            "There is no room for one more session. Try again later."
        }
        _ => "This console can't be reached now.",
    }
}

/// The close code of RFC 6455 §7.4, and words for the browser's user.
pub(in crate::session) fn closing(cause: Cause) -> (u16, &'static str) {
    match cause {
        Cause::Drained => (1001, "The gateway is being stopped"),
        Cause::Cancelled => (1001, "This session was ended"),
        Cause::IdleTimeout => (1008, "Nothing has moved for too long"),
        Cause::UserIdle => (1008, "Nobody has used this console for too long"),
        Cause::LifetimeEnd => (1008, "This session's time is over"),
        Cause::AccessDenied | Cause::LocalTarget | Cause::Loop => {
            (1008, "You may not use this console")
        }
        Cause::InUse => (1008, "This console is in use by somebody else"),
        Cause::NoCommonSecurity
        | Cause::TlsFailed
        | Cause::CertificateRefused
        | Cause::Injected => (1011, "This console can't be reached securely"),
        Cause::NotLetIn | Cause::SecretMissing => {
            (1011, "This console does not let the gateway in")
        }
        Cause::OtherConsole => (1008, "The link to this console is not valid any more"),
        Cause::Unauthorized => (1008, "Wrong user name or password"),
        Cause::Overloaded | Cause::Exhausted => (1013, "There is no room for one more session"),
        _ => (1011, "Failed to connect to downstream server"),
    }
}
