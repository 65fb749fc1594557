//! Tunnels whose connections somebody else has opened.
//!
//! In: two descriptors that have their place among all, and what they are called. Out: a session like any other; of what can't be one, a
//! record and no more. A worker that is to end takes none.

use std::sync::Arc;

use penstock_ring::{Errno, Kernel};

use super::Worker;
use crate::close::{Cause, CloseReason, Phase, Side};
use crate::control::{Command, Record, SessionId};
use crate::intake::{HandOver, Tag};
use crate::session::{Handed, Session};
use crate::sessions::{NOBODY, Recipient, Role};

/// What a tunnel is called that was handed over.
struct Named {
    tag: Tag,
    cookie: u64,
    target: Option<Box<str>>,
}

impl<K: Kernel> Worker<K> {
    pub(super) fn take_over(&mut self, tag: Tag, is_endless: bool, handed: HandOver) {
        let listener = handed.listener;
        self.turn.counters.handed_over.add(1);
        if self.drain_until.is_some() {
            let named = Named { tag, cookie: handed.cookie, target: handed.target_name };
            return self.turn_back(listener, named, Cause::Drained, None);
        }
        let (client, handed) = Handed::split(tag, is_endless, handed);
        let leg = match self.turn.kernel.adopt(client, NOBODY) {
            Ok(leg) => leg,
            Err((errno, _)) => {
                let named = Named { tag, cookie: handed.cookie, target: handed.target_name };
                return self.turn_back(listener, named, Cause::Broken, Some(errno));
            }
        };
        let admitting = Arc::clone(&self.turn.shared.config);
        let session = Session::new(admitting, listener, leg, true, &self.turn);
        let handle = self.sessions.insert(session);
        self.turn.counters.sessions.add(1);
        self.turn.kernel.set_owner(leg, Recipient::Session(handle, Role::Client).owner());
        self.handed.insert(tag, handle);
        let Some(session) = self.sessions.get_mut(handle) else { return };
        let step = session.begin_handed(handle, handed, &mut self.turn);
        self.after(handle, step);
    }

    /// After the last turn: whoever came too late for it is told so.
    pub(crate) fn close(&mut self) {
        self.mailbox.close();
        while let Some(command) = self.mailbox.take() {
            if let Command::TakeOver { tag, handed, .. } = command {
                self.turn.counters.handed_over.add(1);
                let named = Named { tag, cookie: handed.cookie, target: handed.target_name };
                self.turn_back(handed.listener, named, Cause::Drained, None);
            }
        }
    }

    /// Gives the places back, and tells that nothing came of it. The descriptors are closed by whoever drops them.
    fn turn_back(
        &mut self,
        listener: u16,
        Named { tag, cookie, target }: Named,
        cause: Cause,
        errno: Option<Errno>,
    ) {
        self.turn.shared.leave_all(listener);
        let reason = CloseReason::new(Side::Penstock, Phase::Admission, cause);
        self.turn.counters.closed[reason.index()].add(1);
        let id = SessionId { worker: self.turn.worker, slot: u32::MAX, generation: 0 };
        let detail = errno.map(|errno| {
            format!("the client's connection can't be driven: {}", errno.desc()).into()
        });
        let record = Record::new(id, listener, reason);
        self.turn.outside.finished(Record { tag: Some(tag), cookie, target, detail, ..record });
    }
}
