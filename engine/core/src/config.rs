//! Validated values: what a running engine needs to know, with no text in it that could still be wrong.
//!
//! `penstock-config` makes these from TOML, the C ABI from setters, tests by hand. A configuration is immutable behind
//! an `Arc`; a session keeps the one that admitted it.

mod console;
mod kube_virt;
mod nova;
mod nova_api;
mod vnc;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use penstock_proto::console::Token;
use penstock_proto::http;
use penstock_proto::libvirt::Command;
use penstock_proto::target::Serial;
use penstock_ring::{Driver, SocketOptions, SpliceMode};

use penstock_tls::{Client, ClientFiles, Implementation, Server, ServerFiles, Swap};

use crate::policy::{AddressSet, Rules};

pub use console::{Auth, Carried, Console, ConsoleTarget, Cut, TokenSource, Tokens, Web};
pub use kube_virt::KubeVirt;
pub use nova::{
    Database, DatabaseKind, DatabasePlace, DatabaseServer, DatabaseTls, DatabaseTlsMode, NamePiece,
    NameTemplate, NovaDatabase,
};
pub use nova_api::{KeystoneLogin, NovaApi};
pub use vnc::{Account, Credentials, Password, Scheme, SchemeOrder, Subtype, Vnc, VncMode};

/// Everything the workers need.
#[derive(Debug)]
pub struct Config {
    /// Limits and drivers.
    pub engine: Engine,
    /// What is listened on, and what happens there.
    pub listeners: Vec<Listener>,
}

/// Limits and drivers.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Number of workers; none: one per core.
    pub workers: Option<usize>,
    /// Which driver; none: the best that the kernel allows.
    pub driver: Option<Driver>,
    /// How splices are made.
    pub splice: SpliceMode,
    /// Bytes of one worker's buffer pool: hard.
    pub memory: usize,
    /// Bytes of pool memory that one direction may hold.
    pub per_direction: usize,
    /// Tunnels of the whole process; none: from the descriptor limit.
    pub max_tunnels: Option<usize>,
    /// How long tunnels may live on after a stop was asked for.
    pub drain_timeout: Duration,
    /// The longest pause between two runs of a direction that splices, so that more comes at once; zero: none.
    pub gather: Duration,
    /// How long a worker looks for work before it sleeps; zero: not at all.
    pub busy_poll: Duration,
    /// Whose ciphers TLS uses; none: the faster ones here.
    pub tls: Option<Implementation>,
    /// TCP options of every leg.
    pub socket: SocketOptions,
}

impl Default for Engine {
    fn default() -> Self {
        Engine {
            workers: None,
            driver: None,
            splice: SpliceMode::Inline,
            memory: 64 << 20,
            per_direction: 64 << 10,
            max_tunnels: None,
            drain_timeout: Duration::from_secs(30),
            gather: Duration::from_millis(1),
            busy_poll: Duration::ZERO,
            tls: None,
            socket: SocketOptions::default(),
        }
    }
}

/// One listener: addresses, the service behind them, and its rules.
#[derive(Debug)]
pub struct Listener {
    /// Its name in logs and metrics.
    pub name: Box<str>,
    /// Where it listens.
    pub addresses: Vec<Address>,
    /// What it speaks.
    pub service: Service,
    /// TLS with its clients.
    pub tls: Option<ListenerTls>,
    /// TLS with its targets.
    pub upstream_tls: Option<UpstreamTls>,
    /// What is done with VNC; none: nothing.
    pub vnc: Option<Arc<Vnc>>,
    /// Sessions at a time; none: no limit but that of all tunnels.
    pub max_sessions: Option<usize>,
    /// Whether connections begin with a PROXY header. Never guessed.
    pub proxy_protocol: ProxyProtocol,
    /// Who may send a PROXY header.
    pub proxy_from: AddressSet,
    /// Proxies before us: what they say of the client (`X-Forwarded-For`, `X-Forwarded-Proto`) is believed.
    pub trusted_proxies: AddressSet,
    /// The header sent to the target before anything else.
    pub send_proxy: SendProxy,
    /// What passes through is written down.
    pub record: Option<Recording>,
    /// Who may reach what.
    pub rules: Rules,
    /// The host is asked about clients that these let in; none: they alone decide.
    pub asks_host: Option<HostPolicy>,
    /// What the end of one direction means for the other.
    pub half_close: HalfClose,
    /// Whose traffic keeps a tunnel from being idle.
    pub idle_scope: IdleScope,
    /// The three timers, and the connect time-out.
    pub timeouts: Timeouts,
    /// Status sent when no connection stood in time: 503 as Squid says, or 504.
    pub connect_timeout_status: u16,
    /// Refuse unbracketed IPv6 targets, as Squid does and spice-gtk needs us not to.
    pub strict_target: bool,
}

impl Listener {
    /// One that does `service` at `addresses` for whom `rules` let in, and nothing else.
    pub fn new(name: &str, addresses: Vec<Address>, service: Service, rules: Rules) -> Listener {
        Listener {
            name: name.into(),
            addresses,
            service,
            tls: None,
            upstream_tls: None,
            vnc: None,
            max_sessions: None,
            proxy_protocol: ProxyProtocol::Off,
            proxy_from: AddressSet::default(),
            trusted_proxies: AddressSet::default(),
            send_proxy: SendProxy::Off,
            record: None,
            rules,
            asks_host: None,
            half_close: HalfClose::Close,
            idle_scope: IdleScope::ClientAndTarget,
            timeouts: Timeouts::default(),
            connect_timeout_status: 503,
            strict_target: false,
        }
    }
}

/// The program around the engine decides who gets what. Of what that program hands over itself, it is not asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostPolicy {
    /// How long it may think about it.
    pub timeout: Duration,
}

/// What passes through a listener's connections is written to files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    /// Their name; a number follows for each connection.
    pub path: PathBuf,
    /// How it is written.
    pub format: RecordFormat,
}

/// How a recording is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordFormat {
    /// As websockify does, for noVNC's player.
    Websockify,
    /// asciicast v2, for terminals.
    Asciicast,
}

/// Where a listener listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A UNIX socket.
    Unix(UnixSocket),
    /// Standard input, which is a listening socket: that of a program that starts others, such as inetd.
    StandardInput,
}

/// A UNIX socket to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnixSocket {
    /// Where.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// Whose it shall be, by number; none: whoever we are.
    pub owner: Option<u32>,
    /// The same for its group.
    pub group: Option<u32>,
}

/// What a listener speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Service {
    /// HTTP CONNECT, as Squid serves it.
    Connect,
    /// Nothing: every connection is joined to one target.
    Forward(Destination),
    /// WebSocket, for consoles in browsers, and the pages beside them.
    Console(Box<Console>),
}

/// The target of a listener that forwards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// As configured, for logs.
    pub text: Box<str>,
    /// Of a daemon of libvirt: nothing may be changed there.
    pub readonly: bool,
    /// How it is reached.
    pub reach: Reach,
}

/// How a target is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// By connecting to one of its addresses.
    Network(http::Target),
    /// By a descriptor that somebody opens who may wait.
    Door(Arc<Door>),
    /// By a descriptor that is handed over with the client's ([`Intake`](crate::intake::Intake)), or as the host says of a client that connects
    /// ([`HostPolicy`]). Where it is not asked, nobody who connects gets anywhere.
    HandedOver,
}

/// What a descriptor is opened for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Door {
    /// A UNIX socket, connected: the first of these that is there.
    Unix(Vec<PathBuf>),
    /// A UNIX socket within a folder, connected; it is looked for on no way that leads out of there.
    Within {
        /// The folder.
        folder: PathBuf,
        /// The way from there, through no symbolic link: the token itself.
        name: Token,
    },
    /// A serial line or another terminal.
    Terminal(Serial),
    /// A program whose standard input and output it is.
    Command(Command),
    /// Pages for browsers: a connection of HTTP/1.1, as the browser would make it.
    Web {
        /// Which.
        web: Arc<Web>,
        /// How this one connection ends.
        cut: Cut,
    },
    /// The serial console that is built in, to try things out.
    Demo,
    /// A console behind the API of Kubernetes.
    KubeVirt(KubeVirt),
}

impl Service {
    /// That of tunnels which are handed over.
    pub fn handed_over() -> Service {
        let text = "what is handed over".into();
        Service::Forward(Destination { text, readonly: false, reach: Reach::HandedOver })
    }

    /// The one target, if no client and no token says where to.
    pub fn destination(&self) -> Option<&Destination> {
        match self {
            Service::Connect => None,
            Service::Forward(destination) => Some(destination),
            Service::Console(console) => match &console.to {
                ConsoleTarget::Fixed(destination) => Some(destination),
                ConsoleTarget::Tokens(_) => None,
            },
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Service::Connect => f.write_str("HTTP CONNECT"),
            Service::Forward(destination) => write!(f, "forward to {}", destination.text),
            Service::Console(console) => match &console.to {
                ConsoleTarget::Fixed(destination) => write!(f, "console {}", destination.text),
                ConsoleTarget::Tokens(tokens) => write!(f, "consoles of {:?}", tokens.source),
            },
        }
    }
}

/// TLS with clients.
#[derive(Debug)]
pub struct ListenerTls {
    /// What is shown to them and asked of them now.
    pub server: Swap<Server>,
    /// Where that comes from.
    pub files: ServerFiles,
    /// Who does not begin with TLS is refused; else served in the clear.
    pub only: bool,
    /// Who was let in is told so by a byte, as libvirt's clients expect.
    pub libvirt: bool,
}

/// TLS with targets.
#[derive(Debug)]
pub struct UpstreamTls {
    /// What is asked of them and shown to them now.
    pub client: Swap<Client>,
    /// Where that comes from.
    pub files: ClientFiles,
    /// The name that they are to prove; none: the one by which they are reached.
    pub server_name: Option<Box<str>>,
    /// Plaintext bytes of a record at most.
    pub max_record: usize,
    /// A byte tells that we were let in, as libvirt's servers do it.
    pub libvirt: bool,
    /// It is for the network alone: UNIX sockets are spoken to in the clear.
    pub not_to_sockets: bool,
}

impl Address {
    /// The TCP port, if it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) | Address::StandardInput => None,
        }
    }

    /// The UNIX socket, if it is one.
    pub fn unix(&self) -> Option<&Path> {
        match self {
            Address::Tcp(_) | Address::StandardInput => None,
            Address::Unix(socket) => Some(&socket.path),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
            Address::StandardInput => f.write_str("the socket at standard input"),
        }
    }
}

/// Whether a PROXY header comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyProtocol {
    /// It does not.
    Off,
    /// It must, version 1 or 2.
    Required,
}

/// Which PROXY header the target gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendProxy {
    /// None.
    Off,
    /// Version 1, text.
    V1,
    /// Version 2, binary, with the request's host and the session id.
    V2,
}

/// What the end of one direction means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HalfClose {
    /// The tunnel ends, after what was read is flushed: as Squid does.
    Close,
    /// The end is passed on, and the other direction lives.
    Forward,
}

/// Whose traffic counts against the idle time-out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdleScope {
    /// The tunnel's own.
    Tunnel,
    /// That of all tunnels from the same client address to the same target: a viewer's channels live together.
    ClientAndTarget,
}

/// Timers kept apart; none means off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// From accept to the end of the request head.
    pub handshake: Duration,
    /// For resolving and connecting.
    pub connect: Duration,
    /// Without payload in either direction.
    pub idle: Option<Duration>,
    /// Without a key or a movement of the pointer at a console.
    pub user_idle: Option<Duration>,
    /// From accept to the end, whatever happens.
    pub lifetime: Option<Duration>,
    /// Without a word of a browser that is asked now and then.
    pub dead_peer: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            handshake: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            idle: Some(Duration::from_secs(15 * 60)),
            user_idle: None,
            lifetime: None,
            dead_peer: Some(Duration::from_secs(90)),
        }
    }
}
