//! What may wait, on threads of its own: names, doors, tokens, pages for browsers, certificates, the admin server, the clock's time zone, logs.
//!
//! In: questions, records and counters of the workers. Out: answers and commands in their mailboxes, log lines, pages.
//! No worker ever waits for this crate: every queue towards it is bounded, and what does not fit is counted.
//! It does not know signals, arguments or systemd: those are the daemon's.
#![forbid(unsafe_code)]

pub mod access_log;
pub mod admin;
mod certificates;
mod clock;
mod demo;
mod host;
mod mailman;
pub mod messages;
mod metrics;
mod opener;
mod outside;
mod pair;
pub mod recorder;
mod resolver;
mod secrets;
mod secured;
pub mod spawner;
mod stamp;
mod state;
mod tokens;
mod waiting;
mod web;
mod within;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use penstock_core::config::Config;
use penstock_core::control::{Mailbox, Outside};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::certificates::Watch;
use crate::clock::Clock;
pub use crate::host::Host;
use crate::opener::{Notice, Opener};
use crate::outside::{Asked, WorkerOutside};
use crate::resolver::Resolver;
use crate::spawner::Spawner;
pub use crate::state::{DriverFacts, Handle, Parts, Worker};
use crate::state::{OpenerCounts, ResolverCounts, State, TokenCounts};
use crate::tokens::Desk;

/// Questions that may wait for the resolver to take them, and as many for the sources of tokens.
const QUESTIONS: usize = 4096;

/// The control thread's belongings, before it runs.
pub struct Control {
    runtime: Runtime,
    certificates: Watch,
    clock: Clock,
    access_log: access_log::Sender,
    recorder: Option<recorder::Sender>,
    ask: mpsc::Sender<Asked>,
    questions: mpsc::Receiver<Asked>,
    ask_tokens: mpsc::Sender<tokens::Asked>,
    tokens: mpsc::Receiver<tokens::Asked>,
    ask_secrets: mpsc::Sender<secrets::Asked>,
    secrets: mpsc::Receiver<secrets::Asked>,
    open: mpsc::Sender<Notice>,
    notices: mpsc::Receiver<Notice>,
    spawner: Option<Spawner>,
    host: Option<Arc<dyn Host>>,
}

/// Threads that may wait at the same time: for names, for doors, for tokens, for secrets, for pages, and one for certificates.
const THREADS: usize = resolver::LOOKUPS_AT_ONCE
    + opener::THREADS
    + tokens::THREADS
    + secrets::THREADS
    + web::THREADS
    + 1;

impl Control {
    /// Makes what the workers will talk to. Nothing runs yet; what is asked waits in the queue. Programs are started by
    /// `spawner`, and without one not at all; nor is anything recorded without a `recorder`.
    ///
    /// # Errors
    /// When the system gives no descriptors for an event loop.
    pub fn new(
        config: &Arc<Config>,
        access_log: access_log::Sender,
        recorder: Option<recorder::Sender>,
        spawner: Option<Spawner>,
    ) -> io::Result<Control> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(THREADS)
            .thread_name("penstock-waits")
            .build()?;
        let certificates = certificates::of(config);
        let certificates = Watch::new(certificates, Instant::now(), SystemTime::now());
        let (ask, questions) = mpsc::channel(QUESTIONS);
        let (ask_tokens, tokens) = mpsc::channel(QUESTIONS);
        let (ask_secrets, secrets) = mpsc::channel(QUESTIONS);
        let (open, notices) = mpsc::channel(opener::DOORS_MAX);
        Ok(Control {
            runtime,
            certificates,
            clock: Clock::new(),
            access_log,
            recorder,
            ask,
            questions,
            ask_tokens,
            tokens,
            ask_secrets,
            secrets,
            open,
            notices,
            spawner,
            host: None,
        })
    }

    /// Has workers ask this program about clients, and tell it of every end. To be called before any of them has its [`outside`](Self::outside).
    #[must_use]
    pub fn with_host(self, host: Arc<dyn Host>) -> Control {
        Control { host: Some(host), ..self }
    }

    /// What a worker with this mailbox speaks to.
    pub fn outside(&self, mailbox: Mailbox) -> Box<dyn Outside> {
        Box::new(WorkerOutside {
            mailbox,
            ask: self.ask.clone(),
            tokens: self.ask_tokens.clone(),
            secrets: self.ask_secrets.clone(),
            opener: self.open.clone(),
            awaited: HashMap::new(),
            access_log: self.access_log.clone(),
            recorder: self.recorder.as_ref().map(recorder::Sender::feed),
            clock: self.clock.clone(),
            host: self.host.clone(),
        })
    }

    /// Serves names and admin pages on this thread until the future that `task` makes is over.
    ///
    /// # Errors
    /// When the event loop can't take the admin listener.
    pub fn run<F: Future>(
        self,
        parts: Parts,
        admin: Option<TcpListener>,
        task: impl FnOnce(Handle) -> F,
    ) -> io::Result<F::Output> {
        let counts = Arc::new(ResolverCounts::default());
        let doors = Arc::new(OpenerCounts::default());
        let looked_up = Arc::new(TokenCounts::default());
        let counted = (counts.clone(), doors.clone(), looked_up.clone());
        let watched = self.certificates.all.clone();
        let (access_log, recorder) = (self.access_log.clone(), self.recorder.clone());
        let state = Arc::new(State::new(parts, watched, counted, access_log, recorder));
        // Whoever could still ask from here is none that has ended.
        drop(self.open);
        let result = self.runtime.block_on(async {
            if let Some(listener) = admin {
                tokio::spawn(admin::serve(admin::listener(listener)?, state.clone()));
            }
            let opener = Opener::new(self.spawner, self.access_log, doors, &state.parts.config)?;
            let (finish, finished) = oneshot::channel();
            let opener = tokio::spawn(opener.run(self.notices, finished));
            tokio::spawn(Resolver::system(counts).run(self.questions));
            let ciphers = state.parts.config.engine.tls;
            tokio::spawn(Desk::new(looked_up, ciphers).run(self.tokens));
            tokio::spawn(secrets::run(self.secrets));
            tokio::spawn(clock::keep(self.clock));
            tokio::spawn(certificates::keep(self.certificates));
            let result = task(Handle::new(state)).await;
            opener::finish(finish, opener).await;
            Ok(result)
        });
        // What hangs must not keep the process.
        self.runtime.shutdown_background();
        result
    }
}
