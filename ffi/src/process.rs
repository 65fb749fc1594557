//! Which process this is, by a number that a forked child does not share, whatever its id: in PID namespaces of their own, parent and child may
//! both be process 1.
//!
//! ```text
//!  fork 10 | id 22
//! ```
//!
//! It stands in a page that the kernel empties in children (MADV_WIPEONFORK); where there is no such page, the id alone has to do.

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Processes have no greater id (`PID_MAX_LIMIT`).
const ID_BITS: u32 = 22;
const ID_MASK: u32 = (1 << ID_BITS) - 1;
const FORKS_MASK: u32 = (1 << (u32::BITS - ID_BITS)) - 1;

/// Processes that have asked which they are: this one, and those that it was forked from.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The number of this process. Takes no lock: a thread of the parent may have held it.
pub(crate) fn current() -> u32 {
    let Some(page) = page() else { return std::process::id() };
    match page.load(Relaxed) {
        0 => {
            let fork = FORKS.fetch_add(1, Relaxed) & FORKS_MASK;
            let number = fork << ID_BITS | std::process::id() & ID_MASK;
            page.compare_exchange(0, number, Relaxed, Relaxed)
                .map_or_else(|faster| faster, |_| number)
        }
        number => number,
    }
}

/// The id of the process of that number, if this one was forked from it.
pub(crate) fn forked_from(number: u32) -> Option<u32> {
    let ours = current();
    let is_earlier = page().is_none() || number >> ID_BITS < ours >> ID_BITS;
    let id = number & ID_MASK;
    (id != 0 && number != ours && is_earlier).then_some(id)
}

/// Where the number of the process is; 0: it has none yet.
fn page() -> Option<&'static AtomicU32> {
    static PAGE: OnceLock<Option<usize>> = OnceLock::new();
    let address = (*PAGE.get_or_init(made))?;
    // SAFETY: the page was mapped for this, holds zeros or such a number, and is never unmapped.
    Some(unsafe { &*ptr::with_exposed_provenance(address) })
}

fn made() -> Option<usize> {
    const SIZE: usize = 4096;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, wherever the kernel likes: nobody else has that memory.
    let page = unsafe { libc::mmap(ptr::null_mut(), SIZE, access, kind, -1, 0) };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the mapping from above, which nobody uses yet.
    if unsafe { libc::madvise(page, SIZE, libc::MADV_WIPEONFORK) } != 0 {
        return None;
    }
    Some(page.expose_provenance())
}
