//! Memory of the heap that a busy moment left behind goes back to the system.
//!
//! mimalloc looks for what its owner has freed while it serves that thread, and nothing is asked of it once all tunnels are silent:
//! what a herd's handshakes took, some kilobytes of each, would stay for as long as the silence.

use std::hint::black_box;

/// More than any system has.
const IMPOSSIBLE: usize = 1 << 62;

/// Has mimalloc give back all that it can, of this thread's. It does so before it says that there is no memory; the function that
/// does no more than that is unsafe to call.
pub(crate) fn settle() {
    let mut nothing = Vec::<u8>::new();
    let _ = black_box(&mut nothing).try_reserve_exact(IMPOSSIBLE);
    black_box(nothing);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_a_thread_has_freed_goes_back() {
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
            let pages = text.split(' ').nth(1).expect("the second number");
            pages.parse::<usize>().expect("a number") * 4
        };
        let before = resident();
        let blocks: Vec<Box<[u8]>> = (0..64 << 10).map(|_| vec![1; 1000].into()).collect();
        assert!(resident() > before + (60 << 10), "64 MiB were written");
        drop(blocks);
        settle();
        let left = resident().saturating_sub(before);
        assert!(left < 8 << 10, "{left} KiB are left");
    }
}
