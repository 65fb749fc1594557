//! Percent signs of a URI (RFC 3986 §2.1): text in, text out.
//!
//! What they stand for must be UTF-8 without NUL: it becomes paths and arguments of programs.

use alloc::string::String;

use super::error::UriError;
use crate::percent;

/// What a part of a URI stands for.
pub(super) fn decode(text: &str) -> Result<String, UriError> {
    let (bytes, rest) = percent::decode(text.as_bytes());
    if !rest.is_empty() {
        return Err(UriError::Percent);
    }
    let text = String::from_utf8(bytes).map_err(|_| UriError::Percent)?;
    if text.contains('\0') { Err(UriError::Percent) } else { Ok(text) }
}

/// Text for a part of a URI: letters, digits, `-._~` and what is in `also` stay.
pub(super) fn encode(text: &str, also: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_plain || also.as_bytes().contains(&byte) {
            encoded.push(byte.into());
            continue;
        }
        let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
        encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
    }
    encoded
}

/// The first character that may only stand in a URI as a percent sign and its number.
pub(super) fn first_forbidden(text: &str) -> Option<char> {
    text.chars().find(|c| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(*c))
}
