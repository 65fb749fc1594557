//! What passes between a worker and the threads that may wait: questions out, commands in, records of what ended.
//!
//! Both ways are bounded. A session's id carries its generation, so that an answer that comes too late reaches nobody.

mod host;
mod token;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use penstock_proto::console::Token;
use penstock_proto::{Secret, http};
use penstock_ring::Errno;
use penstock_tls::Agreed;

use crate::close::CloseReason;
use crate::config::{Door, Tokens, Vnc};
use crate::intake::{HandOver, Tag};
pub use crate::mailbox::Mailbox;
pub use host::{Admitted, Asked, BadDenial, Connected, Denied, To};
pub use token::{TokenFault, TokenRefusal};

/// A connection, for as long as the process lives: worker, slot, and the generation of the slot's tenant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SessionId {
    /// The worker that carries it.
    pub worker: u8,
    /// Its slot there.
    pub slot: u32,
    /// 24 bits.
    pub generation: u32,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.worker, self.slot, self.generation)
    }
}

/// A connection, as who is outside calls it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Which {
    /// One that was handed over.
    HandedOver(Tag),
    /// One that a listener has accepted; or any, by the number in its record.
    Session(SessionId),
}

impl Which {
    /// The worker that carries it.
    pub fn worker(self) -> usize {
        match self {
            Which::HandedOver(tag) => tag.worker(),
            Which::Session(id) => usize::from(id.worker),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::HandedOver(tag) => write!(f, "{tag}"),
            Which::Session(id) => write!(f, "{id}"),
        }
    }
}

/// Something that a worker needs to know and can't find out without waiting.
#[derive(Debug)]
pub enum Question {
    /// The addresses of a name.
    Resolve {
        /// Who asks.
        id: SessionId,
        /// A host name, lower-case, without trailing dot.
        name: Box<str>,
    },
    /// A descriptor to a target that is not reached by connecting to an address.
    Open {
        /// Who asks.
        id: SessionId,
        /// Which one.
        door: Arc<Door>,
    },
    /// What a token names.
    Token {
        /// Who asks.
        id: SessionId,
        /// Who knows it.
        tokens: Arc<Tokens>,
        /// The secret.
        token: Token,
        /// Who sent it.
        client: Option<IpAddr>,
        /// The protocol of the page that asks, if it is a browser's: `https`.
        page: Option<Box<str>>,
    },
    /// What a target is shown of us.
    Secrets {
        /// Who asks.
        id: SessionId,
        /// Where they are.
        vnc: Arc<Vnc>,
        /// Which target, as `host:port`; none: it has no such name.
        target: Option<Box<str>>,
    },
    /// Whether a client may have what it asks for.
    Authorise {
        /// Who asks.
        id: SessionId,
        /// What for.
        asked: Box<Asked>,
    },
}

/// What a VNC server is shown of us, where its listener has it in files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Secrets {
    /// For the challenge.
    pub password: Option<Secret>,
    /// For X509Plain.
    pub plain: Option<Secret>,
    /// For X509SASL.
    pub sasl: Option<Secret>,
}

/// What is known of a token: what it names, and what its source says of that beside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Where to.
    pub place: Place,
    /// On which terms; none: on the listener's.
    pub terms: Option<Box<Terms>>,
}

impl From<Place> for Found {
    fn from(place: Place) -> Found {
        Found { place, terms: None }
    }
}

/// What a token's source says of a console.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// Whether it is reached through TLS (of VNC: through VeNCrypt), whatever the listener says; none: the source doesn't tell.
    pub secured: Option<bool>,
    /// The password that it asks for.
    pub password: Option<Secret>,
    /// What is asked for by CONNECT, before anything else is said to it.
    pub access_path: Option<Box<str>>,
    /// A part of the name that it has for itself. Another name: something else listens there by now.
    pub name: Option<Box<str>>,
    /// How much longer the session may live.
    pub lifetime: Option<Duration>,
}

/// What a token names: nothing else can be reached by one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Host and port.
    Network(http::Target),
    /// A UNIX socket that whoever runs the source has written down.
    Unix(PathBuf),
    /// A UNIX socket that the token itself names: within a folder, and never outside of it.
    Within {
        /// The folder.
        folder: PathBuf,
        /// The way from there, through no symbolic link: the token itself.
        name: Token,
    },
    /// A virtual machine of KubeVirt's, through the API of its Kubernetes.
    KubeVirt {
        /// The API.
        target: http::Target,
        /// What is asked for there.
        path: Box<str>,
        /// Who asks.
        token: Secret,
    },
}

/// Why a door stays shut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenError {
    /// What the system said.
    pub errno: Errno,
    /// What was tried, and what to do; for the operator.
    pub detail: Box<str>,
}

/// Why a name gave no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResolveError {
    /// There is no such name, or it has no address.
    NotFound,
    /// The name service failed or took too long.
    Failed,
}

/// What the outside tells a worker.
pub enum Command {
    /// The answer to [`Question::Resolve`].
    Resolved {
        /// Who asked.
        id: SessionId,
        /// Addresses in order of preference.
        result: Result<Vec<IpAddr>, ResolveError>,
    },
    /// The answer to [`Question::Open`].
    Opened {
        /// Who asked.
        id: SessionId,
        /// Non-blocking, both ways.
        result: Result<OwnedFd, OpenError>,
    },
    /// The answer to [`Question::Token`].
    Judged {
        /// Who asked.
        id: SessionId,
        /// What is known of it.
        result: Result<Found, TokenRefusal>,
    },
    /// The answer to [`Question::Secrets`].
    Unsealed {
        /// Who asked.
        id: SessionId,
        /// What could be read, or which file could not; for the operator.
        result: Result<Secrets, Box<str>>,
    },
    /// The answer to [`Question::Authorise`].
    Authorised {
        /// Who asked.
        id: SessionId,
        /// What the host says.
        result: Result<Admitted, Denied>,
    },
    /// Join two connections. They have their place among all already.
    TakeOver {
        /// What the tunnel is called.
        tag: Tag,
        /// The target never ends by itself.
        is_endless: bool,
        /// Both of them.
        handed: Box<HandOver>,
    },
    /// End a connection.
    Cancel(Which),
    /// Describe a connection.
    Describe {
        /// Which one.
        which: Which,
        /// Called on the worker: hand over and return at once. None: there is none.
        reply: Box<dyn FnOnce(Option<TunnelInfo>) + Send>,
    },
    /// Close the listeners at once, let tunnels end by themselves until the time is over.
    Drain(Duration),
    /// End everything now.
    Stop,
    /// Describe the live tunnels in at most 256 slots from `from` on.
    List {
        /// First slot to look at; zero to begin.
        from: u32,
        /// Called on the worker: hand over and return at once.
        reply: Box<dyn FnOnce(Page) + Send>,
    },
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Resolved { id, result } => write!(f, "Resolved {id} {result:?}"),
            Command::Opened { id, result } => write!(f, "Opened {id} {result:?}"),
            Command::Judged { id, result } => write!(f, "Judged {id} {result:?}"),
            Command::Unsealed { id, result } => write!(f, "Unsealed {id} {result:?}"),
            Command::Authorised { id, result } => write!(f, "Authorised {id} {result:?}"),
            Command::TakeOver { tag, handed, .. } => write!(f, "TakeOver {tag} {handed:?}"),
            Command::Cancel(which) => write!(f, "Cancel {which}"),
            Command::Describe { which, .. } => write!(f, "Describe {which}"),
            Command::Drain(span) => write!(f, "Drain {span:?}"),
            Command::Stop => write!(f, "Stop"),
            Command::List { from, .. } => write!(f, "List from {from}"),
        }
    }
}

/// Some live tunnels, and where to look on.
#[derive(Debug, Default)]
pub struct Page {
    /// What was found.
    pub tunnels: Vec<TunnelInfo>,
    /// The next slot to ask from; none: that was all.
    pub next: Option<u32>,
}

/// A live connection, as `/tunnels` shows it.
#[derive(Clone, Debug)]
pub struct TunnelInfo {
    /// Its id.
    pub id: SessionId,
    /// What it is called by whoever handed it over.
    pub tag: Option<Tag>,
    /// The host's own number for it; 0: none.
    pub cookie: u64,
    /// Index into the configuration's listeners.
    pub listener: u16,
    /// Whom it is for.
    pub client: Option<SocketAddr>,
    /// As asked for: `host:port`.
    pub target: Option<Box<str>>,
    /// The address connected to.
    pub connected: Option<SocketAddr>,
    /// The word for how far it has come.
    pub phase: crate::close::Phase,
    /// Payload from client to target and back, in bytes accepted by the sink.
    pub bytes: [u64; 2],
    /// Since accept.
    pub age: Duration,
    /// Since the last payload either way.
    pub idle: Duration,
    /// How each direction is moved now: `copy`, `splice` or `quiesce`.
    pub mover: [&'static str; 2],
    /// How often each direction changed its mover.
    pub switches: [u32; 2],
}

/// What is left of a connection that ended: the stuff of one access-log line.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its id; of what could not be taken over, one that nothing else has.
    pub id: SessionId,
    /// What it is called by whoever handed it over.
    pub tag: Option<Tag>,
    /// The host's own number for it; 0: none.
    pub cookie: u64,
    /// Index into the configuration's listeners.
    pub listener: u16,
    /// Whom it was for (from the PROXY header, if there was one).
    pub client: Option<SocketAddr>,
    /// The method, if one was read.
    pub method: Option<Cow<'static, str>>,
    /// The target as `host:port`, or nothing if none was understood.
    pub target: Option<Box<str>>,
    /// The HTTP status sent; 0 if none was.
    pub status: u16,
    /// The address last tried or connected to.
    pub connected: Option<SocketAddr>,
    /// Bytes sent to the client, replies included.
    pub bytes_to_client: u64,
    /// Payload bytes sent to the target.
    pub bytes_to_target: u64,
    /// Of all payload, both ways: how much was spliced.
    pub bytes_spliced: u64,
    /// From accept to the end.
    pub elapsed: Duration,
    /// Why it ended.
    pub reason: CloseReason,
    /// Names and errnos for the operator, if there is more to say than the reason.
    pub detail: Option<Box<str>>,
    /// What was agreed on, if TLS was.
    pub tls: AgreedTls,
}

impl Record {
    /// Of a connection of which nothing is known but how it ended, at once.
    pub fn new(id: SessionId, listener: u16, reason: CloseReason) -> Record {
        Record {
            id,
            tag: None,
            cookie: 0,
            listener,
            client: None,
            method: None,
            target: None,
            status: 0,
            connected: None,
            bytes_to_client: 0,
            bytes_to_target: 0,
            bytes_spliced: 0,
            elapsed: Duration::ZERO,
            reason,
            detail: None,
            tls: AgreedTls::default(),
        }
    }
}

/// What was agreed on with each side of a connection, where TLS was.
#[derive(Clone, Debug, Default)]
pub struct AgreedTls {
    /// With the client.
    pub client: Option<Box<Agreed>>,
    /// With the target.
    pub target: Option<Box<Agreed>>,
}

/// A piece of a stream that is recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Whose it is.
    pub id: SessionId,
    /// From the client to the target, or back.
    pub from_client: bool,
    /// Payload.
    pub bytes: Bytes,
}

/// The time of day, which only the outside knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WallTime {
    /// Seconds since 1970-01-01 UTC.
    pub unix: u64,
    /// Days since Sunday, local.
    pub weekday: u8,
    /// Minutes since midnight, local.
    pub minute: u16,
}

/// Where a worker puts questions and records, and reads the time of day. No call may wait.
pub trait Outside: Send {
    /// The time of day, for rules that name it and for the dates of error replies.
    fn wall_time(&self) -> WallTime;

    /// Asks; the answer comes as a [`Command`].
    ///
    /// # Errors
    /// Gives the question back if too many are under way.
    fn ask(&mut self, question: Question) -> Result<(), Question>;

    /// Tells of a connection that is to be recorded, and of which of the configuration's listeners it is.
    fn records(&mut self, id: SessionId, listener: u16);

    /// Hands over what passed through a connection that is recorded. Losing some is counted by the receiver, never waited for.
    fn recorded(&mut self, piece: Piece);

    /// Tells of a connection that ended. Losing one is counted by the receiver, never waited for.
    fn finished(&mut self, record: Record);
}
