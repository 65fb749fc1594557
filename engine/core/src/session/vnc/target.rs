//! What the target's leg tells during a login.

use penstock_ring::{Errno, Kernel, Leg};
use penstock_tls::Error;

use crate::close::{Cause, Side};
use crate::layers::{Fault, Opened};
use crate::session::Session;
use crate::sessions::Role;
use crate::turn::{Step, Turn};

impl Session {
    pub(in crate::session) fn take_from_server<K: Kernel>(
        &mut self,
        leg: Leg,
        opened: Opened<Vec<u8>>,
        turn: &mut Turn<K>,
    ) -> Step {
        let Opened { plain, reply, agreed, ended, broken } = opened;
        let Some((login, _)) = self.login() else { return Step::Continue(()) };
        login.left.early.extend_from_slice(&plain);
        login.left.ended |= ended;
        // If this is the end of the login, the relay has to know of it.
        login.left.broken = broken;
        self.say(Role::Target, leg, reply, turn);
        match agreed {
            Some(agreed) => {
                self.facts.agreed(Side::Target, agreed, turn);
                self.step_gateway(true, turn)?;
            }
            None => self.step_login(turn)?,
        }
        // What came before is understood by now; if that was all there was to say, the relay has it.
        let Some((login, _)) = self.login() else { return Step::Continue(()) };
        match login.left.broken.take() {
            Some(fault) => self.refuse_target(&fault, turn),
            None if ended => self.server_left(None, turn),
            None => Step::Continue(()),
        }
    }

    /// The server leaves before anything came of it.
    pub(in crate::session) fn server_left<K: Kernel>(
        &mut self,
        errno: Option<Errno>,
        turn: &mut Turn<K>,
    ) -> Step {
        let Some((login, _)) = self.login() else { return Step::Continue(()) };
        if errno.is_none() && login.secures_server() {
            return self.refuse_target(&Fault::Tls(Error::Closed), turn);
        }
        if errno.is_none_or(|errno| errno == Errno::ECONNRESET) && login.is_judged() {
            // QEMU says no more than this of many a fault: there is neither an alert nor a result.
            let detail = "the VNC server ended the connection instead of saying whether it lets us in: QEMU does so when it wants a certificate of us (verify-peer), or another one (tls-authz), and when the account of SASL is wrong";
            self.facts.detail = Some(detail.into());
            return self.refuse(Side::Target, Cause::NotLetIn, None, turn);
        }
        let expected = login.awaits();
        let detail = match errno {
            Some(errno) => format!("expected {expected}, came {}", errno.desc()),
            None => format!("expected {expected}, came the end of the connection"),
        };
        self.facts.detail = Some(detail.into());
        let cause = errno.map_or(Cause::HungUp, Cause::of_broken_leg);
        self.refuse(Side::Target, cause, None, turn)
    }
}
