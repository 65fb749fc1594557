//! One TLS session, as bytes in and bytes out.
//!
//! ```text
//!  Handshaking ── agreed ──▶ Established ── error ──▶ Over
//!       └──────────────────── error ──────────────────▲
//! ```
//!
//! In: what a leg received, in the memory of a buffer; plaintext to be sealed. Out: plaintext, opened where the records lay;
//! records, sealed where the plaintext lay; and bytes of the protocol's own, which are to be sent at once. A record of which only a
//! part has come is kept apart, in as much memory as it has bytes: an idle session holds no buffer.

use std::ops::Range;

use crate::error::{Alert, Error};
use crate::handshake::{Agreed, Handshake};
use crate::provider::Implementation;
use crate::records::{Opened, Records, record_length};

/// See the module.
pub struct Session {
    implementation: Implementation,
    state: State,
    /// The beginning of a record.
    partial: Vec<u8>,
    /// We said that we send no more.
    closed: bool,
}

enum State {
    /// And bytes of handshake messages that are not whole.
    Handshaking(Box<Handshake>, Vec<u8>),
    Established(Box<Records>),
    Over,
}

/// Where the plaintext of what arrived is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Plain {
    /// In the memory that was handed in; the range may be empty.
    Within(Range<usize>),
    /// The record had begun before, and there was no room for that in front.
    Apart(Vec<u8>),
}

/// What receiving brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// Plaintext, in order.
    pub plain: Plain,
    /// The handshake has just ended, with this.
    pub agreed: Option<Box<Agreed>>,
}

impl Session {
    pub(crate) fn new(implementation: Implementation, handshake: Handshake) -> Session {
        let state = State::Handshaking(Box::new(handshake), Vec::new());
        Session { implementation, state, partial: Vec::new(), closed: false }
    }

    /// The first bytes of a client; of a server, nothing.
    ///
    /// # Errors
    /// If there is nothing that could be offered.
    pub fn start(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        match &mut self.state {
            State::Handshaking(handshake, pending) => {
                handshake.advance(pending, output).map(|_| ())
            }
            State::Established(_) | State::Over => Ok(()),
        }
    }

    /// Takes what has arrived at `arrived` in `memory`. What is in front of it there is free to be written to. `output` is to be sent,
    /// whatever the result.
    ///
    /// # Errors
    /// Why the session is over. Nothing is received after that.
    pub fn receive(
        &mut self,
        memory: &mut [u8],
        arrived: Range<usize>,
        output: &mut Vec<u8>,
    ) -> Result<Received, Error> {
        let before = std::mem::take(&mut self.partial);
        let result = if before.len() <= arrived.start {
            let start = arrived.start - before.len();
            memory[start..arrived.start].copy_from_slice(&before);
            self.take(&mut memory[start..arrived.end], output).map(|(mut received, agreed)| {
                received.plain = received.plain.start + start..received.plain.end + start;
                Received { plain: Plain::Within(received.plain), agreed }
            })
        } else {
            let mut apart = before;
            apart.extend_from_slice(&memory[arrived]);
            self.take(&mut apart, output).map(|(opened, agreed)| {
                apart.truncate(opened.plain.end);
                apart.drain(..opened.plain.start);
                Received { plain: Plain::Apart(apart), agreed }
            })
        };
        if let Err(error) = &result {
            self.break_off(error, output);
        }
        result
    }

    /// Takes all whole records, and keeps the rest.
    fn take(
        &mut self,
        data: &mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(Opened, Option<Box<Agreed>>), Error> {
        let (mut taken, mut agreed) = (0, None);
        while let State::Handshaking(handshake, pending) = &mut self.state {
            see_that_it_is_tls(&data[taken..])?;
            let Some(length) = record_length(&data[taken..])? else { break };
            pending.extend_from_slice(&data[taken..taken + length]);
            taken += length;
            if handshake.advance(pending, output)? {
                agreed = Some(Box::new(self.establish()?));
            }
        }
        let mut opened = Opened::default();
        if let State::Established(records) = &mut self.state {
            opened = records.open(&mut data[taken..], output)?;
            opened.plain = opened.plain.start + taken..opened.plain.end + taken;
        }
        taken += opened.taken;
        self.partial = data[taken..].to_vec();
        Ok((opened, agreed))
    }

    fn establish(&mut self) -> Result<Agreed, Error> {
        let State::Handshaking(handshake, _) = std::mem::replace(&mut self.state, State::Over)
        else {
            return Err(Error::internal("no handshake to end"));
        };
        let (records, agreed) =
            Records::new(self.implementation, handshake.finish(self.implementation)?);
        self.state = State::Established(Box::new(records));
        Ok(agreed)
    }

    /// How many bytes sealing `length` bytes, in records of at most `slice`, takes in front of them, and in all. None before the
    /// handshake has ended, and after the session has.
    pub fn room(&self, length: usize, slice: usize) -> Option<(usize, usize)> {
        match &self.state {
            State::Established(records) if !self.closed => Some(records.room(length, slice)),
            _ => None,
        }
    }

    /// Seals what is at `plain` in `memory`, in records of at most `slice` bytes, around where it lies; says where they are.
    /// `output` is to be sent before them.
    ///
    /// # Errors
    /// If the session is not established, or over, or there is less [`room`](Self::room) than that takes.
    pub fn seal(
        &mut self,
        memory: &mut [u8],
        plain: Range<usize>,
        slice: usize,
        output: &mut Vec<u8>,
    ) -> Result<Range<usize>, Error> {
        let Some((front, total)) = self.room(plain.len(), slice) else {
            return Err(Error::internal("sealing without a session"));
        };
        if plain.start < front || plain.start - front + total > memory.len() {
            return Err(Error::internal("no room for a record"));
        }
        match &mut self.state {
            State::Established(records) => records.seal(memory, plain, slice, output),
            _ => Err(Error::internal("sealing without a session")),
        }
    }

    /// Says that we send no more.
    pub fn close(&mut self, output: &mut Vec<u8>) {
        if let State::Established(records) = &mut self.state
            && !self.closed
        {
            self.closed = true;
            records.alert(false, Alert::CloseNotify, output);
        }
    }

    /// Whether the handshake has ended, and the session has not.
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Established(_))
    }

    /// Whether the peer has said that it sends no more. An end of the stream without that may be somebody else's work.
    pub fn peer_closed(&self) -> bool {
        matches!(&self.state, State::Established(records) if records.peer_closed)
    }

    fn break_off(&mut self, error: &Error, output: &mut Vec<u8>) {
        let state = std::mem::replace(&mut self.state, State::Over);
        // Errors of a handshake have their alert from rustls, unless they are ours.
        match (error, state) {
            (Error::Broken(alert, _), State::Established(mut records)) => {
                records.alert(true, *alert, output)
            }
            (Error::Internal(_), State::Established(mut records)) => {
                records.alert(true, Alert::InternalError, output)
            }
            _ => {}
        }
    }
}

/// Whether the first bytes are those of a record; people connect to the wrong port.
fn see_that_it_is_tls(data: &[u8]) -> Result<(), Error> {
    let Some(first) = data.first() else { return Ok(()) };
    let looks = match first {
        20..=23 => return Ok(()),
        b'R' if data.starts_with(b"RFB") => "a VNC server's greeting in the clear",
        b'S' if data.starts_with(b"SSH") => "an SSH greeting",
        b'A'..=b'Z' | b'a'..=b'z' => "text in the clear, such as an HTTP request",
        0x80.. => "an SSL 2 hello, or another protocol",
        _ => "another protocol",
    };
    Err(Error::NotTls(looks))
}

impl std::fmt::Debug for Session {
    /// Says nothing of keys or bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.state {
            State::Handshaking(..) => "handshaking",
            State::Established(_) => "established",
            State::Over => "over",
        };
        write!(f, "Session({state})")
    }
}
