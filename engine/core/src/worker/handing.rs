//! Tunnels whose connections somebody else has opened.
//!
//! In: two descriptors that have their place among all, and what they are called. Out: a session like any other; of what can't be one, a
//! record and no more. A worker that is to end takes none.

use std::sync::Arc;

use penstock_ring::{Errno, Kernel};

use super::{Setup, Worker};
use crate::close::{Cause, CloseReason, Phase, Side};
use crate::control::{Command, Mailbox, Outside, Record, SessionId};
use crate::intake::{HandOver, Tag};
use crate::metrics::Counters;
use crate::session::{Handed, Session};
use crate::sessions::{NOBODY, Recipient, Role};
use crate::shared::Shared;

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
    pub fn close(&mut self) {
        self.reception().close();
    }

    fn turn_back(&mut self, listener: u16, named: Named, cause: Cause, errno: Option<Errno>) {
        self.reception().turn_back(listener, named, cause, errno);
    }

    fn reception(&mut self) -> Reception<'_> {
        Reception {
            worker: self.turn.worker,
            mailbox: &self.mailbox,
            shared: &self.turn.shared,
            counters: &self.turn.counters,
            outside: &mut *self.turn.outside,
        }
    }
}

/// Where hand-overs are met of which nothing comes: at a worker's, or at the seat of one that never was.
struct Reception<'r> {
    worker: u8,
    mailbox: &'r Mailbox,
    shared: &'r Shared,
    counters: &'r Counters,
    outside: &'r mut dyn Outside,
}

impl Reception<'_> {
    /// Takes nothing more, and tells of what is there.
    fn close(&mut self) {
        self.mailbox.close();
        while let Some(command) = self.mailbox.take() {
            if let Command::TakeOver { tag, handed, .. } = command {
                self.counters.handed_over.add(1);
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
        self.shared.leave_all(listener);
        let reason = CloseReason::new(Side::Penstock, Phase::Admission, cause);
        self.counters.closed[reason.index()].add(1);
        let id = SessionId { worker: self.worker, slot: u32::MAX, generation: 0 };
        let detail = errno.map(|errno| {
            format!("the client's connection can't be driven: {}", errno.desc()).into()
        });
        let record = Record::new(id, listener, reason);
        self.outside.finished(Record { tag: Some(tag), cookie, target, detail, ..record });
    }
}

impl Setup {
    /// There will be no worker: whoever was handed over to it is told so, and nothing is any more.
    pub(crate) fn abandon(mut self) {
        let reception = &mut Reception {
            worker: self.index,
            mailbox: &self.mailbox,
            shared: &self.shared,
            counters: &self.counters,
            outside: &mut *self.outside,
        };
        reception.close();
    }
}
