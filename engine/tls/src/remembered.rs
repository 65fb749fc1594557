//! Sessions with targets that may be taken up again, for as long as the certificates are valid that were shown when they began.
//!
//! Whoever takes a session up again shows no certificate, and gets new tickets for it: left to itself, a chain of sessions would carry the
//! certificate of the first one for ever.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

/// Targets whose tickets are kept.
const TARGETS: usize = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct Remembered {
    sessions: ClientSessionMemoryCache,
    /// When what a target showed ceases to be valid.
    ends: Mutex<HashMap<ServerName<'static>, SystemTime>>,
}

impl Remembered {
    pub(crate) fn new() -> Remembered {
        let sessions = ClientSessionMemoryCache::new(TARGETS);
        Remembered { sessions, ends: Mutex::default() }
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
        self.sessions.insert_tls13_ticket(target, ticket);
    }

    fn take_tls13_ticket(&self, target: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.take_tls13_ticket(target).filter(|_| self.is_valid(target))
    }
}
