//! The one source of chance: the same seed makes the same run, on every machine.

use std::time::Duration;

/// SplitMix64: tiny, and good enough to choose by.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// The finishing step of SplitMix64, which turns a counter into noise.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// A generator of its own for `seed`.
    pub fn new(seed: u64) -> Random {
        Random(mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)))
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`, which isn't zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent as usize
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// From 1 to `most`; small numbers, and `most` itself, come more often than their share.
    pub fn part(&mut self, most: usize) -> usize {
        match self.below(4) {
            0 => most,
            1 => 1 + self.below(most.min(16)),
            _ => 1 + self.below(most),
        }
    }

    /// A span below `most`.
    pub fn span(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.below(most.as_nanos().max(1) as usize) as u64)
    }
}
