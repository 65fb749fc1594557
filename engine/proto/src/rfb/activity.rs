//! Whether somebody sits at a console: a client's bytes in, how many keys and pointer movements they were out.
//!
//! ```text
//! Version ──3.7, 3.8──▶ Choice ──────none, VNC──────▶ ClientInit ──▶ Message ◀─▶ Encoding
//!     └──3.3──▶ ServersChoice ─── as it has chosen ───────▲
//! ```
//!
//! Keeps the beginning of a message at most. What it can't follow, such as TLS within RFB, is unknown for good.

use super::message::{self, Message, Rest};
use crate::known::Known;

/// Bytes of a version, as either side sends it first.
const VERSION: usize = 12;
/// Bytes that answer the challenge of VNC authentication.
const RESPONSE: u64 = 16;

/// Follows one connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Follower {
    state: State,
    /// The beginning of what is expected.
    known: Known<VERSION>,
    /// The server's version, and what it says next: in version 3.3, the security type.
    server: Known<16>,
    knows_long_pointer: bool,
}

/// What some bytes of a client were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// So many key and pointer messages begin among them.
    Events(u32),
    /// Nobody can tell, now or later.
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Version,
    Choice,
    ServersChoice,
    ClientInit,
    Message,
    /// One of so many.
    Encoding(u16),
    /// So many bytes that say nothing, before a message or before ClientInit.
    Skip(u64, bool),
    Unknown,
}

const _: () = assert!(message::HEAD_LIMIT <= VERSION);

impl Follower {
    /// A follower from the first byte on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the server's next bytes; needed as long as [`wants_server`](Self::wants_server) says so, and before the client's answer to them.
    pub fn server(&mut self, bytes: &[u8]) {
        self.server.fill(VERSION + 4, bytes);
    }

    /// Whether the server may yet say something that matters: its first 16 bytes do, if the client speaks version 3.3.
    pub fn wants_server(&self) -> bool {
        matches!(self.state, State::Version | State::ServersChoice)
            && self.server.bytes().len() < VERSION + 4
    }

    /// Takes the client's next bytes.
    pub fn follow(&mut self, mut bytes: &[u8]) -> Activity {
        let mut events = 0;
        while !bytes.is_empty() && self.state != State::Unknown {
            let taken = self.step(bytes, &mut events);
            bytes = &bytes[taken..];
        }
        match self.state {
            State::Unknown => Activity::Unknown,
            _ => Activity::Events(events),
        }
    }

    /// Takes bytes, or a decision that takes none: how many.
    fn step(&mut self, bytes: &[u8], events: &mut u32) -> usize {
        if self.state == State::ServersChoice {
            let kind = self.server.bytes().get(VERSION..VERSION + 4);
            self.state = kind.map_or(State::Unknown, secured);
            return 0;
        }
        if let State::Skip(left, is_init) = self.state {
            let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.state = skip(left - taken as u64, is_init);
            return taken;
        }
        let taken = self.known.fill(self.wanted(), bytes);
        if self.known.bytes().len() == self.wanted() {
            self.state = self.next(events);
            self.known.clear();
        }
        taken
    }

    /// Bytes that have to be known; more, perhaps, once some are.
    fn wanted(&self) -> usize {
        match self.state {
            State::Version => VERSION,
            State::Encoding(_) => 4,
            State::Message => {
                self.known.bytes().first().map_or(1, |kind| message::head_length(*kind))
            }
            _ => 1,
        }
    }

    fn next(&mut self, events: &mut u32) -> State {
        let known = self.known.bytes();
        match self.state {
            State::Version => after_version(known),
            State::Choice => secured(&[0, 0, 0, known[0]]),
            State::ClientInit => State::Message,
            State::Encoding(left) => {
                self.knows_long_pointer |= known == message::LONG_POINTER.to_be_bytes();
                encodings(left - 1)
            }
            State::Message => match message::read(known, self.knows_long_pointer) {
                None => State::Unknown,
                Some(Message { is_event, rest: Rest::Bytes(length) }) => {
                    *events += u32::from(is_event);
                    skip(length, false)
                }
                Some(Message { rest: Rest::Encodings(count), .. }) => {
                    self.knows_long_pointer = false;
                    encodings(count)
                }
            },
            other => other,
        }
    }
}

/// Versions that nobody has defined are taken for their nearest neighbours, as servers do.
fn after_version(version: &[u8]) -> State {
    match version {
        [b'R', b'F', b'B', b' ', b'0', b'0', b'3', b'.', minor @ .., b'\n']
            if minor.iter().all(u8::is_ascii_digit) =>
        {
            if minor < b"007" {
                State::ServersChoice
            } else {
                State::Choice
            }
        }
        _ => State::Unknown,
    }
}

/// What a client does with a security type: nothing, or answer a challenge. All others have exchanges of their own.
fn secured(kind: &[u8]) -> State {
    match kind {
        [0, 0, 0, 1] => State::ClientInit,
        [0, 0, 0, 2] => skip(RESPONSE, true),
        _ => State::Unknown,
    }
}

fn skip(left: u64, is_init: bool) -> State {
    match (left, is_init) {
        (0, true) => State::ClientInit,
        (0, false) => State::Message,
        _ => State::Skip(left, is_init),
    }
}

fn encodings(left: u16) -> State {
    if left == 0 { State::Message } else { State::Encoding(left) }
}

#[cfg(test)]
mod tests;
