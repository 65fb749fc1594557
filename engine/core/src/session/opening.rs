//! A session that knows where to, until its tunnel stands: what came ahead, and how far the way to the target is.
//!
//! Meanwhile the client may send ahead: up to 64 KiB are kept for the target, then reading stops, but a hang-up is still
//! noticed. None of it is ever sent to a target that did not become the tunnel's: a client that breaks its connection, or its TLS, before
//! the tunnel stands is not waited for.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use penstock_proto::http::Target;
use penstock_proto::websocket::Upgrade;
use penstock_ring::{
    Arrival, Close, Errno, Group, Interest, Kernel, Leg, Outcome, Readiness, Stop, Time,
};

use super::target_tls::Handshake;
use super::vnc::Login;
use super::{Session, State, discard};
use crate::close::{Cause, CloseReason, Phase, Side};
use crate::config::{Door, HalfClose, Reach, SendProxy};
use crate::control::{Secrets, Terms};
use crate::layers::Layers;
use crate::opaque::Opaque;
use crate::relay::{CONGESTED, Receiving};
use crate::turn::{Step, Turn};

/// Early payload that is kept until the target is there, in bytes; then reading stops.
const EARLY: usize = 64 << 10;

/// What an opening waits for.
///
/// ```text
///  Host or Token ─▶ Secrets ─┬─▶ Name ─▶ Connection ─┬─▶ Login ─▶ Tls ─▶ relay
///                            └─▶ Door ───────────────┘     (each is left out where nothing is to be done)
/// ```
#[derive(Debug)]
pub(super) enum Stage {
    /// Whether the host allows it, and where to.
    Host,
    /// What the token names.
    Token,
    /// What the target is shown of us.
    Secrets,
    /// The addresses of the target's name.
    Name,
    /// A descriptor that somebody else opens.
    Door,
    /// One of the attempts to connect.
    Connection,
    /// The target's side of TLS.
    Tls(Handshake),
    /// A console's login, TLS within it.
    Login(Box<Login>),
}

impl Stage {
    /// A target that is there already, and what stands before it.
    pub(super) fn target(&mut self) -> Option<(Leg, &mut Layers)> {
        match self {
            Stage::Tls(handshake) => Some((handshake.leg, &mut handshake.layers)),
            Stage::Login(login) => Some((login.leg, &mut login.layers)),
            _ => None,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) stage: Stage,
    /// Where to, unless it is a door.
    pub(super) target: Option<Target>,
    /// Which door, unless it is an address.
    pub(super) door: Option<Arc<Door>>,
    /// What a browser is told as soon as it is known where to, and what it speaks then.
    pub(super) upgrade: Option<Upgrade>,
    /// What a token's source says of the console.
    pub(super) terms: Option<Box<Terms>>,
    /// What the target is shown of us, once it was read.
    pub(super) secrets: Option<Box<Secrets>>,
    /// What passes is written down already.
    pub(super) is_recorded: bool,
    /// Our own address on the client's leg, if somebody wants to know it.
    pub(super) local: Option<SocketAddr>,
    /// Payload that came ahead.
    pub(super) early: Opaque,
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

/// What a connection is to be joined to.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) target: Option<Target>,
    pub(super) door: Option<Arc<Door>>,
    pub(super) upgrade: Option<Upgrade>,
}

impl Wanted {
    /// What is reached that way.
    pub(super) fn of(reach: &Reach) -> Wanted {
        let (target, door) = match reach {
            Reach::Network(target) => (Some(target.clone()), None),
            Reach::Door(door) => (None, Some(Arc::clone(door))),
            Reach::HandedOver => (None, None),
        };
        Wanted { target, door, ..Wanted::default() }
    }
}

impl Opening {
    /// How far it has come.
    pub(super) fn phase(&self) -> Phase {
        match &self.stage {
            Stage::Host | Stage::Token | Stage::Secrets | Stage::Name => Phase::Admission,
            Stage::Door | Stage::Connection => Phase::Connect,
            Stage::Tls(_) => Phase::Tls,
            Stage::Login(login) => login.phase(),
        }
    }

    /// Whether it is said where to: by the client, by the listener, or by who was asked.
    pub(super) fn knows_target(&self) -> bool {
        self.target.is_some() || self.door.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let next = self.next_attempt.filter(|_| !self.candidates.is_empty());
        next.into_iter().chain([self.deadline]).min()
    }

    /// Ends what leads towards the target.
    pub(super) fn close_legs<K: Kernel>(&self, turn: &mut Turn<K>) {
        for (leg, _) in &self.attempts {
            turn.kernel.close(*leg, Close::Normal);
        }
        match &self.stage {
            Stage::Tls(handshake) => turn.kernel.close(handshake.leg, Close::Normal),
            Stage::Login(login) => turn.kernel.close(login.leg, Close::Normal),
            _ => {}
        }
    }

    /// Keeps what the client sends ahead, as long as that is not too much.
    pub(super) fn keep<K: Kernel>(&mut self, client: Leg, bytes: &[u8], turn: &mut Turn<K>) {
        self.early.extend_from_slice(bytes);
        if self.early.len() >= EARLY && self.receiving == Receiving::On {
            self.receiving = match turn.kernel.receive_stop(client) {
                Stop::Done => Receiving::Off,
                Stop::Later => Receiving::Stopping,
            };
            turn.kernel.watch(client, Interest::HangUp, true);
        }
    }
}

impl Session {
    /// From now on the client's leg is received from as in the relay, so that its end is noticed.
    pub(super) fn open<K: Kernel>(
        &mut self,
        wanted: Wanted,
        early: Vec<u8>,
        turn: &mut Turn<K>,
    ) -> Box<Opening> {
        let Wanted { target, door, upgrade } = wanted;
        self.note_set_up(0, turn);
        turn.kernel.receive(self.client, Group::Small);
        let local = self.wants_local().then(|| turn.kernel.local(self.client)).flatten();
        Box::new(Opening {
            stage: Stage::Name,
            target,
            door,
            upgrade,
            terms: None,
            secrets: None,
            is_recorded: false,
            local,
            early: early.into(),
            receiving: Receiving::On,
            client_ended: false,
            requested_at: turn.now,
            dial_at: turn.now,
            deadline: turn.now + self.listener().timeouts.connect,
            candidates: VecDeque::new(),
            attempts: Vec::new(),
            next_attempt: None,
        })
    }

    /// How long it took from the beginning to the end of a phase, unless somebody read pages in between.
    pub(super) fn note_set_up<K: Kernel>(&self, phase: usize, turn: &Turn<K>) {
        if !self.facts.follows_pages {
            turn.counters.setup[phase].record(turn.now.since(self.started));
        }
    }

    fn wants_local(&self) -> bool {
        let listener = self.listener();
        listener.rules.need_local() || listener.send_proxy != SendProxy::Off
    }

    /// What the client does while its tunnel is being set up.
    pub(super) fn step_early<K: Kernel>(&mut self, outcome: Outcome, turn: &mut Turn<K>) -> Step {
        match outcome {
            Outcome::Received(buffer) => {
                let bytes = turn.kernel.bytes(&buffer).to_vec();
                turn.kernel.release(buffer);
                self.take_early(bytes, turn)
            }
            Outcome::ReceiveEnded(arrival) => self.early_ended(arrival),
            Outcome::Ready(Readiness { hang_up: true, .. }) => self.client_left(Cause::HungUp),
            other => {
                discard(other, turn);
                Step::Continue(())
            }
        }
    }

    fn take_early<K: Kernel>(&mut self, bytes: Vec<u8>, turn: &mut Turn<K>) -> Step {
        if let Some(browser) = self.layers.web_socket_mut() {
            browser.answer_pings(turn.kernel.queued(self.client).bytes < CONGESTED as usize);
        }
        let opened = self.layers.open_apart(bytes, turn.now);
        self.take_ahead(opened, turn)
    }

    fn early_ended(&mut self, arrival: Arrival) -> Step {
        if let State::AwaitTarget(opening) = &mut self.state {
            // A stop of before, when pages were served: what was asked for since goes on.
            let goes_on = arrival == Arrival::Stopped && opening.receiving == Receiving::On;
            opening.receiving = if goes_on { Receiving::On } else { Receiving::Off };
        }
        match arrival {
            Arrival::Stopped | Arrival::Short => Step::Continue(()),
            Arrival::Failed(_) => self.client_left(Cause::Reset),
            Arrival::Ended => self.client_finished(),
        }
    }

    /// The client sends no more. Who sent nothing ahead and waits for no answer has gone, and so has who did not say where to.
    pub(super) fn client_finished(&mut self) -> Step {
        let half_close = self.half_close();
        let opening = match &mut self.state {
            State::AwaitTarget(opening) => opening,
            State::AwaitProxyHeader(_) | State::AwaitTls(_) | State::AwaitRequest(_) => {
                return self.client_left(Cause::HungUp);
            }
            _ => return Step::Continue(()),
        };
        opening.client_ended = true;
        if let Stage::Login(_) = opening.stage {
            // Nobody logs in who has no more to say.
            return self.client_left(Cause::HungUp);
        }
        match half_close == HalfClose::Close && opening.early.is_empty() {
            true => self.client_left(Cause::HungUp),
            false => Step::Continue(()),
        }
    }

    pub(super) fn client_left(&self, cause: Cause) -> Step {
        Step::Break(CloseReason::new(Side::Client, self.phase(), cause))
    }

    /// Time is up for one attempt, or for all of it.
    pub(super) fn opening_expired<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitTarget(opening) = &self.state else { return Step::Continue(()) };
        if opening.deadline <= turn.now {
            let (side, cause) = match &opening.stage {
                Stage::Host => return self.stay_undecided(turn),
                // Before the token is judged, nobody has a WebSocket.
                Stage::Token => (Side::Penstock, Cause::TokenLookupFailed),
                Stage::Secrets => (Side::Penstock, Cause::SecretMissing),
                Stage::Name => (Side::Target, Cause::NameLookupFailed),
                Stage::Door | Stage::Connection => (Side::Target, Cause::ConnectTimeout),
                Stage::Tls(_) => (Side::Target, Cause::HandshakeTimeout),
                Stage::Login(_) => return self.login_expired(turn),
            };
            return self.refuse(side, cause, Some(Errno::ETIMEDOUT), turn);
        }
        match opening.next_attempt {
            Some(at) if at <= turn.now => self.dial(turn),
            _ => Step::Continue(()),
        }
    }
}
