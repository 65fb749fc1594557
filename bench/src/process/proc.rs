//! What /proc and the CPU clocks tell of one process. Whoever has ended tells nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::load::Memory;

/// Of proc_pid_stat(5).
pub(super) struct Stat {
    pub(super) parent: Pid,
    /// It has, but nobody has waited for it yet.
    pub(super) has_ended: bool,
    /// CPU of the children that it has waited for, and of theirs; in steps of 10 ms.
    pub(super) waited_for: Duration,
}

pub(super) fn stat(pid: Pid) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in parentheses may hold anything.
fn parse_stat(text: &str) -> Option<Stat> {
    let words: Vec<&str> = text.rsplit_once(") ")?.1.split_whitespace().collect();
    let [state, parent] = words.first_chunk()?;
    let ticks = words.get(13..15)?.iter().filter_map(|word| word.parse::<u64>().ok());
    Some(Stat {
        parent: Pid::from_raw(parent.parse().ok()?),
        has_ended: ["Z", "X"].contains(state),
        waited_for: Duration::from_millis(10 * ticks.sum::<u64>()),
    })
}

/// Its own, as the scheduler counts it (ns), with threads that have ended.
pub(super) fn cpu(pid: Pid) -> Option<Duration> {
    Some(clock_gettime(clock_getcpuclockid(pid).ok()?).ok()?.into())
}

/// Voluntary ones of threads alive.
pub(super) fn switches(pid: Pid) -> u64 {
    let of_thread = |thread: PathBuf| {
        let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
        field(&status, "voluntary_ctxt_switches:")
    };
    threads(pid).map(of_thread).sum()
}

pub(super) fn memory(pid: Pid) -> Option<Memory> {
    Some(parse_rollup(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?))
}

/// proc_pid_smaps(5).
fn parse_rollup(text: &str) -> Memory {
    let bytes = |name| field(text, name) * 1024;
    Memory { resident: bytes("Rss:"), private_dirty: bytes("Private_Dirty:") }
}

/// The cores that it may run on.
pub(super) fn cores(pid: Pid) -> Option<Vec<usize>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(parse_list(word(&status, "Cpus_allowed_list:")))
}

/// Those that any of its threads may run on.
pub(super) fn cores_of_threads(pid: Pid) -> Vec<usize> {
    let of_thread = |thread: PathBuf| {
        let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
        parse_list(word(&status, "Cpus_allowed_list:"))
    };
    threads(pid).flat_map(of_thread).collect()
}

/// A thread that has ended meanwhile, or of a user that nobody may touch, stays where it is.
pub(super) fn pin_threads(pid: Pid, cores: &[usize]) {
    let mut set = CpuSet::new();
    if cores.iter().any(|core| set.set(*core).is_err()) {
        return;
    }
    for thread in threads(pid) {
        let id = thread.file_name().and_then(|name| name.to_str()?.parse().ok());
        let _ = id.map(|id| sched_setaffinity(Pid::from_raw(id), &set));
    }
}

/// Of a list such as 0-2,5.
pub(super) fn parse_list(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

pub(super) fn ignores(pid: Pid, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ignored = u64::from_str_radix(word(&status, "SigIgn:"), 16).unwrap_or(0);
    ignored & (1 << (signal as i32 - 1)) != 0
}

pub(super) fn children(pid: Pid) -> Vec<Pid> {
    threads(pid).flat_map(|thread| children_of_thread(&thread)).collect()
}

fn children_of_thread(thread: &Path) -> Vec<Pid> {
    let list = fs::read_to_string(thread.join("children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

fn threads(pid: Pid) -> impl Iterator<Item = PathBuf> {
    let folder = fs::read_dir(format!("/proc/{pid}/task"));
    folder.into_iter().flatten().flatten().map(|thread| thread.path())
}

fn field(text: &str, name: &str) -> u64 {
    word(text, name).parse().unwrap_or(0)
}

/// The first behind a name at the beginning of a line.
fn word<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollup_is_read_in_bytes() {
        let text = "55d0-7ffd ---p 00000000 00:00 0  [rollup]\nRss:            1024 kB\nPss_Dirty:       7 kB\nPrivate_Clean:   3 kB\nPrivate_Dirty:  12 kB\n";
        assert_eq!(parse_rollup(text), Memory { resident: 1 << 20, private_dirty: 12 << 10 });
        assert_eq!(parse_rollup(""), Memory::default());
    }

    #[test]
    fn a_list_of_cores_is_read() {
        assert_eq!(parse_list("0-2,5,7-8"), [0, 1, 2, 5, 7, 8]);
    }

    #[test]
    fn whatever_a_process_is_called_its_numbers_are_found() {
        let stat = |name: &str, state| {
            parse_stat(&format!(
                "17 ({name}) {state} 5 17 17 0 -1 4194560 90 80 0 0 1 2 30 4 20 0 1 0 99 0 0"
            ))
        };
        let odd = stat("a) Z 1 (b", 'S').unwrap();
        assert_eq!((odd.parent, odd.has_ended), (Pid::from_raw(5), false));
        assert_eq!(odd.waited_for, Duration::from_millis(340));
        assert!(stat("sh", 'Z').unwrap().has_ended);
        assert!(parse_stat("").is_none());
        assert!(parse_stat("17 (sh) S 5").is_none());
    }
}
