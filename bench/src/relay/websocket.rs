//! Takes WebSocket from clients. Their frames are unmasked in one buffer of 64 KiB; whatever comes for them in one turn is one message, whose
//! header is put in front of it in the same buffer, or sent alone and the payload spliced behind it.
//!
//! ```text
//! from clients: Asked ──request──▶ Unmasked          to clients: Framed, or Spliced
//! ```

use std::io::{Error, ErrorKind, Read, Result};
use std::net::TcpStream;

use nix::libc::MSG_MORE;
use socket2::SockRef;

use super::copy::send;
use super::splice::{Pipe, Splice};
use super::{Flow, Mover, is_would_block};
use crate::websocket::{HEADER_MAX, Piece, REPLY, Reader, put_header};

pub(super) struct WebSocket {
    /// In front there is room for a header.
    buffer: Vec<u8>,
    /// None: it copies.
    splice: Option<Splice>,
}

pub(super) struct Lane {
    /// What the sink has not taken yet.
    rest: Vec<u8>,
    way: Way,
}

/// What becomes of the bytes.
enum Way {
    /// And what has come of the request.
    Asked(Vec<u8>),
    Unmasked(Reader),
    Framed,
    Spliced(Pipe),
}

const BUFFER: usize = 64 << 10;
const REQUEST_MAX: usize = 8 << 10;

impl WebSocket {
    pub(super) fn copying() -> WebSocket {
        WebSocket { buffer: vec![0; HEADER_MAX + BUFFER], splice: None }
    }

    pub(super) fn splicing() -> WebSocket {
        WebSocket { splice: Some(Splice::default()), ..WebSocket::copying() }
    }
}

impl Mover for WebSocket {
    type Lane = Lane;

    fn lane(&mut self, direction: usize) -> Result<Lane> {
        let way = match (direction, &mut self.splice) {
            (0, _) => Way::Asked(Vec::new()),
            (_, None) => Way::Framed,
            (_, Some(splice)) => Way::Spliced(splice.lane(direction)?),
        };
        Ok(Lane { rest: Vec::new(), way })
    }

    fn pump(&mut self, lane: &mut Lane, from: &TcpStream, to: &TcpStream) -> Result<Flow> {
        if !lane.rest.is_empty() {
            let sent = send(to, &lane.rest)?;
            lane.rest.drain(..sent);
            if !lane.rest.is_empty() {
                return Ok(Flow::Sink);
            }
        }
        let moved = match &mut lane.way {
            Way::Asked(head) => receive_request(head, from).map(|reader| {
                lane.way = Way::Unmasked(reader);
                Flow::Source
            }),
            Way::Unmasked(reader) => unmask(reader, from, &mut self.buffer)
                .and_then(|length| give(to, &self.buffer[..length], &mut lane.rest)),
            Way::Framed => {
                frame(from, &mut self.buffer).and_then(|message| give(to, message, &mut lane.rest))
            }
            Way::Spliced(pipe) => splice(pipe, from, to, &mut lane.rest),
        };
        match moved {
            Err(e) if is_would_block(&e) => Ok(Flow::Source),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(Flow::Ended),
            moved => moved,
        }
    }

    fn retire(&mut self, lane: Lane) {
        if let (Way::Spliced(pipe), Some(splice)) = (lane.way, &mut self.splice) {
            splice.retire(pipe);
        }
    }

    fn awaits_answer(lane: &Lane) -> bool {
        matches!(lane.way, Way::Asked(_))
    }
}

/// Answers a request once it is whole; until then it `WouldBlock`.
fn receive_request(head: &mut Vec<u8>, from: &TcpStream) -> Result<Reader> {
    let mut part = [0; 1024];
    let length = receive(from, &mut part)?;
    head.extend(&part[..length]);
    if head.len() > REQUEST_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    if !head.ends_with(b"\r\n\r\n") {
        return Err(ErrorKind::WouldBlock.into());
    }
    match send(from, REPLY.as_bytes())? {
        sent if sent == REPLY.len() => Ok(Reader::of_client()),
        _ => Err(ErrorKind::WriteZero.into()),
    }
}

/// To the front of the buffer.
fn unmask(reader: &mut Reader, from: &TcpStream, buffer: &mut [u8]) -> Result<usize> {
    let length = receive(from, buffer)?;
    let (mut plain, mut taken) = (0, 0);
    while taken < length {
        match reader.take(&mut buffer[taken..length]).map_err(Error::other)? {
            Piece::Payload(length) => {
                buffer.copy_within(taken..taken + length, plain);
                plain += length;
                taken += length;
            }
            Piece::Own(length) => taken += length,
        }
    }
    Ok(plain)
}

/// A whole message.
fn frame<'b>(from: &TcpStream, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let length = receive(from, &mut buffer[HEADER_MAX..])?;
    let start = put_header(&mut buffer[..HEADER_MAX], length);
    Ok(&buffer[start..HEADER_MAX + length])
}

fn give(to: &TcpStream, bytes: &[u8], rest: &mut Vec<u8>) -> Result<Flow> {
    let sent = send(to, bytes)?;
    rest.extend(&bytes[sent..]);
    Ok(if rest.is_empty() { Flow::Source } else { Flow::Sink })
}

/// What the pipe has taken is one message.
fn splice(pipe: &mut Pipe, from: &TcpStream, to: &TcpStream, rest: &mut Vec<u8>) -> Result<Flow> {
    if pipe.is_empty() {
        let length = pipe.fill(from)?;
        let mut room = [0; HEADER_MAX];
        let start = put_header(&mut room, length);
        let header = &room[start..];
        let sent = match SockRef::from(to).send_with_flags(header, MSG_MORE) {
            Err(e) if is_would_block(&e) => 0,
            other => other?,
        };
        rest.extend(&header[sent..]);
        if !rest.is_empty() {
            return Ok(Flow::Sink);
        }
    }
    pipe.drain(to)
}

/// An end is an error here.
fn receive(mut from: &TcpStream, room: &mut [u8]) -> Result<usize> {
    match from.read(room)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        length => Ok(length),
    }
}
