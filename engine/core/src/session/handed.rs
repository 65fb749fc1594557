//! Sessions whose two connections somebody else has opened.
//!
//! The client comes as if it had connected, with what was read of it; the target as soon as the client is ready for it, with what was read
//! of that one. In between is what the listener has of its own: TLS with either side, a login.

use std::os::fd::OwnedFd;
use std::time::Duration;

use penstock_proto::websocket::Payload;
use penstock_ring::Kernel;

use super::facts::Held;
use super::opening::Stage;
use super::{Session, State};
use crate::intake::{HandOver, Tag};
use crate::relay::Left;
use crate::sessions::Handle;
use crate::turn::{Step, Turn};

/// What was handed over, without the client's connection.
pub(crate) struct Handed {
    tag: Tag,
    target: OwnedFd,
    from_client: Vec<u8>,
    from_target: Vec<u8>,
    web_socket: Option<Payload>,
    heartbeat: Option<Duration>,
    target_name: Option<Box<str>>,
}

impl Handed {
    /// The client's connection, and all the rest.
    pub(crate) fn split(tag: Tag, handed: HandOver) -> (OwnedFd, Handed) {
        let HandOver {
            listener: _,
            client,
            target,
            from_client,
            from_target,
            web_socket,
            heartbeat,
            target_name,
        } = handed;
        let handed =
            Handed { tag, target, from_client, from_target, web_socket, heartbeat, target_name };
        (client, handed)
    }
}

impl Session {
    /// Begins, once the session has its place in the table.
    pub(crate) fn begin_handed<K: Kernel>(
        &mut self,
        handle: Handle,
        handed: Handed,
        turn: &mut Turn<K>,
    ) -> Step {
        let Handed { tag, target, from_client, from_target, web_socket, heartbeat, target_name } =
            handed;
        self.handle = handle;
        let unusual = self.facts.unusual();
        unusual.tag = Some(tag);
        unusual.held = Some(Held { target: Some(target), came: from_target.into() });
        unusual.target_name = target_name;
        if let Some(payload) = web_socket {
            turn.counters.upgrades[usize::from(payload == Payload::Base64)].add(1);
            let browser = self.browser(payload, heartbeat, turn.now);
            self.layers.upgrade(browser);
        }
        self.await_prelude(from_client, turn)?;
        self.join_target(turn)
    }

    /// A target that was handed over is there as soon as it is needed.
    pub(super) fn join_target<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitTarget(opening) = &self.state else { return Step::Continue(()) };
        if !matches!(opening.stage, Stage::Door) {
            return Step::Continue(());
        }
        let held = self.facts.unusual.as_mut().and_then(|unusual| unusual.held.as_mut());
        match held.and_then(|held| held.target.take()) {
            Some(target) => self.door_opened(Ok(target), turn),
            None => Step::Continue(()),
        }
    }

    /// How a target's connection was left by whoever has opened it.
    pub(super) fn left_with_target(&mut self) -> Left {
        let held = self.facts.unusual.as_mut().and_then(|unusual| unusual.held.take());
        Left { early: held.map(|held| held.came).unwrap_or_default(), ..Left::default() }
    }
}
