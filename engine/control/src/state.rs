//! What the admin pages show and what the daemon steers, shared on the control thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use penstock_core::config::Config;
use penstock_core::control::{Command, Mailbox};
use penstock_core::engine::Engine;
use penstock_core::metrics::Counters;
use penstock_core::ring::probe::Facts;
use penstock_core::ring::{Count, Driver, Feature, Stats};
use tokio::sync::Semaphore;

use crate::access_log;
use crate::certificates::Watched;
use crate::mailman::post;
use crate::messages::Dropped;
use crate::recorder;
use crate::tokens::OUTCOMES;

/// What a running engine shows of itself.
#[derive(Debug)]
pub struct Parts {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// All workers, in order.
    pub workers: Vec<Worker>,
    /// The driver in use.
    pub driver: DriverFacts,
    /// Tunnels that the process admits.
    pub max_tunnels: usize,
    /// How many messages the main log lost.
    pub messages_dropped: Dropped,
}

/// One worker, as seen from outside.
#[derive(Debug)]
pub struct Worker {
    /// Where its commands go.
    pub mailbox: Mailbox,
    /// What it counts about sessions.
    pub counters: Arc<Counters>,
    /// What its driver counts.
    pub stats: Arc<Stats>,
}

/// The driver in use, in words.
#[derive(Clone, Debug, Default)]
pub struct DriverFacts {
    /// `uring` or `epoll`.
    pub driver: String,
    /// The kernel's release.
    pub kernel: String,
    /// Hidden features, separated by commas.
    pub masked: String,
    /// Features that the kernel lacks, separated by commas.
    pub missing: String,
}

impl Worker {
    /// All of an engine's, in order.
    pub fn all(engine: &Engine) -> Vec<Worker> {
        let numbers = engine.counters().iter().zip(engine.stats());
        let all = engine.mailboxes().iter().zip(numbers);
        all.map(|(mailbox, (counters, stats))| Worker {
            mailbox: mailbox.clone(),
            counters: counters.clone(),
            stats: stats.clone(),
        })
        .collect()
    }
}

impl DriverFacts {
    /// In words.
    pub fn of(facts: &Facts) -> DriverFacts {
        let driver = match facts.driver {
            Driver::Uring => "uring",
            Driver::Epoll => "epoll",
        };
        let names = |features: &[Feature]| {
            features.iter().map(|feature| feature.name()).collect::<Vec<_>>().join(",")
        };
        DriverFacts {
            driver: driver.to_owned(),
            kernel: facts.kernel.clone(),
            masked: names(&facts.hidden),
            missing: names(&facts.missing),
        }
    }
}

/// What the resolver counts.
#[derive(Debug, Default)]
pub(crate) struct ResolverCounts {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) entries: AtomicU64,
}

/// What the opener counts.
#[derive(Debug, Default)]
pub(crate) struct OpenerCounts {
    /// Doors that were opened, and those that stayed shut.
    pub(crate) opened: [AtomicU64; 2],
    /// Programs alive.
    pub(crate) running: AtomicU64,
    /// Whether there is somebody who starts programs: 0 or 1.
    pub(crate) spawner: AtomicU64,
}

/// What is counted about tokens.
#[derive(Debug, Default)]
pub(crate) struct TokenCounts {
    /// Look-ups that ended, by [`OUTCOMES`].
    pub(crate) outcomes: [AtomicU64; OUTCOMES.len()],
    pub(crate) in_flight: AtomicU64,
    /// Tokens whose use is remembered.
    pub(crate) remembered: AtomicU64,
}

impl TokenCounts {
    pub(crate) fn count(&self, outcome: &str) {
        for (count, _) in self.outcomes.iter().zip(OUTCOMES).filter(|(_, name)| *name == outcome) {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// Everything that a page may show.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) parts: Parts,
    pub(crate) resolver: Arc<ResolverCounts>,
    pub(crate) opener: Arc<OpenerCounts>,
    pub(crate) tokens: Arc<TokenCounts>,
    pub(crate) certificates: Arc<[Watched]>,
    pub(crate) access_log: access_log::Sender,
    pub(crate) recorder: Option<recorder::Sender>,
    pub(crate) draining: AtomicBool,
    /// For one listing of all tunnels at a time, which may take megabytes.
    pub(crate) listing: Arc<Semaphore>,
}

impl State {
    pub(crate) fn new(
        parts: Parts,
        certificates: Arc<[Watched]>,
        (resolver, opener, tokens): (Arc<ResolverCounts>, Arc<OpenerCounts>, Arc<TokenCounts>),
        access_log: access_log::Sender,
        recorder: Option<recorder::Sender>,
    ) -> State {
        let listing = Arc::new(Semaphore::new(1));
        let draining = AtomicBool::new(false);
        State {
            parts,
            resolver,
            opener,
            tokens,
            certificates,
            access_log,
            recorder,
            draining,
            listing,
        }
    }
}

/// Steers a running engine; for use within [`Control::run`](crate::Control::run).
#[derive(Clone)]
pub struct Handle(Arc<State>);

impl Handle {
    pub(crate) fn new(state: Arc<State>) -> Handle {
        Handle(state)
    }

    /// Tells every worker to close its listeners and to end what still lives after `span`. `/ready` says no from now.
    pub fn drain(&self, span: Duration) {
        self.0.draining.store(true, Relaxed);
        self.command(|| Command::Drain(span));
    }

    /// Tells every worker to end now.
    pub fn stop(&self) {
        self.0.draining.store(true, Relaxed);
        self.command(|| Command::Stop);
    }

    /// Has log files opened anew, after they were renamed.
    pub fn reopen_logs(&self) {
        self.0.access_log.reopen();
    }

    /// Everything that is counted, as `/metrics` shows it.
    pub fn metrics(&self) -> String {
        crate::metrics::page(&self.0)
    }

    /// Tunnels alive now.
    pub fn tunnels(&self) -> u64 {
        self.0.parts.workers.iter().map(|worker| worker.counters.tunnels.get()).sum()
    }

    /// Connections alive now, whatever they are for.
    pub fn sessions(&self) -> u64 {
        self.0.parts.workers.iter().map(|worker| worker.counters.sessions.get()).sum()
    }

    /// Consoles that were ever opened.
    pub fn consoles(&self) -> u64 {
        let upgrades =
            |worker: &Worker| worker.counters.upgrades.iter().map(Count::get).sum::<u64>();
        self.0.parts.workers.iter().map(upgrades).sum()
    }

    fn command(&self, make: impl Fn() -> Command) {
        for worker in &self.0.parts.workers {
            post(&worker.mailbox, make());
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({} workers)", self.0.parts.workers.len())
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use penstock_core::config::Engine;

    use super::*;
    use crate::mailman::testing::mailbox;

    /// So many workers, all played by the test.
    pub(crate) fn state(workers: usize) -> Arc<State> {
        let worker =
            || Worker { mailbox: mailbox(4), counters: Arc::default(), stats: Arc::default() };
        let parts = Parts {
            config: Arc::new(Config { engine: Engine::default(), listeners: Vec::new() }),
            workers: (0..workers).map(|_| worker()).collect(),
            driver: DriverFacts {
                driver: "epoll".to_owned(),
                kernel: "6.1".to_owned(),
                masked: "uring".to_owned(),
                missing: "ring-message".to_owned(),
            },
            max_tunnels: 10,
            messages_dropped: Dropped::none(),
        };
        let certificates = crate::certificates::of(&parts.config);
        Arc::new(State::new(
            parts,
            certificates,
            Default::default(),
            access_log::Sender::to_nobody(),
            None,
        ))
    }
}
