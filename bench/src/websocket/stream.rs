//! A connection, with or without WebSocket, which may stand on TLS: what is received and sent is payload either way.
//!
//! Nonblocking. Each message that is sent is a frame of its own; what the socket does not take of it waits below.

use std::io::{Error, ErrorKind, Result};
use std::net::TcpStream;

use super::frame::{self, HEADER_MAX, PONG, Piece, Reader};
use crate::tls;

pub(crate) struct Stream {
    below: tls::Stream,
    layer: Option<Box<Layer>>,
}

struct Layer {
    reader: Reader,
    /// Of the next frame.
    key: u32,
    /// A frame on its way out.
    frame: Vec<u8>,
}

/// Frames that are flooded: noVNC's are 10 KiB at most, and of much longer ones some servers copy each byte many times.
const FLOOD_FRAME: usize = 16 << 10;
/// Payload that is not worth a look goes by uncopied, but for so many bytes beside each header.
const LOOK: usize = 512;

impl Stream {
    /// Speaks no WebSocket yet.
    pub(crate) fn over(below: tls::Stream) -> Stream {
        Stream { below, layer: None }
    }

    /// From now on it does, as a browser. What has come of that already is turned into payload.
    pub(crate) fn upgrade(&mut self, early: &mut Vec<u8>) -> Result<()> {
        let (reader, frame) = (Reader::of_server(), Vec::new());
        let mut layer = Layer { reader, key: 0, frame };
        let plain = layer.unwrap(early)?;
        early.truncate(plain);
        self.layer = Some(Box::new(layer));
        self.answer()
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.below.socket()
    }

    /// Of TLS: plaintext can be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.below.is_open()
    }

    /// Of TLS: it took up a session of before; none: it has no session, or not yet.
    pub(crate) fn resumed(&self) -> Option<bool> {
        self.below.resumed()
    }

    /// Not all that was taken has gone.
    pub(crate) fn has_queued(&self) -> bool {
        self.below.has_queued()
    }

    /// Once the socket is connected.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.below.start()
    }

    /// As read(2) does, to the front of `scratch`. `WouldBlock` also where nothing came but what is the layers' own.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<usize> {
        let length = self.below.receive(scratch)?;
        let Some(layer) = &mut self.layer else { return Ok(length) };
        if length == 0 {
            return Ok(0);
        }
        let plain = layer.unwrap(&mut scratch[..length])?;
        self.answer()?;
        some(plain)
    }

    /// The same, of bytes that nobody wants to see: most of them are not even copied, unless they come by TLS.
    pub(crate) fn discard(&mut self, scratch: &mut [u8]) -> Result<usize> {
        let Some(layer) = &mut self.layer else { return self.below.discard(scratch) };
        if self.below.has_session() {
            return self.receive(scratch);
        }
        let received = layer.discard(&mut self.below, scratch);
        self.answer()?;
        received
    }

    /// All is taken, or nothing: `WouldBlock` while what was taken before has not gone.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(layer) = &mut self.layer else { return self.below.send(bytes) };
        let frame = layer.wrap(frame::BINARY, bytes);
        self.below.send(frame)
    }

    /// Sends so many bytes which nobody will look at, or fewer: those in `scratch`, which is overwritten. Whatever is there is what masking
    /// has made of something.
    pub(crate) fn send_anything(&mut self, length: usize, scratch: &mut [u8]) -> Result<usize> {
        let Some(layer) = &mut self.layer else {
            return self.below.send_anything(length, scratch);
        };
        let header = frame::header(frame::BINARY, FLOOD_FRAME, Some(layer.next_key()));
        let each = header.len() + FLOOD_FRAME;
        let count = length / FLOOD_FRAME;
        for frame in scratch.chunks_exact_mut(each).take(count) {
            frame[..header.len()].copy_from_slice(&header);
        }
        self.below.send(&scratch[..count * each])?;
        Ok(count * FLOOD_FRAME)
    }

    #[cfg(test)]
    pub(super) fn flush(&mut self) -> Result<()> {
        self.below.flush()
    }

    /// Says that nothing more comes, in every layer. Whether that arrives is the peer's concern.
    pub(crate) fn finish(&mut self) {
        if let Some(layer) = &mut self.layer {
            let _ = self.below.send(layer.wrap(frame::CLOSE, &NORMAL.to_be_bytes()));
        }
        self.below.finish();
    }

    fn answer(&mut self) -> Result<()> {
        let Some(layer) = &mut self.layer else { return Ok(()) };
        match layer.reader.take_ping() {
            Some(ping) => self.below.send(layer.wrap(PONG, &ping)),
            None => Ok(()),
        }
    }
}

/// What a close frame says that ends a conversation as planned.
const NORMAL: u16 = 1000;

impl Layer {
    /// Moves the payload to the front of `data`.
    fn unwrap(&mut self, data: &mut [u8]) -> Result<usize> {
        let (mut plain, mut taken) = (0, 0);
        while taken < data.len() {
            match self.reader.take(&mut data[taken..]).map_err(told)? {
                Piece::Payload(length) => {
                    data.copy_within(taken..taken + length, plain);
                    plain += length;
                    taken += length;
                }
                Piece::Own(length) => taken += length,
            }
        }
        Ok(plain)
    }

    /// Reads headers and little else.
    fn discard(&mut self, below: &mut tls::Stream, scratch: &mut [u8]) -> Result<usize> {
        let (mut plain, mut moved) = (0, 0);
        while moved < scratch.len() {
            let left = usize::try_from(self.reader.left()).unwrap_or(usize::MAX);
            let asked = if left > LOOK { left.min(scratch.len()) } else { LOOK };
            let result = match left > LOOK {
                true => below.discard(&mut scratch[..asked]),
                false => below.receive(&mut scratch[..asked]),
            };
            let length = match result {
                Ok(0) => return Ok(plain),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                other => other?,
            };
            moved += length;
            if left > LOOK {
                self.reader.skip(length);
                plain += length;
            } else {
                plain += self.unwrap(&mut scratch[..length])?;
            }
            if length < asked {
                break;
            }
        }
        some(plain)
    }

    /// Makes a whole frame of `bytes`.
    fn wrap(&mut self, opcode: u8, bytes: &[u8]) -> &[u8] {
        let key = self.next_key();
        self.frame.clear();
        self.frame.reserve(HEADER_MAX + bytes.len());
        self.frame.extend(frame::header(opcode, bytes.len(), Some(key)));
        let start = self.frame.len();
        self.frame.extend(bytes);
        frame::mask(&mut self.frame[start..], key);
        &self.frame
    }

    /// Another each time; nobody has to be kept from guessing it.
    fn next_key(&mut self) -> [u8; 4] {
        self.key = self.key.wrapping_add(0x9e37_79b9);
        self.key.to_ne_bytes()
    }
}

/// Nothing but the protocol's own is nothing yet.
fn some(plain: usize) -> Result<usize> {
    match plain {
        0 => Err(ErrorKind::WouldBlock.into()),
        plain => Ok(plain),
    }
}

fn told(error: anyhow::Error) -> Error {
    Error::other(format!("{error:#}"))
}
