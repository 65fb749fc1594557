//! Frames of ours: payload or its length in, bytes to send out.
//!
//! All are final and unmasked, with the shortest form of their length. Data frames get a header only: their payload stays where it is.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

/// Most payload of a control frame, in bytes (RFC 6455 §5.5).
pub const CONTROL_LIMIT: usize = 125;

/// Longest header of a frame of ours, in bytes.
pub const HEADER_LIMIT: usize = 10;

const FINAL: u8 = 0x80;
/// Says that the length follows in two bytes.
const TWO_BYTES: u8 = 126;
/// Says that the length follows in eight bytes.
const EIGHT_BYTES: u8 = 127;

/// What a frame is (RFC 6455 §5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message before.
    Continuation = 0x0,
    /// A message of UTF-8, or the beginning of one.
    Text = 0x1,
    /// A message of bytes, or the beginning of one.
    Binary = 0x2,
    /// The sender's last frame.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping, or nobody.
    Pong = 0xA,
}

/// What goes before a payload: at most [`HEADER_LIMIT`] bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; HEADER_LIMIT],
    length: u8,
}

/// The header of a whole message of `length` bytes, which has to be below 2^63.
pub fn header(length: u64, opcode: Opcode) -> Header {
    debug_assert!(length >> 63 == 0, "no frame has {length} bytes");
    let mut bytes = [0; HEADER_LIMIT];
    bytes[0] = FINAL | opcode as u8;
    let length = if let Ok(short) = u8::try_from(length)
        && short < TWO_BYTES
    {
        bytes[1] = short;
        2
    } else if let Ok(short) = u16::try_from(length) {
        bytes[1] = TWO_BYTES;
        bytes[2..4].copy_from_slice(&short.to_be_bytes());
        4
    } else {
        bytes[1] = EIGHT_BYTES;
        bytes[2..].copy_from_slice(&length.to_be_bytes());
        10
    };
    Header { bytes, length }
}

/// Appends a ping without payload.
pub fn ping(output: &mut Vec<u8>) {
    control(Opcode::Ping, &[&[]], output);
}

/// Appends a pong. Of a payload that no ping can have had, the first [`CONTROL_LIMIT`] bytes are sent.
pub fn pong(payload: &[u8], output: &mut Vec<u8>) {
    control(Opcode::Pong, &[&payload[..payload.len().min(CONTROL_LIMIT)]], output);
}

/// Appends a close. Without a code there is no reason either; one that is too long is cut between two characters.
pub fn close(code: Option<u16>, reason: &str, output: &mut Vec<u8>) {
    let Some(code) = code else { return control(Opcode::Close, &[], output) };
    let fits = |end: &usize| *end <= CONTROL_LIMIT - size_of_val(&code);
    let ends = reason.char_indices().map(|(at, character)| at + character.len_utf8());
    let end = ends.take_while(fits).last().unwrap_or(0);
    control(Opcode::Close, &[&code.to_be_bytes(), &reason.as_bytes()[..end]], output);
}

fn control(opcode: Opcode, payload: &[&[u8]], output: &mut Vec<u8>) {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    output.extend_from_slice(&header(length as u64, opcode));
    payload.iter().for_each(|part| output.extend_from_slice(part));
}

impl Opcode {
    /// Whether it may come between the fragments of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    pub(super) fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({:02x?})", &**self)
    }
}
