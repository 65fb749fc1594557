//! Who has used which token: first come, and from where.
//!
//! ```text
//!  unused ── first use ──▶ one viewer: the same address, 30 s ──▶ used up (single_use)
//!                     └──▶ only from the same address (bind_client)
//!                     └──▶ expired, so long after its first use (expiry)
//! ```
//!
//! In: tokens that their source knows, addresses, the time. Out: whether that is a use that the configuration allows. A token counts as used as
//! soon as it is judged good, whatever becomes of its connection. Tokens are kept as digests. It remembers so many and no more: when it
//! is full, the one that was first used longest ago is forgotten, and would count as unused if its source still knows it; but only after
//! its window, which is half a minute or `expiry`, whichever is longer. If even that one's window is open, nobody new is let in.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use penstock_core::config::Tokens;
use penstock_core::console::Token;
use penstock_core::control::{TokenFault, TokenRefusal};

use super::{refusal, unavailable};
use crate::state::TokenCounts;

/// Tokens of one source that are remembered.
const REMEMBERED: usize = 65_536;
/// How long connections from the address of the first count as the same viewer: those of SPICE make one for each channel.
const VIEWER: Duration = Duration::from_secs(30);

type Digest = [u8; 32];

/// See the module.
pub(super) struct Ledger {
    single_use: bool,
    bind_client: bool,
    expiry: Option<Duration>,
    room: usize,
    uses: Mutex<Uses>,
    counts: Arc<TokenCounts>,
}

#[derive(Default)]
struct Uses {
    first: HashMap<Digest, First>,
    /// By time.
    order: VecDeque<Digest>,
}

/// A token's first use. Of clients without an address, all are the same.
struct First {
    at: Instant,
    client: Option<IpAddr>,
}

impl Ledger {
    /// None: those tokens may be used by anybody, as often as they like.
    pub(super) fn of(tokens: &Tokens, counts: Arc<TokenCounts>) -> Option<Ledger> {
        let &Tokens { single_use, bind_client, expiry, .. } = tokens;
        let is_kept = single_use || bind_client || expiry.is_some();
        let uses = Mutex::default();
        let ledger = Ledger { single_use, bind_client, expiry, room: REMEMBERED, uses, counts };
        is_kept.then_some(ledger)
    }

    /// Whether `client` may use a token that is known, now.
    pub(super) fn uses(
        &self,
        token: &Token,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), TokenRefusal> {
        let client = client.map(|address| address.to_canonical());
        let mut digested = Digest::default();
        digested.copy_from_slice(digest(&SHA256, token.secret().as_bytes()).as_ref());
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.first.get(&digested) {
            Some(first) => self.again(first, client, now),
            None => self.first(&mut uses, digested, First { at: now, client }),
        }
    }

    fn again(
        &self,
        first: &First,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), TokenRefusal> {
        let since = now.saturating_duration_since(first.at);
        let is_same = first.client == client;
        if self.expiry.is_some_and(|expiry| since >= expiry) {
            let text = format!("first used {since:.0?} ago, and `expiry` is over: make a new one");
            return Err(refusal(TokenFault::Expired, text));
        }
        if self.single_use && !(is_same && since < VIEWER) {
            let text = format!(
                "used before, {since:.0?} ago and from {}, and it is for one viewer (`single_use`): make a new one",
                if is_same { "the same address" } else { "another address" }
            );
            return Err(refusal(TokenFault::Used, text));
        }
        if self.bind_client && !is_same {
            let text = "used before from another address, to which it is bound (`bind_client`): make a new one";
            return Err(refusal(TokenFault::Used, text));
        }
        Ok(())
    }

    fn first(&self, uses: &mut Uses, digest: Digest, first: First) -> Result<(), TokenRefusal> {
        if uses.order.len() >= self.room {
            let window = VIEWER.max(self.expiry.unwrap_or_default());
            let oldest = uses.order.front().and_then(|oldest| uses.first.get(oldest));
            let is_over = oldest
                .is_some_and(|oldest| first.at.saturating_duration_since(oldest.at) >= window);
            if !is_over {
                return Err(unavailable(format!(
                    "{} tokens are in use, which is all that can be remembered: wait, or shorten `expiry`",
                    self.room
                )));
            }
            if let Some(oldest) = uses.order.pop_front() {
                uses.first.remove(&oldest);
                self.counts.remembered.fetch_sub(1, Relaxed);
            }
        }
        uses.first.insert(digest, first);
        uses.order.push_back(digest);
        self.counts.remembered.fetch_add(1, Relaxed);
        Ok(())
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Ledger({} tokens)", uses.order.len())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use penstock_core::config::TokenSource;

    use super::*;

    fn ledger(single_use: bool, bind_client: bool, expiry: Option<Duration>) -> Ledger {
        let source = TokenSource::File { path: PathBuf::new(), read_only: false };
        let timeout = Duration::from_secs(3);
        let tokens = Tokens { source, timeout, single_use, bind_client, expiry };
        Ledger::of(&tokens, Arc::default()).expect("one is kept")
    }

    /// Uses a token so many seconds after the first; what is wrong with that.
    fn at(
        ledger: &Ledger,
        begun: Instant,
        (token, client, second): (&str, &str, u64),
    ) -> Option<TokenFault> {
        let client = (!client.is_empty()).then(|| client.parse().expect("an address"));
        let now = begun + Duration::from_secs(second);
        ledger.uses(&Token::from(token.to_owned()), client, now).err().map(|refusal| refusal.why)
    }

    #[test]
    fn a_single_use_is_that_of_one_viewer_for_half_a_minute() {
        let (ledger, begun) = (ledger(true, false, None), Instant::now());
        for (use_, expected) in [
            (("a", "10.0.0.1", 0), None),
            (("a", "10.0.0.1", 1), None),
            (("a", "::ffff:10.0.0.1", 29), None),
            (("a", "10.0.0.2", 1), Some(TokenFault::Used)),
            (("a", "", 1), Some(TokenFault::Used)),
            (("a", "10.0.0.1", 30), Some(TokenFault::Used)),
            (("b", "10.0.0.2", 30), None),
            (("c", "", 30), None),
            (("c", "", 31), None),
        ] {
            assert_eq!(at(&ledger, begun, use_), expected, "{use_:?}");
        }
    }

    #[test]
    fn a_hundred_at_once_have_one_winner() {
        let (ledger, begun) = (Arc::new(ledger(true, false, None)), Instant::now());
        let threads: Vec<_> = (0..100u8)
            .map(|n| {
                let ledger = ledger.clone();
                std::thread::spawn(move || at(&ledger, begun, ("a", &format!("10.0.0.{n}"), 0)))
            })
            .collect();
        let verdicts: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("it ended")).collect();
        assert_eq!(verdicts.iter().filter(|verdict| verdict.is_none()).count(), 1);
        assert_eq!(verdicts.iter().filter(|v| **v == Some(TokenFault::Used)).count(), 99);
    }

    #[test]
    fn a_token_that_is_bound_is_for_one_address_as_often_as_it_likes() {
        let (ledger, begun) = (ledger(false, true, None), Instant::now());
        for (use_, expected) in [
            (("a", "2001:db8::1", 0), None),
            (("a", "2001:db8::1", 1_000_000), None),
            (("a", "2001:db8::2", 1), Some(TokenFault::Used)),
        ] {
            assert_eq!(at(&ledger, begun, use_), expected, "{use_:?}");
        }
    }

    #[test]
    fn a_token_expires_so_long_after_its_first_use() {
        let (ledger, begun) = (ledger(false, false, Some(Duration::from_secs(60))), Instant::now());
        for (use_, expected) in [
            (("a", "10.0.0.1", 0), None),
            (("a", "10.0.0.2", 59), None),
            (("a", "10.0.0.1", 60), Some(TokenFault::Expired)),
            (("b", "10.0.0.1", 60), None),
            (("b", "10.0.0.1", 119), None),
        ] {
            assert_eq!(at(&ledger, begun, use_), expected, "{use_:?}");
        }
    }

    #[test]
    fn a_full_ledger_forgets_the_oldest_after_its_window_and_lets_in_nobody_before() {
        let (mut ledger, begun) = (ledger(true, false, None), Instant::now());
        ledger.room = 2;
        for (use_, expected) in [
            (("a", "10.0.0.1", 0), None),
            (("b", "10.0.0.1", 10), None),
            (("c", "10.0.0.1", 29), Some(TokenFault::Unavailable)),
            (("a", "10.0.0.1", 29), None),
            (("c", "10.0.0.1", 30), None),
            (("d", "10.0.0.1", 39), Some(TokenFault::Unavailable)),
            (("c", "10.0.0.2", 39), Some(TokenFault::Used)),
            // Forgotten.
            (("a", "10.0.0.2", 45), None),
            (("b", "10.0.0.2", 80), None),
        ] {
            assert_eq!(at(&ledger, begun, use_), expected, "{use_:?}");
        }
        assert_eq!(ledger.counts.remembered.load(Relaxed), 2);
        assert_eq!(format!("{ledger:?}"), "Ledger(2 tokens)");
    }

    #[test]
    fn the_window_is_as_long_as_the_expiry() {
        let (mut ledger, begun) =
            (ledger(true, false, Some(Duration::from_secs(90))), Instant::now());
        ledger.room = 1;
        for (use_, expected) in [
            (("a", "10.0.0.1", 0), None),
            (("b", "10.0.0.1", 89), Some(TokenFault::Unavailable)),
            (("b", "10.0.0.1", 90), None),
        ] {
            assert_eq!(at(&ledger, begun, use_), expected, "{use_:?}");
        }
    }

    #[test]
    fn without_a_rule_nothing_is_remembered() {
        let source = TokenSource::File { path: PathBuf::new(), read_only: false };
        let (timeout, expiry) = (Duration::from_secs(3), None);
        let tokens = Tokens { source, timeout, single_use: false, bind_client: false, expiry };
        assert!(Ledger::of(&tokens, Arc::default()).is_none());
    }
}
