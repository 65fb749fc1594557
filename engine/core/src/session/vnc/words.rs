//! What is said to either side during a login, and who hears of it.
//!
//! In: words of the machine's, in plain bytes. Out: the same through whatever that side speaks, and as far as they were the client's to read, the
//! recording's. That something can't be said any more is a fault only where none was there before.

use bytes::Bytes;
use penstock_ring::{Chunk, Kernel};
use penstock_tls::Error;

use crate::control::Piece;
use crate::layers::{Broken, Fault};
use crate::session::{Session, State};
use crate::sessions::Role;
use crate::turn::{Step, Turn};

impl Session {
    /// Says something to the server, through whatever it speaks.
    pub(super) fn say_to_target<K: Kernel>(&mut self, words: Vec<u8>, turn: &mut Turn<K>) -> Step {
        let Err(error) = self.tell_target(words, turn) else { return Step::Continue(()) };
        // TLS may have broken behind what is answered here.
        let broken = self.login().and_then(|(login, _)| login.left.broken.take());
        self.refuse_target(&broken.unwrap_or(Fault::Tls(error)), turn)
    }

    /// The same; that it can't be said is for whoever says it to judge.
    pub(super) fn tell_target<K: Kernel>(
        &mut self,
        words: Vec<u8>,
        turn: &mut Turn<K>,
    ) -> Result<(), Error> {
        let Some((login, _)) = self.login().filter(|_| !words.is_empty()) else { return Ok(()) };
        let leg = login.leg;
        let sealed = login.layers.seal_bytes(words.into())?;
        // Of a target that is broken, its leg tells.
        self.say(Role::Target, leg, sealed, turn);
        Ok(())
    }

    /// Sends plain bytes of our own to the client, through whatever it speaks.
    pub(super) fn say_to_client<K: Kernel>(&mut self, words: Vec<u8>, turn: &mut Turn<K>) -> Step {
        match self.tell_client(words, turn) {
            Ok(step) => step,
            Err(error) => self.client_broke(Broken::silent(error), turn),
        }
    }

    /// The same; that it can't be said is for whoever says it to judge.
    pub(super) fn tell_client<K: Kernel>(
        &mut self,
        words: Vec<u8>,
        turn: &mut Turn<K>,
    ) -> Result<Step, Error> {
        if words.is_empty() {
            return Ok(Step::Continue(()));
        }
        self.facts.reply_bytes += words.len() as u32;
        self.record_words(&words, turn);
        let words = Chunk::Bytes(words.into());
        Ok(match self.layers.seal(words, &mut turn.kernel, &turn.counters)? {
            (before, Chunk::Bytes(bytes)) => match self.send_to_client(before, turn) {
                Step::Continue(()) => self.send_to_client(bytes, turn),
                step => step,
            },
            (_, Chunk::Pool(buffer)) => {
                turn.kernel.release(buffer);
                Step::Continue(())
            }
        })
    }

    /// What the client said was for us, or for the server: whoever watches it hears of it all the same. It is not written down: there may
    /// be a password in it.
    pub(super) fn note_heard<K: Kernel>(&mut self, heard: Vec<u8>, turn: &mut Turn<K>) {
        if heard.is_empty() {
            return;
        }
        self.layers.follow(&Chunk::Bytes(heard.into()), &turn.kernel, turn.now);
    }

    fn record_words<K: Kernel>(&self, words: &[u8], turn: &mut Turn<K>) {
        let State::AwaitTarget(opening) = &self.state else { return };
        if opening.is_recorded {
            let id = self.handle.id(turn.worker);
            let bytes = Bytes::copy_from_slice(words);
            turn.outside.recorded(Piece { id, from_client: false, bytes });
        }
    }
}
