//! The load's end.

use anyhow::{Result, ensure};

use super::{NONE, OK, Step, VERSION};

/// It waits for the server's first word.
#[derive(Debug, Default)]
pub(crate) struct Viewer {
    awaits: Awaits,
    /// The beginning of what it waits for.
    partial: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Awaits {
    #[default]
    Version,
    Types,
    Result,
    ServerInit,
}

impl Viewer {
    /// Takes what came. `reply` is to be sent.
    pub(crate) fn take(&mut self, bytes: &[u8], reply: &mut Vec<u8>) -> Result<Step> {
        self.partial.extend(bytes);
        let length = self.awaits.length(&self.partial);
        if self.partial.len() < length {
            return Ok(Step::Waiting);
        }
        ensure!(self.partial.len() == length, "more than {:?}", self.awaits);
        let word = std::mem::take(&mut self.partial);
        self.awaits = match self.awaits {
            Awaits::Version => {
                ensure!(word == VERSION, "the server began with {word:?}");
                reply.extend(VERSION);
                Awaits::Types
            }
            Awaits::Types => {
                ensure!(word[1..].contains(&NONE), "it asks for one of the types {:?}", &word[1..]);
                reply.push(NONE);
                Awaits::Result
            }
            Awaits::Result => {
                ensure!(word == OK.to_be_bytes(), "it did not let us in: {word:?}");
                // Shared.
                reply.push(1);
                Awaits::ServerInit
            }
            Awaits::ServerInit => return Ok(Step::Done),
        };
        Ok(Step::Waiting)
    }
}

/// ServerInit up to the length of its name.
const NAMELESS: usize = 24;

impl Awaits {
    /// In bytes, as far as `partial` tells.
    fn length(self, partial: &[u8]) -> usize {
        match self {
            Awaits::Version => VERSION.len(),
            Awaits::Types => 1 + partial.first().map_or(0, |count| usize::from(*count).max(1)),
            Awaits::Result => 4,
            Awaits::ServerInit => {
                let name = partial.get(NAMELESS - 4..NAMELESS).and_then(|b| b.try_into().ok());
                NAMELESS + name.map_or(0, |name| u32::from_be_bytes(name) as usize)
            }
        }
    }
}
