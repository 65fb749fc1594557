//! What the outside asks of a worker: answers for sessions, listings, and the stop.

use std::time::Duration;

use penstock_ring::Kernel;

use super::Worker;
use crate::close::Cause;
use crate::control::{Command, Page, SessionId, TunnelInfo, Which};
use crate::session::Session;
use crate::sessions::Handle;
use crate::turn::{Step, Turn};

/// Commands taken in one turn.
const COMMANDS: usize = 256;
/// Slots looked at for one page of a listing.
const PAGE: u32 = 256;
/// For the close frames of those who are told that it is over, and their answers.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl<K: Kernel> Worker<K> {
    pub(super) fn take_commands(&mut self) {
        for _ in 0..COMMANDS {
            let Some(command) = self.mailbox.take() else { break };
            self.take_command(command);
        }
        if self.drain_until.is_some_and(|until| until <= self.turn.now) {
            match std::mem::replace(&mut self.dismissed, true) {
                false => self.dismiss_all(),
                true => self.end_all(),
            }
        }
    }

    fn take_command(&mut self, command: Command) {
        match command {
            Command::Resolved { id, result } => {
                self.answer(id, |session, turn| session.resolved(result, turn));
            }
            Command::Opened { id, result } => {
                self.answer(id, |session, turn| session.opened(result, turn));
            }
            Command::Judged { id, result } => {
                self.answer(id, |session, turn| session.judged(result, turn));
            }
            Command::Unsealed { id, result } => {
                self.answer(id, |session, turn| session.unsealed(result, turn));
            }
            Command::Authorised { id, result } => {
                self.answer(id, |session, turn| session.authorised(result, turn));
            }
            Command::TakeOver { tag, is_endless, handed } => {
                self.take_over(tag, is_endless, *handed)
            }
            Command::Cancel(which) => self.cancel(which),
            Command::Describe { which, reply } => reply(self.describe(which)),
            Command::Drain(patience) => {
                self.stop_listening(false);
                self.drain_until.get_or_insert(self.turn.now + patience);
            }
            Command::Stop => {
                self.stop_listening(true);
                self.drain_until = Some(self.turn.now);
            }
            Command::List { from, reply } => reply(self.page(from)),
        }
    }

    /// Hands an answer to the session that asked, if it is still there.
    fn answer(&mut self, id: SessionId, take: impl FnOnce(&mut Session, &mut Turn<K>) -> Step) {
        let handle = Handle::of(id);
        match self.sessions.get_mut(handle) {
            Some(session) => {
                let step = take(session, &mut self.turn);
                self.after(handle, step);
            }
            None => self.turn.counters.answers_stale.add(1),
        }
    }

    fn handle_of(&self, which: Which) -> Option<Handle> {
        match which {
            Which::HandedOver(tag) => self.handed.get(&tag).copied(),
            Which::Session(id) => Some(Handle::of(id)),
        }
    }

    fn cancel(&mut self, which: Which) {
        let handle = self.handle_of(which);
        match handle.and_then(|handle| Some((handle, self.sessions.get_mut(handle)?))) {
            Some((handle, session)) => {
                let step = session.dismiss(Cause::Cancelled, &mut self.turn);
                self.after(handle, step);
            }
            None => self.turn.counters.answers_stale.add(1),
        }
    }

    fn describe(&mut self, which: Which) -> Option<TunnelInfo> {
        let session = self.sessions.get_mut(self.handle_of(which)?)?;
        Some(session.info(self.turn.worker, self.turn.now))
    }

    fn page(&self, from: u32) -> Page {
        let (sessions, next) = self.sessions.slice(from, PAGE);
        let tunnels =
            sessions.map(|(_, session)| session.info(self.turn.worker, self.turn.now)).collect();
        Page { tunnels, next }
    }

    /// The time to drain is over: whoever can be told so has a moment to hear it.
    fn dismiss_all(&mut self) {
        self.drain_until = Some(self.turn.now + LAST_WORDS);
        for handle in self.handles() {
            let Some(session) = self.sessions.get_mut(handle) else { continue };
            let step = session.dismiss(Cause::Drained, &mut self.turn);
            self.after(handle, step);
        }
    }

    /// That moment is over, too.
    fn end_all(&mut self) {
        for handle in self.handles() {
            let Some(session) = self.sessions.get_mut(handle) else { continue };
            let reason = session.dismissed(Cause::Drained);
            self.finish(handle, reason);
        }
    }

    /// All sessions alive.
    fn handles(&self) -> Vec<Handle> {
        let (sessions, _) = self.sessions.slice(0, u32::MAX);
        sessions.map(|(handle, _)| handle).collect()
    }
}
