//! Whoever may only look at a console: a client's messages in, the same without keys, pointers, clipboards and whatever else changes
//! something out.
//!
//! ```text
//! (ClientInit) ─▶ Head ──▶ Rest ──▶ Head …        each of them passes or is dropped, as its first byte says
//! ```
//!
//! Works where the bytes lie and keeps none of them. What it can't follow it does not pass.

use super::message::{self, Message, Rest};
use crate::known::Known;

/// Follows one client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ViewOnly {
    state: State,
    /// The message in work is dropped.
    drops: bool,
    known: Known<{ message::HEAD_LIMIT }>,
    knows_long_pointer: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Init,
    Head,
    Skip(u64),
    Encoding(u16),
    /// A message of a type that nobody knows.
    Lost(u8),
}

impl ViewOnly {
    /// From ClientInit on, or behind it.
    pub fn new(is_initialised: bool) -> Self {
        let state = if is_initialised { State::Head } else { State::Init };
        Self { state, drops: false, known: Known::default(), knows_long_pointer: false }
    }

    /// Moves what may pass to the front: how many bytes that are.
    ///
    /// # Errors
    /// A message of unknown type begins behind those bytes; nothing more can pass.
    pub fn filter(&mut self, bytes: &mut [u8]) -> (usize, Result<(), u8>) {
        let (mut kept, mut at) = (0, 0);
        while at < bytes.len() {
            let (drops, taken) = self.step(&bytes[at..]);
            if let State::Lost(kind) = self.state {
                return (kept, Err(kind));
            }
            if !drops {
                bytes.copy_within(at..at + taken, kept);
                kept += taken;
            }
            at += taken;
        }
        (kept, Ok(()))
    }

    /// Takes some bytes, at least one: whether they are dropped, and how many they are.
    fn step(&mut self, bytes: &[u8]) -> (bool, usize) {
        match self.state {
            State::Lost(_) => (true, bytes.len()),
            State::Init => {
                self.state = State::Head;
                (false, 1)
            }
            State::Skip(left) => {
                let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.state = skip(left - taken as u64);
                (self.drops, taken)
            }
            State::Encoding(left) => {
                let taken = self.known.fill(4, bytes);
                if self.known.bytes().len() == 4 {
                    let encoding = self.known.bytes();
                    self.knows_long_pointer |= encoding == message::LONG_POINTER.to_be_bytes();
                    self.known.clear();
                    self.state = encodings(left - 1);
                }
                (self.drops, taken)
            }
            State::Head => self.head(bytes),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> (bool, usize) {
        let kind = *self.known.bytes().first().unwrap_or(&bytes[0]);
        self.drops = !only_looks(kind);
        let wanted = message::head_length(kind);
        let taken = self.known.fill(wanted, bytes);
        if self.known.bytes().len() == wanted {
            self.state = match message::read(self.known.bytes(), self.knows_long_pointer) {
                None => State::Lost(kind),
                Some(Message { rest: Rest::Bytes(length), .. }) => skip(length),
                Some(Message { rest: Rest::Encodings(count), .. }) => {
                    self.knows_long_pointer = false;
                    encodings(count)
                }
            };
            self.known.clear();
        }
        (self.drops, taken)
    }
}

/// SetPixelFormat, SetEncodings, FramebufferUpdateRequest, EnableContinuousUpdates, ClientFence.
fn only_looks(kind: u8) -> bool {
    matches!(kind, 0 | 2 | 3 | 150 | 248)
}

fn skip(left: u64) -> State {
    if left == 0 { State::Head } else { State::Skip(left) }
}

fn encodings(left: u16) -> State {
    if left == 0 { State::Head } else { State::Encoding(left) }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// What passes, whole and in pieces of every size.
    fn passed(stream: &[u8]) -> (Vec<u8>, Result<(), u8>) {
        let run = |piece: usize| {
            let (mut filter, mut out) = (ViewOnly::new(false), Vec::new());
            for bytes in stream.chunks(piece) {
                let mut bytes = bytes.to_vec();
                let (kept, verdict) = filter.filter(&mut bytes);
                out.extend(&bytes[..kept]);
                if verdict.is_err() {
                    return (out, verdict);
                }
            }
            (out, Ok(()))
        };
        let whole = run(stream.len().max(1));
        for piece in 1..stream.len() {
            let (out, verdict) = run(piece);
            assert_eq!(verdict, whole.1, "in pieces of {piece}");
            assert_eq!(out, whole.0, "in pieces of {piece}");
        }
        whole
    }

    const INIT: &[u8] = &[1];
    const UPDATE: &[u8] = &[3, 1, 0, 0, 0, 0, 2, 0, 1, 0];
    const ENCODINGS: &[u8] = &[2, 0, 0, 2, 0, 0, 0, 7, 0xff, 0xff, 0xfe, 0xc4];
    const FENCE: &[u8] = &[248, 0, 0, 0, 0, 0, 0, 1, 2, 9, 9];

    #[test]
    fn who_looks_may_ask_for_pictures_and_nothing_else() {
        let inputs: [&[u8]; 9] = [
            &[4, 1, 0, 0, 0, 0, 0, 97],
            &[5, 0, 0, 9, 0, 9],
            &[6, 0, 0, 0, 0, 0, 0, 3, 4, 4, 4],
            &[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfd, 3, 3, 3],
            &[250, 0, 1, 2],
            &[251, 0, 0, 9, 0, 9, 0, 0],
            &[253, 0x80, 0, 2, 3, 3],
            &[255, 0, 0, 1, 0, 0, 0, 97, 0, 0, 0, 30],
            &[255, 1, 0, 0],
        ];
        for input in inputs {
            let stream = [INIT, UPDATE, input, ENCODINGS, input, FENCE].concat();
            let looks = [INIT, UPDATE, ENCODINGS, FENCE].concat();
            assert_eq!(passed(&stream), (looks, Ok(())), "{input:?}");
        }
    }

    #[test]
    fn a_long_pointer_is_dropped_as_a_whole() {
        let stream = [INIT, ENCODINGS, &[5, 0x80, 0, 9, 0, 9, 1], UPDATE].concat();
        assert_eq!(passed(&stream), ([INIT, ENCODINGS, UPDATE].concat(), Ok(())));
    }

    #[test]
    fn what_nobody_knows_does_not_pass() {
        let stream = [INIT, UPDATE, &[77], UPDATE].concat();
        assert_eq!(passed(&stream), ([INIT, UPDATE].concat(), Err(77)));
        let mut filter = ViewOnly::new(true);
        assert_eq!(filter.filter(&mut [77]), (0, Err(77)));
        assert_eq!(filter.filter(&mut [3]), (0, Err(77)), "nor does what follows");
    }
}
