//! The mask of a client's frames: payload and key in, the same memory without the mask out.

use core::ops::Range;

/// So many bytes are changed at a time. They are loaded before any of them is stored, which lets the compiler use whole vectors although
/// source and destination may overlap.
const STEP: usize = 64;

/// Takes the mask off what is at `masked` and puts the result at `to` and behind, which costs the same wherever that is; `to` is `masked.start` or
/// before it. `key` is turned to fit the byte that comes next.
///
/// # Panics
/// If `masked` isn't within `memory`, or `to` is behind its start.
pub fn unmask(memory: &mut [u8], masked: Range<usize>, to: usize, key: &mut [u8; 4]) {
    assert!(to <= masked.start, "unmasking goes forward");
    let (gap, length) = (masked.start - to, masked.len());
    let memory = &mut memory[to..masked.end];
    let steps = length - length % STEP;
    if steps > 0 {
        unmask_steps(&mut memory[..steps + gap], gap, *key);
    }
    for n in steps..length {
        memory[n] = memory[n + gap] ^ key[n % 4];
    }
    key.rotate_left(length % 4);
}

/// Whole steps; what is masked lies `gap` bytes behind where it goes.
fn unmask_steps(memory: &mut [u8], gap: usize, key: [u8; 4]) {
    let mask: [u8; STEP] = core::array::from_fn(|n| key[n % 4]);
    let mut at = 0;
    while let Some(window) = memory.get_mut(at..at + gap + STEP) {
        let mut bytes = [0; STEP];
        bytes.copy_from_slice(&window[gap..]);
        for (byte, mask) in bytes.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        window[..STEP].copy_from_slice(&bytes);
        at += STEP;
    }
}
