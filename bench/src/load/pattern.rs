//! What the clients of one measurement do, how they reach the origins, and what came of it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use super::Used;
use super::origin::FLOOD_CHUNK;
use crate::{tls, websocket};

/// A load: how many clients of which task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    /// Clients that discard what the origin floods.
    pub(crate) streams: usize,
    /// Bytes per second that the origin floods on all of these together; none: as much as goes through.
    pub(crate) stream_rate: Option<u32>,
    /// Clients that flood the origin, which discards it.
    pub(crate) pushers: usize,
    /// Clients that send a message and wait for its echo, again and again.
    pub(crate) pingpongs: usize,
    /// Clients that connect, do one round trip and close, again and again. At a fixed rate: how many may be under way.
    pub(crate) setups: usize,
    /// Clients that read the beginning of a flood and then nothing more.
    pub(crate) stalled: usize,
    /// Bytes of a ping-pong message, at most 64 KiB.
    pub(crate) message: usize,
    pub(crate) pace: Pace,
    /// What each ping-pong client asks for between its messages. With `Pace::Closed` alone.
    pub(crate) burst: Option<Burst>,
    /// The load never sleeps, so that no wake-up of its own is timed.
    pub(crate) spin: bool,
    /// Bytes that the origin floods on each connection before it falls silent: the streams then rest.
    pub(crate) fill: Option<u64>,
    /// One stream comes and goes before anything is measured.
    pub(crate) prelude: bool,
    /// TLS sessions are taken up again where they can be; otherwise each is made anew.
    pub(crate) resumes: bool,
}

/// Bulk amid a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burst {
    /// So many round trips come before each.
    pub(crate) after: u64,
    pub(crate) bytes: u64,
}

/// When a client goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As soon as it has its answer.
    Closed,
    /// So many operations begin per second, all clients together, whatever became of those before them.
    Rate(u32),
}

impl Pattern {
    pub(crate) const NONE: Pattern = Pattern {
        streams: 0,
        stream_rate: None,
        pushers: 0,
        pingpongs: 0,
        setups: 0,
        stalled: 0,
        message: 64,
        pace: Pace::Closed,
        burst: None,
        spin: false,
        fill: None,
        prelude: false,
        resumes: false,
    };

    /// Bytes that the origin floods on a fresh connection, before any that come at their moment.
    pub(super) fn flood_at_once(&self) -> u64 {
        match (self.fill, self.stream_rate) {
            (Some(fill), _) => fill,
            (None, Some(_)) => FLOOD_CHUNK as u64,
            (None, None) => u64::MAX,
        }
    }

    /// Whether several clients send as fast as they are answered.
    pub(crate) fn is_flat_out(&self) -> bool {
        self.pace == Pace::Closed && self.pingpongs + self.setups > 1
    }

    /// Clients that stay for the whole measurement.
    pub(crate) fn tunnels(&self) -> usize {
        self.streams + self.pushers + self.pingpongs + self.stalled
    }
}

/// How to reach the two origins through one contestant.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) echo: Via,
    pub(crate) flood: Via,
}

/// One address to dial, and what it takes to be through.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    pub(crate) dial: SocketAddr,
    /// TLS comes first.
    pub(crate) tls: Option<tls::Client>,
    /// What to ask for before any payload.
    pub(crate) request: Option<Request>,
    /// What comes then is a VNC server, and payload behind its opening.
    pub(crate) vnc: bool,
    /// The echo origin is behind it, whatever is wanted: a flood has to be asked for.
    pub(crate) asks: bool,
}

/// In HTTP.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// Of a proxy: CONNECT.
    Tunnel(Vec<u8>),
    /// What follows is WebSocket.
    Upgrade(Vec<u8>),
}

impl Request {
    pub(crate) fn tunnel(target: SocketAddr) -> Request {
        Request::Tunnel(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").into())
    }

    pub(crate) fn upgrade(host: SocketAddr) -> Request {
        Request::Upgrade(websocket::request(host))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Request::Tunnel(bytes) | Request::Upgrade(bytes) => bytes,
        }
    }

    /// That the answer (its head, without the empty line) grants it.
    pub(super) fn check_reply(&self, head: &[u8]) -> Result<()> {
        if let Request::Upgrade(_) = self {
            return websocket::check_reply(head);
        }
        let status = head.split(|b| *b == b'\r').next().unwrap_or_default();
        let is_ok = status.starts_with(b"HTTP/1.") && status.get(8..12) == Some(b" 200");
        ensure!(is_ok, "CONNECT was answered with {}", String::from_utf8_lossy(status));
        Ok(())
    }
}

impl Via {
    pub(crate) fn plain(dial: SocketAddr) -> Via {
        Via { dial, tls: None, request: None, vnc: false, asks: false }
    }
}

/// Reads what the contestant has used so far.
pub(crate) trait Meter {
    /// CPU time of all its processes.
    fn cpu(&self) -> Result<Duration>;

    /// Voluntary context switches of all its threads.
    fn switches(&self) -> Result<u64>;

    fn memory(&self) -> Result<Memory>;

    /// The cores that it may run on.
    fn cores(&self) -> Result<Vec<usize>>;
}

/// Of all processes of a contestant, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// Pages that it wrote and shares with nobody.
    pub(crate) private_dirty: u64,
}

/// What happened in the measured window.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) used: Used,
    /// Bulk payload that reached the clients or, of what they flood, the origin.
    pub(crate) bytes: u64,
    /// Round trips completed; for set-ups each is a whole connection. Of an idle herd, the tunnels.
    pub(crate) operations: u64,
    /// Nanoseconds per round trip, or per connection.
    pub(crate) latency: Histogram<u64>,
    /// Memory at the end.
    pub(crate) memory: Memory,
    /// What the tunnels added to the private memory: measured of idle herds alone.
    pub(crate) grown: u64,
}

/// Lengths of one measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}
