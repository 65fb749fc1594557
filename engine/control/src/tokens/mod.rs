//! Tokens: what they name, and whether they may still be used.
//!
//! ```text
//!  worker ── Asked ──▶ desk ──▶ source ──▶ ledger of uses ──▶ Judged, in the worker's mailbox
//!                        │         └─ file │ folder │ API │ JWT │ Redis │ nova │ tickets of oVirt's
//!                        └─ too many of that source are pending: refused at once
//! ```
//!
//! In: questions of workers. Out: a host and a port, a UNIX socket that the operator named or that lies within the operator's folder, or a console
//! behind a Kubernetes API; or why there is none, for the operator, without the token and without a word of what a source said. Each source has
//! its own places and threads: one that hangs holds up nobody else's tokens. Nothing that a source said is kept but the content of files, and
//! that only while they look the same.

mod api;
mod connect;
mod fetch;
mod file;
mod jwt;
mod kept;
mod ledger;
mod lines;
mod nova;
mod ovirt;
mod place;
mod redis;
mod resp;
mod secure;
mod source;
mod threads;
mod url;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use penstock_core::config::Tokens;
use penstock_core::console::Token;
use penstock_core::control::{Command, Found, Mailbox, Place, SessionId, TokenFault, TokenRefusal};
use penstock_core::tls::Implementation;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::mailman::post;
use crate::state::TokenCounts;
use crate::waiting;
use ledger::Ledger;
use source::Source;
pub(crate) use threads::THREADS;
use threads::Threads;

/// Look-ups of one source under way at a time.
const LOOKUPS_AT_ONCE: usize = 64;
/// Look-ups of one source begun and not ended, those that wait for their turn among them. Whoever comes beyond that is refused at once.
const PENDING_MAX: usize = 1024;

/// What became of look-ups, in the order in which they are counted.
pub(crate) const OUTCOMES: [&str; 9] =
    ["found", "unknown", "expired", "used", "other_page", "no_place", "failed", "late", "refused"];

/// A question, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: SessionId,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) token: Token,
    pub(crate) client: Option<IpAddr>,
    /// The protocol of the page that asks.
    pub(crate) page: Option<Box<str>>,
    pub(crate) mailbox: Mailbox,
}

/// Of sources that know places and nothing else.
type Judged = Result<Place, TokenRefusal>;
type Answer = Result<Found, TokenRefusal>;

/// Takes questions.
pub(crate) struct Desk {
    /// Equal tokens in the configuration are one: a token used up at one listener is used up at the other.
    counters: Vec<Arc<Counter>>,
    threads: waiting::Threads,
    /// Of TLS with sources; none: whichever are faster here.
    ciphers: Option<Implementation>,
    running: JoinSet<()>,
    counts: Arc<TokenCounts>,
}

/// Where those wait who ask the same source.
struct Counter {
    tokens: Arc<Tokens>,
    source: Source,
    pending: Arc<Semaphore>,
    at_once: Semaphore,
    ledger: Option<Ledger>,
}

impl Desk {
    pub(crate) fn new(counts: Arc<TokenCounts>, ciphers: Option<Implementation>) -> Desk {
        let (counters, running) = (Vec::new(), JoinSet::new());
        Desk { counters, threads: waiting::Threads::new(THREADS), ciphers, running, counts }
    }

    /// Answers until nobody can ask any more.
    pub(crate) async fn run(mut self, mut questions: mpsc::Receiver<Asked>) {
        loop {
            tokio::select! {
                asked = questions.recv() => match asked {
                    Some(asked) => self.asked(asked),
                    None => return,
                },
                Some(_) = self.running.join_next() => {}
            }
            self.counts.in_flight.store(self.running.len() as u64, Relaxed);
        }
    }

    fn asked(&mut self, asked: Asked) {
        let Asked { id, tokens, token, client, page, mailbox } = asked;
        let counter = self.counter(tokens);
        let counts = self.counts.clone();
        let Ok(place) = counter.pending.clone().try_acquire_owned() else {
            counts.count("refused");
            let result = Err(counter.too_many());
            return post(&mailbox, Command::Judged { id, result });
        };
        self.running.spawn(async move {
            let (outcome, result) = counter.judge(&token, client, page.as_deref()).await;
            drop(place);
            counts.count(outcome);
            post(&mailbox, Command::Judged { id, result });
        });
    }

    fn counter(&mut self, tokens: Arc<Tokens>) -> Arc<Counter> {
        let is_it = |counter: &&Arc<Counter>| {
            Arc::ptr_eq(&counter.tokens, &tokens) || counter.tokens == tokens
        };
        if let Some(known) = self.counters.iter().find(is_it) {
            return known.clone();
        }
        let threads = Threads::of_one(&self.threads);
        let source = Source::new(&tokens.source, threads, self.ciphers);
        let counter = Arc::new(Counter::new(tokens, source, self.counts.clone()));
        self.counters.push(counter.clone());
        counter
    }
}

impl Counter {
    fn new(tokens: Arc<Tokens>, source: Source, counts: Arc<TokenCounts>) -> Counter {
        let ledger = Ledger::of(&tokens, counts);
        let pending = Arc::new(Semaphore::new(PENDING_MAX));
        Counter { tokens, source, pending, at_once: Semaphore::new(LOOKUPS_AT_ONCE), ledger }
    }

    /// The outcome, as it is counted, and the answer.
    async fn judge(
        &self,
        token: &Token,
        client: Option<IpAddr>,
        page: Option<&str>,
    ) -> (&'static str, Answer) {
        // Lines and keys may be for nobody.
        if token.secret().is_empty() {
            return ("unknown", Err(self.named(unknown("nobody is asked for an empty token"))));
        }
        let found = async {
            // Never closed.
            let _permit = self.at_once.acquire().await;
            self.source.look_up(token, client, page).await
        };
        let found = match timeout(self.tokens.timeout, found).await {
            Ok(found) => found,
            Err(_) => return ("late", Err(self.named(self.late()))),
        };
        let judged = found.and_then(|found| match &self.ledger {
            Some(ledger) => ledger.uses(token, client, Instant::now()).map(|()| found),
            None => Ok(found),
        });
        (outcome(&judged), judged.map_err(|refusal| self.named(refusal)))
    }

    fn named(&self, refusal: TokenRefusal) -> TokenRefusal {
        let detail = format!("{}: {}", self.source.name(), refusal.detail);
        TokenRefusal { detail: detail.into(), ..refusal }
    }

    fn late(&self) -> TokenRefusal {
        let detail = format!(
            "no answer within {:?}: see whether it is there and how busy it is, or raise the time-out of tokens",
            self.tokens.timeout
        );
        unavailable(detail)
    }

    fn too_many(&self) -> TokenRefusal {
        let detail = format!(
            "not asked, since {PENDING_MAX} look-ups are pending: it is too slow for so many, or does not answer"
        );
        self.named(unavailable(detail))
    }
}

fn outcome(judged: &Answer) -> &'static str {
    match judged {
        Ok(_) => "found",
        Err(TokenRefusal { why, .. }) => match why {
            TokenFault::Unknown => "unknown",
            TokenFault::Expired => "expired",
            TokenFault::Used => "used",
            TokenFault::OtherPage => "other_page",
            TokenFault::NoPlace => "no_place",
            TokenFault::Unavailable => "failed",
        },
    }
}

fn refusal(why: TokenFault, detail: impl Into<Box<str>>) -> TokenRefusal {
    TokenRefusal { why, detail: detail.into() }
}

fn unknown(detail: impl Into<Box<str>>) -> TokenRefusal {
    refusal(TokenFault::Unknown, detail)
}

fn unavailable(detail: impl Into<Box<str>>) -> TokenRefusal {
    refusal(TokenFault::Unavailable, detail)
}

fn no_place(detail: impl Into<Box<str>>) -> TokenRefusal {
    refusal(TokenFault::NoPlace, detail)
}

/// JSON's objects alone: serde would take a list of the same values, too.
fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let is_object = json.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(json).ok()).flatten()
}

#[cfg(test)]
mod tests;
