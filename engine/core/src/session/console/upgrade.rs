//! The 101: from then on the browser's stream is frames, before the target is there.

use std::time::Duration;

use bytes::Bytes;
use penstock_proto::websocket::Payload;
use penstock_ring::{Kernel, Time};

use crate::close::Side;
use crate::config::Timeouts;
use crate::layers::{Broken, Opened, Presence, WebSocket};
use crate::relay::Heartbeat;
use crate::session::{Session, State};
use crate::turn::{Step, Turn};

impl Session {
    /// It is known where to, and that the client may: it is told, if it is a browser. What it sent ahead is read as frames.
    pub(in crate::session) fn upgrade<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitTarget(opening) = &mut self.state else { return Step::Continue(()) };
        let Some(upgrade) = opening.upgrade.take() else { return Step::Continue(()) };
        let early = std::mem::take(&mut opening.early);
        let mut reply = Vec::new();
        upgrade.reply(&mut reply);
        let base64 = upgrade.payload() == Payload::Base64;
        turn.counters.upgrades[usize::from(base64)].add(1);
        self.facts.status = 101;
        self.facts.reply_bytes += reply.len() as u32;
        match self.layers.seal_bytes(reply.into()) {
            Ok(reply) => self.send_to_client(reply, turn)?,
            Err(error) => return self.client_broke(Broken::silent(error), turn),
        }
        let own = self.facts.unusual.as_ref().and_then(|unusual| unusual.heartbeat);
        let heartbeat = own.or(self.console().and_then(|console| console.heartbeat));
        let browser = self.browser(upgrade.payload(), heartbeat, turn.now);
        self.layers.upgrade(browser);
        let opened = self.layers.open_early(early.into(), turn.now);
        self.take_ahead(opened, turn)
    }

    /// One that is asked every `interval` whether it is still there, and watched for somebody who uses it, as the listener says.
    pub(in crate::session) fn browser(
        &self,
        payload: Payload,
        interval: Option<Duration>,
        now: Time,
    ) -> WebSocket {
        let Timeouts { dead_peer, user_idle, .. } = self.listener().timeouts;
        let mut browser = WebSocket::new(payload, now);
        browser.heartbeat = interval.map(|interval| {
            // Who connects is asked as often as the listener says; who is handed over, as the host likes: nobody is dead who was not asked.
            let patience = dead_peer.map(|patience| match patience > interval {
                true => patience,
                false => patience + interval,
            });
            Heartbeat::new(interval, patience, now)
        });
        browser.presence = user_idle.map(|_| Box::new(Presence::new(now)));
        browser
    }

    /// Keeps what was understood of bytes that came ahead.
    pub(in crate::session) fn take_ahead<K: Kernel>(
        &mut self,
        opened: Opened<Vec<u8>>,
        turn: &mut Turn<K>,
    ) -> Step {
        let Opened { plain, reply, agreed, ended, broken } = opened;
        if let Some(fault) = broken {
            return self.client_broke(Broken { fault, reply }, turn);
        }
        if !reply.is_empty() {
            self.send_to_client(reply, turn)?;
        }
        let client = self.client;
        if let State::AwaitTarget(opening) = &mut self.state {
            opening.keep(client, &plain, turn);
            opening.client_ended |= ended;
        }
        match agreed {
            Some(agreed) => {
                self.facts.agreed(Side::Client, agreed, turn);
                self.client_secured(turn)?;
            }
            None => self.step_login(turn)?,
        }
        match ended {
            true => self.browser_finished(turn),
            false => Step::Continue(()),
        }
    }

    /// A browser sends no more. Who says so by a close frame is answered by one, although nobody was reached.
    fn browser_finished<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        match self.client_finished() {
            Step::Break(reason) if self.layers.web_socket().is_some_and(WebSocket::has_left) => {
                let (receiving, ended) = self.leave_opening(turn);
                self.say_goodbye(reason, Bytes::new(), receiving, ended, turn)
            }
            step => step,
        }
    }
}
