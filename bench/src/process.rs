//! One program under measurement: started on a core of its own, its CPU read, and gone when dropped.
//!
//! setpriv(1) asks the kernel to end it when the harness dies in whatever way, taskset(1) pins it; both exec, so that
//! the process id is the program's.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `argv` on `core`, its output in `log`. `user`: run as this user instead of root.
    pub(crate) fn start(
        argv: &[impl AsRef<OsStr>],
        core: usize,
        user: Option<&str>,
        log: PathBuf,
    ) -> Result<Process> {
        let output = fs::File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        if let Some(user) = user {
            command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
        }
        command.arg("taskset").arg("-c").arg(core.to_string()).args(argv);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().context("setpriv and taskset, of util-linux, are needed")?;
        Ok(Process { child, log })
    }

    /// CPU time used so far by all its processes, with threads that have ended, as the scheduler counts it (ns).
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut sum = Duration::ZERO;
        for pid in self.family() {
            sum += cpu_of(pid)
                .with_context(|| format!("process {pid} is gone{}", self.last_words()))?;
        }
        Ok(sum)
    }

    /// Waits until it has worked off the connections that were closed, for half a second at most.
    pub(crate) fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_millis(500);
        let mut before = self.cpu()?;
        while Instant::now() < deadline {
            sleep(Duration::from_millis(10));
            let now = self.cpu()?;
            if now - before < Duration::from_micros(200) {
                break;
            }
            before = now;
        }
        Ok(())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of its output, for an error message.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.iter().rev().map(|line| format!("\n    {line}")).collect()
    }

    /// Itself and its descendants.
    fn family(&self) -> Vec<Pid> {
        let mut pids = vec![Pid::from_raw(self.child.id() as i32)];
        let mut next = 0;
        while next < pids.len() {
            pids.extend(children(pids[next]));
            next += 1;
        }
        pids
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A child that has been waited for no longer owns its process id.
        if self.has_ended() {
            return;
        }
        let family = self.family();
        let _ = kill(family[0], Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(2);
        while !self.has_ended() && Instant::now() < deadline {
            sleep(Duration::from_millis(5));
        }
        // Those who were slower to leave, and children whom their parent left behind.
        for pid in family {
            let _ = kill(pid, Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

fn cpu_of(pid: Pid) -> Result<Duration> {
    Ok(clock_gettime(clock_getcpuclockid(pid)?)?.into())
}

fn children(pid: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.flat_map(|thread| children_of_thread(&thread.path())).collect()
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
            Process::start(&["sh", "-c", script], 0, None, folder.path().join("log")).unwrap();
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
}
