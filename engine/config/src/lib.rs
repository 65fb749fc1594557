//! Text to validated values.
//!
//! In: one TOML file. Out: [`Settings`], or an [`Error`] with file, line, column, what was expected and what came.
//! Nothing is opened, bound or looked up here beyond the file itself. Or in: the [command line of websockify](websockify), the
//! [files of oVirt's proxy](ovirt_proxy), or [those of nova](nova::proxy).
#![forbid(unsafe_code)]

mod access;
mod check;
mod console;
mod error;
mod explain;
mod file;
mod forward;
mod host;
pub mod limits;
mod listener;
pub mod nova;
mod ovirt;
pub mod ovirt_proxy;
mod record;
mod tls;
mod together;
mod tokens;
mod value;
mod vnc;
pub mod websockify;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use penstock_core::config::Config;
use serde::Deserialize;

pub use error::Error;
pub use explain::explain;

/// What `penstock` serves without a file.
pub const DEFAULT: &str = include_str!("default.toml");

/// Everything that a file says.
#[derive(Debug)]
pub struct Settings {
    /// For the engine.
    pub config: Config,
    /// For the daemon's logs.
    pub log: Log,
    /// Where metrics and state are shown; none: nowhere.
    pub admin: Option<SocketAddr>,
    /// The first thing that only a program can do that embeds the engine, and that it alone may take for no error.
    pub needs_host: Option<Error>,
}

/// What is logged, and where.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Log {
    /// The least important message that is written to standard error.
    pub level: Level,
    /// The access log; none: no line is written.
    pub access: Option<AccessLog>,
}

/// One line for each connection that ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessLog {
    /// A file that is appended to; `-` is standard output.
    pub path: PathBuf,
    /// How a line looks.
    pub format: AccessFormat,
}

/// How an access-log line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// As Squid's native format.
    #[default]
    Squid,
    /// A JSON object with everything known.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    Off,
    /// What keeps something from working.
    Error,
    /// What will need attention.
    Warn,
    /// Start, stop, limits, drivers.
    #[default]
    Info,
    /// For finding faults.
    Debug,
}

/// Reads and checks a file of a program that stands alone.
///
/// # Errors
/// When it can't be read, something in it is wrong, or needs a program that embeds the engine; with the place.
pub fn load(path: &Path) -> Result<Settings, Error> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::of_file(&name, format!("can't read the configuration: {error}")))?;
    let settings = parse(&name, &text)?;
    match settings.needs_host {
        Some(error) => Err(error),
        None => Ok(settings),
    }
}

/// Checks the text of a file; `name` is for the errors.
///
/// # Errors
/// When something in it is wrong; with the place.
pub fn parse(name: &str, text: &str) -> Result<Settings, Error> {
    let file: file::File = toml::from_str(text).map_err(|error| {
        let range = error.span().unwrap_or(text.len()..text.len());
        Error::at(name, text, range, error.message().replace('\n', ", "))
    })?;
    let placed = |fault: error::Fault| match fault.range {
        Some(range) => Error::at(name, text, range, fault.message),
        None => Error::of_file(name, fault.message),
    };
    let needs_host = host::needed(&file.listen).map(placed);
    Ok(Settings { needs_host, ..check::settings(file).map_err(placed)? })
}

/// The embedded default.
///
/// # Panics
/// Never: a test reads it.
pub fn default() -> Settings {
    parse("embedded default", DEFAULT).expect("the embedded default is tested")
}

#[cfg(test)]
mod tests;
