//! `penstock ovirt-websocket-proxy`: the files of oVirt's proxy in, a server of its consoles out.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use penstock_config::ovirt_proxy::{Options, Served, read};
use penstock_core::ring::Mask;

use crate::failure::Failure;
use crate::resolve::resolve;
use crate::serve::{Manner, serve};

/// The argument that asks for it.
pub(crate) const ARGUMENT: &str = "ovirt-websocket-proxy";

/// What oVirt's proxy ends with where it can't start.
const NOT_STARTED: u8 = 1;

/// The first six are those of oVirt's proxy.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// More messages.
    #[arg(short, long)]
    debug: bool,
    /// Write the number of the process to that file, and remove it at the end.
    #[arg(long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// Become a background process.
    #[arg(long)]
    background: bool,
    /// Accepted: whoever is told of readiness is named by the environment (NOTIFY_SOCKET).
    #[arg(long, value_name = "KIND", default_value = "simple", value_enum)]
    systemd: Systemd,
    /// Say nothing on standard output and standard error.
    #[arg(long)]
    redirect_output: bool,
    /// Where ovirt-websocket-proxy.conf and ovirt-websocket-proxy.conf.d are.
    #[arg(long, value_name = "DIR", default_value = "/etc/ovirt-engine")]
    config_dir: PathBuf,
    /// The packaged defaults; they need not be there.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/usr/share/ovirt-engine/services/ovirt-websocket-proxy/ovirt-websocket-proxy.conf"
    )]
    defaults: PathBuf,
    /// Who has signed the certificates of targets [default: /etc/pki/ovirt-engine/ca.pem, if it is there].
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A target's certificate has to have the name that the ticket calls it by, too.
    #[arg(long)]
    verify_names: bool,
    /// Don't look at certificates of targets, as oVirt's proxy doesn't.
    #[arg(long, conflicts_with_all = ["ca", "verify_names"])]
    insecure_target: bool,
    /// A ticket is for one viewer.
    #[arg(long)]
    deny_replay: bool,
    /// How many seconds clocks may be apart.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    skew: u32,
    /// Pages that may open consoles, such as https://engine.example; may be given more than once [default: all].
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// What to do.
    #[arg(value_enum)]
    action: Action,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Systemd {
    Simple,
    Notify,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// Serve.
    Start,
    /// Say what would be served, and serve nothing.
    Check,
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            config_dir: self.config_dir.clone(),
            defaults: self.defaults.clone(),
            debug: self.debug,
            is_seen: !self.background && !self.redirect_output,
            ca: self.ca.clone(),
            verify_names: self.verify_names,
            insecure_target: self.insecure_target,
            deny_replay: self.deny_replay,
            skew: Duration::from_secs(self.skew.into()),
            origins: self.origins.clone(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nobody may be reading.
            let _ = writeln!(io::stderr(), "penstock {ARGUMENT}: error: {message}");
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn start(arguments: &Arguments) -> Result<(), String> {
    let served = read(&arguments.options(), &resolve).map_err(|refusal| refusal.to_string())?;
    if let Action::Check = arguments.action {
        let warnings = served.warnings.iter().map(|line| format!("warning: {line}\n"));
        let text = penstock_config::explain(&served.settings);
        // A reader such as `head` may have seen enough.
        let _ = io::stdout().write_all((text + &warnings.collect::<String>()).as_bytes());
        return Ok(());
    }
    let mask = std::env::var("PENSTOCK_MASK").unwrap_or_default();
    let unknown = |name| Failure::UnknownFeature(name).to_string();
    let mask = Mask::parse(&mask).map_err(unknown)?;
    let Served { settings, shown, warnings } = served;
    let messages: Box<dyn Write + Send> =
        if arguments.redirect_output { Box::new(io::sink()) } else { Box::new(io::stderr()) };
    let manner = Manner {
        messages,
        coloured: io::stderr().is_terminal(),
        daemon: arguments.background,
        pid_file: arguments.pidfile.clone(),
        shown,
        warnings,
        ..Manner::usual(None)
    };
    serve(settings, mask, manner).map_err(|failure| failure.to_string())
}
