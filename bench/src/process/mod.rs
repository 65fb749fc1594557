//! One program under measurement: started on cores of its own, what it uses read, and gone when dropped.
//!
//! setpriv(1) asks the kernel to end it when the harness dies in whatever way, taskset(1) pins it; both exec, so that
//! the process id is the program's. It leads a process group: what it starts can be stopped and ended with it, and should the
//! harness die while it is stopped, the kernel sets a group going that nobody can reach any more, to its end.
//! A program that was there before is only read.

mod proc;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, User};

use crate::load::{Memory, Meter};

pub(crate) struct Process {
    source: Source,
    /// Itself and its descendants, when they were last looked for.
    seen: RefCell<Vec<Pid>>,
}

enum Source {
    /// On which cores, as taskset(1) was told.
    Started {
        child: Child,
        cores: Vec<usize>,
        log: PathBuf,
    },
    Attached(Pid),
}

impl Process {
    /// Starts `argv` on `cores` (a list as taskset(1) reads it), its output in `log`. `user`: run as this user instead of
    /// root.
    pub(crate) fn start(
        argv: &[impl AsRef<OsStr>],
        cores: &str,
        user: Option<&str>,
        log: PathBuf,
    ) -> Result<Process> {
        let output = fs::File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        if let Some(user) = user {
            command.args(["--reuid", user, "--regid", &group_of(user), "--clear-groups"]);
        }
        command.args(["taskset", "-c", cores]).args(argv);
        command.process_group(0).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        remove_settings(&mut command);
        let child = command.spawn().context("setpriv and taskset, of util-linux, are needed")?;
        Ok(Process::new(Source::Started { child, cores: proc::parse_list(cores), log }))
    }

    /// A program that runs already, and will go on.
    pub(crate) fn attach(pid: i32) -> Result<Process> {
        let pid = Pid::from_raw(pid);
        ensure!(is_running(pid), "there is no process {pid}");
        Ok(Process::new(Source::Attached(pid)))
    }

    fn new(source: Source) -> Process {
        Process { source, seen: RefCell::default() }
    }

    /// Lets it run no more for now, so that whose turn it is has the core alone. What runs elsewhere already goes on.
    pub(crate) fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it run again.
    pub(crate) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// To it and all in its process group, whoever of them is left.
    fn signal(&self, signal: Signal) {
        if let Source::Started { .. } = self.source {
            let _ = killpg(self.pid(), signal);
        }
    }

    /// Puts whoever pinned himself elsewhere when he started back on the cores that he was given.
    pub(crate) fn return_to_its_cores(&self) {
        let Source::Started { cores, .. } = &self.source else { return };
        self.family().into_iter().for_each(|pid| proc::pin_threads(pid, cores));
    }

    /// Who gives its threads other cores than it was given has an easier life than the others.
    ///
    /// # Errors
    /// If one of its threads may run elsewhere.
    pub(crate) fn stays_on_its_cores(&self) -> Result<()> {
        let Source::Started { cores, .. } = &self.source else { return Ok(()) };
        let strays = |core: &usize| !cores.contains(core);
        let stray =
            self.family().into_iter().find(|pid| proc::cores_of_threads(*pid).iter().any(strays));
        ensure!(stray.is_none(), "a thread of it has given itself other cores than {cores:?}");
        Ok(())
    }

    /// Waits until it has worked off the connections that were closed, for half a second at most.
    pub(crate) fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_millis(500);
        let mut before = self.cpu()?;
        while Instant::now() < deadline {
            sleep(Duration::from_millis(5));
            let now = self.cpu()?;
            if now.saturating_sub(before) < Duration::from_micros(100) {
                break;
            }
            before = now;
        }
        Ok(())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        match &mut self.source {
            Source::Started { child, .. } => !matches!(child.try_wait(), Ok(None)),
            Source::Attached(pid) => !is_running(*pid),
        }
    }

    /// The end of its output, for an error message.
    pub(crate) fn last_words(&self) -> String {
        let Source::Started { log, .. } = &self.source else { return String::new() };
        let text = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.iter().rev().map(|line| format!("\n    {line}")).collect()
    }

    fn pid(&self) -> Pid {
        match &self.source {
            Source::Started { child, .. } => Pid::from_raw(child.id() as i32),
            Source::Attached(pid) => *pid,
        }
    }

    /// Itself and its descendants.
    fn family(&self) -> Vec<Pid> {
        let mut pids = vec![self.pid()];
        let mut next = 0;
        while next < pids.len() {
            pids.extend(proc::children(pids[next]));
            next += 1;
        }
        pids
    }

    /// The same, and that nothing which one of those seen before has used went uncounted.
    fn whole_family(&self) -> Result<Vec<Pid>> {
        let mut family = self.family();
        let (mut has_lost, before) = (false, self.seen.take());
        for pid in before {
            if family.contains(&pid) {
                continue;
            }
            match proc::stat(pid).filter(|stat| !stat.has_ended) {
                None => has_lost = true,
                // While one of several children ends, the kernel's list may lack another.
                Some(stat) if family.contains(&stat.parent) => family.push(pid),
                Some(_) => bail!(
                    "process {pid} has lost its parent, and nobody is told what it uses: whoever starts a process must stay"
                ),
            }
        }
        let ignores = |pid: &&Pid| proc::ignores(**pid, Signal::SIGCHLD);
        if has_lost && let Some(pid) = family.iter().find(ignores) {
            bail!(
                "its processes came and went uncounted: process {pid} ignores SIGCHLD, and nobody is told what its children \
                 used; it must wait for them"
            );
        }
        self.seen.replace(family.clone());
        Ok(family)
    }
}

impl Meter for Process {
    /// Exact of everybody alive; of children that ended in steps of 10 ms, by what their parents were told.
    fn cpu(&self) -> Result<Duration> {
        let main = self.pid();
        ensure!(is_running(main), "process {main} is gone: it must stay in the foreground");
        let mut sum = Duration::ZERO;
        // Children before parents: one that ends meanwhile is found with its parent.
        for pid in self.whole_family()?.into_iter().rev() {
            let waited_for = proc::stat(pid).map(|stat| stat.waited_for);
            sum += proc::cpu(pid).unwrap_or_default() + waited_for.unwrap_or_default();
        }
        Ok(sum)
    }

    fn switches(&self) -> Result<u64> {
        Ok(self.family().into_iter().map(proc::switches).sum())
    }

    fn memory(&self) -> Result<Memory> {
        let mut sum = Memory::default();
        for pid in self.family() {
            let Some(Memory { resident, private_dirty }) = proc::memory(pid) else {
                // A child that has ended meanwhile holds nothing.
                ensure!(pid != self.pid(), "the memory of process {pid} can't be read");
                continue;
            };
            sum.resident += resident;
            sum.private_dirty += private_dirty;
        }
        Ok(sum)
    }

    fn cores(&self) -> Result<Vec<usize>> {
        proc::cores(self.pid()).with_context(|| format!("process {} is gone", self.pid()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.source, Source::Attached(_)) {
            return;
        }
        // A child that has been waited for no longer owns its process id.
        if !self.has_ended() {
            let _ = kill(self.pid(), Signal::SIGTERM);
            self.resume();
            let deadline = Instant::now() + Duration::from_secs(2);
            while !self.has_ended() && Instant::now() < deadline {
                sleep(Duration::from_millis(5));
            }
        }
        // Those who were slower to leave, and children whom their parent left behind: while one of them lives, no stranger's
        // group can have this number.
        self.signal(Signal::SIGKILL);
        if let Source::Started { child, .. } = &mut self.source {
            let _ = child.wait();
        }
    }
}

/// A number of no user's is a group of its own.
fn group_of(user: &str) -> String {
    let known = User::from_name(user).ok().flatten();
    known.map_or(user.to_owned(), |user| user.gid.to_string())
}

/// What is meant for the user's own Penstock, such as PENSTOCK_MASK, would change the one that is measured.
fn remove_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PENSTOCK_") {
            command.env_remove(name);
        }
    }
}

/// Of this program itself.
pub(crate) fn ignores_hangups() -> bool {
    proc::ignores(Pid::this(), Signal::SIGHUP)
}

fn is_running(pid: Pid) -> bool {
    proc::stat(pid).is_some_and(|stat| !stat.has_ended)
}
