//! One TLS session, as bytes in and bytes out.
//!
//! ```text
//!  Handshaking ── agreed ──▶ Established ── error ──▶ Over
//!       └──────────────────── error ──────────────────▲
//! ```
//!
//! In: what a leg received, in the memory of a buffer; plaintext to be sealed. Out: plaintext, opened where the records lay;
//! records, sealed where the plaintext lay; and bytes of the protocol's own. All that is to be sent goes out in the order in which it
//! came out of here. A record of which only a part has come is kept apart: an idle session holds no buffer.

use std::ops::Range;
use std::time::SystemTime;

use crate::distrust::CertificateFault;
use crate::error::{Alert, Error, Peer};
use crate::handshake::{Agreed, Handshake};
use crate::provider::Implementation;
use crate::records::{Opened, Records, length_of};

/// Of a record.
const GOOD_PART: usize = 1024;

/// See the module.
pub struct Session {
    implementation: Implementation,
    state: State,
    /// The beginning of a record.
    partial: Vec<u8>,
    /// The name that our client asked for.
    server_name: Option<Box<str>>,
    peer: Peer,
}

enum State {
    Handshaking(Box<Handshake>),
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
    /// Why the session is over. What came before that is good; whatever is received after it is nobody's.
    pub broken: Option<Error>,
}

impl Session {
    pub(crate) fn new(implementation: Implementation, handshake: Handshake) -> Session {
        let peer = handshake.peer();
        let state = State::Handshaking(Box::new(handshake));
        Session { implementation, state, partial: Vec::new(), server_name: None, peer }
    }

    /// The first bytes of a client; of a server, nothing.
    ///
    /// # Errors
    /// If there is nothing that could be offered.
    pub fn start(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        match &mut self.state {
            State::Handshaking(handshake) => handshake.start(output),
            State::Established(_) | State::Over => Ok(()),
        }
    }

    /// Takes what has arrived at `arrived` in `memory`. What is in front of it there is free to be written to. `output` is to be sent,
    /// whatever the result.
    pub fn receive(
        &mut self,
        memory: &mut [u8],
        arrived: Range<usize>,
        output: &mut Vec<u8>,
    ) -> Received {
        let received = self.place(memory, arrived, output);
        if let Some(error) = &received.broken {
            self.break_off(error, output);
        }
        received
    }

    /// Puts what has arrived behind what was there of its record, and takes that.
    fn place(
        &mut self,
        memory: &mut [u8],
        arrived: Range<usize>,
        output: &mut Vec<u8>,
    ) -> Received {
        let length = length_of(&self.partial, &memory[arrived.clone()]);
        let is_whole = length.is_some_and(|length| self.partial.len() + arrived.len() >= length);
        if !self.partial.is_empty() && !is_whole {
            self.keep(&memory[arrived]);
            return Received { plain: Plain::Within(0..0), agreed: None, broken: None };
        }
        let mut before = std::mem::take(&mut self.partial);
        if before.len() <= arrived.start {
            let start = arrived.start - before.len();
            memory[start..arrived.start].copy_from_slice(&before);
            let (opened, agreed) = self.take(&mut memory[start..arrived.end], output);
            let plain = opened.plain.start + start..opened.plain.end + start;
            return Received { plain: Plain::Within(plain), agreed, broken: opened.broken };
        }
        before.extend_from_slice(&memory[arrived]);
        let (opened, agreed) = self.take(&mut before, output);
        before.truncate(opened.plain.end);
        before.drain(..opened.plain.start);
        Received { plain: Plain::Apart(before), agreed, broken: opened.broken }
    }

    /// Takes all whole records, and keeps the rest.
    fn take(&mut self, data: &mut [u8], output: &mut Vec<u8>) -> (Opened, Option<Box<Agreed>>) {
        let (taken, agreed) = match self.shake_hands(data, output) {
            Ok(shaken) => shaken,
            Err(error) => return (Opened { broken: Some(error), ..Opened::default() }, None),
        };
        let rest = &mut data[taken..];
        let mut opened = match &mut self.state {
            State::Handshaking(_) => Opened::default(),
            State::Established(records) => records.open(rest),
            State::Over => Opened { taken: rest.len(), ..Opened::default() },
        };
        self.keep(&rest[opened.taken..]);
        opened.plain = opened.plain.start + taken..opened.plain.end + taken;
        (opened, agreed)
    }

    /// Takes what is the handshake's, and says how many bytes that were.
    fn shake_hands(
        &mut self,
        data: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<Box<Agreed>>), Error> {
        let (mut taken, mut agreed) = (0, None);
        while let State::Handshaking(handshake) = &mut self.state {
            let result = handshake.take(&data[taken..], output);
            if let Some(hello) = handshake.hello() {
                self.server_name.clone_from(&hello.name);
            }
            let Some((length, is_agreed)) = result? else { break };
            taken += length;
            if is_agreed {
                agreed = Some(Box::new(self.establish()?));
            }
        }
        Ok((taken, agreed))
    }

    /// Keeps more of a record that is not whole. A good part of one has room made for the rest: it will not stay for long.
    fn keep(&mut self, more: &[u8]) {
        let bytes = self.partial.len() + more.len();
        let whole = length_of(&self.partial, more).filter(|_| bytes >= GOOD_PART);
        self.partial.reserve_exact(whole.unwrap_or(bytes).saturating_sub(self.partial.len()));
        self.partial.extend_from_slice(more);
    }

    fn establish(&mut self) -> Result<Agreed, Error> {
        let State::Handshaking(handshake) = std::mem::replace(&mut self.state, State::Over) else {
            return Err(Error::internal("no handshake to end"));
        };
        // Whatever came behind its last message came too early for the keys that it needs.
        let has_rest = handshake.held() > 0;
        let outcome = handshake.finish(self.implementation)?;
        let shown_until = outcome.shown_until;
        let (records, agreed) = Records::new(self.implementation, outcome);
        self.state = State::Established(Box::new(records));
        if has_rest {
            return Err(Error::broken(Alert::UnexpectedMessage, "more behind its last message"));
        }
        // Who takes a session up again shows no certificate, and what was shown before was judged then.
        match (self.peer, shown_until.filter(|_| agreed.resumed)) {
            (Peer::Client, Some(end)) if end < SystemTime::now() => {
                Err(Error::Certificate { of: Peer::Client, fault: CertificateFault::Expired })
            }
            _ => Ok(agreed),
        }
    }

    /// How many bytes sealing `length` bytes, in records of at most `slice`, takes in front of them, and in all. None before the
    /// handshake has ended, and after the session has.
    pub fn room(&self, length: usize, slice: usize) -> Option<(usize, usize)> {
        match &self.state {
            State::Established(records) if !records.closed => Some(records.room(length, slice)),
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
        if let State::Established(records) = &mut self.state {
            records.close(output);
        }
    }

    /// The name that our client asked for, once it has; also if nothing came of it. Lower case; None if it asked for none, or for
    /// something that is no name.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Whether the handshake has ended, and the session has not.
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Established(_))
    }

    /// Whether the peer has said that it sends no more. An end of the stream without that may be somebody else's work.
    pub fn peer_closed(&self) -> bool {
        matches!(&self.state, State::Established(records) if records.peer_closed)
    }

    /// Whether a record has begun to come, or a message of the protocol's own, that is not whole.
    pub fn is_within_record(&self) -> bool {
        let held = matches!(&self.state, State::Established(records) if records.held() > 0);
        held || !self.partial.is_empty()
    }

    /// A handshake has told its peer already.
    fn break_off(&mut self, error: &Error, output: &mut Vec<u8>) {
        let state = std::mem::replace(&mut self.state, State::Over);
        if let (State::Established(mut records), Some(alert)) = (state, error.due()) {
            records.give_up(alert, output);
        }
    }
}

impl std::fmt::Debug for Session {
    /// Says nothing of keys or bytes, but how many of them are kept.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (state, held) = match &self.state {
            State::Handshaking(handshake) => ("handshaking", handshake.held()),
            State::Established(records) => ("established", records.held()),
            State::Over => ("over", 0),
        };
        write!(f, "Session({state}, {} bytes kept)", held + self.partial.len())
    }
}
