//! Processes to whom a few files and folders are others than to everybody else, and who need not be tidied up after.
//!
//! In: what is to be seen in place of what. Out: a command, in a mount namespace of its own. Nothing outside changes, and what is
//! mounted goes with the last process that sees it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{self, Process};
use crate::wait;

/// Who else lives in the namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Processes {
    /// Everybody.
    Shared,
    /// The command and whatever it starts, which all end with it: see [`end`].
    Own,
}

/// Mounts each pair's first path onto the second, then becomes what follows.
const MOUNT: &str = r#"
while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done
shift
exec "$@"
"#;

/// A command to which each pair's first path, a file or a folder, is where the second one is, which has to exist.
/// Program and arguments are still to be added.
pub fn command(mounts: &[(PathBuf, &str)], processes: Processes) -> Command {
    let mut command = process::command("unshare");
    command.arg("--mount");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    if processes == Processes::Own {
        command.args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc"]);
    }
    command.args(["sh", "-c", MOUNT, "sh"]);
    for (from, to) in mounts {
        command.arg(from).arg(to);
    }
    command.arg("--");
    command
}

/// Kills a command that has [`Processes::Own`], and waits until none of them is left.
pub fn end(process: &mut Process) {
    let pid = process.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    process.signal(nix::sys::signal::Signal::SIGKILL);
    for first in children.unwrap_or_default().split_whitespace() {
        // The kernel ends all others before it lets go of the first of them, whom nobody may be in a hurry to bury.
        wait::until_true("the processes end", Duration::from_secs(10), || {
            let status = fs::read_to_string(format!("/proc/{first}/status")).unwrap_or_default();
            !status.contains("State:") || status.contains("State:\tZ")
        });
    }
}
