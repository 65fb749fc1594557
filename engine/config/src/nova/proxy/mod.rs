//! nova's proxies of consoles: `nova-novncproxy`, `nova-spicehtml5proxy` and `nova-serialproxy`, by their own files and command lines.
//!
//! In: arguments, and somebody who knows the addresses of names. Out: what is served, as those programs serve it with the same `nova.conf`; or why not.
//! That file is everybody's in nova: what it says of others is nothing to us. Differences on purpose are in docs/COMPATIBILITY.md.

mod arguments;
mod ciphers;
mod files;
mod ini;
mod listener;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use penstock_core::config::{self, Address, Config, Listener, Service, Web};

use crate::websockify::{Ending, Invocation, Resolve};
use crate::{AccessFormat, AccessLog, Level, Log, Settings};
use arguments::Given;
use files::Options;

/// One of nova's programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// VNC, by noVNC.
    Novnc,
    /// SPICE, by spice-html5.
    SpiceHtml5,
    /// Serial lines.
    Serial,
}

/// What is asked for.
#[derive(Debug)]
pub enum Asked {
    /// To read this.
    Help(String),
    /// To serve.
    Serve(Box<Invocation>),
}

/// Why nothing is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    program: Program,
    message: String,
    is_usage: bool,
}

impl Program {
    /// All of them.
    pub const ALL: [Program; 3] = [Program::Novnc, Program::SpiceHtml5, Program::Serial];

    /// As nova calls it.
    pub fn name(self) -> &'static str {
        match self {
            Program::Novnc => "nova-novncproxy",
            Program::SpiceHtml5 => "nova-spicehtml5proxy",
            Program::Serial => "nova-serialproxy",
        }
    }
}

impl Refusal {
    fn usage(program: Program, message: impl Into<String>) -> Refusal {
        Refusal { program, message: message.into(), is_usage: true }
    }

    fn unusable(program: Program, message: impl Into<String>) -> Refusal {
        Refusal { program, message: message.into(), is_usage: false }
    }

    /// 2 after wrong usage, as argparse has it; 1 where it can't go on.
    pub fn exit_code(&self) -> u8 {
        if self.is_usage { 2 } else { 1 }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.program.name();
        if self.is_usage {
            writeln!(f, "{}", usage(self.program))?;
        }
        write!(f, "penstock {name}: error: {}", self.message)
    }
}

impl std::error::Error for Refusal {}

/// Names and values of variables.
pub type Environment<'e> = &'e [(String, String)];

/// Reads a command line, without the name of the program, and the files that it means.
///
/// # Errors
/// What is wrong with them.
pub fn read(
    program: Program,
    arguments: &[String],
    environment: Environment<'_>,
    resolve: Resolve<'_>,
) -> Result<Asked, Refusal> {
    let given = Given::parse(program, arguments)?;
    if given.help {
        return Ok(Asked::Help(format!("{}\n\n{HELP}", usage(program))));
    }
    if given.version {
        return Ok(Asked::Help(concat!(env!("CARGO_PKG_VERSION"), "\n").to_owned()));
    }
    let options = Options::read(program, &given, environment)?;
    let mut warnings = Vec::new();
    let listener = listener::of(program, &options, resolve, &mut warnings)?;
    let ignored = given.ignored.iter().map(|name| {
        format!("--{name} has no effect: messages are written in one form, to --log-file or standard error")
    });
    warnings.extend(ignored);
    if options.flag("DEFAULT", "use_syslog")? {
        warnings.push(
            "use_syslog has no effect: messages go to standard error, which systemd's journal takes, or to log_file"
                .to_owned(),
        );
    }
    let daemon = options.flag("DEFAULT", "daemon")?;
    let log_file = log_file(program, &options)?;
    let shown = shown(&options, &listener);
    let level = if options.flag("DEFAULT", "debug")? { Level::Debug } else { Level::Info };
    let access = match (&log_file, daemon) {
        (Some(path), _) => Some(path.clone()),
        (None, false) => Some(PathBuf::from("-")),
        (None, true) => None,
    };
    let access = access.map(|path| AccessLog { path, format: AccessFormat::Json });
    // There a signal ends all consoles, too.
    let engine = config::Engine { drain_timeout: Duration::ZERO, ..config::Engine::default() };
    let config = Config { engine, listeners: vec![listener] };
    Ok(Asked::Serve(Box::new(Invocation {
        settings: Settings { config, log: Log { level, access }, admin: None, needs_host: None },
        ending: Ending::default(),
        daemon,
        log_file,
        syslog: None,
        shown,
        warnings,
    })))
}

/// As oslo.log finds it.
fn log_file(program: Program, options: &Options) -> Result<Option<PathBuf>, Refusal> {
    let folder = options.text("DEFAULT", "log_dir")?.map(PathBuf::from);
    let file = options.text("DEFAULT", "log_file")?.map(PathBuf::from);
    let path = match (folder, file) {
        (Some(folder), Some(file)) => Some(folder.join(file)),
        (None, Some(file)) => Some(file),
        (Some(folder), None) => Some(folder.join(format!("{}.log", program.name()))),
        (None, None) => None,
    };
    Ok(path.map(|path| absolute(&path)))
}

/// A path that stays the same wherever the process goes.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What is served, a line each.
fn shown(options: &Options, listener: &Listener) -> Vec<String> {
    let Service::Console(console) = &listener.service else { return Vec::new() };
    let read: Vec<String> = options.files.iter().map(|file| file.display().to_string()).collect();
    let addresses: Vec<String> = listener.addresses.iter().map(Address::to_string).collect();
    let mut lines = vec![
        format!("options of {}", read.join(", ")),
        format!("listen on {}", addresses.join(", ")),
        match &listener.tls {
            Some(tls) if tls.only => "TLS; connections in the clear are denied".to_owned(),
            Some(_) => "TLS and connections in the clear".to_owned(),
            None => "no TLS (no certificate)".to_owned(),
        },
        format!("pages that may ask for a console: {}", console.origins),
    ];
    if let Some(Web::Directory(path)) = console.web.as_deref() {
        lines.push(format!("pages: the files of {}", path.display()));
    }
    if let config::ConsoleTarget::Tokens(tokens) = &console.to {
        lines.push(format!("tokens: {:?}", tokens.source));
    }
    lines
}

fn usage(program: Program) -> String {
    format!(
        "usage: penstock {} [--config-file PATH]... [--config-dir DIR]... [options]",
        program.name()
    )
}

const HELP: &str = "\
Serves nova's consoles to browsers, as nova's program of this name does, by the same files.
Without --config-file: nova.conf and PROGRAM.conf of ~/.nova, ~, /etc/nova and /etc.

  --config-file PATH, --config-dir DIR      later ones win; of a folder, *.conf in order
  --cert PATH, --key PATH, --ssl_only       TLS with browsers
  --web DIR                                 pages
  --record PATH                             what passes is written to PATH.NUMBER
  --daemon, --debug
  --log-file PATH, --log-dir DIR
  --source_is_ipv6                          of a host's addresses, the one of IPv6
  --vnc-novncproxy_host HOST, --vnc-novncproxy_port PORT, --vnc-auth_schemes LIST,
  --vnc-vencrypt_ca_certs PATH, --vnc-vencrypt_client_cert PATH, --vnc-vencrypt_client_key PATH
  --spice-html5proxy_host HOST, --spice-html5proxy_port PORT
  --serial_console-serialproxy_host HOST, --serial_console-serialproxy_port PORT

What differs from nova's programs: docs/COMPATIBILITY.md; how to replace them: docs/NOVA.md.
";

#[cfg(test)]
mod tests;
