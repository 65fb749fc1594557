//! Who is measured. A recipe says how to start a contestant; one that runs is a process, reached by a route, with origins
//! of its own behind it.

mod bare;
mod file;
mod paths;
mod peers;
mod penstock;
mod proxies;
mod running;
mod tls;
mod websockify;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::record::{self, Absent, Family};
use crate::tls::KeyFiles;
pub(crate) use paths::{Driver, Expected, Paths, Splicing, Waiting};
pub(crate) use running::{Contestant, Stage, start_all};

/// How to get a contestant to run.
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) family: Family,
    /// What makes it what it is, for the report.
    pub(crate) setting: String,
    pub(crate) kind: Kind,
    pub(crate) source: Source,
    /// What its path counters must say, where they can be read.
    pub(crate) expected: Option<Expected>,
    pub(crate) version: Version,
    /// Of somebody's own: what the names of its scenarios begin with; empty: all without a special setting.
    pub(crate) guest_of: Option<Vec<String>>,
}

/// Where the process comes from.
pub(crate) enum Source {
    Start {
        build: Build,
        /// Who refuses to run as root runs as this user.
        user: Option<&'static str>,
        cores: Cores,
    },
    /// It runs already; where it listens, for the echo, the flood and its administrator.
    Running {
        pid: i32,
        addresses: [SocketAddr; 2],
        admin: Option<SocketAddr>,
        origins: [SocketAddr; 2],
    },
}

/// Writes what files it needs beside its configuration, and says how it is started.
pub(crate) type Build = Box<dyn Fn(&Site) -> Result<Launch>>;

pub(crate) struct Launch {
    pub(crate) argv: Vec<String>,
    /// Text of the file at `Site::config`.
    pub(crate) config: Option<String>,
}

#[derive(Clone, Copy)]
pub(crate) enum Cores {
    /// The contestants' own.
    Own,
    /// Another: the load's, where there are only two.
    Other,
    /// Both.
    Two,
}

/// Where the version comes from.
pub(crate) enum Version {
    /// Program and argument whose first line of output with a number in it tells it.
    Asked(String, &'static str),
    /// The program, and who finds out.
    Examined(String, fn(&Path) -> Result<String>),
    /// nginx's, which can't do without this file.
    Module(PathBuf),
    Told(String),
}

/// How a client gets to its target through a contestant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Two ports, each forwarded to one origin.
    Tcp,
    /// One port that takes CONNECT.
    Connect,
    /// One port that takes TLS, and forwards what is in it to the echo origin.
    FromTls,
    /// One port that forwards to the echo origin, and speaks TLS with it.
    ToTls,
    /// One port that takes WebSocket, and forwards what is in it to the echo origin.
    WebSocket,
    /// The same, by TLS.
    WebSocketByTls,
    /// One port that takes WebSocket, logs in at a VNC server by TLS, and then forwards.
    VncByTls,
    /// One port that takes WebSocket and forwards to a VNC server, at which clients log in themselves.
    VncPassed,
}

impl Kind {
    pub(crate) fn legs(self) -> Legs {
        match self {
            Kind::Tcp | Kind::Connect => Legs::Plain,
            Kind::FromTls => Legs::TlsFromClient,
            Kind::ToTls => Legs::TlsToOrigin,
            Kind::WebSocket => Legs::WebSocket,
            Kind::WebSocketByTls => Legs::WebSocketByTls,
            Kind::VncByTls | Kind::VncPassed => Legs::Vnc,
        }
    }
}

/// Where a contestant speaks TLS or, with clients, WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Legs {
    Plain,
    TlsFromClient,
    TlsToOrigin,
    WebSocket,
    WebSocketByTls,
    /// Clients speak WebSocket and VNC; the origin VNC, by TLS where the contestant can.
    Vnc,
}

impl Kind {
    /// Clients speak TLS first.
    fn is_dialed_by_tls(self) -> bool {
        matches!(self, Kind::FromTls | Kind::WebSocketByTls)
    }

    /// They ask for WebSocket.
    fn is_web(self) -> bool {
        matches!(self.legs(), Legs::WebSocket | Legs::WebSocketByTls | Legs::Vnc)
    }
}

/// Addresses and files of one contestant.
pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    /// Where its configuration will be written.
    pub(crate) config: PathBuf,
    /// In front of the echo origin. CONNECT: the proxy.
    pub(crate) listen: SocketAddr,
    /// TCP: in front of the flood origin.
    pub(crate) listen_flood: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) echo: SocketAddr,
    pub(crate) flood: SocketAddr,
    /// What to show and whom to trust, where TLS is spoken.
    pub(crate) keys: KeyFiles,
}

/// Programs of our own, copied at the start, so that a build meanwhile changes nothing and every user may read them.
#[derive(Clone)]
pub(crate) struct Programs {
    pub(crate) penstock: PathBuf,
    pub(crate) itself: PathBuf,
    /// What makes nginx hand its sessions to Penstock.
    pub(crate) nginx_module: PathBuf,
}

/// Everybody there is a recipe for, in the order of the tables.
pub(crate) fn recipes(programs: &Programs, guests: Option<&Path>) -> Result<Vec<Recipe>> {
    let mut all = penstock::recipes(programs);
    all.extend(proxies::recipes());
    all.extend(peers::recipes(programs));
    all.extend(tls::recipes());
    all.extend(websockify::recipes());
    all.extend(bare::recipes(programs));
    if let Some(path) = guests {
        all.extend(file::read(path, programs)?);
    }
    for (index, recipe) in all.iter().enumerate() {
        let twice = all[..index].iter().any(|other| other.name == recipe.name);
        ensure!(!twice, "two contestants are called {}", recipe.name);
    }
    Ok(all)
}

const BY_INSTALL: &str =
    "ffi/install --prefix target/prefix makes it, PENSTOCK_PREFIX names another";
const BY_SETUP: &str = "bench/setup installs it";

/// Takes those away who are not installed.
pub(crate) fn remove_absent(recipes: &mut Vec<Recipe>) -> Vec<Absent> {
    let mut absent = Vec::new();
    recipes.retain(|recipe| {
        let (program, how) = match &recipe.version {
            Version::Asked(program, _) | Version::Examined(program, _) if recipe.is_hosted() => {
                (program.as_str(), BY_INSTALL)
            }
            Version::Asked(program, _) if recipe.family == Family::Penstock => {
                (program.as_str(), "cargo build --release makes it")
            }
            Version::Asked(program, _) | Version::Examined(program, _) => {
                (program.as_str(), BY_SETUP)
            }
            Version::Module(_) if !is_installed("nginx") => ("nginx", BY_SETUP),
            Version::Module(path) => {
                (path.to_str().unwrap_or_default(), "ffi/hosts/nginx/build makes it")
            }
            Version::Told(_) => return true,
        };
        let installed = is_installed(program);
        if !installed {
            let reason = format!("{program} is not there; {how}");
            absent.push(Absent { name: recipe.name.clone(), reason });
        }
        installed
    });
    absent
}

impl Recipe {
    /// Whether it is our library in somebody else's program, which nobody needs to have installed.
    pub(crate) fn is_hosted(&self) -> bool {
        self.family == Family::Penstock && matches!(self.version, Version::Examined(..))
    }

    /// For the report, before it is started: command and configuration come with the first start.
    pub(crate) fn describe(&self) -> record::Contestant {
        record::Contestant {
            name: self.name.clone(),
            family: self.family,
            version: self.version.read(),
            setting: self.setting.clone(),
            command: Vec::new(),
            configuration: None,
        }
    }
}

impl Version {
    fn read(&self) -> String {
        match self {
            Version::Told(text) => text.clone(),
            Version::Examined(program, examine) => {
                let version = find(program).map(|path| examine(&path));
                version.and_then(Result::ok).unwrap_or_default()
            }
            Version::Asked(program, argument) => ask(program, argument),
            Version::Module(_) => ask("nginx", "-v"),
        }
    }
}

fn ask(program: &str, argument: &str) -> String {
    let path = find(program).unwrap_or_else(|| program.into());
    let Ok(output) = Command::new(path).arg(argument).output() else {
        return String::new();
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let tells = |line: &&str| line.contains(|c: char| c.is_ascii_digit());
    let line = text.lines().find(tells).or(text.lines().next());
    line.unwrap_or_default().trim().to_owned()
}

fn is_installed(program: &str) -> bool {
    find(program).is_some()
}

/// Where the system's own servers are, which a user's PATH may lack.
const SYSTEM_FOLDERS: &[&str] = &["/usr/sbin", "/sbin"];

fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&folders).chain(SYSTEM_FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
