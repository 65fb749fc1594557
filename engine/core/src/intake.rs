//! Tunnels between connections that somebody else has opened.
//!
//! In: two connected descriptors, what was read of them already, and on which of the listeners' terms they are to be joined. Out: a number
//! for the tunnel; later a [`Record`](crate::control::Record) with that number. What is refused is given back, whole: only what was taken
//! is the engine's, to its end.
//!
//! Nothing here waits, and any thread may call it.
//!
//! A tunnel from its hand-over to its record, carried by a thread of the embedder's:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::os::unix::net::UnixStream;
//! use std::sync::Arc;
//! use std::sync::mpsc::{Sender, channel};
//! use std::thread;
//!
//! use penstock_core::close::Cause;
//! use penstock_core::config::{Config, Engine, Listener, Service};
//! use penstock_core::control::{Command, Outside, Record};
//! use penstock_core::engine::{Plan, bind};
//! use penstock_core::intake::HandOver;
//! use penstock_core::policy::{AccessLists, Rules};
//! # use penstock_core::control::{Piece, Question, SessionId, WallTime};
//!
//! /// Tells of ends.
//! struct Ends(Sender<Record>);
//!
//! impl Outside for Ends {
//!     fn finished(&mut self, record: Record) {
//!         let _ = self.0.send(record);
//!     }
//! #     fn wall_time(&self) -> WallTime { WallTime::default() }
//! #     fn ask(&mut self, question: Question) -> Result<(), Question> { Err(question) }
//! #     fn records(&mut self, _: SessionId, _: u16) {}
//! #     fn recorded(&mut self, _: Piece) {}
//! }
//!
//! let rules = Rules::parse(&["allow all"], &AccessLists::new())?;
//! let listeners = vec![Listener::new("mine", Vec::new(), Service::handed_over(), rules)];
//! let plan = Plan {
//!     config: Arc::new(Config { engine: Engine::default(), listeners }),
//!     driver: penstock_core::ring::Driver::Epoll,
//!     mask: Default::default(),
//!     workers: 1,
//!     max_tunnels: 100,
//!     pipes_per_worker: 8,
//!     turned_away_per_worker: 8,
//!     pinned: false,
//!     at_rest: None,
//! };
//! let (tell, ends) = channel();
//! // One worker of one is left to us: `start` would give it a thread.
//! let (engine, seats) = bind(plan)?.start_but(1, &mut |_, _| Box::new(Ends(tell.clone())))?;
//! let ours: Vec<_> = seats.into_iter().map(|seat| thread::spawn(|| seat.take().is_ok())).collect();
//!
//! let ((mut viewer, one), (other, mut console)) = (UnixStream::pair()?, UnixStream::pair()?);
//! let handed = HandOver { from_client: b"hel".to_vec(), ..HandOver::new(0, one.into(), other.into()) };
//! let tag = engine.intake().hand_over(handed)?;
//! viewer.write_all(b"lo")?;
//! let mut heard = [0; 5];
//! console.read_exact(&mut heard)?;
//! assert_eq!(&heard, b"hello");
//!
//! engine.intake().cancel(tag);
//! assert_eq!(viewer.read(&mut heard)?, 0);
//! let record = ends.recv()?;
//! assert_eq!((record.tag, record.bytes_to_target, record.bytes_to_client), (Some(tag), 5, 0));
//! assert_eq!(record.reason.cause, Cause::Cancelled);
//!
//! engine.mailboxes()[0].post(Command::Stop).expect("room for a command");
//! // Who has a seat comes back from it.
//! assert!(ours.into_iter().all(|thread| thread.join().expect("no panic")));
//! engine.join();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use penstock_proto::websocket::Payload;
use penstock_ring::sockets::{Kind, stream_kind};

use crate::config::{HalfClose, Listener, ProxyProtocol, Reach, Service};
use crate::control::{Command, Mailbox, Which};
use crate::shared::Shared;

/// Two connections that are to become one tunnel.
pub struct HandOver {
    /// Index of the listener whose terms hold: one whose target is [`Reach::HandedOver`]. It need not listen anywhere.
    pub listener: u16,
    /// The client's connection: a stream socket, a pty or a tty. Nobody else may read it, write to it, or change its flags from now on.
    pub client: OwnedFd,
    /// The same of the target.
    pub target: OwnedFd,
    /// What was read of the client: it comes before all that it still sends. Where the listener has `tls`, these are bytes of TLS.
    pub from_client: Vec<u8>,
    /// What was read of the target. Where the listener has `upstream_tls` there may be nothing: it is taken for somebody's between.
    pub from_target: Vec<u8>,
    /// The client was answered with 101, and speaks WebSocket from here on; none: plain bytes.
    pub web_socket: Option<Payload>,
    /// How often a client that speaks WebSocket is asked whether it is still there; none: as the listener says. The listener's `dead_peer`
    /// says how long it may be silent, and after it was asked in any case, where that is no longer than this.
    pub heartbeat: Option<Duration>,
    /// What the target is called in logs and lists. As `host:port` it is also the name that TLS with it has to prove, unless the listener has
    /// another one for that.
    pub target_name: Option<Box<str>>,
    /// Whatever the host likes: comes back with the record; 0: nothing.
    pub cookie: u64,
    /// What this one tunnel has for itself.
    pub own: OwnTerms,
}

/// What one tunnel has for itself, instead of what the listener's terms say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OwnTerms {
    /// Without payload either way for so long, it ends.
    pub idle: Timer,
    /// So long after its beginning it ends, whatever happens.
    pub lifetime: Timer,
    /// What the end of one direction means for the other; none: as the terms say.
    pub half_close: Option<HalfClose>,
}

/// A timer of one tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Timer {
    /// As the listener's terms say.
    #[default]
    Terms,
    /// None, whatever they say.
    Never,
    /// So long, whatever they say.
    After(Duration),
}

impl Timer {
    /// How long, where the terms say `terms`; none: it never fires.
    pub(crate) fn or(self, terms: Option<Duration>) -> Option<Duration> {
        match self {
            Timer::Terms => terms,
            Timer::Never => None,
            Timer::After(span) => Some(span),
        }
    }
}

impl HandOver {
    /// Of two plain connections of which nothing was read.
    pub fn new(listener: u16, client: OwnedFd, target: OwnedFd) -> HandOver {
        HandOver {
            listener,
            client,
            target,
            from_client: Vec::new(),
            from_target: Vec::new(),
            web_socket: None,
            heartbeat: None,
            target_name: None,
            own: OwnTerms::default(),
            cookie: 0,
        }
    }
}

/// A tunnel that was handed over, for as long as the process lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tag(u64);

impl Tag {
    /// `worker 8 | number 56`.
    fn new(worker: usize, number: u64) -> Tag {
        Tag((worker as u64) << NUMBER_BITS | number & NUMBER_MASK)
    }

    /// The one of a number that was given before.
    pub fn of_number(number: u64) -> Tag {
        Tag(number)
    }

    /// The worker that carries it.
    pub(crate) fn worker(self) -> usize {
        (self.0 >> NUMBER_BITS) as usize
    }

    /// A number that no other tunnel has; not 0.
    pub fn number(self) -> u64 {
        self.0
    }
}

const NUMBER_BITS: u32 = 56;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;

/// What was not taken, as it was given, and why.
#[derive(Debug)]
pub struct Refused {
    /// All of it.
    pub handed: Box<HandOver>,
    /// What was in the way.
    pub why: Why,
}

/// What is in the way of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// No listener of that number waits for targets that are handed over.
    NoSuchTerms,
    /// One of the descriptors is no stream: neither a stream socket nor a terminal.
    NoStream,
    /// The client speaks WebSocket already, and the terms have TLS, a PROXY header or the request for it below that.
    TooLate,
    /// The target is a terminal, which has no end to pass on, and the terms are `half_close = "forward"`.
    NeverEnds,
    /// As many tunnels as may be, of all or of the listener.
    Full,
    /// The worker has too much to do to hear of it.
    Busy,
    /// The engine has come to its end.
    Stopped,
}

/// Where tunnels are handed over. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Intake {
    shared: Arc<Shared>,
    mailboxes: Arc<[Mailbox]>,
}

impl Intake {
    /// One that deals to the workers of these mailboxes, in their order. An engine has its own.
    pub fn new(shared: Arc<Shared>, mailboxes: Arc<[Mailbox]>) -> Intake {
        Intake { shared, mailboxes }
    }

    /// Hands a tunnel over to the next worker. What becomes of it is told by a record, also if the engine is being stopped meanwhile.
    ///
    /// # Errors
    /// Gives everything back.
    pub fn hand_over(&self, handed: HandOver) -> Result<Tag, Refused> {
        self.hand_over_as(handed, |_| ())
    }

    /// The same; `known` learns of the number before anybody else does, also if nothing comes of it.
    ///
    /// # Errors
    /// Gives everything back.
    pub fn hand_over_as(&self, handed: HandOver, known: impl FnOnce(Tag)) -> Result<Tag, Refused> {
        let handed = Box::new(handed);
        let listener = handed.listener;
        let is_endless = match self.ensure_possible(&handed) {
            Ok(is_endless) => is_endless,
            Err(why) => return Err(Refused { handed, why }),
        };
        if self.shared.enter(listener).is_err() {
            return Err(Refused { handed, why: Why::Full });
        }
        let number = self.shared.next_number();
        let tag = Tag::new(self.next_worker(number as usize), number);
        known(tag);
        let mailbox = &self.mailboxes[tag.worker()];
        match mailbox.post_surely(Command::TakeOver { tag, is_endless, handed }) {
            Err(Command::TakeOver { handed, .. }) => {
                self.shared.leave_all(listener);
                let why = if mailbox.is_closed() { Why::Stopped } else { Why::Busy };
                Err(Refused { handed, why })
            }
            _ => Ok(tag),
        }
    }

    /// The one whose turn it is, or the next that has not come to its end.
    fn next_worker(&self, turn: usize) -> usize {
        let workers = self.mailboxes.len();
        let mut turns = (0..workers).map(|step| (turn + step) % workers);
        turns.find(|worker| !self.mailboxes[*worker].is_closed()).unwrap_or(turn % workers)
    }

    /// That these two can be joined on these terms; whether the target is a terminal, which has no end.
    fn ensure_possible(&self, handed: &HandOver) -> Result<bool, Why> {
        let terms = self.terms(handed.listener).ok_or(Why::NoSuchTerms)?;
        let stream =
            |descriptor: &OwnedFd| stream_kind(descriptor.as_fd()).map_err(|_| Why::NoStream);
        stream(&handed.client)?;
        let is_terminal = stream(&handed.target)? == Kind::Plain;
        let reads_requests = matches!(terms.service, Service::Console(_));
        let is_below =
            reads_requests || terms.tls.is_some() || terms.proxy_protocol != ProxyProtocol::Off;
        let half_close = handed.own.half_close.unwrap_or(terms.half_close);
        match handed.web_socket {
            Some(_) if is_below => Err(Why::TooLate),
            _ if is_terminal && half_close == HalfClose::Forward => Err(Why::NeverEnds),
            _ => Ok(is_terminal),
        }
    }

    /// Ends a tunnel. Of one that has ended, nothing comes of it. False: its worker has too much to do to hear of it.
    pub fn cancel(&self, tag: Tag) -> bool {
        let mailbox = self.mailboxes.get(tag.worker());
        mailbox.is_some_and(|mailbox| mailbox.post(Command::Cancel(Which::HandedOver(tag))).is_ok())
    }

    fn terms(&self, listener: u16) -> Option<&Listener> {
        let listener = self.shared.config.listeners.get(usize::from(listener))?;
        let destination = listener.service.destination()?;
        (destination.reach == Reach::HandedOver).then_some(listener)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for HandOver {
    /// Says nothing of the bytes: credentials may be among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HandOver { listener, client, target, from_client, from_target, .. } = self;
        let (ours, theirs) = (from_client.len(), from_target.len());
        write!(f, "HandOver({listener}: {client:?}, {ours} bytes; {target:?}, {theirs} bytes)")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.why {
            Why::NoSuchTerms => "no listener of that number takes tunnels that are handed over",
            Why::NoStream => "expected stream sockets or terminals, came something else",
            Why::Full => "there are as many tunnels as may be: end some, or raise the limits",
            Why::TooLate => "WebSocket stands above TLS, the PROXY header and the request: hand it over before its 101, or on terms without them",
            Why::NeverEnds => "a terminal has no end that could be passed on: hand it over on terms with half_close = \"close\"",
            Why::Stopped => "the engine has ended",
            Why::Busy => "the worker has too much to do: try again in a moment",
        })
    }
}

impl std::error::Error for Refused {}
