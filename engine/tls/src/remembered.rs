//! Sessions with targets that may be taken up again, for as long as the certificates are valid that were shown when they began.
//!
//! Whoever takes a session up again shows no certificate, and gets new tickets for it: left to itself, a chain of sessions would carry the
//! certificate of the first one for ever.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

/// Targets of which something is kept.
const TARGETS: usize = 256;
/// Tickets of TLS 1.3 that are kept of one target: each is used once (RFC 8446 §C.4), and many may come back at the same time.
const TICKETS_EACH: usize = 64;
/// Of all targets.
const TICKETS: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// All but the tickets of TLS 1.3, of which it would keep eight of a target.
    sessions: ClientSessionMemoryCache,
    tickets: Mutex<Tickets<Tls13ClientSessionValue>>,
    /// When what a target showed ceases to be valid.
    ends: Mutex<HashMap<ServerName<'static>, SystemTime>>,
}

impl Remembered {
    pub(crate) fn new() -> Remembered {
        let sessions = ClientSessionMemoryCache::new(TARGETS);
        Remembered { sessions, tickets: Mutex::default(), ends: Mutex::default() }
    }

    /// A target has shown a certificate that is valid until `end`.
    pub(crate) fn judged(&self, target: &ServerName<'static>, end: SystemTime) {
        let mut ends = self.ends();
        if ends.len() >= TARGETS {
            ends.clear();
        }
        ends.insert(target.clone(), end);
    }

    fn is_valid(&self, target: &ServerName<'_>) -> bool {
        self.ends().get(&target.to_owned()).is_some_and(|end| SystemTime::now() < *end)
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<ServerName<'static>, SystemTime>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tickets(&self) -> MutexGuard<'_, Tickets<Tls13ClientSessionValue>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tickets by target, the oldest first.
#[derive(Debug)]
struct Tickets<T> {
    of: HashMap<ServerName<'static>, VecDeque<T>>,
    /// How many, of all.
    kept: usize,
}

impl<T> Default for Tickets<T> {
    fn default() -> Tickets<T> {
        Tickets { of: HashMap::new(), kept: 0 }
    }
}

impl<T> Tickets<T> {
    fn insert(&mut self, target: ServerName<'static>, ticket: T) {
        let is_full = self.of.get(&target).is_some_and(|tickets| tickets.len() == TICKETS_EACH);
        if is_full {
            self.forget_oldest(&target.clone());
        } else if self.kept == TICKETS {
            let most = self.of.iter().max_by_key(|(_, tickets)| tickets.len());
            let most = most.map(|(target, _)| target.clone());
            self.forget_oldest(&most.expect("so many are kept"));
        }
        self.of.entry(target).or_default().push_back(ticket);
        self.kept += 1;
    }

    fn forget_oldest(&mut self, target: &ServerName<'static>) {
        let Some(tickets) = self.of.get_mut(target) else { return };
        self.kept -= usize::from(tickets.pop_front().is_some());
        if tickets.is_empty() {
            self.of.remove(target);
        }
    }

    /// The newest: it lives longest.
    fn take(&mut self, target: &ServerName<'static>) -> Option<T> {
        let tickets = self.of.get_mut(target)?;
        let taken = tickets.pop_back();
        if tickets.is_empty() {
            self.of.remove(target);
        }
        self.kept -= usize::from(taken.is_some());
        taken
    }
}

impl ClientSessionStore for Remembered {
    fn set_kx_hint(&self, target: ServerName<'static>, group: NamedGroup) {
        self.sessions.set_kx_hint(target, group);
    }

    fn kx_hint(&self, target: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.kx_hint(target)
    }

    fn set_tls12_session(&self, target: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.sessions.set_tls12_session(target, session);
    }

    fn tls12_session(&self, target: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.sessions.tls12_session(target).filter(|_| self.is_valid(target))
    }

    fn remove_tls12_session(&self, target: &ServerName<'static>) {
        self.sessions.remove_tls12_session(target);
    }

    fn insert_tls13_ticket(&self, target: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.tickets().insert(target, ticket);
    }

    fn take_tls13_ticket(&self, target: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.tickets().take(target).filter(|_| self.is_valid(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> ServerName<'static> {
        format!("target-{number}.example").try_into().expect("a name")
    }

    #[test]
    fn each_ticket_is_given_once_the_newest_first() {
        let mut tickets = Tickets::default();
        (0..100).for_each(|ticket| tickets.insert(name(1), ticket));
        tickets.insert(name(2), 1000);
        let taken: Vec<_> = std::iter::from_fn(|| tickets.take(&name(1))).collect();
        assert_eq!(taken, (36..100).rev().collect::<Vec<_>>());
        assert_eq!((tickets.take(&name(2)), tickets.take(&name(2))), (Some(1000), None));
        assert_eq!((tickets.kept, tickets.of.len()), (0, 0));
    }

    #[test]
    fn however_many_targets_there_are_tickets_have_a_bound() {
        let mut tickets = Tickets::default();
        for number in 0..10_000 {
            tickets.insert(name(number % 3000), number);
            let counted: usize = tickets.of.values().map(VecDeque::len).sum();
            assert!(counted == tickets.kept && counted <= TICKETS, "{counted}");
            let back = (number % 5 == 0).then(|| tickets.take(&name(number % 3000)));
            assert!(back.is_none_or(|ticket| ticket == Some(number)));
        }
    }

    #[test]
    fn who_has_most_makes_room() {
        let mut tickets = Tickets::default();
        let many = TICKETS / TICKETS_EACH;
        for (target, ticket) in (0..many).flat_map(|target| (0..100).map(move |n| (target, n))) {
            tickets.insert(name(target), ticket);
        }
        assert_eq!((tickets.kept, tickets.of.len()), (TICKETS, many));
        tickets.insert(name(many), 0);
        tickets.insert(name(many + 1), 0);
        let mut counts: Vec<_> = tickets.of.values().map(VecDeque::len).collect();
        counts.sort_unstable();
        assert_eq!(counts[..4], [1, 1, TICKETS_EACH - 1, TICKETS_EACH - 1]);
        assert_eq!((tickets.kept, tickets.of.len()), (TICKETS, many + 2));
    }
}
