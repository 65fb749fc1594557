//! Logins of which nothing comes: whose doing it was, what the client is told, and what the operator reads.
//!
//! The client reads a few words in RFB itself, where that has a place for them, and a browser a reason behind its close code. Hosts, certificates
//! and remedies are for the log.

use penstock_proto::rfb::{Error, Failure, Gateway, SaslError};
use penstock_ring::Kernel;

use super::{Login, LoginStage};
use crate::close::{Cause, CloseReason, Side};
use crate::session::Session;
use crate::session::console::closing;
use crate::turn::{Step, Turn};

impl Login {
    /// What is waited for, in words.
    pub(super) fn awaits(&self) -> &'static str {
        match &self.stage {
            LoginStage::Path(_) => "an answer to the console's path",
            LoginStage::Speaker => "a word of the server, or of the client",
            LoginStage::Gateway(gateway) => gateway.awaits().1,
        }
    }

    /// Whether it is the server's part of TLS.
    pub(super) fn secures_server(&self) -> bool {
        self.awaits_server() && self.gateway().is_some_and(Gateway::is_securing)
    }

    /// Whether the server decides, and an end is its decision.
    pub(super) fn is_judged(&self) -> bool {
        self.gateway().is_some_and(Gateway::awaits_verdict)
    }

    fn awaits_server(&self) -> bool {
        match &self.stage {
            LoginStage::Path(_) => true,
            // A client of SPICE speaks at once: who is silent is a server of VNC.
            LoginStage::Speaker => true,
            LoginStage::Gateway(gateway) => gateway.awaits().0,
        }
    }
}

impl Session {
    pub(super) fn login_failed<K: Kernel>(
        &mut self,
        Failure { by_client, error }: Failure,
        turn: &mut Turn<K>,
    ) -> Step {
        let bridged = self.bridges();
        let (side, cause) = match (by_client, &error) {
            (true, _) => (Side::Client, cause_of(&error)),
            // Whoever typed the password has it wrong.
            (false, Error::NotLetIn(_)) if bridged && self.asks_for_something() => {
                (Side::Client, Cause::Unauthorized)
            }
            (false, _) => (Side::Target, cause_of(&error)),
        };
        self.facts.detail = Some(error.to_string().into());
        self.refuse(side, cause, None, turn)
    }

    /// Tells the client in RFB that nothing comes of it, where there is a place for that.
    pub(in crate::session) fn refuse_in_rfb<K: Kernel>(
        &mut self,
        reason: CloseReason,
        turn: &mut Turn<K>,
    ) -> Step {
        let id = self.handle.id(turn.worker);
        let Some(gateway) = self.login().and_then(|(login, _)| login.gateway()) else {
            return Step::Continue(());
        };
        let (_, words) = closing(reason.cause);
        let mut to_client = Vec::new();
        gateway.refuse(&format!("{words} (session {id})"), &mut to_client);
        // Where nothing can be said, the reason stays what it is.
        self.tell_client(to_client, turn).unwrap_or(Step::Continue(()))
    }

    /// What was waited for did not come in time.
    pub(in crate::session) fn login_expired<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let Some((login, _)) = self.login() else { return Step::Continue(()) };
        let side = if login.awaits_server() { Side::Target } else { Side::Client };
        let person = login.gateway().is_some_and(Gateway::awaits_person);
        let (expected, late) = (login.awaits(), if person { " from a person" } else { "" });
        self.facts.detail = Some(format!("expected {expected}{late}, came nothing in time").into());
        self.refuse(side, Cause::HandshakeTimeout, None, turn)
    }
}

fn cause_of(error: &Error) -> Cause {
    match error {
        Error::Closed(_) | Error::NotLetIn(_) | Error::TooManyTries => Cause::NotLetIn,
        Error::Sasl(SaslError::Broken(_)) => Cause::NotLetIn,
        Error::NoCommonType(_) | Error::NoCommonSubtype(_) | Error::OldClient => {
            Cause::NoCommonSecurity
        }
        Error::Sasl(SaslError::NoMechanism(_) | SaslError::TooCostly(_)) => Cause::NoCommonSecurity,
        Error::PlaintextBeforeTls => Cause::Injected,
        Error::OtherConsole { .. } => Cause::OtherConsole,
        Error::NotRfb(_)
        | Error::Repeater
        | Error::OldVeNCrypt(_)
        | Error::VeNCryptRefused(_)
        | Error::UnknownResult(_)
        | Error::TooLong { .. }
        | Error::NotOffered(_) => Cause::BadGreeting,
    }
}
