//! The table of sessions, and how the owner of a leg names one.
//!
//! A leg's [`Owner`] says whose its outcomes are: a listener's, or a session's as client or as target. It carries the
//! generation of the session's slot, so that an outcome of the slot's former tenant finds nobody.

use penstock_ring::table::Table;
use penstock_ring::{Leg, Owner};

use crate::control::SessionId;

/// Which of a session's legs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// The one that connected to us.
    Client,
    /// One that we connected, or are connecting.
    Target,
}

/// Who gets the outcomes of a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Recipient {
    /// A listening leg of the worker, by index.
    Listener(u32),
    /// A session's leg.
    Session(Handle, Role),
}

/// A session of this worker: slot and generation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Handle {
    /// Index into the table.
    pub slot: u32,
    /// 24 bits.
    pub generation: u32,
}

impl Handle {
    /// As the rest of the process knows it.
    pub(crate) fn id(self, worker: u8) -> SessionId {
        SessionId { worker, slot: self.slot, generation: self.generation }
    }

    /// The handle within an id.
    pub(crate) fn of(id: SessionId) -> Handle {
        Handle { slot: id.slot, generation: id.generation }
    }
}

/// Nobody gets the outcomes: whose leg it will be is not known yet.
pub(crate) const NOBODY: Owner = Owner(0);

const LISTENER: u64 = 1;
const CLIENT: u64 = 2;
const TARGET: u64 = 3;

impl Recipient {
    /// `kind 8 | generation 24 | slot 32`.
    pub(crate) fn owner(self) -> Owner {
        let (kind, generation, slot) = match self {
            Recipient::Listener(index) => (LISTENER, 0, index),
            Recipient::Session(handle, Role::Client) => (CLIENT, handle.generation, handle.slot),
            Recipient::Session(handle, Role::Target) => (TARGET, handle.generation, handle.slot),
        };
        Owner(kind << 56 | u64::from(generation) << 32 | u64::from(slot))
    }

    /// Reads an owner back; none if nobody of ours made it.
    pub(crate) fn of(owner: Owner) -> Option<Recipient> {
        let slot = owner.0 as u32;
        let handle = Handle { slot, generation: (owner.0 >> 32) as u32 & 0xff_ffff };
        match owner.0 >> 56 {
            LISTENER => Some(Recipient::Listener(slot)),
            CLIENT => Some(Recipient::Session(handle, Role::Client)),
            TARGET => Some(Recipient::Session(handle, Role::Target)),
            _ => None,
        }
    }
}

/// Slots of sessions.
#[derive(Debug)]
pub(crate) struct Sessions<S>(Table<S>);

impl<S> Sessions<S> {
    /// An empty table.
    pub(crate) fn new() -> Sessions<S> {
        Sessions(Table::new())
    }

    /// Takes a session in.
    pub(crate) fn insert(&mut self, session: S) -> Handle {
        let Leg { slot, generation } = self.0.insert(session);
        Handle { slot, generation }
    }

    /// The session, unless the handle is stale.
    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut S> {
        self.0.get_mut(key(handle))
    }

    /// Takes a session out.
    pub(crate) fn remove(&mut self, handle: Handle) -> Option<S> {
        self.0.remove(key(handle))
    }

    /// Sessions alive.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is alive.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sessions in at most `count` slots from `from` on, and where to go on.
    pub(crate) fn slice(
        &self,
        from: u32,
        count: u32,
    ) -> (impl Iterator<Item = (Handle, &S)>, Option<u32>) {
        let (tenants, next) = self.0.slice(from, count);
        (
            tenants
                .map(|(Leg { slot, generation }, session)| (Handle { slot, generation }, session)),
            next,
        )
    }

    /// The present tenant of a slot.
    pub(crate) fn handle_of(&self, slot: u32) -> Option<Handle> {
        self.0.tenant(slot).map(|Leg { slot, generation }| Handle { slot, generation })
    }
}

impl<S> Default for Sessions<S> {
    fn default() -> Self {
        Sessions::new()
    }
}

/// The table speaks of legs; for it a session is one.
fn key(handle: Handle) -> Leg {
    Leg { slot: handle.slot, generation: handle.generation }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_names_its_recipient() {
        let handle = Handle { slot: u32::MAX, generation: 0xff_ffff };
        let all = [
            Recipient::Listener(3),
            Recipient::Session(handle, Role::Client),
            Recipient::Session(Handle { slot: 0, generation: 0 }, Role::Target),
        ];
        assert!(all.iter().all(|recipient| Recipient::of(recipient.owner()) == Some(*recipient)));
        assert_eq!(Recipient::of(Owner(0)), None);
    }
}
