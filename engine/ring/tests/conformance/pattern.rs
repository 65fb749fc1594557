//! A byte stream that is known at each place, so that a lost, doubled or moved byte is seen where it happens.

use std::io::{Read, Write};
use std::sync::OnceLock;

/// A prime, so that no power-of-two mistake in an offset falls on equal bytes.
const PERIOD: usize = 65_537;

/// A position in the stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pattern {
    pub at: usize,
}

impl Pattern {
    /// The next bytes, as many as lie together, at most `limit`.
    pub fn next(&mut self, limit: usize) -> &'static [u8] {
        let from = self.at % PERIOD;
        let bytes = &period()[from..PERIOD.min(from + limit)];
        self.at += bytes.len();
        bytes
    }

    /// Checks that `bytes` come next.
    pub fn check(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let start = self.at;
            let expected = self.next(bytes.len());
            let (now, rest) = bytes.split_at(expected.len());
            assert!(now == expected, "the stream is wrong between byte {start} and {}", self.at);
            bytes = rest;
        }
    }

    /// Writes the next `count` bytes.
    pub fn write(&mut self, mut to: impl Write, count: usize) -> std::io::Result<()> {
        let end = self.at + count;
        while self.at < end {
            to.write_all(self.next(end - self.at))?;
        }
        Ok(())
    }

    /// Reads and checks until the end of the stream.
    pub fn read_to_end(&mut self, mut from: impl Read) -> std::io::Result<()> {
        let mut space = vec![0; 65_536];
        loop {
            match from.read(&mut space)? {
                0 => return Ok(()),
                n => self.check(&space[..n]),
            }
        }
    }
}

fn period() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let step = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..PERIOD).map(step).collect()
    })
}
