//! A browser's side of WebSocket, as a host lives it: what it reads and writes is payload, what passes is frames.
//!
//! In: bytes of a line, and payload. Out: payload, and frames for the line, cut and broken as its [`Framing`] says. It also looks at each
//! frame that comes: none may be masked, in pieces, longer written than it has to be or behind the last one, pings are empty, and
//! pongs answer what was asked, in order. It touches no socket.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use penstock_tests::web_socket::header;

use crate::sim::framing::{Framing, Leaving, Offence};
use crate::sim::random::Random;
use crate::sim::tally::{Fault, count};

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
/// The last frame of its message.
pub const FINAL: u8 = 0x80;

/// Frames without payload that one browser sends among others, at most: more in a second would be too many.
const INTERJECTIONS: u32 = 300;

/// What a last frame says: a code, if any.
pub type Parting = Option<u16>;

/// See the module.
pub struct Frames {
    framing: Framing,
    random: Random,
    /// Of frames that have not come whole.
    raw: Vec<u8>,
    /// For the line.
    pub out: VecDeque<u8>,
    /// FIN follows, once all of that is written.
    pub fin_due: bool,
    /// Payload that nobody has read yet.
    pub inbox: Vec<u8>,
    /// The 101 was read: what comes now is frames.
    open: bool,
    /// A message has begun that has not ended.
    within: bool,
    /// Payload, framed.
    framed: u64,
    interjections: u32,
    /// How the other side has parted.
    told: Option<Parting>,
    /// How we have, and whether that was our own idea.
    said: Option<(Parting, bool)>,
    /// Pings that are not answered yet.
    pings: VecDeque<Vec<u8>>,
    /// Pings that never will be, since later ones were.
    pub passed_over: usize,
    /// So many bytes of pongs were asked for.
    pub asked_for: usize,
    /// What it was to do against the protocol, it has done.
    pub spoiled: bool,
}

impl Frames {
    /// A side that has said nothing.
    pub fn new(framing: Framing, random: Random) -> Frames {
        Frames {
            framing,
            random,
            raw: Vec::new(),
            out: VecDeque::new(),
            fin_due: false,
            inbox: Vec::new(),
            open: false,
            within: false,
            framed: 0,
            interjections: 0,
            told: None,
            said: None,
            pings: VecDeque::new(),
            passed_over: 0,
            asked_for: 0,
            spoiled: false,
        }
    }

    /// How it behaves.
    pub fn framing(&self) -> &Framing {
        &self.framing
    }

    /// From here on, frames come.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// Whether frames come.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// How the other side has parted, if it has.
    pub fn told(&self) -> Option<Parting> {
        self.told
    }

    /// How we have parted, if we did so first.
    pub fn said_first(&self) -> Option<Parting> {
        self.said.filter(|(_, own)| *own).map(|(code, _)| code)
    }

    /// Whether all that was sent to us has come, by what the other side says of itself.
    pub fn is_told_all(&self) -> bool {
        self.told == Some(Some(1000)) && self.said_first().is_none()
    }

    /// Whether a frame has begun and not ended.
    pub fn is_cut(&self) -> bool {
        !self.raw.is_empty()
    }

    /// Pings that nobody has answered.
    pub fn unanswered(&self) -> usize {
        self.passed_over + self.pings.len()
    }

    /// Frames payload; how many bytes.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let mut n = bytes.len();
        if let Some((at, _)) = self.framing.offence {
            n = n.min((at - self.framed) as usize);
        }
        let mut rest = &bytes[..n];
        while !rest.is_empty() {
            let length = self.random.part(self.framing.frame.min(rest.len()));
            let (message, later) = rest.split_at(length);
            self.interject();
            match self.framing.base64 {
                true => self.message(STANDARD.encode(message).as_bytes(), true),
                false => {
                    let ends = !self.random.percent(self.framing.fragments);
                    self.message(message, ends);
                }
            }
            rest = later;
        }
        self.framed += n as u64;
        match self.framing.offence {
            Some((at, offence)) if at == self.framed => self.offend(offence),
            _ => {}
        }
        n
    }

    /// A message, or a part of one, in one frame or several.
    fn message(&mut self, bytes: &[u8], ends: bool) {
        let mut rest = bytes;
        while self.random.percent(self.framing.fragments) && rest.len() > 1 {
            let (fragment, later) = rest.split_at(self.random.between(1, rest.len() - 1));
            self.data(fragment, false);
            self.interject();
            rest = later;
        }
        self.data(rest, ends);
    }

    fn data(&mut self, bytes: &[u8], ends: bool) {
        let opcode = match (self.within, self.framing.base64) {
            (true, _) => CONTINUATION,
            (false, true) => TEXT,
            (false, false) => BINARY,
        };
        if self.within || !ends {
            count(Fault::Fragment);
        }
        self.within = !ends;
        self.put(if ends { FINAL | opcode } else { opcode }, bytes);
    }

    /// Now and then a ping, a pong that nobody asked for, or a frame with nothing in it.
    fn interject(&mut self) {
        if self.interjections >= INTERJECTIONS || !self.random.percent(self.framing.interjects) {
            return;
        }
        self.interjections += 1;
        match self.random.below(4) {
            0 => self.put(FINAL | PONG, &[7; 3]),
            1 => {
                // The end of one message of Base64 is no place to begin another.
                let ends = !self.within;
                self.data(&[], ends);
            }
            _ => self.ping(),
        }
    }

    fn ping(&mut self) {
        count(Fault::Ping);
        let length = self.random.part(126) - 1;
        let payload: Vec<u8> = (0..length).map(|_| self.random.bits() as u8).collect();
        self.put(FINAL | PING, &payload);
        self.asked_for += payload.len() + 32;
        self.pings.push_back(payload);
    }

    /// A frame, masked.
    fn put(&mut self, first: u8, payload: &[u8]) {
        let mask = (self.random.bits() as u32).to_be_bytes();
        let mut frame = header(first, payload.len() as u64, true);
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.out.extend(frame);
    }

    /// Asks whether we are there, unless it has asked enough, or the line is busy.
    pub fn ask(&mut self) {
        let able = self.said.is_none() && !self.spoiled && self.interjections < INTERJECTIONS;
        if able && self.out.is_empty() {
            self.interjections += 1;
            self.ping();
        }
    }

    /// Says that nothing more follows, or leaves without a word.
    pub fn finish(&mut self) {
        if self.framing.leaving == Leaving::Silently && self.told.is_none() {
            count(Fault::LeftSilently);
            (self.spoiled, self.fin_due) = (true, true);
            return;
        }
        let own = [None, Some(1000), Some(1001), Some(3000), Some(4999)];
        let code = self.told.unwrap_or_else(|| self.random.pick(&own));
        let words: &[u8] = if self.random.percent(50) { b"enough" } else { b"" };
        let payload = code.map(|code| [&code.to_be_bytes(), words].concat());
        self.put(FINAL | CLOSE, &payload.unwrap_or_default());
        self.said = Some((code, self.told.is_none()));
        self.fin_due = self.framing.leaving == Leaving::Hastily;
    }

    fn offend(&mut self, offence: Offence) {
        count(Fault::Offence);
        let frames = offence.frames(self.within, self.framing.base64);
        for (first, payload) in frames {
            self.put(first, &payload);
            if first == FINAL | PING && payload.len() <= 125 {
                self.pings.push_back(payload);
            }
        }
        self.out.extend(offence.bytes(self.within, self.framing.base64));
        self.spoiled = true;
    }

    /// Takes bytes of the line.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut raw = std::mem::take(&mut self.raw);
        raw.extend_from_slice(bytes);
        let mut taken = 0;
        while let Some((opcode, start, end)) = self.first_frame(&raw[taken..]) {
            assert!(self.told.is_none(), "frame {opcode} behind the last one");
            self.take(opcode, &raw[taken + start..taken + end]);
            taken += end;
        }
        raw.drain(..taken);
        self.raw = raw;
    }

    /// Opcode of the first frame, and where its payload is, if all of it has come.
    fn first_frame(&self, raw: &[u8]) -> Option<(u8, usize, usize)> {
        let [first, second] = *raw.first_chunk()?;
        let opcode = first & 0x0f;
        let data = if self.framing.base64 { TEXT } else { BINARY };
        let known = [data, CLOSE, PING, PONG].contains(&opcode);
        assert!(first & 0xf0 == FINAL && known, "no frame of ours begins with {first:#x}");
        assert!(second & 0x80 == 0, "a masked frame");
        let (start, length) = match second {
            126 => (4, u64::from(u16::from_be_bytes(*raw[2..].first_chunk()?))),
            127 => (10, u64::from_be_bytes(*raw[2..].first_chunk()?)),
            short => (2, u64::from(short)),
        };
        let shortest = header(first, length, false).len();
        assert_eq!(start, shortest, "the length {length} is written too long");
        assert!(opcode < CLOSE || length <= 125, "a control frame of {length} bytes");
        let end = start + length as usize;
        (raw.len() >= end).then_some((opcode, start, end))
    }

    fn take(&mut self, opcode: u8, payload: &[u8]) {
        match opcode {
            TEXT => self.inbox.extend(STANDARD.decode(payload).expect("Base64")),
            BINARY => self.inbox.extend_from_slice(payload),
            PING => self.asked(payload),
            PONG => self.answered(payload),
            _ => self.told = Some(parting(payload)),
        }
        assert!(opcode >= CLOSE || !payload.is_empty(), "a message with nothing in it");
    }

    fn asked(&mut self, payload: &[u8]) {
        assert!(payload.is_empty(), "pings of ours are empty");
        count(if self.framing.answers { Fault::PingAnswered } else { Fault::PingIgnored });
        if self.framing.answers && self.said.is_none() && !self.spoiled {
            self.put(FINAL | PONG, payload);
        }
    }

    fn answered(&mut self, payload: &[u8]) {
        count(Fault::PongHeard);
        let at = self.pings.iter().position(|ping| ping == payload);
        let at = at.unwrap_or_else(|| panic!("nobody has asked for the pong {payload:02x?}"));
        self.passed_over += at;
        self.pings.drain(..=at);
    }
}

/// What a last frame says, which has to be well-formed.
fn parting(payload: &[u8]) -> Parting {
    let Some((code, words)) = payload.split_first_chunk() else {
        assert!(payload.is_empty(), "half a code");
        return None;
    };
    std::str::from_utf8(words).expect("the reason is text");
    Some(u16::from_be_bytes(*code))
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Frames { framing, open, framed, told, said, spoiled, .. } = self;
        let waiting = (self.raw.len(), self.inbox.len(), self.out.len());
        let pings = (self.pings.len(), self.passed_over, self.interjections);
        write!(f, "{framing:?}, open {open}, {framed} framed, told {told:?}, said {said:?}, ")?;
        write!(f, "spoiled {spoiled}, pings {pings:?}, {waiting:?} wait")
    }
}
