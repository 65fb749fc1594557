//! What all workers of an engine share: touched when a connection begins and ends, never while it carries bytes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::close::Cause;
use crate::config::{Config, Service};
use crate::siblings::Siblings;

/// See the module.
#[derive(Debug)]
pub struct Shared {
    /// The configuration that admits new connections.
    pub config: Arc<Config>,
    /// Groups of tunnels that keep one another from being idle.
    pub siblings: Siblings,
    /// Where this process listens: a target among these would be a loop.
    pub listening: Vec<SocketAddr>,
    max_tunnels: usize,
    sessions: AtomicUsize,
    /// Tunnels that were handed over so far.
    handed_over: AtomicU64,
    /// Sessions of each listener.
    of_listeners: Box<[AtomicUsize]>,
}

impl Shared {
    /// For an engine that may carry `max_tunnels` sessions.
    pub fn new(config: Arc<Config>, listening: Vec<SocketAddr>, max_tunnels: usize) -> Shared {
        let of_listeners = config.listeners.iter().map(|_| AtomicUsize::new(0)).collect();
        Shared {
            config,
            of_listeners,
            siblings: Siblings::default(),
            listening,
            max_tunnels,
            sessions: AtomicUsize::new(0),
            handed_over: AtomicU64::new(0),
        }
    }

    /// Takes a place among all, and among the listener's if it counts connections.
    ///
    /// # Errors
    /// Which of them are taken.
    pub fn enter(&self, listener: u16) -> Result<(), Cause> {
        let counts = self.counts_connections(listener);
        if counts {
            self.take_place(listener)?;
        }
        if self.sessions.fetch_add(1, Relaxed) < self.max_tunnels {
            return Ok(());
        }
        self.leave();
        if counts {
            self.leave_place(listener);
        }
        Err(Cause::Overloaded)
    }

    /// Gives back what [`enter`](Self::enter) took.
    pub fn leave_all(&self, listener: u16) {
        self.leave();
        if self.counts_connections(listener) {
            self.leave_place(listener);
        }
    }

    /// The number of a tunnel that is handed over: one more than the last, and never 0.
    pub fn next_number(&self) -> u64 {
        self.handed_over.fetch_add(1, Relaxed) + 1
    }

    /// Whether each connection has a place among the listener's. Of consoles, only those that are opened have.
    pub fn counts_connections(&self, listener: u16) -> bool {
        !matches!(self.config.listeners[usize::from(listener)].service, Service::Console(_))
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.sessions.fetch_sub(1, Relaxed);
    }

    /// Takes a place among a listener's.
    ///
    /// # Errors
    /// That they are taken.
    pub fn take_place(&self, listener: u16) -> Result<(), Cause> {
        let max = self.config.listeners[usize::from(listener)].max_sessions;
        let own = self.of_listeners[usize::from(listener)].fetch_add(1, Relaxed);
        if max.is_none_or(|max| own < max) {
            return Ok(());
        }
        self.leave_place(listener);
        Err(Cause::InUse)
    }

    /// Gives one of a listener's back.
    pub fn leave_place(&self, listener: u16) {
        self.of_listeners[usize::from(listener)].fetch_sub(1, Relaxed);
    }

    /// Places taken.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Relaxed)
    }

    /// Whether connecting to `target` would come back to ourselves.
    pub fn is_own(&self, target: SocketAddr) -> bool {
        let canonical = target.ip().to_canonical();
        self.listening.iter().any(|own| {
            let same_host = own.ip() == canonical || own.ip() == target.ip();
            let same_port = own.port() == target.port();
            same_port && (same_host || canonical.is_loopback() && is_any_of(own, canonical))
        })
    }

    /// Whether `target` belongs to a listener on all addresses. If so, a connection whose two ends have one address has
    /// come back to ourselves.
    pub fn listens_everywhere(&self, target: SocketAddr) -> bool {
        let canonical = target.ip().to_canonical();
        self.listening.iter().any(|own| own.port() == target.port() && is_any_of(own, canonical))
    }
}

fn is_any_of(own: &SocketAddr, address: IpAddr) -> bool {
    own.ip().is_unspecified() && own.is_ipv4() == address.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Engine, Listener, Service};
    use crate::policy::Rules;

    #[test]
    fn places_are_bounded_and_loops_are_seen() {
        let mut one = Listener::new("one", Vec::new(), Service::Connect, Rules::default());
        let other = Listener::new("other", Vec::new(), Service::Connect, Rules::default());
        one.max_sessions = Some(1);
        let listeners = vec![one, other];
        let config = Arc::new(Config { engine: Engine::default(), listeners });
        let own = ["127.0.0.1:3128", "0.0.0.0:3129"].map(|text| text.parse().expect("an address"));
        let shared = Shared::new(config, own.to_vec(), 2);
        assert_eq!(shared.enter(0), Ok(()));
        assert_eq!(shared.enter(0), Err(Cause::InUse));
        assert_eq!(shared.enter(1), Ok(()));
        assert_eq!(shared.enter(1), Err(Cause::Overloaded));
        shared.leave_place(0);
        shared.leave();
        assert_eq!((shared.enter(0), shared.sessions()), (Ok(()), 2));
        let is_own = |text: &str| shared.is_own(text.parse().expect("an address"));
        assert!(
            is_own("127.0.0.1:3128")
                && is_own("[::ffff:127.0.0.1]:3128")
                && is_own("127.0.0.9:3129")
        );
        assert!(!is_own("127.0.0.1:3130") && !is_own("127.0.0.2:3128") && !is_own("[::1]:3129"));
        let everywhere = |text: &str| shared.listens_everywhere(text.parse().expect("an address"));
        assert!(everywhere("10.0.0.1:3129"));
        assert!(!everywhere("10.0.0.1:3128") && !everywhere("[fc00::1]:3129"));
    }
}
