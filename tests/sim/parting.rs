//! How consoles are refused and how they end: the status before the 101, the close code after it, no word in the middle of a
//! frame, pongs for pings, and no patience with the dead.

use std::time::Duration;

use penstock_core::close::{Cause, Phase, Side};
use penstock_core::config::Console;

use crate::sim::consoles;
use crate::sim::frames::Frames;
use crate::sim::framing::Leaving;
use crate::sim::oracle::Case;
use crate::sim::talker::Talker;
use crate::sim::tally::{Fault, count};

/// Bytes towards a browser that are never so many that its pings are not answered.
const FEW: u64 = 16 << 10;

impl Case<'_> {
    /// All that is asked of consoles alone.
    pub fn check_console(&self) {
        consoles::of(self.listener).inspect(|console| self.check_status(console));
        let Some(client) = self.client.talker.as_ref() else { return };
        let Some(frames) = client.line.frames().filter(|frames| frames.is_open()) else { return };
        self.check_code(client, frames);
        self.check_frame_ends(client, frames);
        if !self.exhausted {
            self.check_told(client, frames);
        }
        self.check_pongs(client, frames);
        self.check_heartbeat(client, frames);
    }

    /// What can be judged before the 101 is, and is answered by the status that it has.
    fn check_status(&self, console: &Console) {
        let (reason, status) = (self.record.reason, self.record.status);
        let right = match reason.cause {
            _ if matches!(reason.phase, Phase::ProxyHeader | Phase::Relay | Phase::Page) => true,
            // Whatever comes of a login comes after the 101.
            _ if reason.phase == Phase::Login || self.is_bridge_denied() => status == 101,
            Cause::TokenRefused if console.silent => status == 0,
            Cause::AccessDenied if self.denied_by_host().is_some() => {
                self.denied_by_host() == Some(status)
            }
            Cause::BadRequest => (400..=505).contains(&status),
            Cause::Unauthorized => status == 401,
            Cause::OriginRefused | Cause::TokenRefused | Cause::AccessDenied | Cause::Loop => {
                status == 403
            }
            Cause::MethodRefused => status == 405,
            Cause::HandshakeTimeout if reason.phase == Phase::Request => {
                status == 408 || status == 0
            }
            Cause::TooLarge => status == 431,
            Cause::TokenLookupFailed => status == 503,
            _ if reason.side == Side::Target => status == 101 || status == 503,
            _ => true,
        };
        assert!(right, "answered by {status}: {self:?}");
        let told_twice = self.client.status == Some(101) && status >= 400;
        assert!(!told_twice, "refused after the 101: {self:?}");
    }

    /// The close code says what the record says.
    fn check_code(&self, client: &Talker, frames: &Frames) {
        let Some(told) = frames.told() else { return };
        let echoed = frames.said_first() == Some(told);
        let right = match told {
            Some(code) => self.codes(frames).contains(&code),
            None => false,
        };
        // Who left without a word, or with the net, is told whatever was true when it was not heard of.
        let unheard = client.harmed && frames.framing().offence.is_none();
        assert!(right || echoed || unheard, "parted by {told:?}: {self:?}");
    }

    /// Codes that fit the end.
    fn codes(&self, frames: &Frames) -> Vec<u16> {
        let reason = self.record.reason;
        let offence = frames.framing().offence.filter(|_| frames.spoiled);
        let offence = offence.map(|(_, offence)| offence.code(frames.framing().base64));
        let over = self.origin.winner().is_some_and(|origin| origin.finished || origin.harmed);
        let own = match reason.cause {
            Cause::BadFrame => None,
            Cause::Drained | Cause::Cancelled => Some(1001),
            Cause::IdleTimeout | Cause::UserIdle | Cause::LifetimeEnd => Some(1008),
            Cause::InUse | Cause::AccessDenied | Cause::Unauthorized => Some(1008),
            Cause::UnknownMessage => Some(1008),
            Cause::Overloaded | Cause::Exhausted => Some(1013),
            Cause::Finished => Some(1000),
            _ => Some(1011),
        };
        // Of a target that ended before, its own end is told: all that it sent may have come, or not.
        let of_target: &[u16] = match reason.phase == Phase::Relay && over {
            true if reason.cause == Cause::Finished => &[1000],
            true => &[1000, 1011],
            false => &[],
        };
        own.into_iter().chain(offence).chain(of_target.iter().copied()).collect()
    }

    /// No end in the middle of a frame but that of who can't be told anything there.
    fn check_frame_ends(&self, client: &Talker, frames: &Frames) {
        let cut = client.ended && frames.is_cut() && !client.harmed && !client.is_slow();
        let cut = cut && !self.is_drowned(client);
        assert!(!cut || self.may_be_cut(), "an end in the middle of a frame: {self:?}");
    }

    /// Whether it may have ended within a frame that was being spliced, or with bytes that were never taken.
    fn may_be_cut(&self) -> bool {
        let spliced = self.record.bytes_spliced > 0;
        match self.record.reason.cause {
            Cause::IdleTimeout | Cause::UserIdle | Cause::LifetimeEnd | Cause::Cancelled => spliced,
            Cause::BadFrame => spliced,
            Cause::Drained | Cause::PoolPinned | Cause::FlushTimeout | Cause::DeadPeer => true,
            Cause::Reset | Cause::Broken => spliced,
            _ => false,
        }
    }

    /// Who listens is told that it is over.
    fn check_told(&self, client: &Talker, frames: &Frames) {
        let listens = !client.is_slow() && !client.gave_up && client.failed.is_none();
        let stays = self.client.left.is_none() && frames.framing().leaving == Leaving::Patiently;
        let offends = self.record.reason.cause == Cause::BadFrame;
        let well = client.plan.is_clean() && !client.line.is_secure_spoiled();
        let well = well && (!client.harmed || offends);
        let due = self.is_told() && listens && stays && well;
        if due && self.record.reason.side == Side::Penstock {
            count(Fault::ToldWhy);
        }
        assert!(frames.told().is_some() || !due, "ended without a word: {self:?}");
    }

    /// Whether that end is told.
    fn is_told(&self) -> bool {
        let reason = self.record.reason;
        match reason.cause {
            Cause::DeadPeer | Cause::FlushTimeout | Cause::PoolPinned => false,
            Cause::HungUp | Cause::Finished => true,
            // Nobody has spoken with it yet.
            _ if self.is_turned_back() => false,
            _ => match reason.side {
                Side::Client => reason.cause == Cause::BadFrame && !self.may_be_cut(),
                Side::Target => true,
                Side::Penstock => reason.phase != Phase::Relay || !self.may_be_cut(),
            },
        }
    }

    /// Of a browser that left by itself, no ping was forgotten.
    fn check_pongs(&self, client: &Talker, frames: &Frames) {
        let reason = self.record.reason;
        let own = (reason.side, reason.phase, reason.cause)
            == (Side::Client, Phase::Relay, Cause::Finished);
        let sent = self.record.bytes_to_client + frames.asked_for as u64;
        let few = sent <= FEW && self.record.bytes_spliced == 0;
        let well = own && few && client.is_clean() && client.ended && self.client.left.is_none();
        assert!(!well || frames.unanswered() == 0, "pings without pongs: {self:?}");
    }

    /// Who answers no ping and says nothing is not waited for any longer than agreed.
    fn check_heartbeat(&self, client: &Talker, frames: &Frames) {
        let of_console = consoles::of(self.listener).and_then(|console| console.heartbeat);
        let heartbeat = match self.errand.filter(|errand| errand.web_socket.is_some()) {
            Some(errand) => errand.heartbeat,
            None => of_console,
        };
        let (Some(interval), Some(patience)) = (heartbeat, self.timeouts.dead_peer) else {
            return;
        };
        let Some(origin) =
            self.origin.winner().filter(|_| self.record.reason.phase == Phase::Relay)
        else {
            return;
        };
        let slow = origin.is_slow() || !origin.is_clean() || self.exhausted;
        let trickles = frames.framing().trickle.is_some()
            || client.line.manner().is_some_and(|manner| manner.trickle.is_some());
        let silent = !frames.framing().answers && !client.line.is_spoiled();
        if slow || trickles || !silent || origin.sent > FEW || client.is_slow() || client.harmed {
            return;
        }
        let end = if client.finished { client.finished_at } else { self.ended_at };
        let lived = end.since(client.wrote_at.max(origin.started).max(self.began_at()));
        let limit = patience + interval + Duration::from_secs(2);
        assert!(lived <= limit, "silent for {lived:?}, and not taken for dead: {self:?}");
    }
}
