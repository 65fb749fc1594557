//! Messages on the wire: taken whole off the front of what has come, or not at all.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Bytes of a reason at most. QEMU's have some twenty.
const REASON_MAX: usize = 4096;

/// The next `length` bytes.
pub(super) fn take<'i>(input: &mut &'i [u8], length: usize) -> Option<&'i [u8]> {
    let (message, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(message)
}

/// The next bytes, as many as an array has.
pub(super) fn take_array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (message, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*message)
}

/// The 32-bit number at the front, which stays there.
pub(super) fn peek_u32(input: &[u8]) -> Option<u32> {
    input.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Why a server refuses: a length and a text. One that is too long is not waited for.
pub(super) fn take_reason(input: &mut &[u8]) -> Option<Box<str>> {
    let length = peek_u32(input)? as usize;
    if length > REASON_MAX {
        return Some(Box::default());
    }
    take(input, 4 + length).map(|message| printable(&message[4..]))
}

/// Appends a reason as a server says it.
pub(super) fn put_reason(reason: &str, output: &mut Vec<u8>) {
    output.extend((reason.len() as u32).to_be_bytes());
    output.extend(reason.as_bytes());
}

/// A peer's text for logs: on one line, without the NUL that QEMU counts as a part of it.
pub(super) fn printable(bytes: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(bytes);
    let is_plain = |letter: &char| !letter.is_control();
    text.chars().filter(is_plain).collect::<String>().trim().to_string().into()
}
