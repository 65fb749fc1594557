//! Tunnels that keep one another from being idle: those of one client address to one target.
//!
//! A viewer opens a tunnel per channel, and a cut channel ends the viewer, so a quiet channel must outlive the idle
//! time-out while a sibling is busy, even on another worker. The table is locked at set-up and at the end only; a
//! busy tunnel tells its group at most once per eighth of the time-out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use penstock_ring::Time;

type Key = (IpAddr, Box<str>);

/// All groups of the process.
#[derive(Debug, Default)]
pub struct Siblings {
    groups: Mutex<HashMap<Key, Arc<Group>>>,
}

/// One client address and one target.
#[derive(Debug, Default)]
pub struct Group {
    /// Nanoseconds, as in [`Time`]: the latest activity that a member told of.
    last_active: AtomicU64,
    /// The same of somebody's doing, and not of mere traffic.
    user_active: AtomicU64,
}

impl Siblings {
    /// Joins a tunnel to its group.
    pub fn join(&self, client: IpAddr, target: &str, now: Time) -> Arc<Group> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let group = Arc::clone(groups.entry((client, target.into())).or_default());
        group.tell(now);
        group.tell_user(now);
        group
    }

    /// Takes a tunnel out again; the last one takes the group with it.
    pub fn leave(&self, client: IpAddr, target: &str, group: Arc<Group>) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        drop(group);
        let key = (client, target.into());
        // One reference is the table's own, and nobody joins while the lock is held.
        if groups.get(&key).is_some_and(|group| Arc::strong_count(group) == 1) {
            groups.remove(&key);
        }
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Group {
    /// Tells that a member was active.
    pub fn tell(&self, at: Time) {
        self.last_active.fetch_max(at.0, Relaxed);
    }

    /// Tells that somebody did something.
    pub fn tell_user(&self, at: Time) {
        self.user_active.fetch_max(at.0, Relaxed);
    }

    /// When somebody did something, as far as it was told of.
    pub fn user_active(&self) -> Time {
        Time(self.user_active.load(Relaxed))
    }

    /// The latest activity told of.
    pub fn last_active(&self) -> Time {
        Time(self.last_active.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_lives_as_long_as_its_members() {
        let (siblings, client) = (Siblings::default(), IpAddr::from([10, 0, 0, 5]));
        let first = siblings.join(client, "host:5900", Time(5));
        let second = siblings.join(client, "host:5900", Time(9));
        let other = siblings.join(client, "host:5901", Time(1));
        first.tell(Time(7));
        assert_eq!((second.last_active(), other.last_active()), (Time(9), Time(1)));
        siblings.leave(client, "host:5900", first);
        assert_eq!(siblings.len(), 2);
        siblings.leave(client, "host:5900", second);
        siblings.leave(client, "host:5901", other);
        assert!(siblings.is_empty());
    }
}
