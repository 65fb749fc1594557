//! What the kernel says about a process: descriptors, private memory, processor time.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// What its open descriptors stand for.
///
/// # Panics
/// When the process is gone.
pub fn descriptors(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("a live process");
    // One that was closed a moment ago has no name any more.
    entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect()
}

/// Whether somebody listens on that port, found out without a connection that the listener would notice.
///
/// # Panics
/// When it isn't of IPv4, or there is no network.
pub fn listens(address: SocketAddr) -> bool {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is not of IPv4") };
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let table = fs::read_to_string("/proc/net/tcp").expect("a network");
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Local address and state: 0A is LISTEN.
        fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&"0A")
    })
}

/// Connections to that address that stand, whoever's they are.
///
/// # Panics
/// When it isn't of IPv4, or there is no network.
pub fn connections_to(address: SocketAddr) -> usize {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is not of IPv4") };
    let remote = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let table = fs::read_to_string("/proc/net/tcp").expect("a network");
    let stands = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Remote address and state: 01 is ESTABLISHED.
        fields.get(2) == Some(&remote.as_str()) && fields.get(3) == Some(&"01")
    };
    table.lines().filter(stands).count()
}

/// Bytes of memory that the process alone has written: what it costs.
///
/// # Panics
/// When the process is gone.
pub fn private_dirty(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a live process");
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("Private_Dirty in KiB") * 1024
}

/// The live threads of a process, by name, each with the processors that it may use.
///
/// # Panics
/// When the process is gone.
pub fn threads(pid: u32) -> Vec<(String, CpuSet)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a live process");
    let thread = |task: PathBuf| {
        let name = fs::read_to_string(task.join("comm")).ok()?.trim_end().to_owned();
        let id = task.file_name()?.to_str()?.parse().ok()?;
        Some((name, sched_getaffinity(Pid::from_raw(id)).ok()?))
    };
    tasks.filter_map(|task| thread(task.ok()?.path())).collect()
}

/// Processor time of all its live threads, exact to the nanosecond.
///
/// # Panics
/// When the process is gone.
pub fn cpu(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a live process");
    let nanoseconds = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Bytes that the kernel holds for the TCP sockets of this network, whoever's they are.
///
/// # Panics
/// When the kernel tells it in another form.
pub fn tcp_memory() -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").expect("a network");
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"));
    let pages = line.and_then(|rest| rest.split_once("mem ")?.1.trim().parse::<u64>().ok());
    pages.expect("pages of TCP memory") * 4096
}
