//! TLS with the client: agreed on before anything else is heard, by a listener's certificate.
//!
//! In: what the client sends. Out: plain bytes for whoever reads on, answers of the handshake's own; in the end what was agreed on, and
//! for libvirt's clients the byte that says so. Who breaks the protocol is told by an alert, and is given the time to read it.

use bytes::Bytes;
use penstock_ring::{Close, Kernel, Sent};
use penstock_tls::{Agreed, Error};

use super::{Session, State};
use crate::close::{Cause, CloseReason, Side};
use crate::layers::{Broken, Fault, Layers, Opened};
use crate::relay::Receiving;
use crate::sessions::Role;
use crate::turn::{Step, Turn};

/// What a libvirt server sends to whom it lets in.
pub(super) const LET_IN: u8 = 1;
/// The first byte of a TLS connection: the type of a handshake's record.
const HANDSHAKE: u8 = 22;
/// Plaintext that a record may carry (RFC 8446 §5.1).
pub(super) const RECORD_MAX: usize = 1 << 14;

impl Session {
    /// Takes what the client sent through its layers, and reads on.
    pub(super) fn take_bytes<K: Kernel>(&mut self, bytes: Vec<u8>, turn: &mut Turn<K>) -> Step {
        if let (State::AwaitTls(_), false, Some(first)) =
            (&self.state, self.layers.is_secure(), bytes.first())
            && let Err(error) = self.begin_tls(*first)
        {
            return self.client_broke(Broken::silent(error), turn);
        }
        let opened = self.layers.open_apart(bytes, turn.now);
        self.take_opened(opened, turn)
    }

    fn take_opened<K: Kernel>(&mut self, opened: Opened<Vec<u8>>, turn: &mut Turn<K>) -> Step {
        let Opened { plain, reply, agreed, ended, broken } = opened;
        if let Some(fault) = broken {
            // There was an agreement all the same; of the rest, nothing has gone anywhere.
            if let Some(agreed) = agreed {
                self.facts.agreed(Side::Client, agreed, turn);
                self.after_tls();
            }
            return self.client_broke(Broken { fault, reply }, turn);
        }
        self.send_to_client(reply, turn)?;
        if let Some(agreed) = agreed {
            self.agreed_with_client(agreed, turn)?;
        }
        self.take_plain(&plain, turn)?;
        if ended { self.client_finished() } else { Step::Continue(()) }
    }

    /// A client whose first byte is not that of a handshake may be served in the clear, if the listener says so.
    fn begin_tls(&mut self, first: u8) -> Result<(), Error> {
        let Some(tls) = &self.listener().tls else { return Ok(()) };
        if first != HANDSHAKE && !tls.only {
            self.after_tls();
            return Ok(());
        }
        self.layers = Layers::tls(tls.server.get().session()?, RECORD_MAX, tls.libvirt);
        self.facts.shakes_hands(Side::Client);
        Ok(())
    }

    fn agreed_with_client<K: Kernel>(&mut self, agreed: Box<Agreed>, turn: &mut Turn<K>) -> Step {
        self.facts.agreed(Side::Client, agreed, turn);
        self.after_tls();
        if !self.listener().tls.as_ref().is_some_and(|tls| tls.libvirt) {
            return Step::Continue(());
        }
        match self.layers.seal_bytes(Bytes::from_static(&[LET_IN])) {
            Ok(sealed) => self.send_to_client(sealed, turn),
            Err(error) => self.client_broke(Broken::silent(error), turn),
        }
    }

    /// Sends bytes as they are.
    pub(super) fn send_to_client<K: Kernel>(&mut self, bytes: Bytes, turn: &mut Turn<K>) -> Step {
        match self.say(Role::Client, self.client, bytes, turn) {
            Sent::Done | Sent::Queued => Step::Continue(()),
            Sent::Failed(_) => self.client_left(Cause::Reset),
        }
    }

    /// What the client sends is not understood any more, before the tunnel stands.
    pub(super) fn client_broke<K: Kernel>(&mut self, broken: Broken, turn: &mut Turn<K>) -> Step {
        let Broken { fault, reply } = broken;
        self.facts.detail = Some(fault.to_string().into());
        let reason = CloseReason::new(Side::Client, self.phase(), fault.cause());
        let (receiving, ended) = self.leave_opening(turn);
        if matches!(fault, Fault::Tls(_)) {
            self.layers = Layers::default();
        }
        self.say_goodbye(reason, reply, receiving, ended, turn)
    }

    /// Ends the way to the target, if one was begun, or to the web server; how the client's leg was left.
    pub(super) fn leave_opening<K: Kernel>(&mut self, turn: &mut Turn<K>) -> (Receiving, bool) {
        // A target that was handed over and not joined is closed.
        drop(self.left_with_target());
        match &self.state {
            State::AwaitTarget(opening) => {
                opening.close_legs(turn);
                (opening.receiving, opening.client_ended)
            }
            State::ServePages(pages) => {
                turn.kernel.close(pages.leg(), Close::Normal);
                (Receiving::Off, false)
            }
            // A prelude takes one buffer at a time; between two of them nothing is asked for.
            _ => (Receiving::Off, false),
        }
    }
}
