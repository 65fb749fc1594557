//! The programs that a spawner has started, each with all that it has started itself: its process group.
//!
//! ```text
//!  Needed ── nobody needs it, or the daemon is gone ──▶ Ending ── 3 s ──▶ SIGTERM ── 2 s ──▶ SIGKILL
//! ```
//!
//! Every one is reaped, whichever way it ends; what is left of its group is killed then. A process group is never signalled once its
//! first process was reaped: its number might be another's.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use penstock_core::control::SessionId;

use super::message::End;

/// How long a program may take to end by itself once its input has ended.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same after SIGTERM.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What becomes of a program next.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Needed,
    /// Its input has ended; SIGTERM at that time.
    Ending(Instant),
    /// SIGTERM was sent; SIGKILL at that time.
    Terminated(Instant),
    Killed,
}

#[derive(Debug)]
struct Child {
    id: SessionId,
    stage: Stage,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Children(HashMap<Pid, Child>);

impl Children {
    /// Starts a program. `stream` is its standard input and output; of our environment it is given what is named.
    pub(super) fn start(
        &mut self,
        id: SessionId,
        line: &[String],
        environment: &[String],
        [stream, errors]: [OwnedFd; 2],
    ) -> Result<(), Errno> {
        let (program, arguments) = line.split_first().ok_or(Errno::EINVAL)?;
        let input = stream.try_clone().map_err(errno)?;
        let mut command = Command::new(program);
        let given = environment.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        // What it says of its troubles is for logs, in the language that those have.
        command.args(arguments).env_clear().envs(given).env("LC_ALL", "C");
        command.stdin(input).stdout(stream).stderr(Stdio::from(errors)).process_group(0);
        let child = command.spawn().map_err(errno)?;
        // It is waited for by its number, which is nobody else's until then.
        let pid = Pid::from_raw(child.id().cast_signed());
        self.0.insert(pid, Child { id, stage: Stage::Needed });
        Ok(())
    }

    /// Nobody needs the programs of `id` any more; all of them, if it is none.
    pub(super) fn end(&mut self, id: Option<SessionId>, now: Instant) {
        for child in self.0.values_mut().filter(|child| id.is_none_or(|id| id == child.id)) {
            if matches!(child.stage, Stage::Needed) {
                child.stage = Stage::Ending(now + PATIENCE);
            }
        }
    }

    /// When somebody has to be signalled next.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = |child: &Child| match child.stage {
            Stage::Ending(at) | Stage::Terminated(at) => Some(at),
            Stage::Needed | Stage::Killed => None,
        };
        self.0.values().filter_map(due).min()
    }

    /// Signals those whose time is over.
    pub(super) fn signal(&mut self, now: Instant) {
        for (pid, child) in &mut self.0 {
            let (signal, stage) = match child.stage {
                Stage::Ending(at) if at <= now => {
                    (Signal::SIGTERM, Stage::Terminated(now + LAST_WORDS))
                }
                Stage::Terminated(at) if at <= now => (Signal::SIGKILL, Stage::Killed),
                _ => continue,
            };
            // The first for a process that has left its group. Neither matters to one that has just ended.
            let _ = kill(*pid, signal);
            let _ = killpg(*pid, signal);
            child.stage = stage;
        }
    }

    /// Reaps one that has ended.
    pub(super) fn reap(&mut self) -> Option<(SessionId, End)> {
        loop {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
            let (pid, end) = match waitid(Id::All, flags | WaitPidFlag::WNOWAIT).ok()? {
                WaitStatus::Exited(pid, status) => (pid, End::Exit(status)),
                WaitStatus::Signaled(pid, signal, _) => (pid, End::Signal(signal as i32)),
                _ => return None,
            };
            // While it is not reaped, its number stands for its group.
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = waitid(Id::Pid(pid), flags);
            if let Some(child) = self.0.remove(&pid) {
                return Some((child.id, end));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)
}
