//! A console's login: between the connection to its target, and bytes that pass as they are.
//!
//! ```text
//!  connected ─▶ Path ─┬─▶ Speaker ─┬─ the client: SPICE ─▶ TLS (target_tls)
//!   (nova's, if any)  │ (oVirt's)  └─ the server: RFB ──┐
//!                     └─▶ Gateway ◀─────────────────────┘
//!                            └─▶ relay
//! ```
//!
//! In: what both sides say, in plain bytes. Out: words for both, TLS with either when the machine says so, in the end the relay. What came
//! too early stays where it is, and is the relay's.

mod failure;
mod sasl;
mod secrets;
mod target;
mod words;

use penstock_proto::Progress::{Done, Wait};
use penstock_proto::http::PathAnswer;
use penstock_proto::rfb::{Both, Gateway, Next, ViewOnly};
use penstock_ring::{Close, Group, Kernel, Leg, Stop};

use super::opening::{Opening, Stage};
use super::secure::RECORD_MAX;
use super::{Session, State};
use crate::close::{Cause, Phase, Side};
use crate::layers::{Broken, Fault, Layers};
use crate::opaque::Opaque;
use crate::relay::{Left, Receiving};
use crate::sessions::Role;
use crate::turn::{Step, Turn};

/// How long a person may take to answer what a server asks for.
const PERSON: std::time::Duration = std::time::Duration::from_secs(5 * 60);
/// What a target may say ahead, in bytes; then it is not listened to for a while.
const AHEAD: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) leg: Leg,
    /// The target's.
    pub(super) layers: Layers,
    stage: LoginStage,
    /// How the target's stream is left: plain bytes that are not understood yet, or for the client.
    left: Left,
    awaited_person: bool,
}

#[derive(Debug)]
enum LoginStage {
    /// What holds several consoles is asked for one.
    Path(PathAnswer),
    /// Whoever speaks first says what this is.
    Speaker,
    Gateway(Box<Gateway>),
}

impl Login {
    fn new(leg: Leg, stage: LoginStage, left: Left) -> Box<Login> {
        let layers = Layers::default();
        Box::new(Login { leg, layers, stage, left, awaited_person: false })
    }

    /// How far it has come, for the record.
    pub(super) fn phase(&self) -> Phase {
        match self.gateway() {
            Some(gateway) if gateway.is_securing() => Phase::Tls,
            _ => Phase::Login,
        }
    }

    fn gateway(&self) -> Option<&Gateway> {
        match &self.stage {
            LoginStage::Gateway(gateway) => Some(gateway),
            LoginStage::Path(_) | LoginStage::Speaker => None,
        }
    }
}

impl Session {
    /// The connection to the target stands; it may have to be asked for the console first.
    pub(super) fn ask_for_path<K: Kernel>(&mut self, leg: Leg, turn: &mut Turn<K>) -> Step {
        let State::AwaitTarget(opening) = &self.state else { return Step::Continue(()) };
        let path = opening.terms.as_ref().and_then(|terms| terms.access_path.as_deref());
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            let left = self.left_with_target();
            return self.meet_target(leg, left, turn);
        };
        let mut said = Vec::new();
        let asked = PathAnswer::ask(path, &mut said);
        match asked {
            Ok(answer) => {
                self.begin_login(Login::new(leg, LoginStage::Path(answer), Left::default()), turn);
                self.say(Role::Target, leg, said.into(), turn);
                self.hear_target(turn)
            }
            Err(error) => {
                turn.kernel.close(leg, Close::Normal);
                self.facts.detail = Some(error.to_string().into());
                self.refuse(Side::Penstock, Cause::BadGreeting, None, turn)
            }
        }
    }

    /// What is spoken with the target, of which something may have come.
    fn meet_target<K: Kernel>(&mut self, leg: Leg, left: Left, turn: &mut Turn<K>) -> Step {
        let State::AwaitTarget(opening) = &self.state else { return Step::Continue(()) };
        let secured = opening.terms.as_ref().and_then(|terms| terms.secured);
        let vnc = self.listener().vnc.as_deref();
        match (vnc, secured) {
            (_, Some(false)) => self.begin_relay(leg, Layers::default(), left, turn),
            (Some(vnc), Some(true)) if vnc.or_spice => {
                self.begin_login(Login::new(leg, LoginStage::Speaker, left), turn);
                self.step_login(turn)
            }
            (Some(_), _) => self.begin_gateway(leg, left, turn),
            (None, _) => self.secure_target(leg, left, turn),
        }
    }

    fn begin_gateway<K: Kernel>(&mut self, leg: Leg, left: Left, turn: &mut Turn<K>) -> Step {
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err((side, cause, detail)) => {
                turn.kernel.close(leg, Close::Normal);
                self.facts.detail = Some(detail);
                return self.refuse(side, cause, None, turn);
            }
        };
        let mut to_client = Vec::new();
        let gateway = LoginStage::Gateway(Box::new(Gateway::new(plan, &mut to_client)));
        self.begin_login(Login::new(leg, gateway, left), turn);
        self.begin_record(turn);
        self.say_to_client(to_client, turn)?;
        self.step_login(turn)
    }

    fn begin_login<K: Kernel>(&mut self, login: Box<Login>, turn: &mut Turn<K>) {
        let deadline = turn.now + self.listener().timeouts.handshake;
        if let State::AwaitTarget(opening) = &mut self.state {
            opening.stage = Stage::Login(login);
            opening.deadline = deadline;
        }
    }

    /// The login, while it lasts, and the rest of the opening.
    fn login(&mut self) -> Option<(&mut Login, &mut Opaque)> {
        let State::AwaitTarget(opening) = &mut self.state else { return None };
        let Opening { stage, early, .. } = &mut **opening;
        match stage {
            Stage::Login(login) => Some((login, early)),
            _ => None,
        }
    }

    /// Goes on as far as what has come allows.
    pub(super) fn step_login<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let Some((login, from_client)) = self.login() else { return Step::Continue(()) };
        match &mut login.stage {
            LoginStage::Path(answer) => {
                let mut rest = login.left.early.as_slice();
                let answered = answer.receive(&mut rest, &mut Vec::new());
                let taken = login.left.early.len() - rest.len();
                match answered {
                    Ok(Wait) => self.hear_target(turn),
                    Ok(Done(())) => {
                        login.left.early.drain(..taken);
                        let (leg, left) = (login.leg, std::mem::take(&mut login.left));
                        self.meet_target(leg, left, turn)
                    }
                    Err(error) => {
                        self.facts.detail = Some(error.to_string().into());
                        self.refuse(Side::Target, Cause::NotLetIn, None, turn)
                    }
                }
            }
            LoginStage::Speaker if !login.left.early.is_empty() => {
                let (leg, left) = (login.leg, std::mem::take(&mut login.left));
                self.begin_gateway(leg, left, turn)
            }
            LoginStage::Speaker if !from_client.is_empty() => {
                let leg = login.leg;
                let receiving = self.stop_hearing_target(turn);
                self.secure_target(leg, Left { receiving, ..Left::default() }, turn)
            }
            LoginStage::Speaker => self.hear_target(turn),
            LoginStage::Gateway(_) => self.step_gateway(false, turn),
        }
    }

    /// Lets the machine go on; after TLS with one of them, if `secured`.
    fn step_gateway<K: Kernel>(&mut self, secured: bool, turn: &mut Turn<K>) -> Step {
        let Some((login, early)) = self.login() else { return Step::Continue(()) };
        let LoginStage::Gateway(gateway) = &mut login.stage else { return Step::Continue(()) };
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        let (mut from_client, mut from_server) = (early.as_slice(), login.left.early.as_slice());
        let mut both = Both {
            from_client: &mut from_client,
            from_server: &mut from_server,
            to_client: &mut to_client,
            to_server: &mut to_server,
        };
        let next = match secured {
            true => gateway.secured(&mut both),
            false => gateway.step(&mut both),
        };
        let heard = early.len() - from_client.len();
        let understood = login.left.early.len() - from_server.len();
        login.left.early.drain(..understood);
        let heard: Vec<u8> = early.drain(..heard).collect();
        self.note_heard(heard, turn);
        let next = match next {
            Ok(next) => next,
            Err(failure) => {
                // Whatever can't be said any more, this is why it ends.
                let _ = self.tell_target(to_server, turn);
                let _ = self.tell_client(to_client, turn);
                return self.login_failed(failure, turn);
            }
        };
        self.say_to_target(to_server, turn)?;
        self.say_to_client(to_client, turn)?;
        if self.login().is_none() {
            // Something could not be said, and that was the end of it.
            return Step::Continue(());
        }
        match next {
            Next::Wait => self.await_login(turn),
            Next::SecureServer => self.secure_server(turn),
            Next::SecureClient => self.secure_client(turn),
            Next::Done => self.logged_in(turn),
        }
    }

    /// Hears on. A person who has to type something is given the time for it.
    fn await_login<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let handshake = self.listener().timeouts.handshake;
        let Some((login, _)) = self.login() else { return Step::Continue(()) };
        let awaits_person = login.gateway().is_some_and(Gateway::awaits_person);
        let changed = std::mem::replace(&mut login.awaited_person, awaits_person) != awaits_person;
        if let (State::AwaitTarget(opening), true) = (&mut self.state, changed) {
            let span = if awaits_person { PERSON.max(handshake) } else { handshake };
            opening.deadline = turn.now + span;
        }
        self.hear_target(turn)
    }

    /// TLS with the server begins, by us.
    fn secure_server<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let Some(upstream) = &self.listener().upstream_tls else {
            return self.refuse_clear_target(turn);
        };
        let mut layers = match self.session_with(upstream) {
            Ok(layers) => layers,
            Err(error) => return self.refuse_target(&Fault::Tls(error), turn),
        };
        let started = layers.start();
        let Some((login, _)) = self.login() else { return Step::Continue(()) };
        login.layers = layers;
        self.facts.shakes_hands(Side::Target);
        match started {
            Ok(hello) => {
                let Some((login, _)) = self.login() else { return Step::Continue(()) };
                let leg = login.leg;
                self.say(Role::Target, leg, hello, turn);
                self.hear_target(turn)
            }
            Err(Broken { fault, .. }) => self.refuse_target(&fault, turn),
        }
    }

    /// TLS with the client begins, by it.
    fn secure_client<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let Some(tls) = &self.listener().tls else { return Step::Continue(()) };
        match tls.server.get().session() {
            Ok(session) => {
                self.layers = Layers::tls(session, RECORD_MAX, false);
                self.facts.shakes_hands(Side::Client);
                self.hear_target(turn)
            }
            Err(error) => self.client_broke(Broken::silent(error), turn),
        }
    }

    /// TLS with the client stands.
    pub(super) fn client_secured<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        self.step_gateway(true, turn)
    }

    /// Both sides have come together.
    fn logged_in<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        self.let_look(turn)?;
        self.count_login(turn);
        let receiving = self.stop_hearing_target(turn);
        let State::AwaitTarget(opening) = &mut self.state else { return Step::Continue(()) };
        let Stage::Login(login) = std::mem::replace(&mut opening.stage, Stage::Connection) else {
            return Step::Continue(());
        };
        let Login { leg, layers, left, .. } = *login;
        self.begin_relay(leg, layers, Left { receiving, ..left }, turn)
    }

    /// Of a client that only looks, what came early passes only if that is all it does.
    fn let_look<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        if !self.listener().vnc.as_ref().is_some_and(|vnc| vnc.view_only) {
            return Step::Continue(());
        }
        let Some((login, early)) = self.login() else { return Step::Continue(()) };
        let is_initialised = login.gateway().is_some_and(Gateway::has_introduced);
        let mut view_only = ViewOnly::new(is_initialised);
        let (kept, verdict) = view_only.filter(early);
        early.truncate(kept);
        self.layers.let_look(view_only);
        match verdict {
            Ok(()) => Step::Continue(()),
            Err(kind) => {
                let fault = Fault::UnknownMessage(kind);
                let reply = self.layers.blame(&fault);
                self.client_broke(Broken { fault, reply }, turn)
            }
        }
    }

    /// From now on, the target is heard by somebody else.
    fn stop_hearing_target<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Receiving {
        let Some((login, _)) = self.login() else { return Receiving::Off };
        match turn.kernel.receive_stop(login.leg) {
            Stop::Done => Receiving::Off,
            Stop::Later => Receiving::Stopping,
        }
    }

    fn hear_target<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        if let Some((login, _)) = self.login()
            && login.left.early.len() < AHEAD
            && !login.left.ended
        {
            turn.kernel.receive(login.leg, Group::Reserve);
        }
        Step::Continue(())
    }
}

#[cfg(test)]
mod tests;
