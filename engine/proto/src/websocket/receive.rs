//! Receives a client's frames: bytes in pieces in; payload, replies and a verdict out.
//!
//! ```text
//!   ┌──────── whole ────────┐
//!   ▼                       │
//! Header ── begun ──▶ Payload       close, broken rule ──▶ Over
//! ```
//!
//! Keeps the beginning of a header, of a control frame's payload and of a Base64 group, and nothing else.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

use super::Payload;
use super::base64::Decoder;
use super::error::Error;
use super::frame::{self, Opcode};
use super::header::{Frame, Partial};
use super::mask::unmask;

/// See the module's drawing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receiver {
    payload: Payload,
    state: State,
    /// A message has begun whose last frame hasn't.
    is_within_message: bool,
    /// Payload of the control frame that is under way.
    control: Vec<u8>,
    decoder: Decoder,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Header(Partial),
    Payload(Frame),
    Over,
}

/// What receiving brought. All of it is good, whatever `broken` says: it came before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Received {
    /// Where the payload is in the memory that was handed in; may be empty.
    pub plain: Range<usize>,
    /// The client's last frame. It is for the caller to answer it.
    pub close: Option<Close>,
    /// Which rule was broken. It is for the caller to send a close frame with its code.
    pub broken: Option<Error>,
    /// Pongs that came.
    pub pongs: u32,
    /// Frames that carried nothing for the target: control frames, pongs among them, and empty data frames. Only they cost work without bringing
    /// anything, so it is for the caller to bound them.
    pub idle_frames: u32,
}

/// Why the client leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Close {
    /// Its code, one that may be sent; none if it gave none.
    pub code: Option<u16>,
    /// Its words, at most 123 bytes. Not to be trusted with a terminal.
    pub reason: String,
}

impl Receiver {
    /// A machine for one connection, from the end of the handshake on.
    pub fn new(payload: Payload) -> Self {
        Self {
            payload,
            state: State::Header(Partial::default()),
            is_within_message: false,
            control: Vec::new(),
            decoder: Decoder::default(),
        }
    }

    /// Takes what has arrived at `arrived` in `memory`. Payload is put together from where its first byte lies on, over the headers between. Pongs are
    /// appended to `output`; they are shorter than the pings that have come. After a close or a broken rule everything is ignored.
    ///
    /// # Panics
    /// If `arrived` isn't within `memory`.
    pub fn receive(
        &mut self,
        memory: &mut [u8],
        arrived: Range<usize>,
        output: &mut Vec<u8>,
    ) -> Received {
        let plain = arrived.start..arrived.start;
        let mut received = Received { plain, ..Received::default() };
        let mut rest = arrived;
        while !rest.is_empty() && !self.is_over() {
            match self.step(memory, rest.clone(), &mut received, output) {
                Ok(taken) => rest.start += taken,
                Err(error) => {
                    received.broken = Some(error);
                    self.end();
                }
            }
        }
        received
    }

    /// Whether a close or a broken rule has ended it.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Takes a header, or payload of one frame: how many bytes.
    fn step(
        &mut self,
        memory: &mut [u8],
        rest: Range<usize>,
        received: &mut Received,
        output: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        let taken = match &mut self.state {
            State::Header(partial) => {
                let (taken, frame) = partial.take(&memory[rest])?;
                if let Some(frame) = frame {
                    self.begin(frame, received)?;
                }
                taken
            }
            State::Payload(frame) => {
                let length = usize::try_from(frame.left).map_or(rest.len(), |n| n.min(rest.len()));
                frame.left -= length as u64;
                let part = rest.start..rest.start + length;
                if frame.opcode.is_control() {
                    unmask(memory, part.clone(), part.start, &mut frame.key);
                    self.control.extend_from_slice(&memory[part]);
                } else {
                    put(memory, part, &mut frame.key, self.payload, &mut self.decoder, received)?;
                }
                length
            }
            State::Over => rest.len(),
        };
        if let State::Payload(Frame { left: 0, opcode, is_final, .. }) = self.state {
            self.state = State::Header(Partial::default());
            self.finish(opcode, is_final, received, output)?;
        }
        Ok(taken)
    }

    /// A frame's header is whole.
    fn begin(&mut self, frame: Frame, received: &mut Received) -> Result<(), Error> {
        match (frame.opcode, self.payload) {
            (Opcode::Continuation, _) if !self.is_within_message => Err(Error::Continuation),
            (Opcode::Text, Payload::Binary) => Err(Error::Text),
            (Opcode::Binary, Payload::Base64) => Err(Error::Binary),
            (Opcode::Text | Opcode::Binary, _) if self.is_within_message => Err(Error::Interleaved),
            _ => Ok(()),
        }?;
        if frame.opcode.is_control() {
            received.idle_frames += 1;
        } else {
            received.idle_frames += u32::from(frame.left == 0);
            self.is_within_message = !frame.is_final;
        }
        self.state = State::Payload(frame);
        Ok(())
    }

    /// A frame's payload is whole.
    fn finish(
        &mut self,
        opcode: Opcode,
        is_final: bool,
        received: &mut Received,
        output: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match opcode {
            Opcode::Continuation | Opcode::Text | Opcode::Binary if is_final => {
                self.decoder.finish()?;
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
            Opcode::Ping => frame::pong(&mem::take(&mut self.control), output),
            Opcode::Pong => {
                self.control = Vec::new();
                received.pongs += 1;
            }
            Opcode::Close => {
                received.close = Some(Close::read(&self.control)?);
                self.end();
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.control = Vec::new();
    }
}

/// Puts a part of a data frame behind the payload that is already there.
fn put(
    memory: &mut [u8],
    part: Range<usize>,
    key: &mut [u8; 4],
    payload: Payload,
    decoder: &mut Decoder,
    received: &mut Received,
) -> Result<(), Error> {
    if received.plain.is_empty() {
        received.plain = part.start..part.start;
    }
    let end = &mut received.plain.end;
    let unmasked = *end..*end + part.len();
    unmask(memory, part, unmasked.start, key);
    match payload {
        Payload::Binary => *end = unmasked.end,
        Payload::Base64 => decoder.decode(memory, unmasked, end)?,
    }
    Ok(())
}

impl Close {
    fn read(payload: &[u8]) -> Result<Self, Error> {
        match *payload {
            [] => Ok(Self { code: None, reason: String::new() }),
            [_] => Err(Error::CloseLength),
            [high, low, ref reason @ ..] => {
                let code = u16::from_be_bytes([high, low]);
                if !may_be_sent(code) {
                    return Err(Error::CloseCode(code));
                }
                let reason = core::str::from_utf8(reason).map_err(|_| Error::CloseReason)?;
                Ok(Self { code: Some(code), reason: reason.into() })
            }
        }
    }
}

/// RFC 6455 §7.4 with the registry it opened: the others are reserved, or for use within a program only.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
