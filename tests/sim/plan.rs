//! What a side of a tunnel will do: what it writes and when, how it reads, how it ends.

use std::time::Duration;

use crate::sim::random::Random;

/// A run of bytes, and how they are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Burst {
    /// Silence before it.
    pub pause: Duration,
    /// How many.
    pub bytes: usize,
    /// Written at once.
    pub piece: usize,
    /// Between two pieces.
    pub gap: Duration,
}

/// How a side ends. Numbers are bytes sent and received in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// FIN after the last byte; reads on to the other's FIN.
    FinishFirst,
    /// FIN once all is sent and the other has finished.
    FinishSecond,
    /// RST in the middle.
    Reset(u64),
    /// Killed in the middle: close(2), whatever is under way.
    Kill(u64),
    /// The net is lost in the middle.
    Vanish(u64),
    /// Reads no more, but lives.
    Deaf(u64),
}

/// What a side will do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it writes.
    pub bursts: Vec<Burst>,
    /// Most bytes that it reads at once.
    pub read_piece: usize,
    /// Between two reads.
    pub read_gap: Duration,
    /// How it ends.
    pub ending: Ending,
}

impl Plan {
    /// Bytes that it writes in all.
    pub fn total(&self) -> u64 {
        self.bursts.iter().map(|burst| burst.bytes as u64).sum()
    }

    /// Whether it plays to the end.
    pub fn is_clean(&self) -> bool {
        matches!(self.ending, Ending::FinishFirst | Ending::FinishSecond)
    }

    /// A seed's choice. `fair`: it plays to the end.
    pub fn of(random: &mut Random, first: bool, fair: bool) -> Plan {
        let bursts = (0..random.below(5)).map(|_| burst(random)).collect::<Vec<_>>();
        let total: usize = bursts.iter().map(|burst| burst.bytes).sum();
        let at = random.below(total + 65_536) as u64;
        let clean = if first { Ending::FinishFirst } else { Ending::FinishSecond };
        let ending = match random.below(if fair { 1 } else { 10 }) {
            0..4 => clean,
            4 => Ending::Reset(at),
            5 => Ending::Kill(at),
            6 => Ending::Vanish(at),
            _ => Ending::Deaf(at),
        };
        let slow = random.percent(15);
        Plan {
            bursts,
            read_piece: if slow { random.between(500, 8_192) } else { 1 << 20 },
            read_gap: if slow { random.span(Duration::from_millis(20)) } else { Duration::ZERO },
            ending,
        }
    }
}

/// Bulk, conversation, or a drop now and then; with pauses that let a direction go quiet.
fn burst(random: &mut Random) -> Burst {
    let pause = random.pick(&[0, 0, 1, 300, 3_000]);
    let (bytes, piece, gap) = match random.below(5) {
        0 | 1 => (random.part(2_000_000), 256 << 10, 0),
        2 => (random.part(300_000), random.between(1_000, 20_000), random.below(2_000)),
        3 => (random.part(4_000), random.between(1, 200), random.below(30_000)),
        _ => (random.part(100), 100, 0),
    };
    let pause = Duration::from_millis(pause) + random.span(Duration::from_millis(5));
    Burst { pause, bytes, piece, gap: Duration::from_micros(gap as u64) }
}
