//! Whether the browser is still there: it is asked now and then, and who says nothing for long is gone.
//!
//! In: the time. Out: pings, and the end of a tunnel whose client is dead. What is heard proves life, whatever it is; who is not listened to, since
//! the target is slow, can't prove it, and who has said its last word need not. Nothing of this counts as traffic of the tunnel.

use std::time::Duration;

use penstock_ring::{Kernel, Time};

use super::layered::CONGESTED;
use super::{Relay, Way};
use crate::close::{Cause, CloseReason, Phase, Side};
use crate::layers::WebSocket;
use crate::timers::earlier;
use crate::turn::{Step, Turn};

/// How often the client is asked, and how long it may be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    interval: Duration,
    patience: Option<Duration>,
    next_at: Time,
    /// When it last took something, if it was not asked because it had more to take.
    excused_at: Time,
}

impl Heartbeat {
    /// Asks every `interval`. Who is silent for `patience` is taken for dead.
    pub(crate) fn new(interval: Duration, patience: Option<Duration>, now: Time) -> Heartbeat {
        Heartbeat { interval, patience, next_at: now + interval, excused_at: now }
    }
}

impl Relay {
    /// When the client is asked next, or is dead.
    pub(super) fn heartbeat_at(&self) -> Option<Time> {
        let heartbeat = self.browser()?.heartbeat.as_ref()?;
        earlier(Some(heartbeat.next_at), self.dead_at())
    }

    /// Asks, or gives up.
    pub(super) fn heartbeat<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        if self.dead_at().is_some_and(|at| at <= turn.now) {
            let (phase, cause) = (Phase::Relay, Cause::DeadPeer);
            return Step::Break(CloseReason::new(Side::Client, phase, cause));
        }
        let browser = self.layers[Way::ToTarget as usize].web_socket_mut();
        let due = |beat: &&mut Heartbeat| beat.next_at <= turn.now;
        let heartbeat = browser.and_then(|browser| browser.heartbeat.as_mut()).filter(due);
        let Some(heartbeat) = heartbeat else {
            return Step::Continue(());
        };
        heartbeat.next_at = turn.now + heartbeat.interval;
        let direction = &self.ways[Way::ToClient];
        if direction.owed >= CONGESTED {
            heartbeat.excused_at = direction.moved_at;
        }
        if direction.done || direction.silenced || direction.owed >= CONGESTED {
            return Step::Continue(());
        }
        turn.counters.pings.add(1);
        let ping = self.layers[Way::ToTarget as usize].ping();
        self.send_between(Way::ToClient, ping, turn)
    }

    /// The client, if it is one.
    fn browser(&self) -> Option<&WebSocket> {
        self.layers[Way::ToTarget as usize].web_socket()
    }

    fn dead_at(&self) -> Option<Time> {
        let browser = self.browser()?;
        let direction = &self.ways[Way::ToTarget];
        if direction.paused || direction.ended {
            return None;
        }
        // Whoever is listened to again was not heard meanwhile.
        let heard_at = browser.heard_at.max(direction.moved_at);
        let heartbeat = browser.heartbeat.as_ref()?;
        Some(heard_at.max(heartbeat.excused_at) + heartbeat.patience?)
    }
}
