//! Real processes: shells and what they start.

use std::path::Path;

use super::*;

/// Tens of milliseconds of work for a shell.
const WORK: &str = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
/// What /proc counts in.
const TICK: Duration = Duration::from_millis(10);
/// Longer than a core that everybody uses makes a shell wait.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(script: &str) -> (Process, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let process =
        Process::start(&["sh", "-c", script], "0", None, folder.path().join("log")).unwrap();
    (process, folder)
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "it never came");
        sleep(Duration::from_millis(5));
    }
}

fn comm(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
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
    let (process, _folder) = start(&format!("({WORK}; exec sleep 60) & wait"));
    wait_until(|| process.family().len() == 2);
    let worker = process.family()[1];
    wait_until(|| comm(worker) == "sleep\n");
    let cpu = process.cpu().unwrap();
    assert!(cpu > Duration::from_millis(20), "a loop of 200,000 rounds took {cpu:?}");
    let seen: Duration = process.family().into_iter().map(schedstat).sum();
    assert!(cpu.abs_diff(seen) < Duration::from_millis(5), "{cpu:?} against {seen:?}");
}

#[test]
fn children_that_came_and_went_are_charged() {
    let (process, _folder) = start(&format!("sleep 3; ({WORK}); exec sleep 60"));
    let before = process.cpu().unwrap();
    wait_until(|| comm(process.pid()) == "sleep\n" && process.family().len() == 1);
    // Of the shell's own there is next to nothing, and `sleep` has no children.
    let grown = process.cpu().unwrap() - before;
    assert!(grown > 2 * TICK, "a loop of 200,000 rounds took {grown:?}");
}

#[test]
fn a_child_that_ends_is_not_subtracted() {
    let (process, _folder) = start(&format!("({WORK}; exec sleep 3) & wait; exec sleep 60"));
    wait_until(|| process.family().len() == 2);
    let child = process.family()[1];
    wait_until(|| comm(child) == "sleep\n");
    let before = process.cpu().unwrap();
    wait_until(|| process.family().len() == 1);
    let after = process.cpu().unwrap();
    assert!(before > 2 * TICK && before.abs_diff(after) < 2 * TICK, "{before:?}, {after:?}");
}

#[test]
fn a_child_nobody_waits_for_counts_as_long_as_it_is_there() {
    let (process, _folder) = start(&format!("({WORK}) & exec sleep 60"));
    wait_until(|| {
        let child = process.family().get(1).and_then(|child| proc::stat(*child));
        child.is_some_and(|stat| stat.has_ended)
    });
    assert!(process.cpu().unwrap() > 2 * TICK);
}

#[test]
fn children_whose_cpu_nobody_learns_are_an_error() {
    let (process, _folder) = start("sleep 3 & exec env --ignore-signal=CHLD sleep 60");
    wait_until(|| process.family().len() == 2);
    process.cpu().unwrap();
    wait_until(|| process.family().len() == 1);
    let error = process.cpu().unwrap_err().to_string();
    assert!(error.contains("ignores SIGCHLD"), "{error}");
}

#[test]
fn a_child_that_lost_its_parent_is_an_error() {
    let (process, _folder) = start("(sleep 60 & exec sleep 3) & wait; exec sleep 60");
    wait_until(|| process.family().len() == 3);
    process.cpu().unwrap();
    wait_until(|| process.family().len() == 1);
    let error = process.cpu().unwrap_err().to_string();
    assert!(error.contains("lost its parent"), "{error}");
}

#[test]
fn who_ended_has_no_cpu_even_if_nobody_waited_for_it() {
    let (process, _folder) = start("exit");
    wait_until(|| proc::stat(process.pid()).is_some_and(|stat| stat.has_ended));
    let error = process.cpu().unwrap_err().to_string();
    assert!(error.contains("stay in the foreground"), "{error}");
}

#[test]
fn a_parent_that_crashed_leaves_nobody() {
    let (mut process, _folder) = start("sleep 60 & wait");
    wait_until(|| process.family().len() == 2);
    let child = process.family()[1];
    kill(process.pid(), Signal::SIGKILL).unwrap();
    wait_until(|| process.has_ended());
    assert!(is_running(child));
    drop(process);
    wait_until(|| !is_running(child));
}

#[test]
fn dropping_ends_children_left_behind() {
    let (process, _folder) = start("trap '' TERM; sleep 60 & trap 'exit 0' TERM; wait");
    wait_until(|| process.family().len() == 2);
    let child = process.family()[1];
    wait_until(|| comm(child) == "sleep\n");
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
fn who_is_paused_uses_no_cpu() {
    let (process, _folder) = start("(while :; do :; done) & while :; do :; done");
    wait_until(|| process.family().len() == 2);
    process.pause();
    // Who stands still anyway stops when it runs again.
    let is_stopped = |pid: Pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    };
    wait_until(|| process.family().into_iter().all(is_stopped));
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

#[test]
fn who_takes_other_cores_is_told() {
    let (process, _folder) = start("taskset -pc 1 $$ >/dev/null; exec sleep 60");
    wait_until(|| {
        proc::cores(process.pid()) == Some(vec![0]) || process.stays_on_its_cores().is_err()
    });
    wait_until(|| process.stays_on_its_cores().is_err());
    process.return_to_its_cores();
    process.stays_on_its_cores().unwrap();
    let (process, _folder) = start("exec sleep 60");
    wait_until(|| proc::cores(process.pid()) == Some(vec![0]));
    process.stays_on_its_cores().unwrap();
}
