//! The configuration of ovirt-websocket-proxy: its own files to validated values.
//!
//! In: where those files are, and what a command line says beside them. Out: [`Settings`] for a listener of consoles that does what oVirt's proxy does
//! with the same files, or why there can be none. Differences on purpose are in docs/OVIRT.md.

mod ciphers;
mod listener;
mod values;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use penstock_core::config::{self, Config};

use crate::websockify::Resolve;
use crate::{AccessFormat, AccessLog, Level, Log, Settings};
use values::Values;

/// The packaged defaults, as far as they mean anything here.
const DEFAULTS: &str = include_str!("defaults.conf");
/// The name of the file, in the folder of configurations and where the package has its defaults.
const FILE: &str = "ovirt-websocket-proxy.conf";
/// Keys that are no setting of the proxy's.
const OTHERS: [&str; 4] =
    ["PACKAGE_NAME", "PACKAGE_VERSION", "PACKAGE_DISPLAY_VERSION", "ENGINE_USR"];

/// What a command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where `ovirt-websocket-proxy.conf` is, and `ovirt-websocket-proxy.conf.d`.
    pub config_dir: PathBuf,
    /// The file with the defaults that a package has; it need not be there.
    pub defaults: PathBuf,
    /// More messages.
    pub debug: bool,
    /// Somebody may look at standard output.
    pub is_seen: bool,
    /// Who has signed targets' certificates; none: whoever has signed the hosts of an engine on this machine.
    pub ca: Option<PathBuf>,
    /// Targets' certificates have to have the name by which they are reached, too.
    pub verify_names: bool,
    /// Targets' certificates are not looked at.
    pub insecure_target: bool,
    /// A ticket is for one viewer.
    pub deny_replay: bool,
    /// How far clocks may be apart.
    pub skew: Duration,
    /// Pages that may ask for a console; none: all.
    pub origins: Vec<String>,
}

/// What is served, and what there is to say of it.
#[derive(Debug)]
pub struct Served {
    /// What is served.
    pub settings: Settings,
    /// The same, a line each.
    pub shown: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Why nothing is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// Reads the files.
///
/// # Errors
/// What is wrong with them.
pub fn read(options: &Options, resolve: Resolve<'_>) -> Result<Served, Refusal> {
    let mut values = Values::default();
    values.take(DEFAULTS).map_err(Refusal)?;
    let known: Vec<String> = values.names().map(str::to_owned).collect();
    for file in [options.defaults.clone(), options.config_dir.join(FILE)] {
        values.load(&file).map_err(Refusal)?;
    }
    let mut warnings = unknown(&values, &known);
    let (listener, more) = listener::of(&values, options, resolve)?;
    warnings.extend(more);
    let shown = listener::shown(&listener);
    // There a signal ends all consoles, too.
    let engine = config::Engine { drain_timeout: Duration::ZERO, ..config::Engine::default() };
    let level = if options.debug { Level::Debug } else { Level::Info };
    let access = AccessLog { path: "-".into(), format: AccessFormat::Json };
    let log = Log { level, access: options.is_seen.then_some(access) };
    let config = Config { engine, listeners: vec![listener] };
    Ok(Served {
        settings: Settings { config, log, admin: None, needs_host: None },
        shown,
        warnings,
    })
}

fn unknown(values: &Values, known: &[String]) -> Vec<String> {
    let is_known = |name: &str| known.iter().any(|other| other == name) || OTHERS.contains(&name);
    let names = values.names().filter(|name| !is_known(name));
    names.map(|name| format!("{name} has no effect: no such setting is known")).collect()
}

#[cfg(test)]
mod tests;
