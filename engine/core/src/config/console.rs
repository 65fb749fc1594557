//! Consoles for browsers: what is reached through WebSocket, who may, and the pages beside it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use penstock_proto::console::{Basic, Choice, Origins};

use super::{Destination, NovaApi, NovaDatabase};

/// A listener's consoles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Console {
    /// Where to.
    pub to: ConsoleTarget,
    /// The pages on the same port; none: no request is answered but those for WebSocket.
    pub web: Option<Arc<Web>>,
    /// Between two pings; none: nobody asks whether the browser is still there.
    pub heartbeat: Option<Duration>,
    /// Pages that may ask for a console.
    pub origins: Origins,
    /// Who may; none: whoever has a token, or everybody.
    pub auth: Option<Auth>,
    /// Pages are for the same people alone.
    pub web_auth: bool,
    /// The token is the name by which the browser calls this host.
    pub host_token: bool,
    /// Refused tokens are answered by silence, as websockify does.
    pub silent: bool,
}

impl Console {
    /// Consoles that everybody may have who comes from a page of the same host.
    pub fn new(to: ConsoleTarget) -> Console {
        Console {
            to,
            web: None,
            heartbeat: Some(Duration::from_secs(30)),
            origins: Origins::same_host(),
            auth: None,
            web_auth: false,
            host_token: false,
            silent: false,
        }
    }
}

/// How a person shows who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Auth {
    /// By user name and password.
    Basic(Basic),
    /// By the common name of its certificate, which is one of these.
    CommonName(Vec<Box<str>>),
}

/// Where a browser's stream goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConsoleTarget {
    /// To one target.
    Fixed(Destination),
    /// To the target that its token names.
    Tokens(Arc<Tokens>),
}

/// Tokens: where they are looked up, and how often each may be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tokens {
    /// Who knows them.
    pub source: TokenSource,
    /// How long a look-up may take, from question to answer.
    pub timeout: Duration,
    /// One viewer: connections from one address within 30 s of the first count as one.
    pub single_use: bool,
    /// After its first use, only from the same address.
    pub bind_client: bool,
    /// Not usable any more so long after its first use.
    pub expiry: Option<Duration>,
}

impl Tokens {
    /// How long a look-up may take, if nothing else is said.
    pub const TIMEOUT: Duration = Duration::from_secs(3);
}

/// Who knows tokens: websockify's plugins of these names, or a cloud.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// TokenFile, ReadOnlyTokenFile: lines `token: host:port` of a file, or of the files of a folder.
    File {
        /// The file or folder.
        path: PathBuf,
        /// Read once, at the first use, and never again.
        read_only: bool,
    },
    /// TokenFileName: a folder of files, each named by its token, with `host:port`.
    FileName(PathBuf),
    /// UnixDomainSocketDirectory: a folder of sockets, each named by its token.
    UnixDirectory(PathBuf),
    /// BaseTokenAPI, JSONTokenApi: a URL with `%s` in the token's place.
    Api {
        /// The URL.
        url: Box<str>,
        /// The answer is JSON, else `host:port`.
        json: bool,
    },
    /// JWTTokenApi: the file of the key.
    Jwt(PathBuf),
    /// TokenRedis.
    Redis {
        /// Name or address.
        host: Box<str>,
        /// TCP port.
        port: u16,
        /// Number of the database.
        database: u32,
        /// Secret; none: none is asked for.
        password: Option<Box<str>>,
        /// What stands before tokens and a colon in keys.
        namespace: Option<Box<str>>,
    },
    /// Tickets that oVirt's engine has signed.
    Ovirt {
        /// The file of its certificate.
        cert: PathBuf,
        /// A ticket may be shown as often as anybody likes while its time lasts; else by one viewer.
        replay: bool,
        /// How far clocks may be apart.
        skew: Duration,
    },
    /// The database of OpenStack's compute service.
    NovaDatabase(Box<NovaDatabase>),
    /// Its API.
    Nova(Box<NovaApi>),
}

/// Where in a request a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carried {
    /// An argument of the query, or a cookie.
    Argument(Choice),
    /// The whole path: there are no pages beside it.
    Path,
}

impl TokenSource {
    /// Where in a request its tokens are.
    pub fn carried(&self) -> Carried {
        match self {
            TokenSource::Ovirt { .. } => Carried::Path,
            TokenSource::NovaDatabase(_) | TokenSource::Nova(_) => Carried::Argument(Choice::Last),
            _ => Carried::Argument(Choice::First),
        }
    }
}

impl fmt::Debug for TokenSource {
    /// Without secrets: URLs and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenSource::File { path, read_only: false } => write!(f, "TokenFile {path:?}"),
            TokenSource::File { path, read_only: true } => write!(f, "ReadOnlyTokenFile {path:?}"),
            TokenSource::FileName(path) => write!(f, "TokenFileName {path:?}"),
            TokenSource::UnixDirectory(path) => write!(f, "UnixDomainSocketDirectory {path:?}"),
            TokenSource::Api { json: false, .. } => f.write_str("BaseTokenAPI"),
            TokenSource::Api { json: true, .. } => f.write_str("JSONTokenApi"),
            TokenSource::Jwt(path) => write!(f, "JWTTokenApi {path:?}"),
            TokenSource::Redis { host, port, database, .. } => {
                write!(f, "TokenRedis {host}:{port}/{database}")
            }
            TokenSource::Ovirt { cert, .. } => write!(f, "oVirt's tickets {cert:?}"),
            TokenSource::NovaDatabase(nova) => {
                write!(f, "nova-db {} {:?}", nova.console_type, nova.database)
            }
            TokenSource::Nova(nova) => write!(f, "nova {}", nova.console_type),
        }
    }
}

/// Raised before a connection to the web server ends without an answer that was promised: between two ends of a socketpair, every end looks
/// as if it were in order.
#[derive(Clone, Default, Debug)]
pub struct Cut(Arc<AtomicBool>);

impl Cut {
    /// To be called before the end.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// To be asked after the end.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl PartialEq for Cut {
    fn eq(&self, other: &Cut) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cut {}

/// Pages on a console's port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Web {
    /// The files of a folder.
    Directory(PathBuf),
    /// The page that is built in: a terminal for the console, and what is served.
    Demo,
}
