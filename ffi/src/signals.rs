//! Signals of the host's process: the engine's threads take none, and no thread of the host's dies of ours.

use std::ptr;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// The calling thread takes no signals as long as this lives, nor do threads that it starts, ever.
pub(crate) struct HeldBack(SigSet);

impl HeldBack {
    /// Holds all of them back.
    pub(crate) fn all() -> HeldBack {
        HeldBack(SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).unwrap_or(SigSet::empty()))
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        let _ = self.0.thread_set_mask();
    }
}

/// Does what may raise SIGPIPE (splice(2) to a socket whose other end is gone) on a thread of the host's, which never hears of it.
pub(crate) fn without_sigpipe<T>(work: impl FnOnce() -> T) -> T {
    let _blocked = SigpipeBlocked::begin();
    work()
}

/// Blocked as long as this lives; what came meanwhile is taken off the thread.
struct SigpipeBlocked {
    pipe: SigSet,
    was_blocked: bool,
}

impl SigpipeBlocked {
    fn begin() -> SigpipeBlocked {
        let pipe: SigSet = [Signal::SIGPIPE].into_iter().collect();
        let before = pipe.thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let was_blocked = before.is_ok_and(|set| set.contains(Signal::SIGPIPE));
        SigpipeBlocked { pipe, was_blocked }
    }
}

impl Drop for SigpipeBlocked {
    fn drop(&mut self) {
        if !self.was_blocked {
            take_pending(&self.pipe);
            let _ = self.pipe.thread_unblock();
        }
    }
}

fn take_pending(set: &SigSet) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both structures are ours and live until the call returns; nothing is written, since no information is asked for.
    while unsafe { libc::sigtimedwait(set.as_ref(), ptr::null_mut(), &now) } > 0 {}
}
