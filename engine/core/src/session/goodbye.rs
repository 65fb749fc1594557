//! A refused client is given the time to read its answer.
//!
//! Closing a socket that holds unread bytes resets the connection, and a reset can overtake the reply. So the sending
//! side is shut down after the reply, and what still comes is read and dropped, for a short while.

use std::time::Duration;

use bytes::Bytes;
use penstock_ring::{Arrival, Chunk, Group, Kernel, Outcome, Sent, Time};

use super::facts::Carried;
use super::{Session, State, discard};
use crate::close::CloseReason;
use crate::layers::Parting;
use crate::relay::Receiving;
use crate::turn::{Step, Turn};

/// How long a refused client may take.
const LINGER: Duration = Duration::from_secs(2);
/// How much it may still send, in bytes.
const DROPPED: usize = 1 << 20;

/// A client that was told why, and what it still may do.
#[derive(Debug)]
pub(super) struct Goodbye {
    pub(super) reason: CloseReason,
    pub(super) until: Time,
    dropped: usize,
    shut: bool,
    client_ended: bool,
    /// By a tunnel that was before.
    pub(super) carried: Carried,
}

impl Session {
    /// Sends the last words, as they are. `receiving` and `client_ended` say how the leg was left.
    pub(super) fn say_goodbye<K: Kernel>(
        &mut self,
        reason: CloseReason,
        reply: Bytes,
        receiving: Receiving,
        client_ended: bool,
        turn: &mut Turn<K>,
    ) -> Step {
        let until = turn.now + LINGER;
        let carried = Carried::default();
        let goodbye = Goodbye { reason, until, dropped: 0, shut: false, client_ended, carried };
        self.state = State::AwaitGoodbye(Box::new(goodbye));
        if receiving == Receiving::Off && !client_ended {
            turn.kernel.receive(self.client, Group::Small);
        }
        let last = self.layers.close(Parting::Done);
        for words in [reply, last].into_iter().filter(|words| !words.is_empty()) {
            if let Sent::Failed(_) = turn.kernel.send(self.client, Chunk::Bytes(words)) {
                return Step::Break(reason);
            }
        }
        self.after_goodbye(turn)
    }

    pub(super) fn step_goodbye<K: Kernel>(&mut self, outcome: Outcome, turn: &mut Turn<K>) -> Step {
        let State::AwaitGoodbye(goodbye) = &mut self.state else { return Step::Continue(()) };
        match outcome {
            Outcome::Received(buffer) => {
                goodbye.dropped += buffer.len();
                turn.kernel.release(buffer);
                if goodbye.dropped > DROPPED {
                    return Step::Break(goodbye.reason);
                }
                // It may have been a prelude's one reserved buffer.
                turn.kernel.receive(self.client, Group::Small);
            }
            Outcome::ReceiveEnded(Arrival::Ended) => goodbye.client_ended = true,
            // A stop that began before the goodbye: go on listening for the end.
            Outcome::ReceiveEnded(Arrival::Stopped) => {
                turn.kernel.receive(self.client, Group::Small)
            }
            Outcome::ReceiveEnded(Arrival::Failed(_)) | Outcome::SendFailed(_) => {
                return Step::Break(goodbye.reason);
            }
            other => discard(other, turn),
        }
        self.after_goodbye(turn)
    }

    fn after_goodbye<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitGoodbye(goodbye) = &mut self.state else { return Step::Continue(()) };
        if turn.kernel.queued(self.client).bytes == 0 && !goodbye.shut {
            goodbye.shut = true;
            turn.kernel.shutdown(self.client);
        }
        if goodbye.shut && goodbye.client_ended {
            Step::Break(goodbye.reason)
        } else {
            Step::Continue(())
        }
    }
}
