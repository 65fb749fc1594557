//! Who may have what, by the word of the program around the engine.
//!
//! In: a client that asks for something, before anything is looked up or connected to for it; then the host's answer. Out: where to, or what
//! the client is told. What the access rules deny without knowing more is not asked about, nor is what that program hands over itself.

use penstock_proto::http::{Host, Target};
use penstock_ring::Kernel;

use super::facts::Held;
use super::opening::{Opening, Stage};
use super::{Session, State};
use crate::close::{Cause, CloseReason, Phase, Side};
use crate::config::{HalfClose, HostPolicy};
use crate::control::{Admitted, Asked, Connected, Denied, Found, Place, Question, To};
use crate::turn::{Step, Turn};

impl Session {
    /// Whether the host is asked about this one.
    pub(super) fn asks_host(&self) -> bool {
        self.listener().asks_host.is_some() && self.facts.tag().is_none()
    }

    /// Goes on towards a target, unless the host has to be asked. `request` is what the client's own words are.
    pub(super) fn admit_or_ask<K: Kernel>(
        &mut self,
        mut opening: Box<Opening>,
        request: impl FnOnce() -> Asked,
        turn: &mut Turn<K>,
    ) -> Step {
        let policy = self.listener().asks_host.filter(|_| self.asks_host());
        let Some(HostPolicy { timeout }) = policy else { return self.admit(opening, turn) };
        let is_known = opening.knows_target();
        let address = opening.target.as_ref().map(|target| &target.host).and_then(Host::address);
        let verdict = if is_known { self.judge(&opening, address, turn) } else { Ok(()) };
        (opening.stage, opening.deadline) = (Stage::Host, turn.now + timeout);
        self.state = State::AwaitTarget(opening);
        if let Err(cause) = verdict {
            return self.refuse(Side::Penstock, cause, None, turn);
        }
        let agreed = self.facts.tls.client.as_ref();
        let asked = Asked {
            listener: self.facts.listener,
            client: self.facts.client,
            tls: agreed.is_some(),
            common_name: agreed.and_then(|agreed| agreed.common_name.as_deref()).map(Into::into),
            target: self.facts.target.clone().filter(|_| is_known),
            ..request()
        };
        let question =
            Question::Authorise { id: self.handle.id(turn.worker), asked: Box::new(asked) };
        if turn.outside.ask(question).is_err() {
            turn.counters.questions_refused.add(1);
            return self.refuse(Side::Penstock, Cause::Overloaded, None, turn);
        }
        Step::Continue(())
    }

    /// The answer of the host.
    pub(super) fn decided<K: Kernel>(
        &mut self,
        result: Result<Admitted, Denied>,
        turn: &mut Turn<K>,
    ) -> Step {
        let cookie = match &result {
            Ok(admitted) => admitted.cookie,
            Err(denied) => denied.cookie,
        };
        if cookie != 0 {
            self.facts.unusual().cookie = cookie;
        }
        match result.map(|admitted| admitted.to) {
            Ok(None) => self.go_on(turn),
            Ok(Some(To::Place(place))) => self.go_elsewhere(place, turn),
            Ok(Some(To::Connected(connected))) => self.go_to_connected(connected, turn),
            Err(denied) => self.deny(&denied, turn),
        }
    }

    /// It did not decide in time.
    pub(super) fn stay_undecided<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        self.facts.detail = Some("the host did not decide in time".into());
        self.refuse(Side::Penstock, Cause::TokenLookupFailed, None, turn)
    }

    /// Where it wants to.
    fn go_on<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        match self.leave_question(turn) {
            Some(opening) if opening.knows_target() => self.admit(opening, turn),
            Some(opening) => {
                self.state = State::AwaitTarget(opening);
                let detail = "the host allows it and names no target, which nobody else does here";
                self.facts.detail = Some(detail.into());
                self.refuse(Side::Penstock, Cause::TokenRefused, None, turn)
            }
            None => Step::Continue(()),
        }
    }

    fn go_elsewhere<K: Kernel>(&mut self, place: Place, turn: &mut Turn<K>) -> Step {
        let Some(mut opening) = self.leave_question(turn) else { return Step::Continue(()) };
        (opening.target, opening.door) = (None, None);
        self.state = State::AwaitTarget(opening);
        self.facts.unusual().host_says_where = true;
        self.go_to(Found::from(place), turn)
    }

    /// It holds a target from now on, which is joined as soon as it is needed.
    fn go_to_connected<K: Kernel>(&mut self, connected: Connected, turn: &mut Turn<K>) -> Step {
        let Connected { descriptor, came, name, is_endless } = connected;
        if is_endless && self.listener().half_close == HalfClose::Forward {
            let detail = "the host gives a terminal, which has no end that could be passed on: write `half_close = \"close\"`";
            self.facts.detail = Some(detail.into());
            return self.refuse(Side::Penstock, Cause::Unreachable, None, turn);
        }
        let Some(mut opening) = self.leave_question(turn) else { return Step::Continue(()) };
        let was_named = opening.knows_target();
        let asked = opening.target.take().map(|target| target.host);
        opening.door = None;
        let named = name.as_ref().map(|name| Target::parse(name, false));
        let goes_by = named.map_or(asked, |named| named.ok().map(|target| target.host));
        // Who says nothing about it means what was asked for; and what was not asked for has no name by which it has siblings.
        if name.is_some() || !was_named {
            self.facts.target = name;
        }
        let unusual = self.facts.unusual();
        // Of a connection, no address is known that a rule could name.
        unusual.is_judged = was_named;
        unusual.goes_by = goes_by;
        unusual.is_endless = is_endless;
        unusual.held = Some(Held { target: Some(descriptor), came: came.into() });
        self.admit(opening, turn)
    }

    /// The question is answered: the time for what follows begins.
    fn leave_question<K: Kernel>(&mut self, turn: &Turn<K>) -> Option<Box<Opening>> {
        let deadline = turn.now + self.listener().timeouts.connect;
        match std::mem::replace(&mut self.state, State::Between) {
            State::AwaitTarget(mut opening) => {
                (opening.stage, opening.deadline) = (Stage::Name, deadline);
                (opening.requested_at, opening.dial_at) = (turn.now, turn.now);
                Some(opening)
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    fn deny<K: Kernel>(&mut self, denied: &Denied, turn: &mut Turn<K>) -> Step {
        let reason = CloseReason::new(Side::Client, Phase::Admission, Cause::AccessDenied);
        self.facts.detail = denied.words.clone();
        match self.is_browser() {
            true => self.deny_browser(reason, denied, turn),
            false => self.deny_client(reason, denied, turn),
        }
    }
}
