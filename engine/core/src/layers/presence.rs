//! Whether somebody sits at a browser's console: told by keys and pointers, not by traffic.
//!
//! ```text
//!            ┌─ server begins with RFB ──▶ Rfb ── not followed any more ──▶ Bytes
//!  Undecided ├─ client begins with REDQ ─▶ Spice (its channel)
//!            └─ anything else ───────────▶ Bytes: whatever the client sends is somebody's doing
//! ```
//!
//! In: the first bytes of the server, all bytes of the client. Out: when somebody did something last, or that another connection
//! of the same viewer would tell. Keeps no payload but the beginning of a message.

use penstock_proto::rfb::{self, Activity};
use penstock_proto::spice::{self, Channel, Seen};
use penstock_ring::Time;

/// What an RFB server's first bytes are.
const RFB: &[u8] = b"RFB ";

/// See the module.
#[derive(Debug)]
pub(crate) struct Presence {
    kind: Kind,
    active_at: Time,
}

#[derive(Debug)]
enum Kind {
    Undecided(spice::Follower),
    Rfb(Box<rfb::Follower>),
    Spice(Channel),
    Bytes,
}

/// When somebody did something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum User {
    /// Here, at that time.
    At(Time),
    /// That is told by another channel of the same viewer.
    Elsewhere,
}

impl Presence {
    /// Somebody has opened a console.
    pub(crate) fn new(now: Time) -> Presence {
        Presence { kind: Kind::Undecided(spice::Follower::new()), active_at: now }
    }

    /// Whether the server's next bytes may matter.
    pub(super) fn wants_server(&self) -> bool {
        match &self.kind {
            Kind::Undecided(_) => true,
            Kind::Rfb(follower) => follower.wants_server(),
            Kind::Spice(_) | Kind::Bytes => false,
        }
    }

    pub(super) fn server(&mut self, bytes: &[u8]) {
        if let Kind::Undecided(_) = self.kind {
            self.kind = match bytes.starts_with(RFB) {
                true => Kind::Rfb(Box::default()),
                false => Kind::Bytes,
            };
        }
        if let Kind::Rfb(follower) = &mut self.kind {
            follower.server(bytes);
        }
    }

    pub(super) fn client(&mut self, bytes: &[u8], now: Time) {
        if let Kind::Undecided(follower) = &mut self.kind {
            self.kind = match follower.follow(bytes) {
                Seen::Wait => return,
                Seen::Link(link) => Kind::Spice(link.channel),
                Seen::Other => Kind::Bytes,
            };
        }
        let is_active = match &mut self.kind {
            Kind::Undecided(_) => false,
            Kind::Rfb(follower) => match follower.follow(bytes) {
                Activity::Events(events) => events > 0,
                Activity::Unknown => {
                    self.kind = Kind::Bytes;
                    true
                }
            },
            Kind::Spice(channel) => *channel == Channel::Inputs,
            Kind::Bytes => true,
        };
        if is_active {
            self.active_at = now;
        }
    }

    pub(super) fn user(&self) -> User {
        match self.kind {
            Kind::Spice(channel) if channel != Channel::Inputs => User::Elsewhere,
            _ => User::At(self.active_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Time = Time(1_000_000);

    fn after(server: &[u8], client: &[&[u8]]) -> User {
        let mut presence = Presence::new(Time(0));
        if !server.is_empty() {
            presence.server(server);
        }
        client.iter().for_each(|bytes| presence.client(bytes, LATER));
        presence.user()
    }

    #[test]
    fn in_rfb_keys_and_pointers_count_and_nothing_else() {
        let greeting: &[&[u8]] = &[b"RFB 003.008\n", &[1], &[1]];
        let with = |message: &[u8]| after(b"RFB 003.008\n", &[greeting, &[message]].concat());
        assert_eq!(after(b"RFB 003.008\n", greeting), User::At(Time(0)));
        let asks = [3, 1, 0, 0, 0, 0, 0, 9, 0, 9];
        assert_eq!(with(&asks), User::At(Time(0)), "a picture is asked for");
        assert_eq!(with(&[4, 1, 0, 0, 0, 0, 0, 97]), User::At(LATER), "a key");
        assert_eq!(with(&[5, 0, 0, 9, 0, 9]), User::At(LATER), "the pointer");
    }

    #[test]
    fn what_cannot_be_followed_counts_as_a_whole() {
        assert_eq!(after(b"login: ", &[]), User::At(Time(0)));
        assert_eq!(after(b"login: ", &[b"root\r"]), User::At(LATER));
        assert_eq!(after(b"", &[b"root\r"]), User::At(LATER));
        let tls = after(b"RFB 003.008\n", &[b"RFB 003.008\n", &[19], &[0, 2], &[22, 3, 1]]);
        assert_eq!(tls, User::At(LATER), "what is within TLS is nobody's business");
    }

    #[test]
    fn of_spice_the_channel_of_keys_tells() {
        let link = |channel: u8| {
            let mut link = b"REDQ".to_vec();
            link.extend([2, 0, 0, 0, 2, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0, channel, 0]);
            link
        };
        assert_eq!(after(b"", &[&link(3)]), User::At(LATER));
        assert_eq!(after(b"", &[&link(2)]), User::Elsewhere);
        let (one, rest) = (&link(2)[..3], &link(2)[3..]);
        assert_eq!(after(b"", &[one, rest]), User::Elsewhere, "in two pieces");
    }
}
