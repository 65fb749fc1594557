//! Tunnels that keep one another from being idle: those of one client address to one target.
//!
//! A viewer opens a tunnel per channel, and a cut channel ends the viewer, so a quiet channel must outlive the idle
//! time-out while a sibling is busy, even on another worker. The table is locked at set-up and at the end only; a
//! busy tunnel tells its group at most once per eighth of the time-out.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use penstock_ring::Time;

/// Which group: a client's address, and its target in full. That may have a token in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    client: IpAddr,
    target: Box<str>,
}

/// All groups of the process.
#[derive(Debug, Default)]
pub struct Siblings {
    groups: Mutex<HashMap<Key, Arc<Group>>>,
}

/// One client address and one target.
#[derive(Debug)]
pub struct Group {
    key: Key,
    /// Nanoseconds, as in [`Time`]: the latest activity that a member told of.
    last_active: AtomicU64,
    /// The same of somebody's doing, and not of mere traffic.
    user_active: AtomicU64,
}

impl Siblings {
    /// Joins a tunnel to its group.
    pub fn join(&self, key: Key, now: Time) -> Arc<Group> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let group = match groups.get(&key) {
            Some(group) => Arc::clone(group),
            None => {
                let group = Arc::new(Group::of(key.clone()));
                groups.insert(key, Arc::clone(&group));
                group
            }
        };
        group.tell(now);
        group.tell_user(now);
        group
    }

    /// Takes a tunnel out again; the last one takes the group with it.
    pub fn leave(&self, group: Arc<Group>) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        // One reference is the table's own, and nobody joins while the lock is held.
        if Arc::strong_count(&group) == 2 {
            groups.remove(&group.key);
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

impl Key {
    /// Of whom, and where to: `target` tells any two targets apart.
    pub fn new(client: IpAddr, target: impl Into<Box<str>>) -> Key {
        Key { client, target: target.into() }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, hidden)", self.client)
    }
}

impl Group {
    fn of(key: Key) -> Group {
        Group { key, last_active: AtomicU64::default(), user_active: AtomicU64::default() }
    }

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
        let siblings = Siblings::default();
        let key = |target: &str| Key::new(IpAddr::from([10, 0, 0, 5]), target);
        let first = siblings.join(key("host:5900"), Time(5));
        let second = siblings.join(key("host:5900"), Time(9));
        let other = siblings.join(key("host:5901"), Time(1));
        first.tell(Time(7));
        assert_eq!((second.last_active(), other.last_active()), (Time(9), Time(1)));
        siblings.leave(first);
        assert_eq!(siblings.len(), 2);
        siblings.leave(second);
        assert_eq!(siblings.len(), 1);
        siblings.leave(other);
        assert!(siblings.is_empty());
    }

    #[test]
    fn what_may_be_a_token_is_not_shown() {
        let siblings = Siblings::default();
        let key = Key::new(IpAddr::from([10, 0, 0, 5]), "unix:/run/vm/canary");
        let group = siblings.join(key, Time(1));
        assert!(!format!("{siblings:?}{group:?}").contains("canary"));
    }
}
