//! The first bytes of a connection: the PROXY header if one is required, then the request head.
//!
//! Bytes are gathered in a vector of the session's own, at most a head and one receive long, and pool buffers are given
//! back at once. What follows the head is early payload of the tunnel.

use std::collections::VecDeque;
use std::net::SocketAddr;

use penstock_proto::Progress::{Done, Wait};
use penstock_proto::http::{self, Head, Request};
use penstock_proto::proxy_protocol::{Header, Origin, Receiver};
use penstock_ring::{Arrival, Close, Group, Kernel, Leg, Outcome, Time};

use super::{Session, State, discard};
use crate::close::{Cause, CloseReason, Phase, Side};
use crate::config::{ProxyProtocol, SendProxy};
use crate::relay::Receiving;
use crate::turn::{Step, Turn};

/// Early payload that is kept until the target is there, in bytes; then reading stops.
pub(super) const EARLY: usize = 64 << 10;

/// What has arrived and is not understood yet.
pub(super) struct Prelude {
    input: Vec<u8>,
    proxy_header: Receiver,
    head: Head,
}

/// A request that was understood, until the tunnel stands or is refused.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) request: Request,
    /// Our own address on the client's leg, if somebody wants to know it.
    pub(super) local: Option<SocketAddr>,
    /// Payload that came ahead.
    pub(super) early: Vec<u8>,
    pub(super) receiving: Receiving,
    /// The client has finished sending.
    pub(super) client_ended: bool,
    pub(super) requested_at: Time,
    pub(super) dial_at: Time,
    pub(super) deadline: Time,
    /// Addresses still to be tried, best first.
    pub(super) candidates: VecDeque<SocketAddr>,
    /// Connections under way, and where to.
    pub(super) attempts: Vec<(Leg, SocketAddr)>,
    /// When the next candidate is tried although an attempt is under way.
    pub(super) next_attempt: Option<Time>,
}

impl Opening {
    pub(super) fn deadline(&self) -> Option<Time> {
        let next = self.next_attempt.filter(|_| !self.candidates.is_empty());
        next.into_iter().chain([self.deadline]).min()
    }

    pub(super) fn close_attempts<K: Kernel>(&self, turn: &mut Turn<K>) {
        for (leg, _) in &self.attempts {
            turn.kernel.close(*leg, Close::Normal);
        }
    }
}

impl Session {
    pub(super) fn await_prelude<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let head = Head::new(http::Options { strict_target: self.listener().strict_target });
        let prelude = Box::new(Prelude { input: Vec::new(), proxy_header: Receiver::new(), head });
        self.state = match self.listener().proxy_protocol {
            ProxyProtocol::Off => State::AwaitRequest(prelude),
            ProxyProtocol::Required if self.is_trusted_sender() => State::AwaitProxyHeader(prelude),
            ProxyProtocol::Required => {
                self.facts.detail = Some("its address is not in proxy_from".into());
                return Step::Break(CloseReason::new(
                    Side::Client,
                    Phase::ProxyHeader,
                    Cause::BadProxyHeader,
                ));
            }
        };
        turn.kernel.receive(self.client, Group::Reserve);
        Step::Continue(())
    }

    pub(super) fn step_prelude<K: Kernel>(&mut self, outcome: Outcome, turn: &mut Turn<K>) -> Step {
        match outcome {
            Outcome::Received(buffer) => {
                if let State::AwaitProxyHeader(prelude) | State::AwaitRequest(prelude) =
                    &mut self.state
                {
                    prelude.input.extend_from_slice(turn.kernel.bytes(&buffer));
                }
                turn.kernel.release(buffer);
                self.read_prelude(turn)
            }
            Outcome::ReceiveEnded(Arrival::Ended) => self.prelude_left(Cause::HungUp),
            Outcome::ReceiveEnded(Arrival::Failed(_)) => self.prelude_left(Cause::Reset),
            other => {
                discard(other, turn);
                Step::Continue(())
            }
        }
    }

    pub(super) fn prelude_expired<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitRequest(prelude) = &self.state else {
            return self.prelude_left(Cause::HandshakeTimeout);
        };
        // Nobody who sent nothing waits for an answer.
        if prelude.input.is_empty() {
            return self.prelude_left(Cause::HandshakeTimeout);
        }
        self.refuse(Side::Client, Cause::HandshakeTimeout, None, turn)
    }

    fn prelude_left(&self, cause: Cause) -> Step {
        Step::Break(CloseReason::new(Side::Client, self.phase(), cause))
    }

    fn read_prelude<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        if let State::AwaitProxyHeader(prelude) = &mut self.state {
            let mut rest = prelude.input.as_slice();
            match prelude.proxy_header.receive(&mut rest, &mut Vec::new()) {
                Ok(Wait) => return self.read_on(turn),
                Ok(Done(header)) => {
                    let taken = prelude.input.len() - rest.len();
                    prelude.input.drain(..taken);
                    self.take_proxy_header(&header);
                }
                Err(error) => {
                    self.facts.detail = Some(error.to_string().into());
                    return self.prelude_left(Cause::BadProxyHeader);
                }
            }
        }
        self.read_request(turn)
    }

    fn take_proxy_header(&mut self, header: &Header) {
        if let Origin::Stream(endpoints) = header.origin {
            self.facts.client = Some(endpoints.source);
        }
        if let State::AwaitProxyHeader(prelude) = std::mem::replace(&mut self.state, State::Between)
        {
            self.state = State::AwaitRequest(prelude);
        }
    }

    fn read_request<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
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
                self.requested(request, early, turn)
            }
            Err(error) => {
                let seen = prelude.head.seen().clone();
                self.facts.method = seen.method.map(Into::into);
                self.facts.target = seen.target.map(Into::into);
                self.refuse_head(error, turn)
            }
        }
    }

    fn read_on<K: Kernel>(&self, turn: &mut Turn<K>) -> Step {
        turn.kernel.receive(self.client, Group::Reserve);
        Step::Continue(())
    }

    /// The head is whole: from now on the client's leg is received from as in the relay, so that its end is noticed.
    fn requested<K: Kernel>(
        &mut self,
        request: Request,
        early: Vec<u8>,
        turn: &mut Turn<K>,
    ) -> Step {
        turn.counters.setup[0].record(turn.now.since(self.started));
        self.facts.target = Some(request.target.to_string().into());
        turn.kernel.receive(self.client, Group::Small);
        let local = self.wants_local().then(|| turn.kernel.local(self.client)).flatten();
        self.admit(
            Box::new(Opening {
                request,
                local,
                early,
                receiving: Receiving::On,
                client_ended: false,
                requested_at: turn.now,
                dial_at: turn.now,
                deadline: turn.now + self.listener().timeouts.connect,
                candidates: VecDeque::new(),
                attempts: Vec::new(),
                next_attempt: None,
            }),
            turn,
        )
    }

    fn wants_local(&self) -> bool {
        let listener = self.listener();
        listener.rules.need_local() || listener.send_proxy != SendProxy::Off
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
