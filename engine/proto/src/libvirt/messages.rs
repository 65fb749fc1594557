//! Where the messages of libvirt's RPC end, in a stream of them.
//!
//! Each message begins with its length: four bytes, the greatest first, which count themselves. Nothing else of it is read. In: one
//! direction's bytes, in whatever pieces. Out: how far the message reaches that is under way, and whether one is. A stream that can't be RPC has no
//! ends any more.

use alloc::vec::Vec;

/// Bytes of a length.
const PREFIX: usize = 4;
/// A length and a header of six numbers: no message is shorter.
const SHORTEST: u32 = 28;
/// Twice what libvirt allows.
const LONGEST: u32 = 64 << 20;

/// Follows one direction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Messages(State);

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// So many bytes of a length are known, and what they say so far.
    Length(usize, u32),
    /// So many bytes of a message are still to come.
    Body(usize),
    /// It is no RPC.
    Lost,
}

impl Default for State {
    fn default() -> State {
        State::Length(0, 0)
    }
}

impl Messages {
    /// Takes the bytes that come next: behind which of them, others than the last one, a message ends.
    pub fn ends_within(&mut self, bytes: &[u8]) -> Vec<usize> {
        let (mut ends, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            at += self.take(&bytes[at..]);
            if self.0 == State::default() && at < bytes.len() {
                ends.push(at);
            }
        }
        ends
    }

    /// Takes the bytes that come next.
    pub fn follow(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            at += self.take(&bytes[at..]);
        }
    }

    /// Whether no message is under way.
    pub fn is_between(&self) -> bool {
        self.0 == State::default()
    }

    /// How many bytes were taken: one of a length, or as much as is there of a body.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let (taken, next) = match self.0 {
            State::Length(known, value) => (1, after(known + 1, value << 8 | u32::from(bytes[0]))),
            State::Body(left) if left > bytes.len() => {
                (bytes.len(), State::Body(left - bytes.len()))
            }
            State::Body(left) => (left, State::default()),
            State::Lost => (bytes.len(), State::Lost),
        };
        self.0 = next;
        taken
    }
}

fn after(known: usize, value: u32) -> State {
    match value {
        _ if known < PREFIX => State::Length(known, value),
        SHORTEST..=LONGEST => State::Body(value as usize - PREFIX),
        _ => State::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn message(length: u32) -> Vec<u8> {
        let mut message = length.to_be_bytes().to_vec();
        message.resize(length as usize, 7);
        message
    }

    #[test]
    fn ends_are_found_in_every_split() {
        let stream = [message(28), message(300), message(28), message(28)].concat();
        for piece in 1..=stream.len() {
            let (mut messages, mut ends, mut at) = (Messages::default(), Vec::new(), 0);
            for bytes in stream.chunks(piece) {
                ends.extend(messages.ends_within(bytes).into_iter().map(|end| at + end));
                at += bytes.len();
            }
            // An end that is a piece's own end goes without saying.
            let expected: Vec<usize> =
                [28, 328, 356].into_iter().filter(|end| end % piece != 0).collect();
            assert_eq!(ends, expected, "pieces of {piece}");
            assert_eq!(messages, Messages::default());
        }
    }

    #[test]
    fn between_messages_is_where_one_has_ended_and_none_begun() {
        let stream = [message(28), message(300), message(28)].concat();
        for piece in [1, 3, 29, 1000] {
            for length in 0..=stream.len() {
                let mut messages = Messages::default();
                stream[..length].chunks(piece).for_each(|bytes| messages.follow(bytes));
                let is_between = [0, 28, 328, 356].contains(&length);
                assert_eq!(messages.is_between(), is_between, "{length} in pieces of {piece}");
            }
        }
        let mut messages = Messages::default();
        messages.follow(&[0; 28]);
        assert!(!messages.is_between(), "what is no message has none between");
    }

    #[test]
    fn what_is_no_message_has_no_end() {
        for nonsense in [vec![0; 100], vec![0xff; 100], b"GET / HTTP/1.1\r\n\r\n".repeat(10)] {
            let mut messages = Messages::default();
            assert_eq!(messages.ends_within(&message(28)), []);
            assert_eq!(messages.ends_within(&nonsense), []);
            assert_eq!(messages.ends_within(&[message(28), message(28)].concat()), []);
        }
    }
}
