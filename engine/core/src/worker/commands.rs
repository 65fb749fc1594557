//! What the outside asks of a worker: answers for sessions, listings, and the stop.

use penstock_ring::Kernel;

use super::Worker;
use crate::close::{Cause, CloseReason, Side};
use crate::control::{Command, Page};
use crate::sessions::Handle;

/// Commands taken in one turn.
const COMMANDS: usize = 256;
/// Slots looked at for one page of a listing.
const PAGE: u32 = 256;

impl<K: Kernel> Worker<K> {
    pub(super) fn take_commands(&mut self) {
        for _ in 0..COMMANDS {
            let Some(command) = self.mailbox.take() else { break };
            self.take_command(command);
        }
        if self.drain_until.is_some_and(|until| until <= self.turn.now) {
            self.end_all();
        }
    }

    fn take_command(&mut self, command: Command) {
        match command {
            Command::Resolved { id, result } => {
                let handle = Handle::of(id);
                match self.sessions.get_mut(handle) {
                    Some(session) => {
                        let step = session.resolved(result, &mut self.turn);
                        self.after(handle, step);
                    }
                    None => self.turn.counters.answers_stale.add(1),
                }
            }
            Command::Opened { id, result } => {
                let handle = Handle::of(id);
                match self.sessions.get_mut(handle) {
                    Some(session) => {
                        let step = session.opened(result, &mut self.turn);
                        self.after(handle, step);
                    }
                    None => self.turn.counters.answers_stale.add(1),
                }
            }
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

    fn page(&self, from: u32) -> Page {
        let (sessions, next) = self.sessions.slice(from, PAGE);
        let tunnels =
            sessions.map(|(_, session)| session.info(self.turn.worker, self.turn.now)).collect();
        Page { tunnels, next }
    }

    /// The time to drain is over.
    fn end_all(&mut self) {
        let mut from = Some(0);
        while let Some(start) = from {
            let (sessions, next) = self.sessions.slice(start, PAGE);
            let ends: Vec<_> = sessions
                .map(|(handle, session)| {
                    (handle, CloseReason::new(Side::Penstock, session.phase(), Cause::Drained))
                })
                .collect();
            ends.into_iter().for_each(|(handle, reason)| self.finish(handle, reason));
            from = next;
        }
    }
}
