//! The life of one connection, as a plain value stepped by outcomes and timers.
//!
//! ```text
//!  accept ─▶ AwaitProxyHeader ─▶ AwaitTls ─▶ AwaitRequest ─▶ AwaitTarget ─▶ Relay ─▶ end
//!                │                  │             │               │
//!                │ (silent)         └─────────────┴───────────────┴─▶ AwaitGoodbye ─▶ end
//!                └▶ end                       refused: the reply is being read
//! ```
//!
//! A listener leaves out what it was not told to ask for: the PROXY header, TLS, and the request where all that comes is
//! forwarded to one target.
//!
//! In: outcomes of its legs, answers, and the time. Out: verbs, and a [`Step`]. It holds no buffer, and no descriptor but a target's that was
//! handed over and is not needed yet; it can
//! be dropped at any moment, and does nothing by itself: the worker closes its legs and writes its record.

mod admission;
mod console;
mod dial;
mod door;
mod facts;
mod goodbye;
mod handed;
mod host;
mod opening;
mod prelude;
mod refusal;
mod relaying;
mod secure;
mod target;
mod target_tls;
mod vnc;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use penstock_ring::{Chunk, Close, Event, Group, Kernel, Leg, Outcome, Sent, Time};

use crate::close::{Cause, CloseReason, Phase, Side};
use crate::config::{Config, Listener};
use crate::control::{
    Admitted, Denied, Found, OpenError, Record, ResolveError, Secrets, TokenRefusal, TunnelInfo,
};
use crate::layers::Layers;
use crate::relay::Relay;
use crate::sessions::{Handle, Role};
use crate::timers::earlier;
use crate::turn::{Step, Turn};

use console::Pages;
use facts::{Carried, Facts};
use goodbye::Goodbye;
pub(crate) use handed::Handed;
use opening::{Opening, Stage};
use prelude::Prelude;

/// A connection in any of its states.
#[derive(Debug)]
pub(crate) struct Session {
    handle: Handle,
    config: Arc<Config>,
    client: Leg,
    /// The client's, until the relay has them.
    layers: Layers,
    /// Bytes queued at client and target before the relay, whose acceptance was not told of yet.
    owed: [u32; 2],
    started: Time,
    facts: Facts,
    state: State,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all sessions relay: a box would be one allocation more for each"
)]
enum State {
    AwaitProxyHeader(Box<Prelude>),
    AwaitTls(Box<Prelude>),
    AwaitRequest(Box<Prelude>),
    AwaitTarget(Box<Opening>),
    ServePages(Box<Pages>),
    Relay(Relay),
    AwaitGoodbye(Box<Goodbye>),
    /// Being moved from one state to the next; never seen from outside.
    Between,
}

impl Session {
    /// A connection that was just accepted.
    pub(crate) fn new<K: Kernel>(
        config: Arc<Config>,
        listener: u16,
        client: Leg,
        entered: bool,
        turn: &Turn<K>,
    ) -> Session {
        let has_place = entered && turn.shared.counts_connections(listener);
        let facts = Facts::new(listener, [entered, has_place], turn.kernel.peer(client));
        let handle = Handle { slot: 0, generation: 0 };
        Session {
            handle,
            config,
            client,
            layers: Layers::default(),
            owed: [0; 2],
            started: turn.now,
            facts,
            state: State::Between,
        }
    }

    /// Begins, once the session has its place in the table.
    pub(crate) fn begin<K: Kernel>(&mut self, handle: Handle, turn: &mut Turn<K>) -> Step {
        self.handle = handle;
        self.await_prelude(Vec::new(), turn)
    }

    /// Begins only to say that there is no room.
    pub(crate) fn turn_away<K: Kernel>(
        &mut self,
        handle: Handle,
        cause: Cause,
        turn: &mut Turn<K>,
    ) -> Step {
        self.handle = handle;
        self.refuse(Side::Penstock, cause, None, turn)
    }

    /// Takes one outcome of one of its legs.
    pub(crate) fn step<K: Kernel>(&mut self, role: Role, event: Event, turn: &mut Turn<K>) -> Step {
        let Event { leg, outcome, .. } = event;
        if let (Outcome::Sent(bytes), false) = (&outcome, matches!(self.state, State::Relay(_))) {
            let owed = &mut self.owed[role as usize];
            *owed = owed.saturating_sub(*bytes as u32);
        }
        match self.state {
            State::Relay(_) => self.step_relay(leg, outcome, turn),
            State::AwaitProxyHeader(_) | State::AwaitTls(_) | State::AwaitRequest(_) => {
                self.step_prelude(outcome, turn)
            }
            State::AwaitTarget(_) => match role {
                Role::Client => self.step_early(outcome, turn),
                Role::Target => self.step_target(leg, outcome, turn),
            },
            State::ServePages(_) => self.step_pages(role, outcome, turn),
            State::AwaitGoodbye(_) if leg == self.client => self.step_goodbye(outcome, turn),
            State::AwaitGoodbye(_) | State::Between => {
                discard(outcome, turn);
                Step::Continue(())
            }
        }
    }

    /// Takes the addresses of the name it asked for. An answer that nobody waits for is counted and dropped.
    pub(crate) fn resolved<K: Kernel>(
        &mut self,
        result: Result<Vec<std::net::IpAddr>, ResolveError>,
        turn: &mut Turn<K>,
    ) -> Step {
        match &self.state {
            State::AwaitTarget(opening) if matches!(opening.stage, Stage::Name) => {
                self.name_resolved(result, turn)
            }
            _ => {
                turn.counters.answers_stale.add(1);
                Step::Continue(())
            }
        }
    }

    /// Takes the descriptor that it asked for. One that nobody waits for is counted and closed.
    pub(crate) fn opened<K: Kernel>(
        &mut self,
        result: Result<OwnedFd, OpenError>,
        turn: &mut Turn<K>,
    ) -> Step {
        match &self.state {
            State::AwaitTarget(opening) if matches!(opening.stage, Stage::Door) => {
                self.door_opened(result, turn)
            }
            _ => {
                turn.counters.answers_stale.add(1);
                Step::Continue(())
            }
        }
    }

    /// Takes what is known of the token that it asked about. An answer that nobody waits for is counted and dropped.
    pub(crate) fn judged(
        &mut self,
        result: Result<Found, TokenRefusal>,
        turn: &mut Turn<impl Kernel>,
    ) -> Step {
        match &self.state {
            State::AwaitTarget(opening) if matches!(opening.stage, Stage::Token) => {
                self.token_judged(result, turn)
            }
            _ => {
                turn.counters.answers_stale.add(1);
                Step::Continue(())
            }
        }
    }

    /// Takes secrets that it asked for. An answer that nobody waits for is counted and dropped.
    pub(crate) fn unsealed(
        &mut self,
        result: Result<Secrets, Box<str>>,
        turn: &mut Turn<impl Kernel>,
    ) -> Step {
        match &self.state {
            State::AwaitTarget(opening) if matches!(opening.stage, Stage::Secrets) => {
                self.secrets_read(result, turn)?;
                self.join_target(turn)
            }
            _ => {
                turn.counters.answers_stale.add(1);
                Step::Continue(())
            }
        }
    }

    /// Takes what the host says of it. An answer that nobody waits for is counted and dropped, with the descriptor that it may hold.
    pub(crate) fn authorised(
        &mut self,
        result: Result<Admitted, Denied>,
        turn: &mut Turn<impl Kernel>,
    ) -> Step {
        match &self.state {
            State::AwaitTarget(opening) if matches!(opening.stage, Stage::Host) => {
                self.decided(result, turn)?;
                self.join_target(turn)
            }
            _ => {
                turn.counters.answers_stale.add(1);
                Step::Continue(())
            }
        }
    }

    /// The earliest time at which [`expired`](Self::expired) has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let timeouts = &self.listener().timeouts;
        let own = match &self.state {
            State::AwaitProxyHeader(_) | State::AwaitTls(_) | State::AwaitRequest(_) => {
                Some(self.started + timeouts.handshake)
            }
            State::AwaitTarget(opening) => opening.deadline(),
            State::ServePages(pages) => Some(pages.deadline()),
            State::Relay(relay) => {
                let idle = earlier(self.idle_deadline(relay), self.user_deadline(relay));
                earlier(relay.deadline(), idle)
            }
            // The lifetime, which may be over, plays no part any more.
            State::AwaitGoodbye(goodbye) => return Some(goodbye.until),
            State::Between => None,
        };
        earlier(own, self.lifetime_end())
    }

    /// Does what is due by now.
    pub(crate) fn expired<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        if !matches!(self.state, State::AwaitGoodbye(_))
            && self.lifetime_end().is_some_and(|end| end <= turn.now)
        {
            return self.dismiss(Cause::LifetimeEnd, turn);
        }
        match &self.state {
            State::AwaitProxyHeader(_) | State::AwaitTls(_) | State::AwaitRequest(_) => {
                self.prelude_expired(turn)
            }
            State::AwaitTarget(_) => self.opening_expired(turn),
            State::Relay(_) => self.relay_expired(turn),
            State::ServePages(_) => self.pages_expired(turn.now),
            State::AwaitGoodbye(goodbye) if goodbye.until <= turn.now => {
                Step::Break(goodbye.reason)
            }
            State::AwaitGoodbye(_) | State::Between => Step::Continue(()),
        }
    }

    /// Splices for one direction.
    pub(crate) fn run<K: Kernel>(&mut self, way: crate::relay::Way, turn: &mut Turn<K>) -> Step {
        let State::Relay(relay) = &mut self.state else { return Step::Continue(()) };
        let step = relay.run(way, turn);
        self.tell_siblings(turn.now);
        self.unless_over(step, turn)
    }

    /// Buffers of a group that its legs' queues hold.
    pub(crate) fn pinned<K: Kernel>(&self, group: Group, kernel: &K) -> usize {
        match &self.state {
            State::Relay(relay) => relay.legs().iter().map(|leg| kernel.pinned(*leg, group)).sum(),
            _ => kernel.pinned(self.client, group),
        }
    }

    /// How far it has come.
    pub(crate) fn phase(&self) -> Phase {
        match &self.state {
            State::AwaitProxyHeader(_) => Phase::ProxyHeader,
            State::AwaitTls(_) => Phase::Tls,
            State::AwaitRequest(_) | State::Between => Phase::Request,
            State::AwaitTarget(opening) => opening.phase(),
            State::ServePages(_) => Phase::Page,
            State::Relay(_) => Phase::Relay,
            State::AwaitGoodbye(goodbye) => goodbye.reason.phase,
        }
    }

    /// Closes every leg, and tells what it was.
    pub(crate) fn end<K: Kernel>(mut self, reason: CloseReason, turn: &mut Turn<K>) -> Record {
        let elapsed = turn.now.since(self.started);
        if self.facts.has_place {
            turn.shared.leave_place(self.facts.listener);
        }
        turn.kernel.close(self.client, Close::Normal);
        let mut carried = Carried::default();
        match &self.state {
            State::Relay(relay) => {
                turn.counters.tunnels.sub(1);
                carried = self.facts.carried(relay);
                turn.kernel.close(relay.legs()[1], Close::Normal);
            }
            State::AwaitTarget(opening) => opening.close_legs(turn),
            State::ServePages(pages) => turn.kernel.close(pages.leg(), Close::Normal),
            State::AwaitGoodbye(goodbye) => carried = goodbye.carried,
            _ => {}
        }
        self.facts.into_record(self.handle.id(turn.worker), reason, elapsed, carried, turn)
    }

    /// As `/tunnels` shows it.
    pub(crate) fn info(&self, worker: u8, now: Time) -> TunnelInfo {
        let mut info = self.facts.info(self.handle.id(worker), self.phase());
        info.age = now.since(self.started);
        info.idle = info.age;
        if let State::Relay(relay) = &self.state {
            info.idle = now.since(relay.last_active());
            info.bytes = relay.bytes();
            info.mover = relay.movers();
            info.switches = relay.switches();
        }
        info
    }

    /// Whether it was let in, and not only to be told that there is no room.
    pub(crate) fn has_entered(&self) -> bool {
        self.facts.entered
    }

    /// Takes one of its listener's places, for a console that is to be opened.
    fn take_place<K: Kernel>(&mut self, turn: &Turn<K>) -> Result<(), Cause> {
        turn.shared.take_place(self.facts.listener)?;
        self.facts.has_place = true;
        Ok(())
    }

    /// Sends bytes of our own before the relay begins, as they are.
    fn say<K: Kernel>(&mut self, role: Role, leg: Leg, bytes: Bytes, turn: &mut Turn<K>) -> Sent {
        let length = bytes.len() as u32;
        if length == 0 {
            return Sent::Done;
        }
        let sent = turn.kernel.send(leg, Chunk::Bytes(bytes));
        if sent == Sent::Queued {
            self.owed[role as usize] += length;
        }
        sent
    }

    fn listener(&self) -> &Listener {
        &self.config.listeners[usize::from(self.facts.listener)]
    }

    /// As the terms say, or earlier if what was looked up says so.
    fn lifetime_end(&self) -> Option<Time> {
        let lifetime = self.facts.own().lifetime.or(self.listener().timeouts.lifetime);
        let of_terms = lifetime.map(|lifetime| self.started + lifetime);
        let own = self.facts.unusual.as_ref().and_then(|unusual| unusual.lifetime_end);
        earlier(of_terms, own)
    }
}

/// Puts back what an outcome carries, when nobody wants it.
pub(crate) fn discard<K: Kernel>(outcome: Outcome, turn: &mut Turn<K>) {
    match outcome {
        Outcome::Received(buffer) => turn.kernel.release(buffer),
        Outcome::Accepted(leg) => turn.kernel.close(leg, Close::Normal),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_tunnel_costs_little() {
        // Session, two legs and a timer entry have to stay within 1 KiB together.
        assert!(size_of::<Session>() <= 512, "{} bytes", size_of::<Session>());
    }
}
