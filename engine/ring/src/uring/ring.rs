//! The submission and completion queues: entries in, completions out, one system call between them.
//!
//! It never loses an entry and never looks inside a completion. A full queue is flushed early; what the kernel can't
//! take even then waits in a backlog. It owns what entries point to only while the kernel reads them (`scratch`).

use io_uring::{IoUring, cqueue, squeue};
use nix::errno::Errno;
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use super::scratch::Scratch;
use super::system::{self, Want};
use super::tag::Tag;
use crate::options::{Feature, Mask};
use crate::sockets::errno;
use crate::stats::Stats;

/// Entries of the queues.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) submission: u32,
    pub(super) completion: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes { submission: 1024, completion: 8192 }
    }
}

/// The ring.
pub(super) struct Ring {
    io: IoUring,
    /// Where the kernel finds the ring without a look-up of its descriptor.
    registered: Option<u32>,
    backlog: VecDeque<squeue::Entry>,
    pub(super) scratch: Scratch,
    stats: Arc<Stats>,
}

impl Ring {
    /// # Errors
    /// EPERM (seccomp, or kernel.io_uring_disabled), ENOSYS, EINVAL (older than 6.1), ENOMEM, EMFILE.
    pub(super) fn new(sizes: Sizes, mask: Mask, stats: Arc<Stats>) -> Result<Ring, Errno> {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(sizes.completion).setup_submit_all().setup_single_issuer();
        builder.setup_taskrun_flag();
        match mask.hides(Feature::DeferTaskrun) {
            true => builder.setup_coop_taskrun(),
            false => builder.setup_defer_taskrun(),
        };
        let io = builder.build(sizes.submission).map_err(errno)?;
        // `Scratch` stands on the first, sleeping with a limit on the second, no lost completion on the third.
        let known = io.params();
        if !(known.is_feature_submit_stable()
            && known.is_feature_ext_arg()
            && known.is_feature_nodrop())
        {
            return Err(Errno::ENOSYS);
        }
        let registered = match mask.hides(Feature::RegisteredRing) {
            true => None,
            // Refused means looked up at each call, as without the feature.
            false => system::register_ring(io.as_raw_fd()).ok(),
        };
        Ok(Ring { io, registered, backlog: VecDeque::new(), scratch: Scratch::default(), stats })
    }

    /// Registers a ring of provided buffers.
    ///
    /// # Safety
    /// `base` is page-aligned and valid for `entries` entries until this ring has been dropped.
    ///
    /// # Errors
    /// Of io_uring_register(2).
    pub(super) unsafe fn register_buffers(
        &self,
        base: u64,
        entries: u16,
        group: u16,
    ) -> Result<(), Errno> {
        let submitter = self.io.submitter();
        // SAFETY: the caller's promise.
        unsafe { submitter.register_buf_ring_with_flags(base, entries, group, 0) }.map_err(errno)
    }

    /// The ring's descriptor; messages are sent to it.
    pub(super) fn descriptor(&self) -> RawFd {
        self.io.as_raw_fd()
    }

    /// Adds an entry. It reaches the kernel with the next [`enter`](Self::enter), or earlier if the queue is full.
    pub(super) fn push(&mut self, entry: squeue::Entry, tag: Tag) {
        let entry = entry.user_data(tag.encode());
        if self.backlog.is_empty() && self.try_push(&entry) {
            return;
        }
        self.stats.submission_full.add(1);
        self.backlog.push_back(entry);
        self.call(Want::default());
        self.unload();
    }

    /// Hands everything over, then waits.
    pub(super) fn enter(&mut self, want: Want) {
        // Ends: each turn either shortens the backlog or stops.
        while !self.backlog.is_empty() {
            let before = self.backlog.len();
            self.call(Want::default());
            self.unload();
            if self.backlog.len() == before {
                break;
            }
        }
        self.call(want);
        if self.backlog.is_empty() && self.io.submission().is_empty() {
            self.scratch.reset();
        }
    }

    /// Whether completions are there, or work of the kernel that makes some. Asks nobody.
    pub(super) fn has_news(&mut self) -> bool {
        let submission = self.io.submission();
        let pending = submission.taskrun() || submission.cq_overflow();
        drop(submission);
        pending || !self.io.completion().is_empty()
    }

    /// Moves all completions that are there to the end of `batch`.
    pub(super) fn reap(&mut self, batch: &mut Vec<cqueue::Entry>) {
        batch.extend(self.io.completion());
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: what an entry points to outlives the operation: pooled buffers and queued chunks belong to the leg
        // until its final completion, and `scratch` keeps the rest until the kernel has consumed the entry.
        unsafe { self.io.submission().push(entry) }.is_ok()
    }

    fn unload(&mut self) {
        while let Some(entry) = self.backlog.pop_front() {
            if !self.try_push(&entry) {
                return self.backlog.push_front(entry);
            }
        }
    }

    fn call(&mut self, want: Want) {
        let submission = self.io.submission();
        let count = submission.len() as u32;
        // The kernel keeps what didn't fit, and moves it into the queue during the call.
        if submission.cq_overflow() {
            self.stats.overflow.add(1);
        }
        drop(submission);
        let ring = self.registered.map_or(system::Name::Descriptor(self.io.as_raw_fd()), |index| {
            system::Name::Registered(index)
        });
        match system::enter(ring, count, want) {
            Ok(()) => {}
            // A signal, the time limit, or no memory for now: what was not consumed stays in the queue.
            Err(Errno::EINTR | Errno::ETIME | Errno::EAGAIN | Errno::EBUSY | Errno::ENOMEM) => {}
            // Completions were lost for want of memory: the worker can't know any more what the kernel still holds.
            // Anything else is a bug of ours. Neither leaves anything to go on with.
            Err(errno) => panic!("io_uring_enter: {errno}"),
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // A registered index holds the ring: unless it is given up, closing the descriptor closes nothing.
        if let Some(index) = self.registered {
            system::unregister_ring(self.io.as_raw_fd(), index);
        }
    }
}
