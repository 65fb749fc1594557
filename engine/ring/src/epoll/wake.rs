//! The bell of an epoll driver: an eventfd that other threads ring.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::op::Wake;

/// Shared with every thread that may ring it, so it outlives the driver.
#[derive(Debug)]
pub(super) struct Bell {
    eventfd: EventFd,
    /// Rung and not answered yet: ringing again adds nothing.
    rung: AtomicBool,
}

impl Bell {
    pub(super) fn new() -> Result<Bell, Errno> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Bell { eventfd: EventFd::from_flags(flags)?, rung: AtomicBool::new(false) })
    }

    /// From here on, ringing wakes again. What was done before a ring is seen after the answer to it. The eventfd is
    /// never read: each write is an edge of its own, and 2^64 of them don't happen.
    pub(super) fn answer(&self) {
        self.rung.swap(false, AcqRel);
    }
}

impl Wake for Bell {
    fn wake(&self) {
        if !self.rung.swap(true, AcqRel) {
            // EAGAIN would mean 2^64 rings.
            let _ = self.eventfd.write(1);
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
