//! Base64 in text frames: characters in, bytes out where they lay; and bytes in, text frames out.
//!
//! Standard alphabet, padded; each message is padded by itself. No character brings more than one byte, so what is decoded never needs
//! more room than what came.

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;
use alloc::vec::Vec;
use core::ops::Range;

use super::error::Error;
use super::frame::{Opcode, header};

/// Appends a text frame with `plain` in Base64.
pub fn encode(plain: &[u8], output: &mut Vec<u8>) {
    let length = plain.len().div_ceil(3) * 4;
    output.extend_from_slice(&header(length as u64, Opcode::Text));
    let start = output.len();
    output.resize(start + length, 0);
    let written = STANDARD.encode_slice(plain, &mut output[start..]);
    debug_assert_eq!(written, Ok(length));
}

/// What one message's characters left over so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Decoder {
    /// Characters of the group of four that is under way, with padding.
    come: u8,
    /// How many of them were padding. Nothing may follow a group with padding.
    padding: u8,
    /// Bits that make no whole byte yet, at the low end.
    bits: u8,
}

impl Decoder {
    /// Decodes what is at `from` to `end`, which is moved behind the bytes that this gives, even if there is an error behind them.
    pub(super) fn decode(
        &mut self,
        memory: &mut [u8],
        from: Range<usize>,
        end: &mut usize,
    ) -> Result<(), Error> {
        for at in from {
            if let Some(byte) = self.take(memory[at])? {
                memory[*end] = byte;
                *end += 1;
            }
        }
        Ok(())
    }

    /// Ends a message, which is where its padding has to be complete.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        let is_whole = self.come == 0 || self.come == 4;
        *self = Self::default();
        if is_whole { Ok(()) } else { Err(Error::Base64) }
    }

    fn take(&mut self, character: u8) -> Result<Option<u8>, Error> {
        if character == b'=' {
            // The bits that padding cuts off have to be zero, or two texts would mean the same.
            if !(2..4).contains(&self.come) || self.bits != 0 {
                return Err(Error::Base64);
            }
            self.come += 1;
            self.padding += 1;
            return Ok(None);
        }
        let value = value(character).filter(|_| self.padding == 0).ok_or(Error::Base64)?;
        let come = self.come;
        self.come = (come + 1) % 4;
        let word = u16::from(self.bits) << 6 | u16::from(value);
        let left = [6, 4, 2, 0][usize::from(come)];
        self.bits = (word & ((1 << left) - 1)) as u8;
        Ok((come > 0).then_some((word >> left) as u8))
    }
}

fn value(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}
