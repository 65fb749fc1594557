//! Tunnels that we end ourselves: whoever speaks WebSocket is told why before the connection is closed.

use penstock_ring::{Close, Kernel};

use crate::close::{Cause, CloseReason, Side};
use crate::layers::Parting;
use crate::relay::Released;
use crate::session::console::refusal::closing;
use crate::session::{Session, State};
use crate::turn::{Step, Turn};

impl Session {
    /// Ends it, for a reason of ours. Who is told is given the time to read it.
    pub(crate) fn dismiss<K: Kernel>(&mut self, cause: Cause, turn: &mut Turn<K>) -> Step {
        let reason = self.dismissed(cause);
        match &mut self.state {
            State::Relay(relay) => match relay.release_client() {
                Some(released) => self.leave_relay(reason, released, Some(closing(cause)), turn),
                None => Step::Break(reason),
            },
            State::AwaitTarget(_) if self.layers.web_socket().is_some() => {
                self.refuse_in_rfb(reason, turn)?;
                self.refuse_by_close(reason, turn)
            }
            // It was told already, and of what it was.
            State::AwaitGoodbye(_) => Step::Continue(()),
            _ => Step::Break(reason),
        }
    }

    /// Why it ends now, for a reason of ours, unless it has ended already but for its last words.
    pub(crate) fn dismissed(&self, cause: Cause) -> CloseReason {
        match &self.state {
            State::AwaitGoodbye(goodbye) => goodbye.reason,
            _ => CloseReason::new(Side::Penstock, self.phase(), cause),
        }
    }

    /// A tunnel is over. Who broke the rules of WebSocket was told so, and is given the time to read it, too: it may still be sending. So
    /// may who has left by WebSocket's last word, and not by that of TLS: closing with that unread would take back what was sent last.
    pub(in crate::session) fn over<K: Kernel>(
        &mut self,
        reason: CloseReason,
        turn: &mut Turn<K>,
    ) -> Step {
        match &mut self.state {
            State::Relay(relay)
                if matches!(reason.cause, Cause::BadFrame | Cause::UnknownMessage) =>
            {
                let Some(released) = relay.release_offender() else { return Step::Break(reason) };
                self.leave_relay(reason, released, None, turn)
            }
            State::Relay(relay) if reason.cause == Cause::Finished => {
                let Some(released) = relay.release_leaver() else { return Step::Break(reason) };
                self.leave_relay(reason, released, None, turn)
            }
            _ => Step::Break(reason),
        }
    }

    fn leave_relay<K: Kernel>(
        &mut self,
        reason: CloseReason,
        released: Released,
        said: Option<(u16, &str)>,
        turn: &mut Turn<K>,
    ) -> Step {
        let Released { layers, receiving, ended } = released;
        let State::Relay(relay) = &mut self.state else { return Step::Break(reason) };
        let carried = self.facts.carried(relay);
        turn.counters.tunnels.sub(1);
        turn.kernel.close(relay.legs()[1], Close::Normal);
        self.layers = layers;
        let close = |(code, words)| self.layers.close(Parting::Dismissed(code, words));
        let last_word = said.map(close).unwrap_or_default();
        let step = self.say_goodbye(reason, last_word, receiving, ended, turn);
        if let State::AwaitGoodbye(goodbye) = &mut self.state {
            goodbye.carried = carried;
        }
        step
    }
}
