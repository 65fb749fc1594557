//! Our own small programs beside a test, in processes of their own: a process can be killed, has its own
//! descriptors, and may be another user.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::process::{self, Process};

/// The program `herd` that cargo built beside the running test.
///
/// # Panics
/// When the test was not built by cargo.
pub fn helper_program() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let program = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST").join("herd");
    assert!(program.exists(), "{program:?} is missing: build the tests with cargo");
    program
}

/// A running `herd`.
#[derive(Debug)]
pub struct Helper {
    process: Process,
    said: String,
}

impl Helper {
    /// Starts `herd ARGUMENTS`, as another user if a number is given, and waits for the line that says it is ready.
    ///
    /// # Panics
    /// When it is not ready within three minutes.
    pub fn start(arguments: &[&str], user: Option<u32>) -> Helper {
        let mut command = match user {
            Some(user) => process::command_as(user, helper_program()),
            None => process::command(helper_program()),
        };
        command.args(arguments).stdin(Stdio::piped());
        let mut process = Process::start(&mut command, process::directory());
        let said = process.line(Duration::from_secs(180));
        Helper { process, said }
    }

    /// The line it said when it was ready.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
