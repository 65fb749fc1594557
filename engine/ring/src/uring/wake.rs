//! Waking a worker from other threads: a message into its ring, or an eventfd that the ring polls.
//!
//! Many wake-ups between two turns cost one system call. Waking outlives the worker: then it does nothing.

use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::system;
use super::tag::Tag;
use crate::op::Wake;

/// What wakes one driver.
pub(super) struct Alarm {
    /// Whether a wake-up is on its way that the driver hasn't seen.
    ringing: AtomicBool,
    way: Way,
}

enum Way {
    /// The ring's descriptor, until the driver is dropped: the number may then be somebody else's.
    Message(Mutex<Option<RawFd>>),
    Event(EventFd),
}

impl Alarm {
    /// By messages to the ring if they are wanted and the kernel can, else by an eventfd.
    ///
    /// # Errors
    /// Of eventfd(2).
    pub(super) fn new(ring: RawFd, by_message: bool) -> Result<Arc<Alarm>, Errno> {
        // The trial message is a wake-up that nobody minds.
        let way = if by_message && system::send_message(ring, Tag::WAKE.encode()).is_ok() {
            Way::Message(Mutex::new(Some(ring)))
        } else {
            Way::Event(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?)
        };
        Ok(Arc::new(Alarm { ringing: AtomicBool::new(false), way }))
    }

    /// What the ring has to poll; none if messages come by themselves.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.way {
            Way::Message(_) => None,
            Way::Event(event) => Some(event.as_fd()),
        }
    }

    /// The driver has noticed. From here on a wake-up rings again, so what other threads left before is seen.
    pub(super) fn heard(&self) {
        if let Way::Event(event) = &self.way {
            // EAGAIN: a wake-up that was heard already.
            let _ = event.read();
        }
        self.ringing.swap(false, AcqRel);
    }

    /// The driver is going.
    pub(super) fn silence(&self) {
        if let Way::Message(ring) = &self.way {
            *ring.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

impl Wake for Alarm {
    fn wake(&self) {
        if self.ringing.swap(true, AcqRel) {
            return;
        }
        match &self.way {
            Way::Message(ring) => {
                let ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(ring) = *ring
                    && system::send_message(ring, Tag::WAKE.encode()).is_err()
                {
                    // No memory for one more completion: the worker has plenty to wake for. The next call tries again.
                    self.ringing.swap(false, AcqRel);
                }
            }
            // EAGAIN would need 2^64 - 1 unheard wake-ups.
            Way::Event(event) => drop(event.write(1)),
        }
    }
}
