//! Child processes that never outlive the test that started them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::wait;

/// A command whose process the kernel kills when the thread that starts it ends. The process id stays the program's own.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// [`command`] for another user, who needs no entry in any list of users. When we aren't root, for ourselves.
pub fn command_as(user: u32, program: impl AsRef<OsStr>) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return command(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--clear-groups"]);
    command.args(["--reuid", &user.to_string(), "--regid", &user.to_string(), "--"]).arg(program);
    command
}

/// A running child with a directory of its own; both go when this value is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    dir: TempDir,
}

/// A new directory for one process, open to other users, because some daemons change theirs.
///
/// # Panics
/// When there is no room under the system's temporary directory.
pub fn directory() -> TempDir {
    let dir = tempfile::Builder::new().prefix("penstock-").tempdir().expect("a directory");
    open_to_all(dir.path());
    dir
}

/// Lets everybody read and write in a directory of ours.
///
/// # Panics
/// When it isn't ours.
pub fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("our directory");
}

impl Process {
    /// Starts `command`; what it prints goes to `output` and `errors` in `dir`.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(command: &mut Command, dir: TempDir) -> Process {
        let file = |name| File::create(dir.path().join(name)).expect("a file in our directory");
        command.stdout(file("output")).stderr(file("errors"));
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Process { child, dir }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a file in its directory holds so far; empty when there is none.
    pub fn text(&self, name: &str) -> String {
        fs::read(self.path(name))
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sends a signal; one to a process that has ended is lost.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid().cast_signed()), signal);
    }

    /// Its exit status, if it has ended.
    ///
    /// # Panics
    /// Never: the child is ours.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child")
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        wait::until("the process ends", limit, || self.ended())
    }

    /// Closes its standard input, if that was a pipe.
    pub fn hang_up(&mut self) {
        self.child.stdin = None;
    }

    /// Waits until it has printed a line, and returns that line.
    ///
    /// # Panics
    /// When it ends or stays silent for `limit`.
    pub fn line(&mut self, limit: Duration) -> String {
        wait::until("a line of output", limit, || {
            let text = self.text("output");
            if let Some(status) = self.ended() {
                panic!("ended with {status}: {text}{}", self.text("errors"));
            }
            text.split_once('\n').map(|(line, _)| line.to_owned())
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for name in ["output", "errors"] {
                let text = self.text(name);
                let from = text.len().saturating_sub(4096);
                let tail = String::from_utf8_lossy(&text.as_bytes()[from..]);
                eprintln!("--- the {name} of process {}:\n{tail}", self.pid());
            }
        }
    }
}

/// Runs a command to its end with nothing to read.
///
/// # Panics
/// When it can't be started or fails; with what it printed.
pub fn run(command: &mut Command) -> String {
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
