//! `penstock websockify`: its command line in, a server of consoles out, until it ends as websockify would.

mod log_file;
mod secrets;
mod sinks;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use penstock_config::websockify::{Asked, Invocation, Refusal, read};
use penstock_core::ring::Mask;

use crate::failure::Failure;
use crate::resolve::resolve;
use crate::serve::{Manner, serve};

/// The argument that asks for it.
pub(crate) const ARGUMENT: &str = "websockify";

/// What websockify ends with where it can't start.
const NOT_STARTED: u8 = 1;

/// Serves what `arguments`, without the program's name and [`ARGUMENT`], say.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let arguments: Vec<String> = match arguments.into_iter().map(OsString::into_string).collect() {
        Ok(arguments) => arguments,
        Err(argument) => {
            return refused(2, &format!("expected text in UTF-8, got {}", argument.display()));
        }
    };
    if let Err(error) = secrets::hide(&arguments) {
        return refused(
            NOT_STARTED,
            &format!("can't hide the secrets of the command line: {error}"),
        );
    }
    match read(&arguments, &resolve) {
        Ok(Asked::Help(text)) => {
            // A reader such as `head` may have seen enough.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Asked::Serve(invocation)) => match start(*invocation) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => refused(NOT_STARTED, &failure.to_string()),
        },
        Err(refusal) => told(&refusal),
    }
}

/// Serves until its end.
pub(crate) fn start(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { settings, ending, daemon, log_file, syslog, shown, mut warnings } = invocation;
    let mask = std::env::var("PENSTOCK_MASK").unwrap_or_default();
    let mask = Mask::parse(&mask).map_err(Failure::UnknownFeature)?;
    let coloured = log_file.is_none() && syslog.is_none() && io::stderr().is_terminal();
    let moved = Arc::<AtomicBool>::default();
    let sinks = sinks::of(log_file.as_deref(), moved.clone(), syslog.as_ref(), daemon)?;
    warnings.extend(sinks.warning());
    serve(
        settings,
        mask,
        Manner {
            greeting: None,
            messages: Box::new(sinks),
            moved,
            coloured,
            daemon,
            pid_file: None,
            shown,
            warnings,
            ending,
        },
    )
}

fn refused(code: u8, message: &str) -> ExitCode {
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "penstock websockify: error: {message}");
    ExitCode::from(code)
}

fn told(refusal: &Refusal) -> ExitCode {
    let _ = writeln!(io::stderr(), "{refusal}");
    ExitCode::from(refusal.exit_code())
}
