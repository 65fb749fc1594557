//! SecurityResult: whether a server lets its client in.

use super::error::Error;
use super::version::Version;
use super::wire::{take_array, take_reason};
use crate::Progress::{self, Done, Wait};

/// Waits for a result, and in version 3.8 for the reason of a refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    version: Version,
    is_refused: bool,
}

impl Outcome {
    pub(super) fn new(version: Version) -> Self {
        Self { version, is_refused: false }
    }

    pub(super) fn receive(&mut self, input: &mut &[u8]) -> Result<Progress<()>, Error> {
        if !self.is_refused {
            match take_array(input).map(u32::from_be_bytes) {
                None => return Ok(Wait),
                Some(0) => return Ok(Done(())),
                Some(1) if self.version < Version::V3_8 => return Err(Error::NotLetIn("".into())),
                Some(1) => self.is_refused = true,
                Some(2) => return Err(Error::TooManyTries),
                Some(other) => return Err(Error::UnknownResult(other)),
            }
        }
        match take_reason(input) {
            None => Ok(Wait),
            Some(reason) => Err(Error::NotLetIn(reason)),
        }
    }
}
