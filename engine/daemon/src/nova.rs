//! `penstock nova-novncproxy` and its sisters: nova's own files and command lines in, a server of consoles out.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::process::ExitCode;

use penstock_config::nova::proxy::{Asked, Program, read};

use crate::resolve::resolve;
use crate::websockify::start;

/// What nova's programs end with where they can't start.
const NOT_STARTED: u8 = 1;

/// The program of that name, if it is one of nova's.
pub(crate) fn program(argument: &OsStr) -> Option<Program> {
    Program::ALL.into_iter().find(|program| argument == program.name())
}

/// Serves what `arguments`, without the program's name and ours, say.
pub(crate) fn run(program: Program, arguments: Vec<OsString>) -> ExitCode {
    let arguments: Result<Vec<String>, _> =
        arguments.into_iter().map(OsString::into_string).collect();
    let Ok(arguments) = arguments else {
        return refused(program, 2, "expected text in UTF-8");
    };
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let environment: Vec<_> = std::env::vars_os().filter_map(text).collect();
    match read(program, &arguments, &environment, &resolve) {
        Ok(Asked::Help(text)) => {
            // A reader such as `head` may have seen enough.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Asked::Serve(invocation)) => match start(*invocation) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => refused(program, NOT_STARTED, &failure.to_string()),
        },
        Err(refusal) => {
            let _ = writeln!(io::stderr(), "{refusal}");
            ExitCode::from(refusal.exit_code())
        }
    }
}

fn refused(program: Program, code: u8, message: &str) -> ExitCode {
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "penstock {}: error: {message}", program.name());
    ExitCode::from(code)
}
