//! From the reply on: the tunnel's own states are the relay's, its time-outs are here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use penstock_proto::http::reply::ESTABLISHED;
use penstock_proto::proxy_protocol::{Endpoints, HeaderV2, encode_v1};
use penstock_ring::{Interest, Kernel, Leg, Outcome, Time};

use super::opening::Opening;
use super::{Session, State, discard};
use crate::close::{Cause, Side};
use crate::config::{Door, HalfClose, IdleScope, SendProxy, Service};
use crate::layers::{Layers, User};
use crate::relay::{Left, Receiving, Relay, Way, way_from};
use crate::siblings::{Group, Key};
use crate::turn::{Step, Turn};

/// Siblings that are busy say so at most this often, as a part of the idle time-out.
const TELL_PARTS: u32 = 8;

impl Session {
    /// Both legs stand: replies, sends on what came ahead, and lets the bytes flow.
    pub(super) fn begin_relay<K: Kernel>(
        &mut self,
        target: Leg,
        target_layers: Layers,
        target_left: Left,
        turn: &mut Turn<K>,
    ) -> Step {
        let State::AwaitTarget(opening) = std::mem::replace(&mut self.state, State::Between) else {
            return Step::Continue(());
        };
        let Opening { early, receiving, client_ended, door, is_recorded, .. } = *opening;
        if receiving != Receiving::On {
            turn.kernel.watch(self.client, Interest::HangUp, false);
        }
        self.join_siblings(door.as_deref(), turn);
        self.note_set_up(3, turn);
        turn.counters.tunnels.add(1);
        turn.counters.tunnels_total.add(1);
        let reply = self.reply();
        let client_layers = std::mem::take(&mut self.layers);
        let mut relay = Relay::new(
            self.handle,
            [self.client, target],
            [client_layers, target_layers],
            self.half_close(),
            self.config.engine.per_direction,
            turn.now,
        );
        relay.take_over(self.owed);
        self.heed_door(door.as_deref(), &mut relay, turn.now);
        if self.listener().record.is_some() {
            relay.write_down();
            if !is_recorded {
                turn.outside.records(self.handle.id(turn.worker), self.facts.listener);
            }
        }
        let client_left = Left { receiving, ended: client_ended, early, broken: None };
        let start = || {
            relay.say(Way::ToClient, reply, turn)?;
            if target_left.broken.is_some() {
                relay.resume(Way::ToClient, target_left, turn)?;
                return relay.resume(Way::ToTarget, client_left, turn);
            }
            relay.resume(Way::ToTarget, client_left, turn)?;
            relay.resume(Way::ToClient, target_left, turn)
        };
        let step = start();
        self.state = State::Relay(relay);
        step
    }

    /// What passes from now on is written down, if the listener wants it.
    pub(super) fn begin_record<K: Kernel>(&mut self, turn: &mut Turn<K>) {
        let wanted = self.listener().record.is_some();
        if let (State::AwaitTarget(opening), true) = (&mut self.state, wanted) {
            opening.is_recorded = true;
            turn.outside.records(self.handle.id(turn.worker), self.facts.listener);
        }
    }

    /// Tells the relay how its target ends, if that is no socket that somebody else holds.
    fn heed_door(&self, door: Option<&Door>, relay: &mut Relay, now: Time) {
        match door {
            Some(Door::Command(_)) => relay.prove_until(now + self.listener().timeouts.handshake),
            Some(Door::Terminal(_)) => relay.never_ends(),
            None if self.facts.unusual.as_ref().is_some_and(|unusual| unusual.is_endless) => {
                relay.never_ends();
            }
            Some(
                Door::Unix(_)
                | Door::Within { .. }
                | Door::Web { .. }
                | Door::Demo
                | Door::KubeVirt(_),
            )
            | None => {}
        }
    }

    /// What the end of one direction means for the other.
    pub(super) fn half_close(&self) -> HalfClose {
        self.facts.own().half_close.unwrap_or(self.listener().half_close)
    }

    /// The idle time-out.
    fn idle(&self) -> Option<Duration> {
        self.facts.own().idle.or(self.listener().timeouts.idle)
    }

    /// What tells the client that the tunnel stands.
    fn reply(&mut self) -> Bytes {
        match self.listener().service {
            Service::Connect => {
                self.facts.status = 200;
                self.facts.reply_bytes += ESTABLISHED.len() as u32;
                Bytes::from_static(ESTABLISHED)
            }
            Service::Forward(_) | Service::Console(_) => Bytes::new(),
        }
    }

    pub(super) fn step_relay<K: Kernel>(
        &mut self,
        leg: Leg,
        outcome: Outcome,
        turn: &mut Turn<K>,
    ) -> Step {
        let State::Relay(relay) = &mut self.state else { return Step::Continue(()) };
        let side = match relay.legs() {
            [client, _] if client == leg => Side::Client,
            [_, target] if target == leg => Side::Target,
            // An attempt that lost the race.
            _ => {
                discard(outcome, turn);
                return Step::Continue(());
            }
        };
        // What a leg receives goes its own way; what a leg sends came the other way.
        let fed = way_from(side);
        let step = match outcome {
            Outcome::Received(buffer) => relay.received(fed, buffer, turn),
            Outcome::ReceiveEnded(arrival) => relay.receive_ended(fed, arrival, turn),
            Outcome::Sent(bytes) => relay.sent(fed.back(), bytes, turn),
            Outcome::SendFailed(errno) => relay.sink_failed(fed.back(), errno, turn),
            Outcome::SplicedIn(result) => relay.spliced_in(fed, result, turn),
            Outcome::SplicedOut(result) => relay.spliced_out(fed, result, turn),
            Outcome::Ready(readiness) => relay.ready(side, readiness, turn),
            other => {
                discard(other, turn);
                Step::Continue(())
            }
        };
        self.tell_siblings(turn.now);
        self.unless_over(step, turn)
    }

    /// What becomes of it when the relay has nothing more to do.
    pub(super) fn unless_over<K: Kernel>(&mut self, step: Step, turn: &mut Turn<K>) -> Step {
        match step {
            Step::Break(reason) => self.over(reason, turn),
            Step::Continue(()) => step,
        }
    }

    pub(super) fn relay_expired<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::Relay(relay) = &self.state else { return Step::Continue(()) };
        if self.idle_deadline(relay).is_some_and(|deadline| deadline <= turn.now) {
            return self.dismiss(Cause::IdleTimeout, turn);
        }
        if self.user_deadline(relay).is_some_and(|deadline| deadline <= turn.now) {
            return self.dismiss(Cause::UserIdle, turn);
        }
        if self.own_idle_deadline(relay).is_some_and(|deadline| deadline <= turn.now) {
            turn.counters.idle_spared.add(1);
        }
        let State::Relay(relay) = &mut self.state else { return Step::Continue(()) };
        relay.expired(turn)
    }

    /// When this tunnel, and all that keep it alive, have been quiet for the idle time-out.
    pub(super) fn idle_deadline(&self, relay: &Relay) -> Option<Time> {
        let idle = self.idle()?;
        let own = self.own_idle_deadline(relay)?;
        // What a sibling told of may be as old as the interval at which it tells.
        let of_group = |group: &Arc<Group>| group.last_active() + idle + idle / TELL_PARTS;
        let siblings =
            self.facts.group.as_ref().filter(|group| group.last_active() > relay.last_active());
        Some(siblings.map(of_group).map_or(own, |deadline| deadline.max(own)))
    }

    /// When nobody has done anything at this console for too long, nor in another channel of the same viewer.
    pub(super) fn user_deadline(&self, relay: &Relay) -> Option<Time> {
        let span = self.listener().timeouts.user_idle?;
        let of_group = |group: &Arc<Group>| group.user_active() + span + span / TELL_PARTS;
        let siblings = self.facts.group.as_ref().map(of_group);
        match (relay.user()?, siblings) {
            (User::At(at), siblings) => Some(siblings.unwrap_or_default().max(at + span)),
            (User::Elsewhere, siblings) => siblings,
        }
    }

    fn own_idle_deadline(&self, relay: &Relay) -> Option<Time> {
        self.idle().map(|idle| relay.last_active() + idle)
    }

    fn join_siblings<K: Kernel>(&mut self, door: Option<&Door>, turn: &Turn<K>) {
        let (idle, user_idle) = (self.idle(), self.listener().timeouts.user_idle);
        let has_idle = idle.is_some() || user_idle.is_some();
        if self.listener().idle_scope == IdleScope::ClientAndTarget
            && has_idle
            && let (Some(client), Some(shown)) = (self.facts.client, &self.facts.target)
        {
            let key = match door {
                // What is shown of it is the same for all sockets of the folder.
                Some(Door::Within { folder, name }) => {
                    let path = folder.join(name.secret());
                    Key::new(client.ip(), format!("unix:{}", path.display()))
                }
                _ => Key::new(client.ip(), shown.clone()),
            };
            self.facts.group = Some(turn.shared.siblings.join(key, turn.now));
        }
    }

    pub(super) fn tell_siblings(&mut self, now: Time) {
        let Some(group) = &self.facts.group else { return };
        let State::Relay(relay) = &self.state else { return };
        let (idle, user_idle) = (self.idle(), self.listener().timeouts.user_idle);
        let is_due = |span: Duration, told: Time| now.since(told) >= span / TELL_PARTS;
        if relay.last_active() == now && idle.is_some_and(|span| is_due(span, group.last_active()))
        {
            group.tell(now);
        }
        if relay.user() == Some(User::At(now))
            && user_idle.is_some_and(|span| is_due(span, group.user_active()))
        {
            group.tell_user(now);
        }
    }

    /// The PROXY header for the target; empty if none is wanted.
    pub(super) fn proxy_header(&self, opening: &Opening, worker: u8) -> Vec<u8> {
        let mut header = Vec::new();
        let endpoints = self.facts.client.zip(opening.local);
        let endpoints = endpoints.map(|(source, destination)| Endpoints { source, destination });
        match self.listener().send_proxy {
            SendProxy::Off => {}
            SendProxy::V1 => encode_v1(endpoints, &mut header),
            SendProxy::V2 => {
                let host = opening.target.as_ref().map(|target| target.host.to_string());
                let id = self.handle.id(worker).to_string();
                let full = HeaderV2 {
                    endpoints,
                    authority: host.as_deref(),
                    unique_id: Some(id.as_bytes()),
                    checksum: true,
                };
                // A host of at most 253 bytes and an id of at most 24 always fit.
                let _ = full.encode(&mut header);
            }
        }
        header
    }
}
