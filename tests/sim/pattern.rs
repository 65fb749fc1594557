//! What is written: no two streams, and no two places of one, look alike. Some streams consist of libvirt's messages.

use crate::sim::random::{Random, mix};

/// Streams with such keys consist of messages.
const FRAMED: u64 = 7;
/// Lengths of messages.
const LENGTHS: [u64; 5] = [28, 100, 1_000, 5_000, 70_000];
/// No stream begins so: it would be taken for TLS, or for words of the proxy.
const RESERVED: [u8; 5] = [20, 21, 22, 23, b'p'];

/// A stream's key, of messages or not.
pub fn key(framed: bool, random: &mut Random) -> u64 {
    loop {
        let bits = random.bits();
        let key = if framed { bits | FRAMED } else { bits & !1 };
        let mut first = [0];
        fill(key, 0, &mut first);
        if !RESERVED.contains(&first[0]) {
            return key;
        }
    }
}

/// The length of a stream's messages, if it consists of some.
pub fn message(key: u64) -> Option<u64> {
    (key & FRAMED == FRAMED).then(|| LENGTHS[(key >> 3) as usize % LENGTHS.len()])
}

/// Writes a stream's bytes from `offset` on.
pub fn fill(key: u64, offset: u64, bytes: &mut [u8]) {
    let word = |index: u64| mix(key.wrapping_add(index)).to_le_bytes();
    let skip = (offset % 8) as usize;
    let first = if skip == 0 { 0 } else { (8 - skip).min(bytes.len()) };
    bytes[..first].copy_from_slice(&word(offset / 8)[skip..skip + first]);
    let (words, rest) = bytes[first..].as_chunks_mut::<8>();
    let mut index = offset.div_ceil(8);
    for place in words {
        *place = word(index);
        index += 1;
    }
    rest.copy_from_slice(&word(index)[..rest.len()]);
    if let Some(length) = message(key) {
        frame(length, offset, bytes);
    }
}

/// Each message begins with its length.
fn frame(length: u64, offset: u64, bytes: &mut [u8]) {
    let prefix = (length as u32).to_be_bytes();
    let end = offset + bytes.len() as u64;
    let mut start = offset / length * length;
    while start < end {
        for (place, byte) in (start..).zip(prefix) {
            if (offset..end).contains(&place) {
                bytes[(place - offset) as usize] = byte;
            }
        }
        start += length;
    }
}
