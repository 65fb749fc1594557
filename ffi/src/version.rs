//! What the library is.

use std::ffi::{CStr, c_char};

use penstock_core::ring::{Driver, Mask};

use crate::edge::contain;
use crate::signals::HeldBack;
use crate::start::probe_elsewhere;

/// Of this header. penstock_abi_version() is that of the library.
pub const PENSTOCK_ABI_VERSION: u32 = 1;

/// For timers that are never to fire, whatever the terms say.
pub const PENSTOCK_NEVER: u64 = u64::MAX;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a version has no NUL"),
    };

/// What a library can do here, as bits of penstock_features().
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum penstock_feature {
    /// The kernel lets us use io_uring.
    Uring = 1,
    /// epoll, which is always there.
    Epoll = 2,
    /// TLS with either side.
    Tls = 4,
    /// WebSocket with clients.
    WebSocket = 8,
    /// VNC logins, VeNCrypt among them.
    Vnc = 16,
    /// TLS in the kernel: not in this version.
    KernelTls = 32,
}

/// The version of the library, such as `0.1.0`. The text lives for ever.
///
/// Threads: any. Never fails.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The ABI version of the library. A program that was compiled with another PENSTOCK_ABI_VERSION must not use it.
///
/// Threads: any. Never fails.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_abi_version() -> u32 {
    PENSTOCK_ABI_VERSION
}

/// What the library can do here and now: bits of penstock_feature. Looks whether the kernel lets this process use io_uring, which takes some
/// microseconds.
///
/// Threads: any. Never fails.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_features() -> u32 {
    use penstock_feature::{Epoll, Tls, Uring, Vnc, WebSocket};
    contain(|| {
        // The probe's thread has the signals of whoever starts it.
        let _held_back = HeldBack::all();
        let has_uring = probe_elsewhere(Some(Driver::Uring), Mask::default()).is_ok();
        let always = [Epoll, Tls, WebSocket, Vnc];
        let features = always.into_iter().chain(has_uring.then_some(Uring));
        features.fold(0, |bits, feature| bits | feature as u32)
    })
}
