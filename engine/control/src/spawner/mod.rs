//! Programs are started by a small process of their own, which is there before the daemon has threads, listeners or a sandbox.
//!
//! ```text
//!  penstock ── socketpair ── penstock spawner ──▶ ssh, ssh, …  (a process group each)
//!     └──────── standard input and output of each: a leg ──────┘
//! ```
//!
//! In: command lines of the configuration. Out: programs. It is the same executable, run once more with a hidden argument. It ends when
//! the daemon does, however that ends, and its programs with it. Should it be killed, the daemon goes on: programs that run keep their
//! tunnels, and no more can be started. It is not started anew, since by then the daemon may not be allowed to.

mod children;
pub(crate) mod message;
mod process;
#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use penstock_core::config::{Config, Door, Reach, Service};
use penstock_core::ring::processes;

pub use process::serve;

/// The argument with which the daemon's executable is a spawner.
pub const ARGUMENT: &str = "spawner";

/// A spawner that runs, as the daemon holds it.
#[derive(Debug)]
pub struct Spawner {
    pub(crate) process: Child,
    /// Our end of the channel. The spawner ends when it is closed.
    pub(crate) socket: OwnedFd,
}

/// Whether somebody is needed who starts programs.
pub fn is_needed(config: &Config) -> bool {
    config.listeners.iter().any(|listener| match &listener.service {
        Service::Forward(destination) => {
            matches!(&destination.reach, Reach::Door(door) if matches!(**door, Door::Command(_)))
        }
        Service::Connect | Service::Console(_) => false,
    })
}

impl Spawner {
    /// Runs this executable once more. To be called before there is any thread.
    ///
    /// # Errors
    /// Of socketpair(2), fork(2) and execve(2).
    pub fn start() -> io::Result<Spawner> {
        // Also after the file was replaced by a newer one.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("penstock").arg(ARGUMENT);
        Spawner::start_as(command)
    }

    pub(crate) fn start_as(mut command: Command) -> io::Result<Spawner> {
        let (socket, theirs) = processes::channel()?;
        let process = command.stdin(theirs).stdout(Stdio::null()).spawn()?;
        Ok(Spawner { process, socket })
    }
}
