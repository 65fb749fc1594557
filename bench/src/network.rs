//! The network that a run has to itself: a namespace in which ports, TIME_WAIT and settings are its own, so that the
//! machine's stay untouched.
//!
//! Enters: whether the machine's network must do. Leaves: the network in which this thread, and all that it starts from
//! now on, lives, and what is set in it. Where the kernel grants no namespace, the run takes place in the machine's
//! network, and its record says so.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use nix::unistd::{getegid, geteuid};

use crate::record::Network;

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// A namespace of the run's own, if the kernel grants one
    Own,
    /// The machine's
    Host,
}

/// Moves into a network of its own, unless there is a reason against it. While this is the only thread.
///
/// # Errors
/// If the new network can't be made ready.
pub(crate) fn enter(against: Option<String>) -> Result<Network> {
    if against.is_some() {
        return Ok(describe(against));
    }
    match unshare_network() {
        Err(error) => Ok(describe(Some(format!("the kernel grants no other ({error})")))),
        Ok(()) => {
            make_ready().context("in the new network (--network=host does without)")?;
            Ok(describe(None))
        }
    }
}

/// What is set in the network of this thread.
pub(crate) fn describe(machines: Option<String>) -> Network {
    let entry = |name: &&str| Some(((*name).to_owned(), read(name)?));
    Network {
        machines,
        congestion_control: read(CONGESTION_CONTROL).unwrap_or_else(|| "unknown".into()),
        settings: SHOWN.iter().filter_map(entry).collect(),
    }
}

const CONGESTION_CONTROL: &str = "ipv4.tcp_congestion_control";
/// Those that don't pace, in the order in which they are tried: BBR paces even on loopback, and whoever is slower is slowed down by half,
/// now and then.
const UNPACED: [&str; 2] = ["cubic", "reno"];
/// What else decides how much goes through and how many tunnels fit. All but the memory of sockets, which is the
/// machine's, and the delay of reuse is the kernel's default in a new namespace: 28,232 ports towards each address, enough
/// for 5,000 tunnels.
const SHOWN: &[&str] = &[
    "ipv4.tcp_rmem",
    "ipv4.tcp_wmem",
    "ipv4.ip_local_port_range",
    "ipv4.tcp_tw_reuse",
    REUSE_DELAY,
    "core.somaxconn",
];
/// Milliseconds until a port in TIME_WAIT may be used again (Linux 6.14; a second by default). At 10,000 connections per
/// second to one origin, all ports are in TIME_WAIT after three seconds; looking for a free one then costs whoever
/// connects, by chance, between a tenth and a quarter of all its work.
const REUSE_DELAY: &str = "ipv4.tcp_tw_reuse_delay";

/// Who is not root takes a namespace of users as well, in which he remains who he is.
fn unshare_network() -> Result<()> {
    if geteuid().is_root() {
        return Ok(unshare(CloneFlags::CLONE_NEWNET)?);
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    // Without this, user_namespaces(7) forbids the map of groups.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    Ok(fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?)
}

fn make_ready() -> Result<()> {
    raise_loopback()?;
    // A kernel that allows neither keeps its own: the record tells which.
    let _ = UNPACED.iter().find(|name| fs::write(path(CONGESTION_CONTROL), name).is_ok());
    let _ = fs::write(path(REUSE_DELAY), "1");
    Ok(())
}

/// By rtnetlink(7), since ip(8) would not have our rights unless we are root.
fn raise_loopback() -> Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    send(socket.as_raw_fd(), &raise_request(), MsgFlags::empty())?;
    let mut reply = [0; 1024];
    let len = recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty())?;
    // Behind the header of 16 bytes, the negative error, or zero.
    let code = reply[..len].get(16..20).and_then(|code| code.try_into().ok());
    let code = i32::from_ne_bytes(code.context("a short answer")?);
    ensure!(code == 0, "loopback: {}", Errno::from_raw(-code));
    Ok(())
}

/// RTM_NEWLINK: struct nlmsghdr and struct ifinfomsg.
fn raise_request() -> Vec<u8> {
    let up = libc::IFF_UP as u32;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    // In a new namespace the loopback is the first interface.
    let (sequence, port, family_and_type, index) = (1u32, 0u32, 0u32, 1u32);
    [
        32u32.to_ne_bytes().as_slice(),
        &libc::RTM_NEWLINK.to_ne_bytes(),
        &flags.to_ne_bytes(),
        &[sequence, port, family_and_type, index, up, up].map(u32::to_ne_bytes).concat(),
    ]
    .concat()
}

/// proc_sys(5) shows each thread its own network.
fn path(name: &str) -> impl AsRef<Path> {
    format!("/proc/sys/net/{}", name.replace('.', "/"))
}

fn read(name: &str) -> Option<String> {
    let text = fs::read_to_string(path(name)).ok()?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}
