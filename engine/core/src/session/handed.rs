//! Sessions whose two connections somebody else has opened.
//!
//! The client comes as if it had connected, with what was read of it; the target as soon as the client is ready for it, with what was read
//! of that one. In between is what the listener has of its own: TLS with either side, a login.

use std::os::fd::OwnedFd;
use std::time::Duration;

use penstock_proto::http::Target;
use penstock_proto::websocket::Payload;
use penstock_ring::Kernel;

use super::facts::Held;
use super::opening::Stage;
use super::{Session, State};
use crate::intake::{HandOver, OwnTerms, Tag};
use crate::relay::Left;
use crate::sessions::Handle;
use crate::turn::{Step, Turn};

/// What was handed over, without the client's connection.
pub(crate) struct Handed {
    tag: Tag,
    pub(crate) cookie: u64,
    target: OwnedFd,
    from_client: Vec<u8>,
    from_target: Vec<u8>,
    web_socket: Option<Payload>,
    heartbeat: Option<Duration>,
    is_endless: bool,
    pub(crate) target_name: Option<Box<str>>,
    own: OwnTerms,
}

impl Handed {
    /// The client's connection, and all the rest.
    pub(crate) fn split(tag: Tag, is_endless: bool, handed: HandOver) -> (OwnedFd, Handed) {
        let HandOver {
            listener: _,
            client,
            target,
            from_client,
            from_target,
            web_socket,
            heartbeat,
            target_name,
            own,
            cookie,
        } = handed;
        let handed = Handed {
            tag,
            cookie,
            target,
            from_client,
            from_target,
            web_socket,
            heartbeat,
            is_endless,
            target_name,
            own,
        };
        (client, handed)
    }
}

/// Between two questions whether a browser is still there.
const SHORTEST: Duration = Duration::from_millis(100);

impl Session {
    /// Begins, once the session has its place in the table.
    pub(crate) fn begin_handed<K: Kernel>(
        &mut self,
        handle: Handle,
        handed: Handed,
        turn: &mut Turn<K>,
    ) -> Step {
        self.handle = handle;
        let named = handed.target_name.as_ref().map(|name| Target::parse(name, false));
        self.facts.target = handed.target_name;
        let unusual = self.facts.unusual();
        (unusual.tag, unusual.cookie) = (Some(handed.tag), handed.cookie);
        unusual.is_endless = handed.is_endless;
        unusual.own = handed.own;
        let heartbeat = handed.heartbeat.map(|interval| interval.max(SHORTEST));
        unusual.heartbeat = heartbeat;
        unusual.goes_by = named.and_then(Result::ok).map(|target| target.host);
        let came = handed.from_target.into();
        unusual.held = Some(Held { target: Some(handed.target), came });
        if let Some(payload) = handed.web_socket {
            turn.counters.upgrades[usize::from(payload == Payload::Base64)].add(1);
            let browser = self.browser(payload, heartbeat, turn.now);
            self.layers.upgrade(browser);
        }
        self.await_prelude(handed.from_client, turn)?;
        self.join_target(turn)
    }

    /// A target that was handed over is there as soon as it is needed: this is called after each step that may have led there. The step
    /// itself may have more to do with the opening, such as to note that the client has finished. While pages are waited for, which are
    /// behind a door of their own, it is not.
    pub(super) fn join_target<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitTarget(opening) = &self.state else { return Step::Continue(()) };
        if !matches!(opening.stage, Stage::Door) || opening.door.is_some() {
            return Step::Continue(());
        }
        let held = self.facts.unusual.as_mut().and_then(|unusual| unusual.held.as_mut());
        match held.and_then(|held| held.target.take()) {
            Some(target) => self.door_opened(Ok(target), turn),
            None => Step::Continue(()),
        }
    }

    /// Whether there is one that is still to be joined.
    pub(super) fn holds_target(&self) -> bool {
        let held = self.facts.unusual.as_ref().and_then(|unusual| unusual.held.as_ref());
        held.is_some_and(|held| held.target.is_some())
    }

    /// How a target's connection was left by whoever has opened it.
    pub(super) fn left_with_target(&mut self) -> Left {
        let held = self.facts.unusual.as_mut().and_then(|unusual| unusual.held.take());
        Left { early: held.map(|held| held.came).unwrap_or_default(), ..Left::default() }
    }
}
