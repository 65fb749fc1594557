//! Which tickets have been shown: each opens the console of one viewer.
//!
//! ```text
//!  unused ── first use ──▶ one viewer: the same address, 30 s ──▶ used up, until it is worth nothing
//! ```
//!
//! In: signatures that are good, and until when. Out: whether that is a use that is allowed. It is the signature that is remembered, since a
//! ticket can be written in many ways. It remembers so many and no more: when it is full, nobody new is let in.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use penstock_core::control::{TokenFault, TokenRefusal};

use super::super::{refusal, unavailable};

/// Tickets that are remembered.
const REMEMBERED: usize = 65_536;
/// How long connections from the address of the first count as the same viewer: those of SPICE make one for each channel.
const VIEWER: Duration = Duration::from_secs(30);

type Digest = [u8; 32];

/// See the module.
pub(super) struct Replay {
    room: usize,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    first: HashMap<Digest, First>,
    /// By the end of what they are worth.
    ends: BTreeSet<(SystemTime, Digest)>,
}

struct First {
    at: SystemTime,
    client: Option<IpAddr>,
}

impl Replay {
    pub(super) fn new() -> Replay {
        Replay { room: REMEMBERED, shown: Mutex::default() }
    }

    /// Whether `client` may use a ticket that is good until `end`.
    pub(super) fn uses(
        &self,
        signature: &[u8],
        end: SystemTime,
        client: Option<IpAddr>,
        now: SystemTime,
    ) -> Result<(), TokenRefusal> {
        let client = client.map(|address| address.to_canonical());
        let mut digested = Digest::default();
        digested.copy_from_slice(digest(&SHA256, signature).as_ref());
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = shown.first.get(&digested) {
            // A clock that was set back makes a moment of it.
            let since = now.duration_since(first.at).unwrap_or_default();
            let is_same = first.client == client;
            return match is_same && since < VIEWER {
                true => Ok(()),
                false => Err(again(is_same)),
            };
        }
        shown.forget(now);
        if shown.ends.len() >= self.room {
            return Err(unavailable(format!(
                "{} tickets are remembered that somebody could show again, which is all that can be: wait, or have the engine make them for a shorter time",
                self.room
            )));
        }
        shown.first.insert(digested, First { at: now, client });
        shown.ends.insert((end, digested));
        Ok(())
    }
}

fn again(is_same: bool) -> TokenRefusal {
    let whose = if is_same { "the same address" } else { "another address" };
    refusal(
        TokenFault::Used,
        format!(
            "shown before, from {whose} (`replay = \"deny\"`): open the console anew in the portal"
        ),
    )
}

impl Shown {
    /// What is worth nothing any more need not be remembered.
    fn forget(&mut self, now: SystemTime) {
        while let Some(&(end, digest)) = self.ends.first()
            && end < now
        {
            self.ends.pop_first();
            self.first.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// Shows a ticket that is good until a second, from an address, at another second.
    fn at(replay: &Replay, (name, end, client, now): (&str, u64, &str, u64)) -> Option<TokenFault> {
        let time = |second| UNIX_EPOCH + Duration::from_secs(second);
        let client = (!client.is_empty()).then(|| client.parse().expect("an address"));
        let result = replay.uses(name.as_bytes(), time(end), client, time(now));
        result.err().map(|refusal| refusal.why)
    }

    #[test]
    fn a_ticket_is_for_one_viewer_until_it_is_worth_nothing() {
        let replay = Replay::new();
        for (use_, expected) in [
            (("a", 1120, "10.0.0.1", 1000), None),
            (("a", 1120, "10.0.0.1", 1001), None),
            (("a", 1120, "::ffff:10.0.0.1", 1029), None),
            (("a", 1120, "10.0.0.2", 1001), Some(TokenFault::Used)),
            (("a", 1120, "", 1001), Some(TokenFault::Used)),
            (("a", 1120, "10.0.0.1", 1030), Some(TokenFault::Used)),
            (("b", 1120, "10.0.0.2", 1119), None),
            (("a", 1120, "10.0.0.1", 1120), Some(TokenFault::Used)),
            (("c", 1120, "", 1050), None),
            (("c", 1120, "", 1051), None),
        ] {
            assert_eq!(at(&replay, use_), expected, "{use_:?}");
        }
    }

    #[test]
    fn when_it_is_full_nobody_new_is_let_in_until_one_is_worth_nothing() {
        let replay = Replay { room: 2, ..Replay::new() };
        for (use_, expected) in [
            (("a", 1120, "10.0.0.1", 1000), None),
            (("b", 1060, "10.0.0.1", 1000), None),
            (("c", 1200, "10.0.0.1", 1060), Some(TokenFault::Unavailable)),
            (("a", 1120, "10.0.0.1", 1010), None),
            (("c", 1200, "10.0.0.1", 1061), None),
            (("d", 1200, "10.0.0.1", 1120), Some(TokenFault::Unavailable)),
            (("c", 1200, "10.0.0.2", 1062), Some(TokenFault::Used)),
        ] {
            assert_eq!(at(&replay, use_), expected, "{use_:?}");
        }
    }
}
