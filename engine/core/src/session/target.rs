//! What the target's leg tells before the relay: while it is connected to, and while TLS or a login is agreed on with it.
//!
//! In: outcomes of attempts and of the one that stood. Out: plain bytes for whoever agrees on something with the target, and its end.

use penstock_ring::{Arrival, Kernel, Leg, Outcome};

use super::opening::Stage;
use super::{Session, State, discard};
use crate::turn::{Step, Turn};

impl Session {
    pub(super) fn step_target<K: Kernel>(
        &mut self,
        leg: Leg,
        outcome: Outcome,
        turn: &mut Turn<K>,
    ) -> Step {
        let State::AwaitTarget(opening) = &mut self.state else {
            discard(outcome, turn);
            return Step::Continue(());
        };
        let is_login = matches!(opening.stage, Stage::Login(_));
        let Some((target, layers)) = opening.stage.target() else {
            return self.step_dial(leg, outcome, turn);
        };
        // Attempts that lost the race may still be heard of.
        if target != leg {
            discard(outcome, turn);
            return Step::Continue(());
        }
        let errno = match outcome {
            Outcome::Received(buffer) => {
                let bytes = turn.kernel.bytes(&buffer).to_vec();
                turn.kernel.release(buffer);
                let opened = layers.open_apart(bytes, turn.now);
                return match is_login {
                    true => self.take_from_server(leg, opened, turn),
                    false => self.take_from_target(leg, opened, turn),
                };
            }
            Outcome::ReceiveEnded(Arrival::Failed(errno)) | Outcome::SendFailed(errno) => {
                Some(errno)
            }
            Outcome::ReceiveEnded(Arrival::Ended) => None,
            other => {
                discard(other, turn);
                return Step::Continue(());
            }
        };
        match is_login {
            true => self.server_left(errno, turn),
            false => self.target_left(errno, turn),
        }
    }
}
