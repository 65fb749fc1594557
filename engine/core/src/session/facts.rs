//! What is known about a connection and is told when it ends.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use penstock_proto::http::Host;
use penstock_ring::{Kernel, Time};
use penstock_tls::Agreed;

use crate::close::{CloseReason, Phase, Side};
use crate::control::{AgreedTls, Record, SessionId, TunnelInfo};
use crate::intake::{OwnTerms, Tag};
use crate::opaque::Opaque;
use crate::relay::Relay;
use crate::siblings::Group;
use crate::turn::Turn;

/// See the module.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) listener: u16,
    /// It counts against the limit of all tunnels.
    pub(super) entered: bool,
    /// It counts against its listener's limit.
    pub(super) has_place: bool,
    /// The HTTP status sent; 0: none.
    pub(super) status: u16,
    /// Bytes of replies of ours to the client.
    pub(super) reply_bytes: u32,
    pub(super) client: Option<SocketAddr>,
    pub(super) unusual: Option<Box<Unusual>>,
    pub(super) connected: Option<SocketAddr>,
    pub(super) method: Method,
    pub(super) target: Option<Box<str>>,
    pub(super) detail: Option<Box<str>>,
    /// What was agreed on in TLS.
    pub(super) tls: AgreedTls,
    /// With client and target: a handshake has begun, and nothing was agreed on yet.
    pub(super) shaking: [bool; 2],
    /// Pages were served before, on the same connection.
    pub(super) follows_pages: bool,
    pub(super) group: Option<Arc<Group>>,
}

/// What few connections have.
#[derive(Debug, Default)]
pub(super) struct Unusual {
    /// The one that connected, where it may be a proxy that speaks for others.
    pub(super) peer: Option<IpAddr>,
    /// The end of its time, by what was looked up.
    pub(super) lifetime_end: Option<Time>,
    /// What it is called by whoever handed it over.
    pub(super) tag: Option<Tag>,
    /// The host's own number for it; 0: none.
    pub(super) cookie: u64,
    /// What was handed over with the client, until it is needed.
    pub(super) held: Option<Held>,
    /// Of whom a certificate is to be, if that is not who was connected to.
    pub(super) goes_by: Option<Host>,
    /// The host has connected what it wants, and the rules were asked about that before.
    pub(super) is_judged: bool,
    /// Where to is the host's own word.
    pub(super) host_says_where: bool,
    /// That never ends by itself.
    pub(super) is_endless: bool,
    /// What it has for itself, instead of what the listener says.
    pub(super) own: OwnTerms,
    /// How often a browser is asked whether it is still there; none: as the listener says.
    pub(super) heartbeat: Option<Duration>,
}

/// A target that somebody else has connected.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) target: Option<OwnedFd>,
    /// What was read of it.
    pub(super) came: Opaque,
}

/// The method of a request. In two words, which an owned or borrowed text is not.
#[derive(Debug)]
pub(super) enum Method {
    Unknown,
    Connect,
    Other(Box<str>),
}

impl From<Option<String>> for Method {
    fn from(text: Option<String>) -> Method {
        text.map_or(Method::Unknown, |text| Method::Other(text.into()))
    }
}

impl From<Method> for Option<Cow<'static, str>> {
    fn from(method: Method) -> Self {
        match method {
            Method::Unknown => None,
            Method::Connect => Some("CONNECT".into()),
            Method::Other(text) => Some(text.into_string().into()),
        }
    }
}

/// Payload to target and client, in bytes, and how much of it was spliced.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carried {
    bytes: [u64; 2],
    spliced: u64,
}

impl Facts {
    pub(super) fn new(
        listener: u16,
        [entered, has_place]: [bool; 2],
        client: Option<SocketAddr>,
    ) -> Facts {
        Facts {
            listener,
            entered,
            has_place,
            status: 0,
            reply_bytes: 0,
            client,
            unusual: None,
            connected: None,
            method: Method::Unknown,
            target: None,
            detail: None,
            tls: AgreedTls::default(),
            shaking: [false; 2],
            follows_pages: false,
            group: None,
        }
    }

    /// What few connections have, for one that has it.
    pub(super) fn unusual(&mut self) -> &mut Unusual {
        self.unusual.get_or_insert_default()
    }

    /// The one that connected, where it is known to speak for others.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.unusual.as_ref().and_then(|unusual| unusual.peer)
    }

    /// What it is called by whoever handed it over.
    pub(super) fn tag(&self) -> Option<Tag> {
        self.unusual.as_ref()?.tag
    }

    /// What it has for itself, instead of what the listener says.
    pub(super) fn own(&self) -> OwnTerms {
        self.unusual.as_ref().map(|unusual| unusual.own).unwrap_or_default()
    }

    /// The host's own number for it; 0: none.
    fn cookie(&self) -> u64 {
        self.unusual.as_ref().map_or(0, |unusual| unusual.cookie)
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

    /// Takes what there is to tell of a tunnel.
    pub(super) fn carried(&mut self, relay: &Relay) -> Carried {
        self.detail = relay.failure();
        Carried { bytes: relay.bytes(), spliced: relay.spliced() }
    }

    pub(super) fn into_record<K: Kernel>(
        self,
        id: SessionId,
        reason: CloseReason,
        elapsed: Duration,
        carried: Carried,
        turn: &Turn<K>,
    ) -> Record {
        let (tag, cookie) = (self.tag(), self.cookie());
        if let Some(group) = self.group {
            turn.shared.siblings.leave(group);
        }
        let Carried { bytes, spliced } = carried;
        for (counts, shaking) in turn.counters.handshakes.iter().zip(self.shaking) {
            counts[2].add(u64::from(shaking));
        }
        Record {
            id,
            tag,
            cookie,
            listener: self.listener,
            client: self.client,
            method: self.method.into(),
            target: self.target,
            status: self.status,
            connected: self.connected,
            bytes_to_client: bytes[1] + u64::from(self.reply_bytes),
            bytes_to_target: bytes[0],
            bytes_spliced: spliced,
            elapsed,
            reason,
            detail: self.detail,
            tls: self.tls,
        }
    }

    pub(super) fn info(&self, id: SessionId, phase: Phase) -> TunnelInfo {
        TunnelInfo {
            id,
            tag: self.tag(),
            cookie: self.cookie(),
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
