//! What the program around the engine is asked about a client, and what it may answer.
//!
//! In, from the program: values that can't be sent or joined are refused where they are made, so that no worker finds any of them.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use penstock_proto::console::Token;
use penstock_proto::http::fields::{BadField, Fields};
use penstock_ring::sockets::{Kind, stream_kind};

use super::Place;

/// What a client asks for, where the host decides.
///
/// A program that decides by itself who may connect to what:
///
/// ```
/// use std::io::{BufRead, BufReader, Write};
/// use std::net::TcpStream;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use penstock_core::config::{Address, Config, Engine, HostPolicy, Listener, Service};
/// use penstock_core::control::{Admitted, Command, Denied, Mailbox, Outside, Question};
/// use penstock_core::engine::{Plan, bind};
/// use penstock_core::policy::{AccessLists, Rules};
/// # use penstock_core::control::{Piece, Record, SessionId, WallTime};
///
/// /// A worker's way to us.
/// struct Ours(Mailbox);
///
/// impl Outside for Ours {
///     fn ask(&mut self, question: Question) -> Result<(), Question> {
///         let Question::Authorise { id, asked } = question else { return Err(question) };
///         let result = match asked.target.as_deref() {
///             Some("console:5900") => Ok(Admitted::default()),
///             _ => Err(Denied::new(403, "", Some("not this one"), 0).expect("a denial")),
///         };
///         // Here at once; as well later, and from another thread.
///         self.0.post(Command::Authorised { id, result }).map_err(|_| Question::Authorise { id, asked })
///     }
/// #     fn wall_time(&self) -> WallTime { WallTime::default() }
/// #     fn records(&mut self, _: SessionId, _: u16) {}
/// #     fn recorded(&mut self, _: Piece) {}
/// #     fn finished(&mut self, _: Record) {}
/// }
///
/// let rules = Rules::parse(&["allow all"], &AccessLists::new())?;
/// let addresses = vec![Address::Tcp("127.0.0.1:0".parse()?)];
/// let mut listener = Listener::new("asked", addresses, Service::Connect, rules);
/// listener.asks_host = Some(HostPolicy { timeout: Duration::from_secs(10) });
/// let bound = bind(Plan {
///     config: Arc::new(Config { engine: Engine::default(), listeners: vec![listener] }),
///     driver: penstock_core::ring::Driver::Epoll,
///     mask: Default::default(),
///     workers: 1,
///     max_tunnels: 100,
///     pipes_per_worker: 8,
///     turned_away_per_worker: 8,
///     pinned: false,
///     at_rest: None,
/// })?;
/// let address = bound.addresses()[0].tcp().expect("a TCP port");
/// let engine = bound.start(&mut |_, mailbox| Box::new(Ours(mailbox)))?;
///
/// let mut client = TcpStream::connect(address)?;
/// client.write_all(b"CONNECT elsewhere:22 HTTP/1.1\r\n\r\n")?;
/// let mut answer = String::new();
/// BufReader::new(client).read_line(&mut answer)?;
/// assert_eq!(answer, "HTTP/1.1 403 Forbidden\r\n");
///
/// engine.mailboxes()[0].post(Command::Stop).expect("room for a command");
/// engine.join();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Index into the configuration's listeners.
    pub listener: u16,
    /// Whom it is for; a port 0 is one that nobody has told.
    pub client: Option<SocketAddr>,
    /// TLS stands with it.
    pub tls: bool,
    /// That of its certificate, which was verified.
    pub common_name: Option<Box<str>>,
    /// The method of its request; none: it makes none.
    pub method: Option<Box<str>>,
    /// Where to, by the client's word or the listener's; none: the host says it.
    pub target: Option<Box<str>>,
    /// The target of a browser's request, as sent.
    pub path: Option<Box<str>>,
    /// The token in there.
    pub token: Option<Token>,
    /// The head of its request, as sent; nothing: it makes none.
    pub head: Vec<u8>,
}

/// A client may go on.
#[derive(Debug, Default)]
pub struct Admitted {
    /// Where to; none: where it wants to.
    pub to: Option<To>,
    /// What the host calls it; 0: nothing.
    pub cookie: u64,
}

/// Where to, by the host's word.
#[derive(Debug)]
pub enum To {
    /// There, as the listener's own targets are reached.
    Place(Place),
    /// It is reached already.
    Connected(Connected),
}

/// A target that the host has connected.
pub struct Connected {
    pub(crate) descriptor: OwnedFd,
    pub(crate) came: Vec<u8>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) is_endless: bool,
}

impl Connected {
    /// A stream socket, a pty or a tty, what was read of it, and what it is called in logs and lists; of `host:port` the host is also whose
    /// certificate it has to show, where TLS is spoken with it and nothing else is configured. Without a name, it goes by what was asked for.
    /// Nobody else may read it, write to it,
    /// or change its flags from now on.
    ///
    /// # Errors
    /// Gives the descriptor back if it is none of these.
    pub fn new(
        descriptor: OwnedFd,
        came: Vec<u8>,
        name: Option<Box<str>>,
    ) -> Result<Connected, OwnedFd> {
        match stream_kind(descriptor.as_fd()) {
            Ok(kind) => Ok(Connected { descriptor, came, name, is_endless: kind == Kind::Plain }),
            Err(_) => Err(descriptor),
        }
    }

    /// The descriptor alone, for whoever could not make use of it.
    pub fn into_descriptor(self) -> OwnedFd {
        self.descriptor
    }
}

/// A client may not. The default is a 403 without any words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denied {
    /// What a client that speaks HTTP is answered.
    pub(crate) status: u16,
    /// Beside those that the answer has by itself.
    pub(crate) fields: Fields,
    /// Why; for the log and the client.
    pub(crate) words: Option<Box<str>>,
    /// What the host calls it; 0: nothing.
    pub cookie: u64,
}

/// A denial that could not be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadDenial {
    /// No status of an error.
    Status(u16),
    /// A header field.
    Field(BadField),
}

/// Bytes of the words that a client and the log get.
const WORDS: usize = 1024;

impl Default for Denied {
    fn default() -> Denied {
        Denied { status: 403, fields: Fields::default(), words: None, cookie: 0 }
    }
}

impl Denied {
    /// With an HTTP status from 300 to 599, or 0 for 403; header fields, each ended by CR LF; and words, of which no more than 1024 bytes are
    /// used.
    ///
    /// # Errors
    /// If the status is neither a redirection's nor an error's, or a field must not be sent.
    pub fn new(
        status: u16,
        fields: &str,
        words: Option<&str>,
        cookie: u64,
    ) -> Result<Denied, BadDenial> {
        let status = match status {
            0 => 403,
            300..=599 => status,
            other => return Err(BadDenial::Status(other)),
        };
        let fields = Fields::parse(fields).map_err(BadDenial::Field)?;
        let words = words.filter(|text| !text.is_empty()).map(|text| cut(text).into());
        Ok(Denied { status, fields, words, cookie })
    }
}

/// Its beginning, as far as it may be.
fn cut(text: &str) -> &str {
    let end = (0..=WORDS.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

impl fmt::Debug for Asked {
    /// Says nothing of head, path and token: credentials may be in there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked { listener, client, method, target, head, .. } = self;
        let length = head.len();
        write!(f, "Asked({listener}: {client:?}, {method:?} {target:?}, {length} bytes of head)")
    }
}

impl fmt::Debug for Connected {
    /// Says nothing of the bytes: credentials may be among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Connected { descriptor, came, name, .. } = self;
        write!(f, "Connected({descriptor:?}, {} bytes, {name:?})", came.len())
    }
}

impl fmt::Display for BadDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadDenial::Status(status) => {
                write!(f, "expected an HTTP status from 300 to 599, or 0 for 403, came {status}")
            }
            BadDenial::Field(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BadDenial {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let asked = Asked {
            path: Some("/?token=geheim".into()),
            token: Some("geheim".to_owned().into()),
            head: b"GET /?token=geheim HTTP/1.1\r\n\r\n".to_vec(),
            ..Asked::default()
        };
        let shown = format!("{asked:?}");
        assert!(!shown.contains("geheim") && shown.contains("31 bytes"), "{shown}");
    }

    #[test]
    fn a_denial_that_could_not_be_sent_is_none() {
        let denied = Denied::new(0, "", None, 7).expect("the usual one");
        assert_eq!(denied, Denied { cookie: 7, ..Denied::default() });
        for status in [1, 200, 299, 600] {
            assert_eq!(Denied::new(status, "", None, 0), Err(BadDenial::Status(status)));
        }
        assert!(matches!(Denied::new(401, "A: b\nC: d", None, 0), Err(BadDenial::Field(_))));
        let long = "é".repeat(WORDS);
        let words = Denied::new(599, "A: b", Some(&long), 0).expect("long words").words;
        assert_eq!(words.map(|words| words.len()), Some(WORDS));
    }

    #[test]
    fn what_is_no_stream_comes_back() {
        let file = std::fs::File::open("/dev/null").expect("it is always there");
        assert!(Connected::new(file.into(), Vec::new(), None).is_err());
        let (one, _other) = std::os::unix::net::UnixStream::pair().expect("two sockets");
        assert!(Connected::new(one.into(), Vec::new(), None).is_ok());
    }
}
