//! What may wait, on threads of its own: names, the admin server, the clock's time zone, logs.
//!
//! In: questions, records and counters of the workers. Out: answers and commands in their mailboxes, log lines, pages.
//! No worker ever waits for this crate: every queue towards it is bounded, and what does not fit is counted.
//! It does not know signals, arguments or systemd: those are the daemon's.
#![forbid(unsafe_code)]

pub mod access_log;
pub mod admin;
mod clock;
mod mailman;
pub mod messages;
mod metrics;
mod opener;
mod outside;
mod resolver;
mod state;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use penstock_core::control::{Mailbox, Outside};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::outside::{Asked, WorkerOutside};
use crate::resolver::Resolver;
pub use crate::state::{DriverFacts, Handle, Parts, Worker};
use crate::state::{ResolverCounts, State};

/// Questions that may wait for the resolver to take them.
const QUESTIONS: usize = 4096;

/// The control thread's belongings, before it runs.
pub struct Control {
    runtime: Runtime,
    clock: Clock,
    access_log: access_log::Sender,
    ask: mpsc::Sender<Asked>,
    questions: mpsc::Receiver<Asked>,
}

impl Control {
    /// Makes what the workers will talk to. Nothing runs yet; what is asked waits in the queue.
    ///
    /// # Errors
    /// When the system gives no descriptors for an event loop.
    pub fn new(access_log: access_log::Sender) -> io::Result<Control> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(resolver::LOOKUPS_AT_ONCE)
            .thread_name("penstock-lookup")
            .build()?;
        let (ask, questions) = mpsc::channel(QUESTIONS);
        Ok(Control { runtime, clock: Clock::new(), access_log, ask, questions })
    }

    /// What a worker with this mailbox speaks to.
    pub fn outside(&self, mailbox: Mailbox) -> Box<dyn Outside> {
        Box::new(WorkerOutside {
            mailbox,
            ask: self.ask.clone(),
            access_log: self.access_log.clone(),
            clock: self.clock.clone(),
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
        let state = Arc::new(State::new(parts, counts.clone(), self.access_log));
        let result = self.runtime.block_on(async {
            if let Some(listener) = admin {
                tokio::spawn(admin::serve(admin::listener(listener)?, state.clone()));
            }
            tokio::spawn(Resolver::system(counts).run(self.questions));
            tokio::spawn(clock::keep(self.clock));
            Ok(task(Handle::new(state)).await)
        });
        // A look-up that hangs must not keep the process.
        self.runtime.shutdown_background();
        result
    }
}
