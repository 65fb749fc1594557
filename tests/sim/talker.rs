//! One side of a tunnel, as a host lives it: writes a pattern that can't be mistaken, reads the other side's, and ends in
//! its own way. It knows nothing of what stands between.

use std::time::Duration;

use penstock_ring::{Close, Errno, Time};

use crate::sim::link::Read;
use crate::sim::random::{Random, mix};
use crate::sim::tally::{Fault, count};
use crate::sim::world::{End, World};

/// No host waits longer than this, in virtual time: then it closes, and what is still missing is a stall.
pub const GIVE_UP: Duration = Duration::from_secs(600);

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

/// See the module.
#[derive(Debug)]
pub struct Talker {
    /// Its socket.
    pub end: End,
    /// What it does.
    pub plan: Plan,
    keys: [u64; 2],
    host: usize,
    /// Bytes accepted by its socket.
    pub sent: u64,
    /// Bytes read, each compared with the pattern.
    pub got: u64,
    /// How many it may write before the tunnel stands; none: it stands.
    pub eager: Option<u64>,
    next: usize,
    left: usize,
    write_at: Time,
    read_at: Time,
    give_up_at: Time,
    /// FIN sent.
    pub finished: bool,
    /// FIN read.
    pub ended: bool,
    /// When it was.
    pub ended_at: Time,
    /// When bytes were read the last time.
    pub got_at: Time,
    /// What broke the connection.
    pub failed: Option<Errno>,
    /// It has closed its socket.
    pub closed: bool,
    /// It waited in vain.
    pub gave_up: bool,
    /// Its own plan broke the tunnel.
    pub harmed: bool,
}

impl Talker {
    /// A side that writes the pattern of `out_key` and expects that of `in_key`.
    pub fn new(end: End, plan: Plan, keys: [u64; 2], host: usize, world: &mut World) -> Talker {
        world.wake_host(host, GIVE_UP);
        let now = world.now;
        let mut talker = Talker {
            end,
            plan,
            keys,
            host,
            sent: 0,
            got: 0,
            eager: None,
            next: 0,
            left: 0,
            write_at: now,
            read_at: now,
            give_up_at: now + GIVE_UP,
            finished: false,
            ended: false,
            ended_at: now,
            got_at: now,
            failed: None,
            closed: false,
            gave_up: false,
            harmed: false,
        };
        talker.next_burst(world);
        talker
    }

    /// Whether all that was planned was written.
    pub fn has_sent_all(&self) -> bool {
        self.next > self.plan.bursts.len()
    }

    /// Whether it reads so slowly that a flush may take too long.
    pub fn is_slow(&self) -> bool {
        !self.plan.read_gap.is_zero()
    }

    /// Reads, writes, and ends, as far as is possible now.
    pub fn step(&mut self, world: &mut World) {
        if self.closed {
            return;
        }
        self.read_some(world);
        self.write_some(world);
        self.end_if_due(world);
    }

    /// Compares bytes with what the other side wrote.
    pub fn take(&mut self, bytes: &[u8]) {
        let mut expected = vec![0; bytes.len()];
        fill(self.keys[1], self.got, &mut expected);
        if let Some(at) = (0..bytes.len()).find(|at| bytes[*at] != expected[*at]) {
            panic!("host {} got a wrong byte at {}", self.host, self.got + at as u64);
        }
        self.got += bytes.len() as u64;
    }

    fn is_deaf(&self) -> bool {
        match self.plan.ending {
            Ending::Deaf(at) => self.sent + self.got >= at,
            Ending::Vanish(_) => self.harmed,
            _ => false,
        }
    }

    fn read_some(&mut self, world: &mut World) {
        if self.is_deaf() {
            self.harmed = true;
            self.failed = world.half(self.end).broken;
            return;
        }
        while self.eager.is_none()
            && !self.ended
            && self.failed.is_none()
            && world.now >= self.read_at
        {
            let mut bytes = Vec::new();
            match world.read(self.end, self.plan.read_piece, &mut bytes) {
                Read::Bytes(_) => {
                    self.take(&bytes);
                    self.got_at = world.now;
                }
                Read::Ended => (self.ended, self.ended_at) = (true, world.now),
                Read::Failed(errno) => self.failed = Some(errno),
                Read::Blocked => return,
            }
            if !self.plan.read_gap.is_zero() {
                self.read_at = world.now + self.plan.read_gap;
                world.wake_host(self.host, self.plan.read_gap);
            }
        }
    }

    fn write_some(&mut self, world: &mut World) {
        while !self.has_sent_all()
            && !self.finished
            && self.failed.is_none()
            && world.now >= self.write_at
        {
            if self.left == 0 {
                self.next_burst(world);
                continue;
            }
            let burst = self.plan.bursts[self.next - 1];
            let allowed =
                self.eager.map_or(usize::MAX, |eager| eager.saturating_sub(self.sent) as usize);
            let piece = burst.piece.min(self.left).min(allowed);
            if piece == 0 {
                return;
            }
            let mut bytes = vec![0; piece.min(world.room(self.end).max(1))];
            fill(self.keys[0], self.sent, &mut bytes);
            match world.write(self.end, &bytes) {
                Ok(n) => (self.sent, self.left) = (self.sent + n as u64, self.left - n),
                Err(Errno::EAGAIN) => return,
                Err(errno) => self.failed = Some(errno),
            }
            if bytes.len() < piece {
                world.want_room(self.end);
            }
            if self.left > 0 && !burst.gap.is_zero() {
                self.write_at = world.now + burst.gap;
                world.wake_host(self.host, burst.gap);
            }
        }
    }

    fn next_burst(&mut self, world: &mut World) {
        self.next += 1;
        if let Some(burst) = self.plan.bursts.get(self.next - 1) {
            self.left = burst.bytes;
            self.write_at = world.now + burst.pause;
            world.wake_host(self.host, burst.pause);
        }
    }

    fn end_if_due(&mut self, world: &mut World) {
        let moved = self.sent + self.got;
        let all = self.has_sent_all() && self.eager.is_none();
        match self.plan.ending {
            _ if self.failed.is_some() => self.close(Close::Normal, world),
            _ if world.now >= self.give_up_at => {
                self.gave_up = true;
                self.close(Close::Normal, world);
            }
            Ending::FinishFirst | Ending::FinishSecond if self.finished && self.ended => {
                self.close(Close::Normal, world)
            }
            Ending::FinishFirst if all => self.finish(world),
            Ending::FinishSecond if all && self.ended => self.close(Close::Normal, world),
            Ending::Reset(at) if moved >= at || all && self.ended => {
                count(Fault::ResetByPeer);
                self.harmed = true;
                self.close(Close::Reset, world);
            }
            Ending::Kill(at) if moved >= at || all && self.ended => {
                self.harmed = true;
                self.close(Close::Normal, world);
            }
            Ending::Vanish(at) if !self.harmed && (moved >= at || all && self.ended) => {
                self.harmed = true;
                let patience = Duration::from_secs(30) + world.random.span(Duration::from_secs(30));
                world.lose(self.end, patience);
            }
            _ => {}
        }
    }

    fn finish(&mut self, world: &mut World) {
        if !self.finished {
            if !self.ended {
                count(Fault::HalfClose);
            }
            self.finished = true;
            world.finish(self.end);
            if self.ended {
                self.close(Close::Normal, world);
            }
        }
    }

    fn close(&mut self, how: Close, world: &mut World) {
        self.finished |= how == Close::Normal;
        self.closed = true;
        world.close_end(self.end, how);
    }
}

/// Writes a pattern's bytes from `offset` on: no two streams, and no two places of one, look alike.
pub fn fill(key: u64, offset: u64, bytes: &mut [u8]) {
    let mut at = 0;
    while at < bytes.len() {
        let position = offset + at as u64;
        let word = mix(key.wrapping_add(position / 8)).to_le_bytes();
        let skip = (position % 8) as usize;
        let n = (8 - skip).min(bytes.len() - at);
        bytes[at..at + n].copy_from_slice(&word[skip..skip + n]);
        at += n;
    }
}
