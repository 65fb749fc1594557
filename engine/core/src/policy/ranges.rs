//! A set of 128-bit keys: sorted ranges in, membership out, in steps that the keys bound, not the
//! number of ranges.
//!
//! A trie with 256 ways per byte. A key whose first four bytes decide, such as an IPv4 address, is
//! found in at most four steps among ten ranges as among ten thousand.

use std::fmt;
use std::ops::RangeInclusive;

/// Keys shorter than 128 bits stand at the high end.
#[derive(Default)]
pub(super) struct RangeSet {
    root: Node,
}

impl RangeSet {
    /// In any order; they may overlap.
    pub(super) fn new(mut ranges: Vec<RangeInclusive<u128>>) -> Self {
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut disjoint: Vec<RangeInclusive<u128>> = Vec::new();
        for range in ranges {
            match disjoint.last_mut() {
                Some(last) if range.start() <= last.end() => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => disjoint.push(range),
            }
        }
        Self { root: Node::new(&disjoint, 0) }
    }

    pub(super) fn contains(&self, key: u128) -> bool {
        self.search(key).0
    }

    /// Whether the key is in, and how many nodes were visited to tell: at most 16.
    fn search(&self, key: u128) -> (bool, usize) {
        let mut node = &self.root;
        let mut visited = 0;
        for byte in key.to_be_bytes() {
            visited += 1;
            if node.covered.has(byte) {
                return (true, visited);
            }
            match node.divided.has(byte) {
                true => node = &node.children[node.divided.rank(byte)],
                false => return (false, visited),
            }
        }
        (false, visited)
    }
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeSet").finish_non_exhaustive()
    }
}

/// All keys with the same leading bytes, told apart by the byte that follows.
#[derive(Default)]
struct Node {
    /// Bytes behind which every key is in.
    covered: Bytes,
    /// Bytes behind which some keys are in: one child each, in order.
    divided: Bytes,
    children: Box<[Node]>,
}

impl Node {
    /// `ranges` are disjoint, rising, and agree in their first `depth` bytes. Recursion ends at the
    /// last byte, where every part is a whole.
    fn new(ranges: &[RangeInclusive<u128>], depth: u32) -> Self {
        let mut node = Self::default();
        let mut parts: Vec<(u8, RangeInclusive<u128>)> = Vec::new();
        let below = u128::MAX >> (8 * depth) >> 8;
        for range in ranges {
            for byte in byte_at(*range.start(), depth)..=byte_at(*range.end(), depth) {
                let above = *range.start() & !(u128::MAX >> (8 * depth));
                let first = above | u128::from(byte) << (120 - 8 * depth);
                let part = first.max(*range.start())..=(first | below).min(*range.end());
                match part == (first..=first | below) {
                    true => node.covered.insert(byte),
                    false => parts.push((byte, part)),
                }
            }
        }
        let child = |same: &[(u8, RangeInclusive<u128>)]| {
            let ranges: Vec<_> = same.iter().map(|(_, range)| range.clone()).collect();
            Self::new(&ranges, depth + 1)
        };
        parts.iter().for_each(|(byte, _)| node.divided.insert(*byte));
        node.children = parts.chunk_by(|a, b| a.0 == b.0).map(child).collect();
        node
    }
}

fn byte_at(key: u128, depth: u32) -> u8 {
    key.to_be_bytes()[depth as usize]
}

/// A set of bytes.
#[derive(Clone, Copy, Default)]
struct Bytes([u64; 4]);

impl Bytes {
    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// How many smaller bytes are in.
    fn rank(&self, byte: u8) -> usize {
        let word = usize::from(byte >> 6);
        let whole: u32 = self.0[..word].iter().map(|word| word.count_ones()).sum();
        let part = self.0[word] & ((1 << (byte & 63)) - 1);
        (whole + part.count_ones()) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges_of_ranges_are_in_and_their_neighbours_are_not() {
        let top = u128::MAX;
        let set = RangeSet::new(vec![
            0..=0,
            255..=256,
            1 << 64..=(1 << 64) + 0x1234_5678,
            3 << 120..=(5 << 120) - 1,
            top - 1..=top,
        ]);
        for inside in [0, 255, 256, 1 << 64, 3 << 120, (5 << 120) - 1, top - 1, top] {
            assert!(set.contains(inside), "{inside:x}");
        }
        for outside in [1, 254, 257, (1 << 64) - 1, (3 << 120) - 1, 5 << 120, top - 2] {
            assert!(!set.contains(outside), "{outside:x}");
        }
    }

    #[test]
    fn everything_is_one_node() {
        let set = RangeSet::new(vec![0..=u128::MAX]);
        assert!(set.contains(7) && set.root.children.is_empty());
        assert!(!RangeSet::default().contains(0));
    }

    /// IPv4 prefixes of 24 bits: three steps decide, however many there are.
    #[test]
    fn ten_thousand_ranges_take_no_more_steps_than_ten() {
        let set_of = |count: u128| {
            let first = |n: u128| (n * 7919 % (1 << 24)) << 104;
            RangeSet::new((0..count).map(|n| first(n)..=first(n) | u128::MAX >> 24).collect())
        };
        let steps = |set: &RangeSet| {
            let keys = (0..100_000u128).map(|n| (n * 104_729 % (1 << 32)) << 96);
            keys.map(|key| set.search(key).1).max()
        };
        assert_eq!(steps(&set_of(10)), Some(3));
        assert_eq!(steps(&set_of(10_000)), Some(3));
    }

    proptest! {
        #[test]
        fn membership_is_that_of_the_ranges(
            ends in prop::collection::vec((key(), key()), 0..40),
            keys in prop::collection::vec(key(), 0..40),
        ) {
            let ranges: Vec<_> = ends.iter().map(|(a, b)| *a.min(b)..=*a.max(b)).collect();
            let set = RangeSet::new(ranges.clone());
            let edges = ends.iter().flat_map(|(a, b)| {
                [*a, a.wrapping_sub(1), a.wrapping_add(1), *b, b.wrapping_sub(1), b.wrapping_add(1)]
            });
            for key in keys.iter().copied().chain(edges) {
                let naive = ranges.iter().any(|range| range.contains(&key));
                prop_assert_eq!(set.contains(key), naive, "{:x}", key);
            }
        }
    }

    /// Keys that share many of their bytes, at all depths.
    fn key() -> impl Strategy<Value = u128> {
        (prop::collection::vec(prop::sample::select(vec![0u8, 1, 127, 255]), 16), 0..128u32)
            .prop_map(|(bytes, bit)| {
                u128::from_be_bytes(bytes.try_into().expect("16 bytes")) >> bit
            })
    }
}
