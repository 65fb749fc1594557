//! The header of a client's frame: bytes in pieces in, what the frame is out.
//!
//! ```text
//! two bytes ── judged ──▶ length, key ──▶ frame
//! ```
//!
//! A length in a longer form than it needs is accepted, as websockify does: nothing is gained by it.

use super::error::Error;
use super::frame::{CONTROL_LIMIT, Opcode};

/// Two bytes, a length of eight, a key of four.
const LIMIT: usize = 14;

/// The part of a header that has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Partial {
    bytes: [u8; LIMIT],
    known: u8,
}

/// A frame whose payload follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    /// Whether the message ends with it.
    pub(super) is_final: bool,
    /// Bytes of payload that are still to come.
    pub(super) left: u64,
    /// Begins with what masks the next byte.
    pub(super) key: [u8; 4],
}

impl Partial {
    /// Takes what it needs off the front of `bytes`: how many they were, and the frame if they were enough.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Frame>), Error> {
        let begun = self.fill(2, bytes);
        if self.known < 2 {
            return Ok((begun, None));
        }
        let opcode = judge([self.bytes[0], self.bytes[1]])?;
        let extended = match self.bytes[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let length = 2 + extended + 4;
        let taken = begun + self.fill(length, &bytes[begun..]);
        if usize::from(self.known) < length {
            return Ok((taken, None));
        }
        let frame = self.frame(opcode, extended)?;
        self.known = 0;
        Ok((taken, Some(frame)))
    }

    fn fill(&mut self, wanted: usize, bytes: &[u8]) -> usize {
        let known = usize::from(self.known);
        let taken = wanted.saturating_sub(known).min(bytes.len());
        self.bytes[known..known + taken].copy_from_slice(&bytes[..taken]);
        self.known += taken as u8;
        taken
    }

    /// Reads a whole header, whose length has so many bytes of its own.
    fn frame(&self, opcode: Opcode, extended: usize) -> Result<Frame, Error> {
        let (extended, rest) = self.bytes[2..].split_at(extended);
        let left = match extended {
            [] => u64::from(self.bytes[1] & 0x7f),
            bytes => bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        if left >> 63 != 0 {
            return Err(Error::Length);
        }
        let key = [rest[0], rest[1], rest[2], rest[3]];
        Ok(Frame { opcode, is_final: self.bytes[0] & 0x80 != 0, left, key })
    }
}

/// What two bytes are enough to refuse, whatever came before them.
fn judge([first, second]: [u8; 2]) -> Result<Opcode, Error> {
    if first & 0x70 != 0 {
        return Err(Error::Reserved);
    }
    if second & 0x80 == 0 {
        return Err(Error::Unmasked);
    }
    let opcode = Opcode::of(first & 0x0f).ok_or(Error::Opcode(first & 0x0f))?;
    if opcode.is_control() && first & 0x80 == 0 {
        return Err(Error::FragmentedControl);
    }
    if opcode.is_control() && usize::from(second & 0x7f) > CONTROL_LIMIT {
        return Err(Error::LongControl);
    }
    Ok(opcode)
}
