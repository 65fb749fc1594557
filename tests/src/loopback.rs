//! Addresses that no other test uses, so that every server can have the port it likes.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering::Relaxed};

/// A fresh address in 127.0.0.0/8: two bytes from the process id, one from a counter.
///
/// # Panics
/// When one test process asks for more than 254.
pub fn address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let n = NEXT.fetch_update(Relaxed, Relaxed, |n| n.checked_add(1)).expect("254 addresses");
    let pid = std::process::id();
    // 127.0.x.y is left to those who think that loopback is one address.
    Ipv4Addr::new(127, 1 + (pid >> 8) as u8 % 255, pid as u8, n)
}

/// A fresh port of ::1, which has no siblings to choose from, and is free: one by the process id, below those that the kernel gives to
/// whoever asks for any.
///
/// # Panics
/// When the host has no IPv6 loopback, or one test process asks for more than 16.
pub fn port_v6() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 1250) as u16 * 16;
    let is_free = |port: &u16| TcpListener::bind((Ipv6Addr::LOCALHOST, *port)).is_ok();
    let mut fresh = (0..16).map(|_| NEXT.fetch_add(1, Relaxed)).take_while(|n| *n < 16);
    fresh.find_map(|n| Some(first + n).filter(is_free)).expect("a free port of an IPv6 loopback")
}
