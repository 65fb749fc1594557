//! The first bytes of a connection: the PROXY header if one is required, TLS if it is spoken, then the request head, if there is to
//! be one.
//!
//! Bytes are gathered in a vector of the session's own, at most a head and one receive long, and pool buffers are given
//! back at once. What follows the head is early payload of the tunnel.

use penstock_proto::Progress::{Done, Wait};
use penstock_proto::http::request::RequestHead;
use penstock_proto::http::{self, Head};
use penstock_proto::proxy_protocol::{Origin, Receiver};
use penstock_ring::{Arrival, Group, Kernel, Outcome};

use super::facts::Method;
use super::opening::Wanted;
use super::{Session, State, discard};
use crate::close::{Cause, CloseReason, Phase, Side};
use crate::config::{ProxyProtocol, Reach, Service};
use crate::control::Asked;
use crate::turn::{Step, Turn};

/// What has arrived and is not understood yet.
pub(super) struct Prelude {
    pub(super) input: Vec<u8>,
    proxy_header: Receiver,
    head: Head,
    pub(super) request: RequestHead,
}

impl Session {
    /// Begins with what has come already.
    pub(super) fn await_prelude<K: Kernel>(&mut self, came: Vec<u8>, turn: &mut Turn<K>) -> Step {
        let head = Head::new(http::Options { strict_target: self.listener().strict_target });
        let (input, proxy_header) = (Vec::new(), Receiver::new());
        let request = RequestHead::new();
        let prelude = Box::new(Prelude { input, proxy_header, head, request });
        match self.listener().proxy_protocol {
            ProxyProtocol::Off => {
                self.after_proxy_header(prelude);
                if self.awaits_nothing() {
                    return self.take_bytes(came, turn);
                }
            }
            ProxyProtocol::Required if self.is_trusted_sender() => {
                self.state = State::AwaitProxyHeader(prelude);
            }
            ProxyProtocol::Required => {
                self.facts.detail = Some("its address is not in proxy_from".into());
                return Step::Break(CloseReason::new(
                    Side::Client,
                    Phase::ProxyHeader,
                    Cause::BadProxyHeader,
                ));
            }
        }
        if !came.is_empty() {
            return self.take_bytes(came, turn);
        }
        turn.kernel.receive(self.client, Group::Reserve);
        Step::Continue(())
    }

    pub(super) fn step_prelude<K: Kernel>(&mut self, outcome: Outcome, turn: &mut Turn<K>) -> Step {
        match outcome {
            Outcome::Received(buffer) => {
                let bytes = turn.kernel.bytes(&buffer).to_vec();
                turn.kernel.release(buffer);
                self.take_bytes(bytes, turn)?;
                self.join_target(turn)
            }
            Outcome::ReceiveEnded(Arrival::Ended) => self.client_left(Cause::HungUp),
            Outcome::ReceiveEnded(Arrival::Failed(_)) => self.client_left(Cause::Reset),
            other => {
                discard(other, turn);
                Step::Continue(())
            }
        }
    }

    pub(super) fn prelude_expired<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitRequest(prelude) = &self.state else {
            return self.client_left(Cause::HandshakeTimeout);
        };
        // Nobody who sent nothing waits for an answer.
        if prelude.input.is_empty() {
            return self.client_left(Cause::HandshakeTimeout);
        }
        self.refuse(Side::Client, Cause::HandshakeTimeout, None, turn)
    }

    /// Takes what came through the layers that stand, and reads on in what there is now.
    pub(super) fn take_plain<K: Kernel>(&mut self, plain: &[u8], turn: &mut Turn<K>) -> Step {
        if let State::AwaitProxyHeader(prelude)
        | State::AwaitTls(prelude)
        | State::AwaitRequest(prelude) = &mut self.state
        {
            prelude.input.extend_from_slice(plain);
        }
        self.read_prelude(turn)
    }

    pub(super) fn read_prelude<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        match &self.state {
            State::AwaitProxyHeader(_) => self.read_proxy_header(turn),
            State::AwaitTls(_) => self.read_on(turn),
            State::AwaitRequest(_) => match self.listener().service {
                Service::Connect => self.read_request(turn),
                Service::Forward(_) => self.forward(turn),
                Service::Console(_) => self.read_browser(turn),
            },
            _ => Step::Continue(()),
        }
    }

    fn read_proxy_header<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitProxyHeader(prelude) = &mut self.state else {
            return Step::Continue(());
        };
        let mut rest = prelude.input.as_slice();
        match prelude.proxy_header.receive(&mut rest, &mut Vec::new()) {
            Ok(Wait) => self.read_on(turn),
            Ok(Done(header)) => {
                let rest = rest.to_vec();
                prelude.input.clear();
                if let Origin::Stream(endpoints) = header.origin {
                    self.facts.client = Some(endpoints.source);
                }
                if let State::AwaitProxyHeader(prelude) =
                    std::mem::replace(&mut self.state, State::Between)
                {
                    self.after_proxy_header(prelude);
                }
                self.take_bytes(rest, turn)
            }
            Err(error) => {
                self.facts.detail = Some(error.to_string().into());
                self.client_left(Cause::BadProxyHeader)
            }
        }
    }

    /// What comes first, or behind the PROXY header.
    fn after_proxy_header(&mut self, prelude: Box<Prelude>) {
        self.state = match &self.listener().tls {
            Some(_) if !self.has_tls_within() => State::AwaitTls(prelude),
            _ => State::AwaitRequest(prelude),
        };
    }

    /// Whether TLS with clients begins within RFB, and not with the first byte.
    fn has_tls_within(&self) -> bool {
        self.listener().vnc.as_ref().is_some_and(|vnc| !vnc.listen.is_empty())
    }

    /// Whether there is no word of the client's to wait for.
    fn awaits_nothing(&self) -> bool {
        let forwards = matches!(self.listener().service, Service::Forward(_));
        forwards && matches!(self.state, State::AwaitRequest(_))
    }

    /// TLS stands, or is left out: what the client says now is for us.
    pub(super) fn after_tls(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Between) {
            State::AwaitTls(prelude) => State::AwaitRequest(prelude),
            other => other,
        };
    }

    fn read_request<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let asks_host = self.asks_host();
        let State::AwaitRequest(prelude) = &mut self.state else { return Step::Continue(()) };
        let mut rest = prelude.input.as_slice();
        match prelude.head.receive(&mut rest, &mut Vec::new()) {
            Ok(Wait) => {
                let taken = prelude.input.len() - rest.len();
                prelude.input.drain(..taken);
                self.read_on(turn)
            }
            Ok(Done(request)) => {
                let early = rest.to_vec();
                let end = prelude.input.len() - rest.len();
                let head = end.saturating_sub(request.length)..end;
                let head = if asks_host { prelude.input[head].to_vec() } else { Vec::new() };
                self.facts.method = Method::Connect;
                self.facts.target = Some(request.target.to_string().into());
                let wanted = Wanted { target: Some(request.target), ..Wanted::default() };
                let opening = self.open(wanted, early, turn);
                let asked = || Asked { method: Some("CONNECT".into()), head, ..Asked::default() };
                self.admit_or_ask(opening, asked, turn)
            }
            Err(error) => {
                let seen = prelude.head.seen().clone();
                self.facts.method = seen.method.into();
                self.facts.target = seen.target.map(Into::into);
                self.refuse_head(error, turn)
            }
        }
    }

    /// There is no request: all that comes is for one target.
    fn forward<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitRequest(prelude) = &mut self.state else { return Step::Continue(()) };
        let early = std::mem::take(&mut prelude.input);
        let Service::Forward(destination) = &self.listener().service else {
            return Step::Continue(());
        };
        let wanted = Wanted::of(&destination.reach);
        // What is handed over has its own name, or none: others on the same terms are no siblings.
        if destination.reach != Reach::HandedOver {
            self.facts.target = Some(destination.text.clone());
        }
        let opening = self.open(wanted, early, turn);
        self.admit_or_ask(opening, Asked::default, turn)
    }

    pub(super) fn read_on<K: Kernel>(&self, turn: &mut Turn<K>) -> Step {
        turn.kernel.receive(self.client, Group::Reserve);
        Step::Continue(())
    }

    fn is_trusted_sender(&self) -> bool {
        self.facts.client.is_some_and(|client| self.listener().proxy_from.contains(client.ip()))
    }
}

impl std::fmt::Debug for Prelude {
    /// Says nothing of the bytes: credentials may be among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prelude({} bytes)", self.input.len())
    }
}
