//! The command line of websockify: arguments to validated values, without a file between.
//!
//! In: arguments, and somebody who knows the addresses of names. Out: [`Settings`] for a listener of consoles that does what websockify does with
//! the same arguments, and what the daemon has to see to; or a [`Refusal`]: by the exit code that websockify has for it, with the reason and
//! what to do instead. Differences on purpose are in docs/COMPATIBILITY.md.

mod help;
mod listener;
mod logs;
mod options;
mod places;
mod secrets;
mod shown;
mod targets;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use penstock_core::config::{self, Config};

use crate::{Level, Log, Settings};
use options::{Given, Item};
pub(crate) use places::bound;
pub use secrets::hidden;

/// Finds the addresses of a name, or of no name, which means all of this host, and a port.
pub type Resolve<'a> = &'a dyn Fn(Option<&str>, u16) -> io::Result<Vec<SocketAddr>>;

/// What is asked for.
#[derive(Debug)]
pub enum Asked {
    /// To read this.
    Help(String),
    /// To serve.
    Serve(Box<Invocation>),
}

/// How consoles are served.
#[derive(Debug)]
pub struct Invocation {
    /// What is served.
    pub settings: Settings,
    /// When it ends by itself.
    pub ending: Ending,
    /// In the background.
    pub daemon: bool,
    /// Messages are written there, too.
    pub log_file: Option<PathBuf>,
    /// Messages are sent there, too.
    pub syslog: Option<Syslog>,
    /// What is served, a line each.
    pub shown: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// When a server ends without being told to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ending {
    /// So long after its start it takes in nobody any more.
    pub timeout: Option<Duration>,
    /// The same, so long after the last connection.
    pub idle: Option<Duration>,
    /// The same, after the first console.
    pub once: bool,
}

/// A server of system messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Syslog {
    /// Where it is.
    pub to: SyslogPlace,
    /// In the protocol before RFC 5424.
    pub legacy: bool,
}

/// Where a server of system messages is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyslogPlace {
    /// A UNIX socket.
    Unix(PathBuf),
    /// A UDP port.
    Udp(String, u16),
}

/// Why nothing is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    message: String,
    is_usage: bool,
}

impl Refusal {
    /// The command line is no command line.
    pub(crate) fn usage(message: impl Into<String>) -> Refusal {
        Refusal { message: message.into(), is_usage: true }
    }

    /// What it names can't be used.
    pub(crate) fn unusable(message: impl Into<String>) -> Refusal {
        Refusal { message: message.into(), is_usage: false }
    }

    /// What is wrong, without the name of a program.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// As websockify ends: 2 after wrong usage, 1 where it can't go on.
    pub fn exit_code(&self) -> u8 {
        if self.is_usage { 2 } else { 1 }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_usage {
            write!(f, "{}\n\n", help::USAGE)?;
        }
        write!(f, "penstock websockify: error: {}", self.message)
    }
}

impl std::error::Error for Refusal {}

/// Reads a command line, without the name of the program.
///
/// # Errors
/// What is wrong with it.
pub fn read(arguments: &[String], resolve: Resolve<'_>) -> Result<Asked, Refusal> {
    let asks_for_help =
        |item: &Item| matches!(item, Item::Option(known, _) if known.long == "help");
    let given = Given::parse(arguments)?;
    if given.0.iter().any(asks_for_help) {
        return Ok(Asked::Help(format!("{}\n{}", help::USAGE, help::HELP)));
    }
    judge(&given)?;
    let seconds = |long| Ok(given.seconds(long)?.map(Duration::from_secs));
    let ending = Ending {
        timeout: seconds("timeout")?,
        idle: seconds("idle-timeout")?,
        once: given.flag("run-once"),
    };
    let syslog = logs::syslog(&given)?;
    let listener = listener::of(&given, resolve)?;
    let (shown, warnings) = (shown::lines(&given, &listener), shown::warnings(&given, &listener));
    // There a signal ends all consoles, too.
    let engine = config::Engine { drain_timeout: Duration::ZERO, ..config::Engine::default() };
    let level = if given.flag("verbose") { Level::Debug } else { Level::Info };
    let log = Log { level, access: logs::access(&given) };
    let config = Config { engine, listeners: vec![listener] };
    Ok(Asked::Serve(Box::new(Invocation {
        settings: Settings { config, log, admin: None, needs_host: None },
        ending,
        daemon: given.flag("daemon"),
        log_file: given.text("log-file").map(places::absolute),
        syslog,
        shown,
        warnings,
    })))
}

/// What makes no sense without something else, and what is not supported.
fn judge(given: &Given) -> Result<(), Refusal> {
    let has = |long: &str| given.text(long).is_some() || given.flag(long);
    let either = |long: &str| has(long) || has(&format!("{long}-file"));
    let needs = [
        (either("token-source"), "token-plugin", "token-source"),
        (has("host-token"), "token-plugin", "host-token"),
        (either("auth-source"), "auth-plugin", "auth-source"),
        (has("web-auth"), "auth-plugin", "web-auth"),
        (has("web-auth"), "web", "web-auth"),
        (has("legacy-syslog"), "syslog", "legacy-syslog"),
    ];
    let missing = needs.iter().find(|(given, needed, _)| *given && !has(needed));
    if let Some((_, needed, option)) = missing {
        return Err(Refusal::usage(format!("You must use --{needed} to use --{option}")));
    }
    for option in ["key-password", "token-source", "auth-source"] {
        if has(option) && has(&format!("{option}-file")) {
            let message = format!("--{option} and --{option}-file say the same: leave one out");
            return Err(Refusal::usage(message));
        }
    }
    if has("ssl-ciphers") {
        return Err(Refusal::usage(
            "--ssl-ciphers is not supported: it has names of OpenSSL's. Leave it out: only suites of TLS 1.2 and 1.3 are spoken that have forward secrecy and authenticated encryption; --ssl-version tlsv1_3 leaves those of TLS 1.3",
        ));
    }
    if given.has_dashes() {
        return Err(Refusal::usage(
            "a command behind `--` is not supported: its port would be moved by a library of websockify's. Start it on a port of its own, such as `Xtigervnc :1 -localhost -rfbport 5901`, and name that as target: 127.0.0.1:5901",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
