//! The WebSocket layer: a browser's frames unmasked where they lie, headers put in front of what is sent to it.
//!
//! Pings are answered, within bounds: frames that bring nothing for the target cost work, and nobody needs many. When the last word is
//! said, nothing more is.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use penstock_proto::websocket::{self, Opcode, Payload, Receiver, encode, header};
use penstock_ring::{Chunk, Kernel, Time};

use super::{Fault, Parting, Presence, User};
use crate::metrics::Counters;
use crate::relay::Heartbeat;

/// The flow of frames without payload is judged over so long.
const WINDOW: Duration = Duration::from_secs(1);
/// So many of them in that time are too many.
const IDLE_FRAMES: u32 = 1000;
/// Bytes of pongs and pings that wait for the end of a frame, at most. Who asks for more is not waiting for an answer.
const HELD: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(crate) struct WebSocket {
    receiver: Receiver,
    payload: Payload,
    /// Our last word is said.
    parted: bool,
    /// How the peer left, once it has: with that code, or without one.
    left: Option<Option<u16>>,
    /// Pings are not answered now.
    mute: bool,
    /// When the peer was last heard of.
    pub(crate) heard_at: Time,
    /// None: it is not asked whether it is there.
    pub(crate) heartbeat: Option<Heartbeat>,
    /// None: nobody looks whether somebody sits there.
    pub(crate) presence: Option<Box<Presence>>,
    /// Since when frames without payload are counted, and how many there were.
    window: (Time, u32),
    /// Control frames that wait until the frame is whole that is being spliced.
    held: Vec<u8>,
}

/// What was heard.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) plain: Range<usize>,
    /// To be sent back, in the clear.
    pub(super) reply: Vec<u8>,
    pub(super) ended: bool,
    pub(super) broken: Option<Fault>,
}

impl WebSocket {
    /// After the handshake, which ended at `now`.
    pub(crate) fn new(payload: Payload, now: Time) -> WebSocket {
        WebSocket {
            receiver: Receiver::new(payload),
            payload,
            parted: false,
            left: None,
            mute: false,
            heard_at: now,
            heartbeat: None,
            presence: None,
            window: (now, 0),
            held: Vec::new(),
        }
    }

    pub(super) fn receive(&mut self, memory: &mut [u8], arrived: Range<usize>, now: Time) -> Heard {
        self.heard_at = now;
        let mut reply = Vec::new();
        let received = self.receiver.receive(memory, arrived, &mut reply);
        if self.parted || self.mute {
            reply.clear();
        }
        if let Some(close) = &received.close {
            self.left = Some(close.code);
        }
        let flood = || Fault::Flood(IDLE_FRAMES);
        let broken = received.broken.map(Fault::WebSocket);
        let broken = broken.or_else(|| self.is_flooded(received.idle_frames, now).then(flood));
        if let Some(fault) = &broken {
            let (code, words) = fault.close();
            self.part(Some(code), &words, &mut reply);
        }
        Heard { plain: received.plain, reply, ended: self.left.is_some(), broken }
    }

    /// Makes one message of a chunk. The first part, often empty, goes before the other.
    pub(super) fn frame<K: Kernel>(
        &self,
        chunk: Chunk,
        kernel: &mut K,
        counters: &Counters,
    ) -> (Bytes, Chunk) {
        match (self.payload, chunk) {
            (Payload::Binary, Chunk::Pool(mut buffer)) => {
                let (start, end) = (buffer.start(), buffer.start() + buffer.len());
                let header = header(buffer.len() as u64, Opcode::Binary);
                let Some(front) = start.checked_sub(header.len()) else {
                    counters.frames_apart.add(1);
                    return (Bytes::copy_from_slice(&header), Chunk::Pool(buffer));
                };
                kernel.memory(&buffer)[front..start].copy_from_slice(&header);
                buffer.set(front..end);
                (Bytes::new(), Chunk::Pool(buffer))
            }
            (Payload::Binary, Chunk::Bytes(bytes)) => {
                let header = header(bytes.len() as u64, Opcode::Binary);
                (Bytes::copy_from_slice(&header), Chunk::Bytes(bytes))
            }
            (Payload::Base64, Chunk::Pool(buffer)) => {
                counters.frames_apart.add(1);
                let frame = in_text(kernel.bytes(&buffer));
                kernel.release(buffer);
                (Bytes::new(), Chunk::Bytes(frame))
            }
            (Payload::Base64, Chunk::Bytes(bytes)) => (Bytes::new(), Chunk::Bytes(in_text(&bytes))),
        }
    }

    /// Whether payload may follow its header unseen.
    pub(super) fn carries_bytes(&self) -> bool {
        self.payload == Payload::Binary
    }

    /// The last word, unless it was said.
    pub(super) fn close(&mut self, parting: Parting<'_>) -> Vec<u8> {
        let mut output = Vec::new();
        match (self.left, parting) {
            (Some(code), _) => self.part(code, "", &mut output),
            (None, Parting::Done) => self.part(Some(1000), "Target closed", &mut output),
            (None, Parting::Lost) => {
                self.part(Some(1011), "The target's connection broke", &mut output)
            }
            (None, Parting::Dismissed(code, words)) => self.part(Some(code), words, &mut output),
        }
        output
    }

    /// Whether the peer has said its last word.
    pub(crate) fn has_left(&self) -> bool {
        self.left.is_some()
    }

    /// Whether ours is said.
    pub(crate) fn has_parted(&self) -> bool {
        self.parted
    }

    /// Whether pings are answered: not to who reads no answers.
    pub(crate) fn answer_pings(&mut self, on: bool) {
        self.mute = !on;
    }

    /// When somebody did something there, if that is watched.
    pub(crate) fn user(&self) -> Option<User> {
        self.presence.as_ref().map(|presence| presence.user())
    }

    /// Keeps control frames, as they are sent, until nothing is in their way; not without bound.
    pub(crate) fn hold(&mut self, frames: &[u8]) {
        if self.held.len() + frames.len() <= HELD {
            self.held.extend_from_slice(frames);
        }
    }

    /// What was kept.
    pub(crate) fn take_held(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }

    fn part(&mut self, code: Option<u16>, words: &str, output: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.parted, true) {
            websocket::close(code, words, output);
        }
    }

    fn is_flooded(&mut self, idle_frames: u32, now: Time) -> bool {
        if now.since(self.window.0) >= WINDOW {
            self.window = (now, 0);
        }
        self.window.1 = self.window.1.saturating_add(idle_frames);
        self.window.1 > IDLE_FRAMES
    }
}

/// A message of text that carries bytes.
fn in_text(bytes: &[u8]) -> Bytes {
    let mut frame = Vec::new();
    encode(bytes, &mut frame);
    frame.into()
}
