//! How a browser behaves in WebSocket: oddly, but within the protocol, or against it.

use std::time::Duration;

use penstock_tests::web_socket::header;

use crate::sim::frames::{BINARY, CLOSE, CONTINUATION, FINAL, PING, TEXT};
use crate::sim::random::Random;

/// More than we put up with in a second, even where some of them come in the next one.
const FLOOD: usize = 3000;

/// What a seed decided of one browser.
#[derive(Clone, Debug)]
pub struct Framing {
    /// Payload is Base64 in text.
    pub base64: bool,
    /// Payload of a frame at most.
    pub frame: usize,
    /// Of 100 frames, so many are fragments.
    pub fragments: u32,
    /// Before so many of 100 frames, something comes that carries nothing.
    pub interjects: u32,
    /// It asks us so often.
    pub asks: Option<Duration>,
    /// It answers pings.
    pub answers: bool,
    /// Bytes written at once, and the pause between two writes.
    pub trickle: Option<(usize, Duration)>,
    /// Once it has read so many bytes, it reads no more for a while.
    pub nap: Option<(u64, Duration)>,
    /// How it leaves.
    pub leaving: Leaving,
    /// What it does against the protocol, after so many bytes of payload.
    pub offence: Option<(u64, Offence)>,
}

/// How a browser leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaving {
    /// By a close frame; then it waits for the other side's, and the end.
    Patiently,
    /// By a close frame, and FIN behind it.
    Hastily,
    /// By FIN alone.
    Silently,
}

/// Against the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offence {
    /// A frame without mask.
    Unmasked,
    /// A message of the wrong sort.
    Sort,
    /// A reserved bit.
    Reserved,
    /// An opcode that nobody knows.
    Opcode,
    /// A ping that is too long.
    LongPing,
    /// A ping that is a fragment.
    FragmentedPing,
    /// A length that is none.
    Length,
    /// A fragment of nothing, or a message within another.
    Order,
    /// Half a close code.
    HalfCode,
    /// A close code that nobody may send.
    Code,
    /// A reason that is no text.
    Reason,
    /// Base64 that is none.
    Characters,
    /// Frames of nothing.
    Nothing,
    /// Pings.
    Pings,
}

impl Offence {
    const ALL: [Offence; 14] = [
        Offence::Unmasked,
        Offence::Sort,
        Offence::Reserved,
        Offence::Opcode,
        Offence::LongPing,
        Offence::FragmentedPing,
        Offence::Length,
        Offence::Order,
        Offence::HalfCode,
        Offence::Code,
        Offence::Reason,
        Offence::Characters,
        Offence::Nothing,
        Offence::Pings,
    ];

    /// The close code that it is answered with: websockify's.
    pub fn code(self, base64: bool) -> u16 {
        match self {
            Offence::Sort | Offence::Opcode | Offence::FragmentedPing => 1003,
            Offence::Characters if base64 => 1007,
            Offence::Characters => 1003,
            Offence::Nothing | Offence::Pings => 1008,
            _ => 1002,
        }
    }

    /// First bytes and payloads of masked frames.
    pub fn frames(self, within: bool, base64: bool) -> Vec<(u8, Vec<u8>)> {
        let (right, wrong) = if base64 { (TEXT, BINARY) } else { (BINARY, TEXT) };
        let right = if within { CONTINUATION } else { right };
        let order = if within { BINARY } else { CONTINUATION };
        match self {
            Offence::Unmasked | Offence::Length => Vec::new(),
            Offence::Sort => vec![(FINAL | wrong, b"AAAA".to_vec())],
            Offence::Reserved => vec![(FINAL | 0x40 | right, b"AAAA".to_vec())],
            Offence::Opcode => vec![(FINAL | 0x03, b"AAAA".to_vec())],
            Offence::LongPing => vec![(FINAL | PING, vec![0; 126])],
            Offence::FragmentedPing => vec![(PING, vec![0; 5])],
            Offence::Order => vec![(FINAL | order, b"AAAA".to_vec())],
            Offence::HalfCode => vec![(FINAL | CLOSE, vec![3])],
            Offence::Code => vec![(FINAL | CLOSE, vec![3, 237])],
            Offence::Reason => vec![(FINAL | CLOSE, vec![3, 232, 0xff])],
            Offence::Characters => vec![(FINAL | TEXT, b"A*AA".to_vec())],
            Offence::Nothing => vec![(right, Vec::new()), (CONTINUATION, Vec::new())]
                .into_iter()
                .chain(vec![(CONTINUATION, Vec::new()); FLOOD])
                .collect(),
            Offence::Pings => vec![(FINAL | PING, Vec::new()); FLOOD],
        }
    }

    /// Bytes that are no masked frame.
    pub fn bytes(self, within: bool, base64: bool) -> Vec<u8> {
        let right = match (within, base64) {
            (true, _) => CONTINUATION,
            (false, true) => TEXT,
            (false, false) => BINARY,
        };
        match self {
            Offence::Unmasked => [header(FINAL | right, 4, false), b"AAAA".to_vec()].concat(),
            Offence::Length => header(FINAL | right, 1 << 63, true),
            _ => Vec::new(),
        }
    }
}

impl Framing {
    /// A seed's choice for who is to write `total` bytes.
    pub fn of(random: &mut Random, total: u64, base64: bool, fair: bool) -> Framing {
        let trickle = random.percent(8).then(|| {
            (random.pick(&[1, 1, 7, 300]), Duration::from_micros(random.pick(&[0, 5, 100])))
        });
        let nap = random.percent(15).then(|| {
            let seconds = random.pick(&[1, 4, 20]);
            (random.pick(&[0, 0, 300, 20_000, 200_000]), Duration::from_secs(seconds))
        });
        let offends = !fair && random.percent(30);
        let offence =
            offends.then(|| (random.below(total as usize + 1) as u64, random.pick(&Offence::ALL)));
        let kind = random.pick(&[Leaving::Patiently, Leaving::Patiently, Leaving::Hastily]);
        let answers = fair || random.percent(80);
        let span = Duration::from_micros(random.pick(&[500, 5_000, 100_000]));
        Framing {
            base64,
            frame: random.pick(&[10, 125, 126, 4_000, 70_000, 1 << 20]).max(total as usize / 5_000),
            fragments: random.pick(&[0, 0, 20, 60]),
            interjects: random.pick(&[0, 0, 10, 60]),
            asks: (answers && random.percent(25)).then_some(span),
            answers,
            trickle: trickle.filter(|_| total < 50_000),
            nap: nap.filter(|_| !fair),
            leaving: if !fair && random.percent(20) { Leaving::Silently } else { kind },
            offence,
        }
    }
}
