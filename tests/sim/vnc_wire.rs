//! Messages of RFB as hosts read and write them, and what both sides of a login have in common.

use std::collections::VecDeque;

/// Size, pixels and name of a console.
pub const SERVER_INIT: &[u8] =
    b"\x02\x80\x01\xe0\x20\x18\x00\x01\x00\xff\x00\xff\x00\xff\x10\x08\x00\x00\x00\x00\x00\x00\x00\x03sim";

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// More bytes have to come.
    Wait,
    /// The next message, if it has come.
    More,
    /// TLS.
    Secure,
    /// Payload.
    Through,
    /// The end.
    Refused,
}

/// What has come, and what is to be said.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    /// What has come and is not understood yet.
    pub inbox: Vec<u8>,
    /// What waits for the socket.
    pub out: VecDeque<u8>,
    /// Bytes of messages that were understood.
    pub heard: u64,
    /// Bytes that were written.
    pub said: u64,
}

impl Wire {
    /// Says something.
    pub fn say(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
    }

    /// Whether nothing has come that is not understood.
    pub fn is_empty(&self) -> bool {
        self.inbox.is_empty()
    }

    /// The next bytes, or nothing if there are fewer.
    pub fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        if self.inbox.len() < length {
            return None;
        }
        self.heard += length as u64;
        Some(self.inbox.drain(..length).collect())
    }

    /// A number of four bytes.
    pub fn word(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| u32::from_be_bytes(bytes.try_into().expect("four bytes")))
    }

    /// A name and a password.
    pub fn names(&mut self) -> Option<(String, String)> {
        let length = |at: usize| {
            let bytes = self.inbox.get(at..at + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().expect("four bytes")) as usize)
        };
        let (user, password) = (length(0)?, length(4)?);
        let bytes = self.take(8 + user + password)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((text(&bytes[8..8 + user]), text(&bytes[8 + user..])))
    }

    /// Two texts, each with its length before it.
    pub fn two_texts(&mut self) -> Option<(String, String)> {
        let mut wire = self.clone();
        let texts = (wire.text()?, wire.text()?);
        *self = wire;
        Some(texts)
    }

    /// A text with its length before it.
    pub fn text(&mut self) -> Option<String> {
        let length = self.inbox.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
        let bytes = self.take(4 + length as usize)?;
        Some(String::from_utf8(bytes[4..].to_vec()).expect("words"))
    }
}

/// Appends a text with its length before it.
pub fn put_text(text: &str, output: &mut Vec<u8>) {
    output.extend((text.len() as u32).to_be_bytes());
    output.extend(text.bytes());
}

/// A name and a password as they are said.
pub fn put_names(user: &str, password: &str) -> Vec<u8> {
    let lengths = [user, password].map(|word| (word.len() as u32).to_be_bytes());
    [lengths.concat(), user.bytes().chain(password.bytes()).collect()].concat()
}
