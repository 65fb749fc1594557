//! Consoles for browsers: a request is for WebSocket, or for a page.
//!
//! ```text
//!                 ┌─ WebSocket ─▶ page of origin ─▶ who asks ─▶ token ─▶ access ─▶ 101 ─▶ dial ─▶ relay
//!  AwaitRequest ──┤
//!                 └─ page ─▶ access ─▶ door ─▶ ServePages ──┬──▶ end
//!                 ▲                                         │
//!                 └── the next request is none for a page ──┘
//! ```
//!
//! In: heads of requests. Out: what is to be connected to, or an answer. Nothing is asked of anybody before the page and the person that ask
//! were judged, and no browser hears of a WebSocket before it is known that it may have one.

mod admission;
mod carried;
mod dismissal;
mod kube_virt;
mod pages;
mod refusal;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use penstock_proto::Progress::{Done, Wait};
use penstock_proto::console::{Choice, page_protocol, token_of};
use penstock_proto::http::request::Request;
use penstock_proto::websocket::Upgrade;
use penstock_ring::Kernel;

use super::opening::{Stage, Wanted};
use super::{Session, State};
use crate::close::{Cause, Side};
use crate::config::{Console, ConsoleTarget, Cut, Door, Reach, Service, Tokens};
use crate::control::{Asked, Question};
use crate::turn::{Step, Turn};

pub(super) use pages::Pages;
pub(super) use refusal::closing;

/// Control ends a look-up that takes too long, and says where it was asked. This is for answers that got lost.
const UNANSWERED: Duration = Duration::from_secs(1);

impl Session {
    /// The listener's consoles, if it has any.
    fn console(&self) -> Option<&Console> {
        match &self.listener().service {
            Service::Console(console) => Some(console),
            Service::Connect | Service::Forward(_) => None,
        }
    }

    /// Reads the first request, as far as it has come.
    pub(super) fn read_browser<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitRequest(prelude) = &mut self.state else { return Step::Continue(()) };
        let mut rest = prelude.input.as_slice();
        match prelude.request.receive(&mut rest, &mut Vec::new()) {
            Ok(Wait) => {
                let taken = prelude.input.len() - rest.len();
                prelude.input.drain(..taken);
                self.read_on(turn)
            }
            Ok(Done(request)) => {
                let rest = rest.to_vec();
                self.take_request(&request, rest, turn)
            }
            Err(error) => {
                let seen = prelude.request.seen().clone();
                self.facts.method = seen.method.into();
                self.facts.target = seen.target.map(|target| self.shown(&target));
                self.refuse_request(error, turn)
            }
        }
    }

    /// Takes a whole head, and what came behind it.
    fn take_request<K: Kernel>(
        &mut self,
        request: &Request,
        rest: Vec<u8>,
        turn: &mut Turn<K>,
    ) -> Step {
        self.facts.method = Some(request.method().to_owned()).into();
        self.facts.target = Some(self.shown(request.shown()));
        self.believe_proxies(request);
        if let Err(cause) = self.judge_browser(request) {
            return self.refuse(Side::Client, cause, None, turn);
        }
        if !Upgrade::is_asked_for(request) {
            return self.ask_for_pages(request, rest, turn);
        }
        match Upgrade::of(request) {
            Ok(upgrade) => self.ask_for_console(request, upgrade, rest, turn),
            Err(error) => {
                self.facts.detail = Some(error.to_string().into());
                self.refuse(Side::Client, Cause::BadRequest, None, turn)
            }
        }
    }

    fn ask_for_console<K: Kernel>(
        &mut self,
        request: &Request,
        upgrade: Upgrade,
        rest: Vec<u8>,
        turn: &mut Turn<K>,
    ) -> Step {
        if let Err(cause) = self.take_place(turn) {
            return self.refuse(Side::Penstock, cause, None, turn);
        }
        let Some(console) = self.console() else { return Step::Continue(()) };
        let wanted = Wanted { upgrade: Some(upgrade), ..Wanted::default() };
        match &console.to {
            ConsoleTarget::Fixed(destination) => {
                let wanted = Wanted { upgrade: wanted.upgrade, ..Wanted::of(&destination.reach) };
                // What only the host knows has no name yet but the path by which it was asked for.
                if destination.reach != Reach::HandedOver {
                    self.facts.target = Some(destination.text.clone());
                }
                let opening = self.open(wanted, rest, turn);
                self.admit_or_ask(opening, || in_words(request), turn)
            }
            ConsoleTarget::Tokens(tokens) => {
                let tokens = Arc::clone(tokens);
                let mut opening = self.open(wanted, rest, turn);
                opening.stage = Stage::Token;
                opening.deadline = turn.now + tokens.timeout + UNANSWERED;
                self.state = State::AwaitTarget(opening);
                self.ask_about_token(request, tokens, turn)
            }
        }
    }

    fn ask_about_token<K: Kernel>(
        &mut self,
        request: &Request,
        tokens: Arc<Tokens>,
        turn: &mut Turn<K>,
    ) -> Step {
        let Some(token) = self.token_in(request, &tokens) else {
            self.facts.detail = Some("expected a token, came none".into());
            return self.refuse(Side::Client, Cause::TokenRefused, None, turn);
        };
        let (id, client) = (self.handle.id(turn.worker), self.facts.client);
        let client = client.map(|client| client.ip());
        let page = page_protocol(request, self.is_from_trusted_proxy()).map(Into::into);
        let question = Question::Token { id, tokens, token, client, page };
        if turn.outside.ask(question).is_err() {
            turn.counters.questions_refused.add(1);
            return self.refuse(Side::Penstock, Cause::Overloaded, None, turn);
        }
        Step::Continue(())
    }

    /// Pages are behind a door of their own.
    fn ask_for_pages<K: Kernel>(
        &mut self,
        request: &Request,
        rest: Vec<u8>,
        turn: &mut Turn<K>,
    ) -> Step {
        let web = self.console().and_then(|console| console.web.clone());
        let Some(web) = web.filter(|_| !self.paths_are_tokens()) else {
            return self.refuse(Side::Client, Cause::MethodRefused, None, turn);
        };
        let door = Some(Arc::new(Door::Web { web, cut: Cut::default() }));
        let wanted = Wanted { door, ..Wanted::default() };
        let early = [request.bytes(), &rest].concat();
        let opening = self.open(wanted, early, turn);
        self.admit(opening, turn)
    }
}

/// What a request says, for the host to judge.
fn in_words(request: &Request) -> Asked {
    Asked {
        method: Some(request.method().into()),
        path: Some(request.target().into()),
        token: token_of(request, Choice::First),
        head: request.bytes().to_vec(),
        ..Asked::default()
    }
}
