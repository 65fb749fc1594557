//! How a host behaves in TLS: oddly, but within the protocol, or against it.

use std::time::Duration;

use crate::sim::random::Random;

/// Who takes longer may be too late for a time-out of a second.
pub const SLOW: Duration = Duration::from_millis(800);
/// What a side says in a handshake, at most, in bytes.
const HANDSHAKE: usize = 4096;
/// What a record adds to its plaintext, at most, in bytes.
const RECORD: usize = 32;

/// What a seed decided of one side of one connection.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Plaintext bytes of a record at most.
    pub slice: usize,
    /// Bytes written to the socket at once, and the pause between two writes.
    pub trickle: Option<(usize, Duration)>,
    /// How long it may wait for its turn, each time.
    pub turn: Duration,
    /// Of 100 writes, so many come under a new key.
    pub key_changes: u32,
    /// Free bytes in front of what is received.
    pub headroom: usize,
    /// After its last word it keeps the connection, until the other side has ended, too.
    pub stays: bool,
    /// What it does against the protocol.
    pub mischief: Mischief,
}

/// Against the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mischief {
    /// Nothing.
    None,
    /// In the middle of what is said before the tunnel stands: in which flight, and how many thousandths of it are whole.
    Early(u8, u16, Early),
    /// After so many bytes of payload.
    Late(u64, Late),
    /// At the end of all payload, instead of close_notify and FIN.
    Last(Last),
}

/// In the middle of a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Early {
    /// Nothing more comes, ever.
    Stops,
    /// FIN.
    Finishes,
    /// Noise.
    Babbles,
}

/// In the middle of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Late {
    /// FIN without close_notify, behind a whole record.
    Cut,
    /// The same in the middle of a record.
    CutRecord,
    /// Noise.
    Noise,
    /// A record in form, with noise in it.
    Forged,
    /// The header of a record that is larger than any may be.
    Oversized,
    /// A record with one bit changed.
    Changed,
    /// A record that was sent before.
    Repeated,
    /// An alert that is not sealed.
    ClearAlert,
}

/// At the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Last {
    /// FIN alone.
    FinishOnly,
    /// More bytes between close_notify and FIN.
    TalksOn,
}

impl Manner {
    /// A seed's choice for who is to write `total` bytes, in turns that may be so long.
    pub fn of(random: &mut Random, total: u64, fair: bool, turn: Duration) -> Manner {
        let trickle = random.percent(8).then(|| {
            (random.pick(&[1, 1, 7, 300]), Duration::from_micros(random.pick(&[0, 5, 100])))
        });
        let slice = match random.percent(15) {
            // Each record costs as much as some kilobytes.
            true => random.pick(&[1, 10, 100, 1000]).max(total as usize / 10_000),
            false => random.pick(&[1 << 14, 4096]),
        };
        Manner {
            slice,
            trickle: trickle.filter(|_| total < 100_000),
            turn,
            key_changes: random.pick(&[0, 0, 0, 5, 100]),
            headroom: random.pick(&[0, 16, 300]),
            stays: random.percent(15),
            mischief: if fair || random.percent(60) {
                Mischief::None
            } else {
                Mischief::of(random, total)
            },
        }
    }

    /// Whether its bytes come so slowly that a handshake may take long.
    pub fn is_slow(&self) -> bool {
        self.time_to_agree() > SLOW
    }

    /// How long its part of a handshake may take.
    pub fn time_to_agree(&self) -> Duration {
        self.time_to_write(HANDSHAKE)
    }

    /// How long so many bytes of plaintext may take, with a change of keys before them.
    pub fn time_to_seal(&self, bytes: usize) -> Duration {
        self.time_to_write(bytes + RECORD * (1 + bytes.div_ceil(self.slice)))
    }

    fn time_to_write(&self, bytes: usize) -> Duration {
        let paused = self.trickle.filter(|(_, pause)| !pause.is_zero());
        paused.map_or(Duration::ZERO, |(piece, pause)| {
            (pause + self.turn) * bytes.div_ceil(piece) as u32
        })
    }
}

impl Mischief {
    fn of(random: &mut Random, total: u64) -> Mischief {
        let early = [Early::Stops, Early::Finishes, Early::Babbles];
        let late = [
            Late::Cut,
            Late::CutRecord,
            Late::Noise,
            Late::Forged,
            Late::Oversized,
            Late::Changed,
            Late::Repeated,
            Late::ClearAlert,
        ];
        match random.below(10) {
            0..3 => Mischief::Early(
                random.between(1, 2) as u8,
                random.below(1000) as u16,
                random.pick(&early),
            ),
            3..8 => Mischief::Late(random.below(total as usize + 1) as u64, random.pick(&late)),
            _ => Mischief::Last(random.pick(&[Last::FinishOnly, Last::TalksOn])),
        }
    }
}
