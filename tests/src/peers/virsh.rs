//! virsh: what administrators do with a hypervisor, one after another or held open.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use crate::process::{self, Process};
use crate::wait;

/// A client that connects anew for every command.
#[derive(Clone, Debug)]
pub struct Virsh {
    uri: String,
    options: Vec<&'static str>,
}

impl Virsh {
    /// A client of this URI.
    pub fn new(uri: impl Into<String>) -> Virsh {
        Virsh { uri: uri.into(), options: Vec::new() }
    }

    /// The same, that promises only to look.
    #[must_use]
    pub fn readonly(mut self) -> Virsh {
        self.options.push("-r");
        self
    }

    /// The same, with a name and a password from this file: see [`super::Libvirtd::password`].
    #[must_use]
    pub fn with_password(mut self, file: &Path) -> Virsh {
        let separator = if self.uri.contains('?') { '&' } else { '?' };
        self.uri += &format!("{separator}authfile={}", file.display());
        self
    }

    fn command(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.arg("virsh").args(&self.options).args(["-c", &self.uri]).args(arguments);
        // Messages are compared in English, and nothing of the user's own has a say.
        command
            .env("LC_ALL", "C")
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env_remove("LIBVIRT_AUTH_FILE");
        command
    }

    /// Runs one command: what it printed.
    ///
    /// # Errors
    /// What it said when it failed.
    ///
    /// # Panics
    /// When it takes longer than 30 s.
    pub fn try_run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut timeout = Command::new("timeout");
        timeout.arg("30");
        let output = self
            .command(timeout, arguments)
            .stdin(Stdio::null())
            .output()
            .expect("timeout, of coreutils");
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        assert!(
            output.status.code() != Some(124),
            "{arguments:?} by {} takes longer than 30 s",
            self.uri
        );
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    /// [`Virsh::try_run`] for what has to work.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments)
            .unwrap_or_else(|said| panic!("{arguments:?} by {}: {said}", self.uri))
    }

    /// The names of the domains that run.
    ///
    /// # Errors
    /// As [`Virsh::try_run`].
    pub fn list(&self) -> Result<Vec<String>, String> {
        let names = self.try_run(&["list", "--name"])?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Opens the guest's serial console.
    ///
    /// # Panics
    /// When it isn't open within 15 s.
    pub fn console(&self) -> Console {
        let terminal = openpty(None, None).expect("a pseudo terminal");
        // Nothing that is typed may come back but from the guest, not even before virsh sets the terminal up.
        let mut raw = tcgetattr(&terminal.slave).expect("a terminal");
        cfmakeraw(&mut raw);
        tcsetattr(&terminal.slave, SetArg::TCSANOW, &raw).expect("a terminal");
        let end = || Stdio::from(terminal.slave.try_clone().expect("a descriptor"));
        let mut command = self.command(process::command("env"), &["console", "guest"]);
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("virsh");
        let mut console =
            Console { child, terminal: File::from(terminal.master), seen: String::new() };
        console.expect("Escape character is");
        console
    }

    /// Follows the guest's life until it is dropped.
    ///
    /// # Panics
    /// When virsh is missing.
    pub fn follow(&self) -> Follower {
        let arguments = ["event", "--domain", "guest", "--event", "lifecycle", "--loop"];
        let mut command = self.command(process::command("env"), &arguments);
        Follower { process: Process::start(command.stdin(Stdio::null()), process::directory()) }
    }
}

/// An open console.
#[derive(Debug)]
pub struct Console {
    child: Child,
    terminal: File,
    seen: String,
}

impl Console {
    /// Types a text.
    ///
    /// # Panics
    /// When virsh is gone.
    pub fn type_in(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).expect("an open terminal");
    }

    /// Waits until a text is shown, and returns what came before it.
    ///
    /// # Panics
    /// When it isn't within 15 s; with what came instead.
    pub fn expect(&mut self, text: &str) -> String {
        let limit = Duration::from_secs(15);
        wait::until(&format!("{text:?} on the console"), limit, || {
            self.read();
            let (before, after) = self.seen.split_once(text)?;
            let (before, after) = (before.to_owned(), after.to_owned());
            self.seen = after;
            Some(before)
        })
    }

    /// What was shown and not yet waited for.
    pub fn rest(&mut self) -> &str {
        self.read();
        &self.seen
    }

    /// All that is there.
    fn read(&mut self) {
        let mut chunk = [0; 4096];
        while is_readable(&self.terminal) {
            match self.terminal.read(&mut chunk) {
                Ok(n) => self.seen += &String::from_utf8_lossy(&chunk[..n]),
                // The last one who had the other end is gone.
                Err(_) => return,
            }
        }
    }
}

fn is_readable(terminal: &File) -> bool {
    let mut polled = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
    let ready = poll(&mut polled, PollTimeout::ZERO).unwrap_or_default();
    ready > 0 && polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the console shows:\n{}", self.seen);
        }
    }
}

/// A held connection that says what happens to the guest.
#[derive(Debug)]
pub struct Follower {
    process: Process,
}

impl Follower {
    /// How often something happened so far, in libvirt's words.
    ///
    /// # Panics
    /// When the connection ended.
    pub fn count(&mut self, event: &str) -> usize {
        let said = self.process.text("output");
        let ended = self.process.ended();
        assert!(ended.is_none(), "ended with {ended:?}: {said}{}", self.process.text("errors"));
        said.matches(event).count()
    }
}
