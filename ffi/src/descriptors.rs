//! Descriptors of the host's: claimed when a call begins, released when it is refused.

use std::ffi::c_int;
use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd};

use penstock_core::ring::sockets::{Kind, stream_kind};

use crate::edge::{Answer, Refusal};
use crate::status::penstock_status::PENSTOCK_NO_STREAM;

/// Takes a descriptor that is open. Until the call has answered, it must be given to the engine or released.
pub(crate) fn claim(descriptor: c_int, name: &str) -> Answer<OwnedFd> {
    // SAFETY: F_GETFD looks at a number, whatever it is, and changes nothing.
    if descriptor < 0 || unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0 {
        let words = format!("`{name}` is {descriptor}, which is no open descriptor");
        return Err(Refusal::new(PENSTOCK_NO_STREAM, words));
    }
    // SAFETY: it is open, and the host has said that the engine may have it; if the call is refused, `release` undoes this.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Leaves a descriptor to the host, open as it was.
pub(crate) fn release(descriptor: OwnedFd) {
    let _ = descriptor.into_raw_fd();
}

/// Whether it is a terminal.
pub(crate) fn is_terminal(descriptor: &OwnedFd) -> bool {
    stream_kind(descriptor.as_fd()).is_ok_and(|kind| kind == Kind::Plain)
}
