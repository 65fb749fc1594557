//! Names to addresses: getaddrinfo(3) on threads that may wait, behind a cache.
//!
//! In: questions of workers. Out: answers in their mailboxes, in the order of preference that the system gives (RFC
//! 6724). Equal questions wait for one look-up. It does no reverse look-ups, and never decides who may reach what.

mod cache;
mod system;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use penstock_core::control::{Command, ResolveError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::mailman::post;
use crate::outside::Asked;
use crate::resolver::cache::{Cache, Step, Waiter};
use crate::state::ResolverCounts;
use crate::waiting::Threads;
pub(crate) use system::look_up;

/// Threads that wait for the name service.
pub(crate) const LOOKUPS_AT_ONCE: usize = 32;
/// Look-ups begun and not ended, those that wait for a thread among them. Names beyond that fail at once: with a name
/// service that hangs, waiting would only end in a time-out, and names that nobody knows would cost memory.
const PENDING_MAX: usize = 1024;
/// How long a question may take. Below the default connect time-out, so that the client learns what was slow.
const PATIENCE: Duration = Duration::from_secs(9);

/// Addresses in order of preference.
pub(crate) type Answer = Result<Vec<IpAddr>, ResolveError>;
type LookUp = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

pub(crate) struct Resolver {
    look_up: LookUp,
    patience: Duration,
    cache: Cache,
    threads: Threads,
    running: JoinSet<(Box<str>, Answer)>,
    counts: Arc<ResolverCounts>,
}

impl Resolver {
    /// One that asks the system.
    pub(crate) fn system(counts: Arc<ResolverCounts>) -> Resolver {
        Resolver::new(Arc::new(system::look_up), PATIENCE, counts)
    }

    fn new(look_up: LookUp, patience: Duration, counts: Arc<ResolverCounts>) -> Resolver {
        Resolver {
            look_up,
            patience,
            cache: Cache::default(),
            threads: Threads::new(LOOKUPS_AT_ONCE),
            running: JoinSet::new(),
            counts,
        }
    }

    /// Answers until nobody can ask any more.
    pub(crate) async fn run(mut self, mut questions: mpsc::Receiver<Asked>) {
        loop {
            tokio::select! {
                asked = questions.recv() => match asked {
                    Some(asked) => self.asked(asked),
                    None => return,
                },
                Some(Ok((name, answer))) = self.running.join_next() => self.answered(&name, answer),
            }
            self.counts.in_flight.store(self.running.len() as u64, Relaxed);
            self.counts.entries.store(self.cache.len() as u64, Relaxed);
        }
    }

    fn asked(&mut self, Asked { id, name, mailbox }: Asked) {
        let may_begin = self.running.len() < PENDING_MAX;
        match self.cache.ask(&name, Waiter { id, mailbox }, may_begin, Instant::now()) {
            Step::Answer(waiter, answer) => {
                self.counts.hits.fetch_add(1, Relaxed);
                tell(waiter, answer);
            }
            Step::Wait => {
                self.counts.joined.fetch_add(1, Relaxed);
            }
            Step::Refuse(waiter) => {
                self.counts.refused.fetch_add(1, Relaxed);
                tell(waiter, Err(ResolveError::Failed));
            }
            Step::LookUp => {
                self.counts.misses.fetch_add(1, Relaxed);
                self.begin(name);
            }
        }
    }

    fn begin(&mut self, name: Box<str>) {
        let (look_up, threads, counts) =
            (self.look_up.clone(), self.threads.clone(), self.counts.clone());
        let patience = self.patience;
        self.running.spawn(async move {
            let asked = name.clone();
            let answer = threads.run(move || look_up(&asked));
            let answer = timeout(patience, answer).await.unwrap_or_else(|_| {
                counts.timeouts.fetch_add(1, Relaxed);
                None
            });
            (name, answer.unwrap_or(Err(ResolveError::Failed)))
        });
    }

    fn answered(&mut self, name: &str, answer: Answer) {
        if answer == Err(ResolveError::Failed) {
            self.counts.failures.fetch_add(1, Relaxed);
        }
        for waiter in self.cache.answered(name, answer.clone(), Instant::now()) {
            tell(waiter, answer.clone());
        }
    }
}

fn tell(Waiter { id, mailbox }: Waiter, result: Answer) {
    post(&mailbox, Command::Resolved { id, result });
}

#[cfg(test)]
mod tests;
