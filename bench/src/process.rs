//! One program under measurement: started on cores of its own, what it uses read, and gone when dropped.
//!
//! setpriv(1) asks the kernel to end it when the harness dies in whatever way, taskset(1) pins it; both exec, so that
//! the process id is the program's. It leads a process group: what it starts can be stopped and ended with it, and should the
//! harness die while it is stopped, the kernel sets a group going that nobody can reach any more, to its end.
//! A program that was there before is only read.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, User};

use crate::load::{Memory, Meter};

pub(crate) enum Process {
    Started { child: Child, log: PathBuf },
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
        let child = command.spawn().context("setpriv and taskset, of util-linux, are needed")?;
        Ok(Process::Started { child, log })
    }

    /// A program that runs already, and will go on.
    pub(crate) fn attach(pid: i32) -> Result<Process> {
        ensure!(Path::new(&format!("/proc/{pid}")).exists(), "there is no process {pid}");
        Ok(Process::Attached(Pid::from_raw(pid)))
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
        if let Process::Started { .. } = self {
            let _ = killpg(self.pid(), signal);
        }
    }

    /// Waits until it has worked off the connections that were closed, for half a second at most.
    pub(crate) fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_millis(500);
        let mut before = self.cpu()?;
        while Instant::now() < deadline {
            sleep(Duration::from_millis(5));
            let now = self.cpu()?;
            if now - before < Duration::from_micros(100) {
                break;
            }
            before = now;
        }
        Ok(())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        match self {
            Process::Started { child, .. } => !matches!(child.try_wait(), Ok(None)),
            Process::Attached(pid) => !Path::new(&format!("/proc/{pid}")).exists(),
        }
    }

    /// The end of its output, for an error message.
    pub(crate) fn last_words(&self) -> String {
        let Process::Started { log, .. } = self else { return String::new() };
        let text = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.iter().rev().map(|line| format!("\n    {line}")).collect()
    }

    fn pid(&self) -> Pid {
        match self {
            Process::Started { child, .. } => Pid::from_raw(child.id() as i32),
            Process::Attached(pid) => *pid,
        }
    }

    /// Itself and its descendants.
    fn family(&self) -> Vec<Pid> {
        let mut pids = vec![self.pid()];
        let mut next = 0;
        while next < pids.len() {
            pids.extend(children(pids[next]));
            next += 1;
        }
        pids
    }
}

impl Meter for Process {
    /// As the scheduler counts it (ns), with threads that have ended.
    fn cpu(&self) -> Result<Duration> {
        let mut sum = Duration::ZERO;
        for pid in self.family() {
            sum += cpu_of(pid)
                .with_context(|| format!("process {pid} is gone{}", self.last_words()))?;
        }
        Ok(sum)
    }

    fn switches(&self) -> Result<u64> {
        Ok(self.family().into_iter().map(switches_of).sum())
    }

    fn memory(&self) -> Result<Memory> {
        let mut sum = Memory::default();
        for pid in self.family() {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = match fs::read_to_string(&path) {
                // A child that has ended meanwhile holds nothing.
                Err(_) if pid != self.pid() => continue,
                text => text.with_context(|| path)?,
            };
            let Memory { resident, private_dirty } = parse_rollup(&text);
            sum.resident += resident;
            sum.private_dirty += private_dirty;
        }
        Ok(sum)
    }

    fn cores(&self) -> Result<Vec<usize>> {
        let path = format!("/proc/{}/status", self.pid());
        let text = fs::read_to_string(&path).context(path)?;
        let list = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Ok(parse_list(list.unwrap_or_default()))
    }
}

/// Of a list such as 0-2,5; proc_pid_status(5).
fn parse_list(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self, Process::Attached(_)) {
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
        if let Process::Started { child, .. } = self {
            let _ = child.wait();
        }
    }
}

/// A number of no user's is a group of its own.
fn group_of(user: &str) -> String {
    let known = User::from_name(user).ok().flatten();
    known.map_or(user.to_owned(), |user| user.gid.to_string())
}

fn cpu_of(pid: Pid) -> Result<Duration> {
    Ok(clock_gettime(clock_getcpuclockid(pid)?)?.into())
}

/// Of threads alive; one that ends meanwhile counts nothing.
fn switches_of(pid: Pid) -> u64 {
    let of_thread = |thread: PathBuf| {
        let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
        field(&status, "voluntary_ctxt_switches:")
    };
    threads(pid).map(of_thread).sum()
}

/// proc_pid_smaps(5); a process that has ended reads as nothing.
fn parse_rollup(text: &str) -> Memory {
    let bytes = |name| field(text, name) * 1024;
    Memory { resident: bytes("Rss:"), private_dirty: bytes("Private_Dirty:") }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn threads(pid: Pid) -> impl Iterator<Item = PathBuf> {
    let folder = fs::read_dir(format!("/proc/{pid}/task"));
    folder.into_iter().flatten().flatten().map(|thread| thread.path())
}

fn children(pid: Pid) -> Vec<Pid> {
    threads(pid).flat_map(|thread| children_of_thread(&thread)).collect()
}

fn children_of_thread(thread: &Path) -> Vec<Pid> {
    let list = fs::read_to_string(thread.join("children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> (Process, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let process =
            Process::start(&["sh", "-c", script], "0", None, folder.path().join("log")).unwrap();
        (process, folder)
    }

    fn wait_until(mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !done() {
            assert!(Instant::now() < deadline, "it never came");
            sleep(Duration::from_millis(5));
        }
    }

    /// First field of schedstat, over all threads alive: the same clock, seen another way.
    fn schedstat(pid: Pid) -> Duration {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let nanos = threads.map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap();
            text.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        Duration::from_nanos(nanos.sum())
    }

    #[test]
    fn cpu_counts_children_and_agrees_with_schedstat() {
        let (process, _folder) =
            start("(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exec sleep 60) & wait");
        wait_until(|| process.family().len() == 2);
        let worker = process.family()[1];
        wait_until(|| fs::read_to_string(format!("/proc/{worker}/comm")).unwrap() == "sleep\n");
        let cpu = process.cpu().unwrap();
        assert!(cpu > Duration::from_millis(20), "a loop of 200,000 rounds took {cpu:?}");
        let seen: Duration = process.family().into_iter().map(schedstat).sum();
        assert!(cpu.abs_diff(seen) < Duration::from_millis(5), "{cpu:?} against {seen:?}");
    }

    #[test]
    fn dropping_ends_children_left_behind() {
        let (process, _folder) = start("trap '' TERM; sleep 60 & trap 'exit 0' TERM; wait");
        wait_until(|| process.family().len() == 2);
        let child = process.family()[1];
        wait_until(|| fs::read_to_string(format!("/proc/{child}/comm")).unwrap() == "sleep\n");
        drop(process);
        wait_until(|| !Path::new(&format!("/proc/{child}")).exists());
    }

    #[test]
    fn dropping_ends_even_who_ignores_the_request() {
        let (process, _folder) = start("trap '' TERM; while :; do sleep 60; done");
        wait_until(|| process.family().len() == 2);
        let pids = process.family();
        drop(process);
        wait_until(|| pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    }

    #[test]
    fn memory_and_switches_are_those_of_the_whole_family() {
        // A child that holds 8 MiB of its own and sleeps again and again.
        let script =
            "(x=$(head -c 8388608 /dev/zero | tr '\\0' x); while :; do sleep 0.01; done) & wait";
        let (process, _folder) = start(script);
        wait_until(|| process.memory().is_ok_and(|m| m.private_dirty > 8 << 20));
        let memory = process.memory().unwrap();
        assert!(memory.resident >= memory.private_dirty, "{memory:?}");
        assert!(memory.resident < 100 << 20, "{memory:?}");
        let before = process.switches().unwrap();
        wait_until(|| process.switches().unwrap() > before + 5);
    }

    #[test]
    fn a_rollup_is_read_in_bytes() {
        let text = "55d0-7ffd ---p 00000000 00:00 0  [rollup]\nRss:            1024 kB\nPss_Dirty:       7 kB\nPrivate_Clean:   3 kB\nPrivate_Dirty:  12 kB\n";
        assert_eq!(parse_rollup(text), Memory { resident: 1 << 20, private_dirty: 12 << 10 });
        assert_eq!(parse_rollup(""), Memory::default());
    }

    #[test]
    fn who_is_paused_uses_no_cpu() {
        let (process, _folder) = start("(while :; do :; done) & while :; do :; done");
        wait_until(|| process.family().len() == 2);
        process.pause();
        sleep(Duration::from_millis(20));
        let before = process.cpu().unwrap();
        sleep(Duration::from_millis(50));
        assert_eq!(process.cpu().unwrap(), before);
        process.resume();
        wait_until(|| process.cpu().unwrap() > before);
        process.pause();
        let pids = process.family();
        drop(process);
        wait_until(|| pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    }

    #[test]
    fn it_runs_on_its_cores() {
        let (process, _folder) = start("sleep 60");
        wait_until(|| process.cores().unwrap() == [0]);
        assert_eq!(parse_list("\t0-2,5,7-8"), [0, 1, 2, 5, 7, 8]);
    }

    #[test]
    fn who_was_there_before_lives_on() {
        let (process, _folder) = start("sleep 60");
        let attached = Process::attach(process.pid().as_raw()).unwrap();
        assert!(attached.cpu().is_ok());
        drop(attached);
        assert!(process.cpu().is_ok());
        assert!(Process::attach(i32::MAX).is_err());
    }
}
