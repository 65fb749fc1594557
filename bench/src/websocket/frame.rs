//! Frames (RFC 6455, section 5), in whatever pieces they come: payload is told as it comes, and no frame is gathered.

use anyhow::{Result, bail, ensure};

/// Who sends the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// Masked.
    Client,
    Server,
}

/// What somebody else sends, and where it is.
pub(crate) struct Reader {
    sender: Sender,
    /// The beginning of a header, or of a control frame.
    begun: Vec<u8>,
    /// Payload of the frame under way that is still to come, and its key from here on.
    left: u64,
    key: [u8; 4],
    /// The message under way has more frames.
    continues: bool,
    /// What was pinged and not answered yet.
    ping: Option<Vec<u8>>,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Payload(usize),
    /// The protocol's own.
    Own(usize),
}

const CONTINUATION: u8 = 0;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
const PING: u8 = 9;
pub(super) const PONG: u8 = 10;
const LAST: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Of a control frame.
const CONTROL_MAX: u64 = 125;

/// Two bytes, a length of eight and a key.
pub(crate) const HEADER_MAX: usize = 14;

impl Reader {
    /// Reads what a server sends.
    pub(crate) fn of_server() -> Reader {
        Reader::new(Sender::Server)
    }

    /// Reads what a client sends, and unmasks it.
    pub(crate) fn of_client() -> Reader {
        Reader::new(Sender::Client)
    }

    fn new(sender: Sender) -> Reader {
        let begun = Vec::with_capacity(HEADER_MAX);
        Reader { sender, begun, left: 0, key: [0; 4], continues: false, ping: None }
    }

    /// Payload that comes next, at least.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Lets payload of a server's go by unseen.
    pub(crate) fn skip(&mut self, length: usize) {
        self.left -= length as u64;
    }

    /// What the bytes at the front of `data` are. Payload is unmasked.
    ///
    /// # Errors
    /// Whatever breaks the rules, and the end of the conversation.
    pub(crate) fn take(&mut self, data: &mut [u8]) -> Result<Piece> {
        if self.left > 0 {
            let length = data.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            if self.sender == Sender::Client {
                mask(&mut data[..length], self.key);
                self.key.rotate_left(length % 4);
            }
            self.left -= length as u64;
            return Ok(Piece::Payload(length));
        }
        let length = data.len().min(announced(&self.begun) - self.begun.len());
        self.begun.extend(&data[..length]);
        if self.begun.len() == announced(&self.begun) {
            self.begin()?;
            self.begun.clear();
        }
        Ok(Piece::Own(length))
    }

    /// The payload of a ping that wants an answer.
    pub(crate) fn take_ping(&mut self) -> Option<Vec<u8>> {
        self.ping.take()
    }

    /// A header is whole, or a control frame.
    fn begin(&mut self) -> Result<()> {
        let [first, second] = [self.begun[0], self.begun[1]];
        ensure!(first & 0x70 == 0, "a frame has reserved bits: {first:#04x} {second:#04x}");
        let (is_last, opcode) = (first & LAST != 0, first & 0xf);
        let is_masked = second & MASKED != 0;
        ensure!(is_masked == (self.sender == Sender::Client), "masked: {is_masked}");
        let length = length(&self.begun);
        if opcode & 0x8 != 0 {
            ensure!(is_last && length <= CONTROL_MAX, "a control frame of {length} bytes");
            return self.hear(opcode, length as usize);
        }
        let shortest = match length {
            0..126 => second & !MASKED < 126,
            126..0x1_0000 => second & !MASKED == 126,
            _ => length >> 63 == 0,
        };
        ensure!(shortest, "a length of {length} is written at more length than it needs");
        let expected = if self.continues { CONTINUATION } else { BINARY };
        ensure!(opcode == expected, "a frame has opcode {opcode} instead of {expected}");
        self.continues = !is_last;
        self.left = length;
        if is_masked && let Some(key) = self.begun.last_chunk() {
            self.key = *key;
        }
        Ok(())
    }

    fn hear(&mut self, opcode: u8, length: usize) -> Result<()> {
        let start = self.begun.len() - length;
        if self.sender == Sender::Client
            && let Some(key) = self.begun[..start].last_chunk().copied()
        {
            mask(&mut self.begun[start..], key);
        }
        let said = &self.begun[start..];
        match (opcode, said) {
            (CLOSE, [high, low, reason @ ..]) => {
                let (code, reason) = (u16::from_be_bytes([*high, *low]), reason.escape_ascii());
                bail!("the WebSocket was closed: {code} {reason}")
            }
            (CLOSE, _) => bail!("the WebSocket was closed"),
            (PING, _) => self.ping = Some(said.to_vec()),
            (PONG, _) => {}
            _ => bail!("a frame has opcode {opcode}"),
        }
        Ok(())
    }
}

/// How long a header will be, as far as it is known: of a control frame, with its payload.
fn announced(begun: &[u8]) -> usize {
    let &[first, second, ..] = begun else { return 2 };
    let header =
        2 + match second & !MASKED {
            126 => 2,
            127 => 8,
            _ => 0,
        } + if second & MASKED != 0 { 4 } else { 0 };
    match first & 0x8 {
        0 => header,
        _ if begun.len() < header => header,
        _ => header + length(begun).min(CONTROL_MAX) as usize,
    }
}

/// In a whole header.
fn length(header: &[u8]) -> u64 {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    match header[1] & !MASKED {
        126 => number(&header[2..4]),
        127 => number(&header[2..10]),
        short => u64::from(short),
    }
}

/// Puts a server's header of a whole binary message at the end of `room`, and says where it begins.
pub(crate) fn put_header(room: &mut [u8], length: usize) -> usize {
    let header = header(BINARY, length, None);
    let start = room.len() - header.len();
    room[start..].copy_from_slice(&header);
    start
}

/// With a key, it is a client's.
pub(super) fn header(opcode: u8, length: usize, key: Option<[u8; 4]>) -> Vec<u8> {
    let mut header = vec![LAST | opcode];
    let masked = if key.is_some() { MASKED } else { 0 };
    match length {
        0..126 => header.push(masked | length as u8),
        126..0x1_0000 => {
            header.push(masked | 126);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(masked | 127);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header.extend(key.iter().flatten());
    header
}

/// Or unmasks.
pub(super) fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let wide = [key; 8].concat();
    let mut chunks = bytes.chunks_exact_mut(32);
    for chunk in &mut chunks {
        chunk.iter_mut().zip(&wide).for_each(|(byte, key)| *byte ^= key);
    }
    chunks.into_remainder().iter_mut().zip(&wide).for_each(|(byte, key)| *byte ^= key);
}
