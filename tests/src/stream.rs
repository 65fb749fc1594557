//! Byte streams that know what they should be: a seed says every byte at every offset.
//!
//! The sending and the receiving end each hold a [`Pattern`] of the same seed. The receiver compares every byte, so
//! what arrives is always an exact prefix; equal counts and digests at both ends make a transfer whole.

use std::io::{self, ErrorKind, Read, Write};

use sha2::{Digest, Sha256};

/// One end of one direction.
#[derive(Clone, Debug)]
pub struct Pattern {
    seed: u64,
    bytes: u64,
    digest: Sha256,
}

/// How a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The peer finished.
    Eof,
    /// The peer, or somebody on the way, broke the connection.
    Broken(ErrorKind),
}

const CHUNK: usize = 64 << 10;

impl Pattern {
    /// The stream of that seed, at its start.
    pub fn new(seed: u64) -> Pattern {
        Pattern { seed, bytes: 0, digest: Sha256::new() }
    }

    /// Sends the next `len` bytes.
    ///
    /// # Errors
    /// The stream's; [`Pattern::bytes`] then still counts what it accepted.
    pub fn send(&mut self, to: &mut impl Write, len: u64) -> io::Result<()> {
        let end = self.bytes + len;
        let mut chunk = vec![0; CHUNK];
        while self.bytes < end {
            let chunk = &mut chunk[..CHUNK.min((end - self.bytes) as usize)];
            fill(self.seed, self.bytes, chunk);
            match to.write(chunk) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.advance(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Receives and compares the next `len` bytes.
    ///
    /// # Errors
    /// The stream's, or `UnexpectedEof`.
    ///
    /// # Panics
    /// At the first byte that differs.
    pub fn receive(&mut self, from: &mut impl Read, len: u64) -> io::Result<()> {
        match self.take(from, len)? {
            0 => Ok(()),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Receives and compares all that still comes.
    ///
    /// # Panics
    /// At the first byte that differs, and when a read timeout of the stream strikes.
    pub fn drain(&mut self, from: &mut impl Read) -> End {
        match self.take(from, u64::MAX) {
            Ok(_) => End::Eof,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("stalled after {} bytes", self.bytes)
            }
            Err(e) => End::Broken(e.kind()),
        }
    }

    /// Bytes sent or received so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of the bytes sent or received so far, in hexadecimal.
    pub fn sha256(&self) -> String {
        hex(&self.digest.clone().finalize())
    }

    /// Returns how many of `len` bytes were missing when the stream ended.
    fn take(&mut self, from: &mut impl Read, mut len: u64) -> io::Result<u64> {
        let (mut came, mut expected) = (vec![0; CHUNK], vec![0; CHUNK]);
        while len > 0 {
            let n = match from.read(&mut came[..CHUNK.min(len.min(CHUNK as u64) as usize)]) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            fill(self.seed, self.bytes, &mut expected[..n]);
            if came[..n] != expected[..n] {
                let at = came.iter().zip(&expected).position(|(a, b)| a != b).unwrap_or(n);
                panic!("byte {} of stream {} is wrong", self.bytes + at as u64, self.seed);
            }
            self.advance(&came[..n]);
            len -= n as u64;
        }
        Ok(len)
    }

    fn advance(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

/// SHA-256 of all that a reader yields, in hexadecimal, and how much it was.
///
/// # Errors
/// The reader's.
pub fn sha256(mut from: impl Read) -> io::Result<(String, u64)> {
    let (mut digest, mut chunk, mut bytes) = (Sha256::new(), vec![0; CHUNK], 0);
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok((hex(&digest.finalize()), bytes)),
            n => {
                digest.update(&chunk[..n]);
                bytes += n as u64;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the bytes that the stream of `seed` has from `offset` on.
pub fn fill(seed: u64, offset: u64, out: &mut [u8]) {
    let skip = (offset % 8) as usize;
    let (first, rest) = out.split_at_mut(out.len().min((8 - skip) % 8));
    let mut index = offset / 8;
    if skip > 0 {
        first.copy_from_slice(&word(seed, index)[skip..][..first.len()]);
        index += 1;
    }
    for part in rest.chunks_mut(8) {
        part.copy_from_slice(&word(seed, index)[..part.len()]);
        index += 1;
    }
}

/// splitmix64, whose n-th output needs no other.
fn word(seed: u64, index: u64) -> [u8; 8] {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()
}

/// Numbers that look random and repeat with their seed.
#[derive(Clone, Debug)]
pub struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    /// The sequence of that seed.
    pub fn new(seed: u64) -> Dice {
        Dice { seed, thrown: 0 }
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.thrown += 1;
        u64::from_le_bytes(word(self.seed, self.thrown)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_stand_at_an_offset_however_one_gets_there() {
        let mut whole = vec![0; 100];
        fill(7, 0, &mut whole);
        for from in 0..whole.len() {
            for to in from..=whole.len() {
                let mut part = vec![0; to - from];
                fill(7, from as u64, &mut part);
                assert_eq!(part, whole[from..to]);
            }
        }
    }

    #[test]
    fn a_whole_transfer_has_one_digest() {
        let (mut source, mut sink, mut wire) = (Pattern::new(1), Pattern::new(1), Vec::new());
        source.send(&mut wire, 200_000).expect("memory");
        assert_eq!(sink.drain(&mut wire.as_slice()), End::Eof);
        assert_eq!((source.bytes(), source.sha256()), (sink.bytes(), sink.sha256()));
        assert_eq!(sha256(wire.as_slice()).expect("memory"), (source.sha256(), 200_000));
    }

    #[test]
    #[should_panic(expected = "byte 150000 of stream 1 is wrong")]
    fn one_flipped_bit_is_found() {
        let mut wire = Vec::new();
        Pattern::new(1).send(&mut wire, 200_000).expect("memory");
        wire[150_000] ^= 1;
        Pattern::new(1).drain(&mut wire.as_slice());
    }

    #[test]
    fn a_short_stream_is_not_whole() {
        let mut wire = Vec::new();
        Pattern::new(1).send(&mut wire, 10).expect("memory");
        let short = Pattern::new(1).receive(&mut wire.as_slice(), 11);
        assert_eq!(short.map_err(|e| e.kind()), Err(ErrorKind::UnexpectedEof));
    }
}
