//! Tickets of oVirt's engine: they say themselves where they lead, signed by the engine.
//!
//! ```text
//!  text ──▶ ticket ──▶ signature ──▶ from when to when ──▶ shown before? ──▶ host, port, TLS │ KubeVirt
//! ```
//!
//! In: tickets, and the file of the engine's certificate, which is read anew when it has changed. Out: a place and its terms. The certificate within a
//! ticket is not looked at. Nothing that a ticket says is believed before its signature was.

mod console;
mod replay;
mod signature;
mod ticket;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use penstock_core::control::{TokenFault, TokenRefusal};

use super::file::read;
use super::kept::Kept;
use super::{Answer, no_place, refusal, unavailable, unknown};
use replay::Replay;
use signature::Key;
use ticket::Ticket;

/// Of the certificate's file.
const CERTIFICATE_MAX: u64 = 1 << 20;

pub(super) struct Ovirt {
    key: Kept<Key>,
    /// How far clocks may be apart.
    skew: Duration,
    /// None: a ticket may be shown as often as anybody likes.
    replay: Option<Replay>,
}

impl Ovirt {
    pub(super) fn new(certificate: &Path, skew: Duration, denies_replay: bool) -> Ovirt {
        let replay = denies_replay.then(Replay::new);
        Ovirt { key: Kept::new(certificate), skew, replay }
    }

    /// Waits for the file system.
    pub(super) fn look_up(&self, text: &str, client: Option<IpAddr>) -> Answer {
        let key = self.key()?;
        self.judge(&key, text, client, SystemTime::now())
    }

    fn judge(&self, key: &Key, text: &str, client: Option<IpAddr>, now: SystemTime) -> Answer {
        let ticket = Ticket::parse(text)
            .map_err(|fault| unknown(format!("no ticket of oVirt's: {fault}: see who made it")))?;
        if !key.has_signed(&ticket.message, &ticket.signature) {
            return Err(unknown(
                "the ticket was changed, or not signed by the engine whose certificate is in `cert`: compare that with /etc/pki/ovirt-engine/certs/engine.cer of the engine",
            ));
        }
        self.in_time(&ticket, now)?;
        if let Some(replay) = &self.replay {
            replay.uses(&ticket.signature, ticket.valid[1] + self.skew, client, now)?;
        }
        console::found(&ticket.data)
            .map_err(|fault| no_place(format!("of the ticket's data: {fault}")))
    }

    fn in_time(&self, ticket: &Ticket, now: SystemTime) -> Result<(), TokenRefusal> {
        let [from, to] = ticket.valid;
        let expired = |text| Err(refusal(TokenFault::Expired, text));
        let compare = "see the clocks of both machines, or raise `skew`";
        if let Ok(early) = from.duration_since(now)
            && early > self.skew
        {
            return expired(format!("its time comes in {early:.0?} (validFrom): {compare}"));
        }
        match now.duration_since(to) {
            Ok(late) if late > self.skew => expired(format!(
                "its time ended {late:.0?} ago (validTo): open the console anew in the portal; if all are too late, {compare}"
            )),
            _ => Ok(()),
        }
    }

    fn key(&self) -> Result<Arc<Key>, TokenRefusal> {
        self.key.get(|path| {
            let text = read(path, CERTIFICATE_MAX).map_err(|error| {
                unavailable(format!(
                    "the engine's certificate can't be read ({error}): mend the path in `cert`, or let the user that Penstock runs as read it"
                ))
            })?;
            Key::parse(&text).map_err(|fault| {
                unavailable(format!("its certificate can't be used ({fault}): put another one there"))
            })
        })
    }
}

#[cfg(test)]
mod tests;
