//! Receives one PROXY header of either version: bytes in, the origin of the connection out.
//!
//! ```text
//! FirstByte ──P──▶ line end ──▶ done
//!     └──0x0D──▶ length ──▶ last byte ──▶ done
//! ```

use super::{Error, Header, v1, v2};
use crate::Progress::{self, Done, Wait};
use alloc::vec::Vec;

/// See the module's drawing.
#[derive(Debug, Default)]
pub struct Receiver {
    /// So much of a version 1 line is known to hold no CRLF.
    scanned: usize,
}

impl Receiver {
    /// A machine for one header.
    pub fn new() -> Self {
        Self::default()
    }

    /// Obeys the law of [`Progress`]; never writes to `output`. Nothing is taken off `input`
    /// before the header is whole, which is at most 4 KiB.
    ///
    /// # Errors
    /// The first rule that the header breaks, as soon as it is broken.
    pub fn receive(
        &mut self,
        input: &mut &[u8],
        _output: &mut Vec<u8>,
    ) -> Result<Progress<Header>, Error> {
        let end = match input.first() {
            None => return Ok(Wait),
            Some(b'P') => v1::find_end(input, &mut self.scanned)?,
            Some(_) => v2::find_end(input)?,
        };
        let Some((bytes, rest)) = end.and_then(|end| input.split_at_checked(end)) else {
            return Ok(Wait);
        };
        let header = if bytes[0] == b'P' { v1::parse(bytes) } else { v2::parse(bytes) }?;
        *input = rest;
        Ok(Done(header))
    }
}
