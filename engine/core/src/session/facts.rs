//! What is known about a connection and is told when it ends.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use penstock_ring::{Kernel, Time};
use penstock_tls::Agreed;

use crate::close::{CloseReason, Phase, Side};
use crate::control::{AgreedTls, Record, SessionId, TunnelInfo};
use crate::siblings::Group;
use crate::turn::Turn;

/// See the module.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) listener: u16,
    /// It counts against the limit of tunnels.
    pub(super) has_place: bool,
    /// The HTTP status sent; 0: none.
    pub(super) status: u16,
    /// Bytes of replies of ours to the client.
    pub(super) reply_bytes: u32,
    pub(super) client: Option<SocketAddr>,
    pub(super) connected: Option<SocketAddr>,
    pub(super) method: Option<Cow<'static, str>>,
    pub(super) target: Option<Box<str>>,
    pub(super) detail: Option<Box<str>>,
    /// What was agreed on in TLS.
    pub(super) tls: AgreedTls,
    /// With client and target: a handshake has begun, and nothing was agreed on yet.
    pub(super) shaking: [bool; 2],
    pub(super) group: Option<Arc<Group>>,
    /// When the group was last told of activity.
    pub(super) told_at: Time,
}

impl Facts {
    pub(super) fn new(listener: u16, has_place: bool, client: Option<SocketAddr>) -> Facts {
        Facts {
            listener,
            has_place,
            status: 0,
            reply_bytes: 0,
            client,
            connected: None,
            method: None,
            target: None,
            detail: None,
            tls: AgreedTls::default(),
            shaking: [false; 2],
            group: None,
            told_at: Time(0),
        }
    }

    /// A handshake with that side begins.
    pub(super) fn shakes_hands(&mut self, side: Side) {
        self.shaking[side as usize] = true;
    }

    /// A handshake with that side has come to its end.
    pub(super) fn agreed<K: Kernel>(&mut self, side: Side, agreed: Box<Agreed>, turn: &Turn<K>) {
        self.shaking[side as usize] = false;
        turn.counters.handshakes[side as usize][usize::from(agreed.resumed)].add(1);
        match side {
            Side::Client => self.tls.client = Some(agreed),
            _ => self.tls.target = Some(agreed),
        }
    }

    pub(super) fn into_record<K: Kernel>(
        self,
        id: SessionId,
        reason: CloseReason,
        elapsed: Duration,
        bytes: [u64; 2],
        bytes_spliced: u64,
        turn: &Turn<K>,
    ) -> Record {
        if let (Some(group), Some(client), Some(target)) = (self.group, self.client, &self.target) {
            turn.shared.siblings.leave(client.ip(), target, group);
        }
        for (counts, shaking) in turn.counters.handshakes.iter().zip(self.shaking) {
            counts[2].add(u64::from(shaking));
        }
        Record {
            id,
            listener: self.listener,
            client: self.client,
            method: self.method,
            target: self.target,
            status: self.status,
            connected: self.connected,
            bytes_to_client: bytes[1] + u64::from(self.reply_bytes),
            bytes_to_target: bytes[0],
            bytes_spliced,
            elapsed,
            reason,
            detail: self.detail,
            tls: self.tls,
        }
    }

    pub(super) fn info(&self, id: SessionId, phase: Phase) -> TunnelInfo {
        TunnelInfo {
            id,
            listener: self.listener,
            client: self.client,
            target: self.target.clone(),
            connected: self.connected,
            phase,
            bytes: [0; 2],
            age: Duration::ZERO,
            idle: Duration::ZERO,
            mover: ["copy"; 2],
            switches: [0; 2],
        }
    }
}
