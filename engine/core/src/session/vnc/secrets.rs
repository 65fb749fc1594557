//! What a login has to go by: the listener's wishes, the token's terms, and secrets that somebody reads from files who may wait.

use penstock_proto::rfb::{Allowed, Introduction, Keys, Mode, Plan, Scheme, Subtype};
use penstock_ring::Kernel;

use super::sasl::Sasl;
use crate::close::{Cause, Side};
use crate::config::{Password, Vnc, VncMode};
use crate::control::{Question, Secrets};
use crate::session::opening::Stage;
use crate::session::{Session, State};
use crate::turn::{Step, Turn};

/// What a person's password is bridged to, the one that says most first.
const BRIDGED: [Subtype; 4] =
    [Subtype::X509Sasl, Subtype::X509Plain, Subtype::X509Vnc, Subtype::X509None];

type Refusal = (Side, Cause, Box<str>);

impl Session {
    /// Whether secrets have to be read before anything is connected to.
    pub(in crate::session) fn lacks_secrets(&self) -> bool {
        let State::AwaitTarget(opening) = &self.state else { return false };
        let vnc = self.listener().vnc.as_ref();
        vnc.is_some_and(|vnc| vnc.credentials.has_files()) && opening.secrets.is_none()
    }

    pub(in crate::session) fn ask_for_secrets<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let Some(vnc) = self.listener().vnc.clone() else { return Step::Continue(()) };
        let State::AwaitTarget(opening) = &mut self.state else { return Step::Continue(()) };
        opening.stage = Stage::Secrets;
        let target = opening.target.as_ref().map(|target| target.to_string().into());
        let question = Question::Secrets { id: self.handle.id(turn.worker), vnc, target };
        if turn.outside.ask(question).is_err() {
            turn.counters.questions_refused.add(1);
            return self.refuse(Side::Penstock, Cause::Overloaded, None, turn);
        }
        Step::Continue(())
    }

    /// The answer of control.
    pub(in crate::session) fn secrets_read<K: Kernel>(
        &mut self,
        result: Result<Secrets, Box<str>>,
        turn: &mut Turn<K>,
    ) -> Step {
        match result {
            Ok(secrets) => {
                let State::AwaitTarget(mut opening) =
                    std::mem::replace(&mut self.state, State::Between)
                else {
                    return Step::Continue(());
                };
                (opening.stage, opening.secrets) = (Stage::Name, Some(Box::new(secrets)));
                self.admit(opening, turn)
            }
            Err(detail) => {
                self.facts.detail = Some(detail);
                self.refuse(Side::Penstock, Cause::SecretMissing, None, turn)
            }
        }
    }

    /// Whether the client proves itself to the server.
    pub(super) fn bridges(&self) -> bool {
        self.listener().vnc.as_ref().is_some_and(|vnc| vnc.mode == VncMode::Bridge)
    }

    /// What the machine is to do.
    pub(super) fn plan(&mut self) -> Result<Plan, Refusal> {
        let Some(vnc) = self.listener().vnc.clone() else {
            return Err((Side::Penstock, Cause::BadGreeting, "no VNC is configured".into()));
        };
        let State::AwaitTarget(opening) = &mut self.state else {
            return Err((Side::Penstock, Cause::BadGreeting, "there is no target".into()));
        };
        let terms = opening.terms.take();
        let secrets = opening.secrets.take().map(|secrets| *secrets).unwrap_or_default();
        let must_be_secured = terms.as_ref().is_some_and(|terms| terms.secured == Some(true));
        let name = terms.as_ref().and_then(|terms| terms.name.clone());
        let of_token = terms.and_then(|terms| terms.password);
        let introduction = Introduction::new(vnc.force_shared, name);
        let (mode, subtypes, mut schemes) = match vnc.mode {
            VncMode::Bridge => {
                self.judge_encryption(&vnc)?;
                (Mode::Bridge, bridged(&vnc.listen), in_the_clear(&vnc))
            }
            VncMode::Authenticate => {
                let keys = keys(&vnc, secrets, of_token);
                let (subtypes, schemes) = (keys.subtypes(), schemes(&vnc, &keys));
                (Mode::Authenticate(keys), subtypes, schemes)
            }
        };
        if must_be_secured {
            schemes.retain(|scheme| *scheme == Scheme::VeNCrypt);
        }
        let allowed = Allowed { schemes, subtypes, order: vnc.order };
        Ok(Plan { allowed, mode, listen: vnc.listen.clone(), introduction })
    }

    /// A password that is typed in the clear is not made any safer by TLS behind us.
    fn judge_encryption(&self, vnc: &Vnc) -> Result<(), Refusal> {
        let is_local = self.facts.client.is_none();
        if self.layers.is_secure() || !vnc.listen.is_empty() || vnc.unencrypted_clients || is_local
        {
            return Ok(());
        }
        let detail = "expected a client on TLS, came one in the clear: `mode = \"bridge\"` passes on what people type (`tls`, or `unencrypted_clients = true` if the way to here is safe)";
        Err((Side::Client, Cause::AccessDenied, detail.into()))
    }

    /// Whether the server has asked for more than TLS.
    pub(super) fn asks_for_something(&mut self) -> bool {
        let used = self.login().and_then(|(login, _)| login.gateway()).and_then(|one| one.used());
        used.is_some_and(|(_, within)| within != Subtype::X509None)
    }

    pub(super) fn count_login<K: Kernel>(&mut self, turn: &mut Turn<K>) {
        let authenticates = usize::from(!self.bridges());
        let used = self.login().and_then(|(login, _)| login.gateway()).and_then(|one| one.used());
        let Some((secured, within)) = used else { return };
        let index = match (secured, within) {
            (false, Subtype::X509Vnc) => 1,
            (false, _) => 0,
            (true, subtype) => 2 + (subtype.number() - Subtype::X509None.number()) as usize,
        };
        turn.counters.vnc_logins[authenticates][index].add(1);
    }
}

/// What clients can answer, of what there is.
fn bridged(listen: &[Subtype]) -> Vec<Subtype> {
    BRIDGED.into_iter().filter(|one| listen.is_empty() || listen.contains(one)).collect()
}

/// The same where the server speaks no TLS: what clients use towards us bounds what they are let in by.
fn in_the_clear(vnc: &Vnc) -> Vec<Scheme> {
    let is_listed = |subtype| vnc.listen.is_empty() || vnc.listen.contains(&subtype);
    let usable = |scheme: &&Scheme| match scheme {
        Scheme::VeNCrypt => true,
        Scheme::Vnc => is_listed(Subtype::X509Vnc),
        Scheme::None => is_listed(Subtype::X509None),
    };
    vnc.schemes.iter().filter(usable).copied().collect()
}

fn keys(vnc: &Vnc, secrets: Secrets, of_token: Option<penstock_proto::Secret>) -> Keys {
    let credentials = &vnc.credentials;
    let password = match &credentials.password {
        Some(Password::Token) => of_token,
        Some(Password::File(_) | Password::Folder(_)) => secrets.password,
        None => None,
    };
    let plain = credentials.plain.as_ref().zip(secrets.plain);
    let sasl = credentials.sasl.as_ref().zip(secrets.sasl);
    Keys {
        password,
        plain: plain.map(|(account, password)| (account.user.clone(), password)),
        sasl: sasl.map(|(account, password)| {
            Box::new(Sasl::new(&account.user, password)) as Box<dyn penstock_proto::rfb::Prover>
        }),
    }
}

/// Without a password, its challenge can't be answered.
fn schemes(vnc: &Vnc, keys: &Keys) -> Vec<Scheme> {
    let usable = |scheme: &&Scheme| **scheme != Scheme::Vnc || keys.password.is_some();
    vnc.schemes.iter().filter(usable).copied().collect()
}
