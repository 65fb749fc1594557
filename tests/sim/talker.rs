//! One side of a tunnel, as a host lives it: writes a pattern that can't be mistaken, reads the other side's, and ends in
//! its own way. It knows nothing of what stands between.

use std::time::Duration;

use penstock_ring::{Close, Errno, Time};

use crate::sim::line::Line;
use crate::sim::link::Read;
use crate::sim::manner::{Last, Mischief};
use crate::sim::pattern::{fill, message};
use crate::sim::random::Random;
use crate::sim::tally::{Fault, count};
use crate::sim::world::World;

/// So begin the words that a terminal is refused with.
pub const WORDS: &[u8] = b"penstock: ";

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
    /// What it writes to and reads from.
    pub line: Line,
    /// What it does.
    pub plan: Plan,
    keys: [u64; 2],
    host: usize,
    /// Bytes accepted by its socket.
    pub sent: u64,
    /// Bytes read, each compared with the pattern.
    pub got: u64,
    /// When it began to talk, or would have.
    pub started: Time,
    /// When its first byte was accepted.
    pub began_at: Option<Time>,
    /// Words of the proxy may come instead of the other side's, and have.
    pub words: Option<Vec<u8>>,
    /// How many it may write before the tunnel stands; none: it stands.
    pub eager: Option<u64>,
    next: usize,
    left: usize,
    write_at: Time,
    read_at: Time,
    give_up_at: Time,
    /// It has said that it has ended, in order.
    pub finished: bool,
    /// The other side has ended, in order or not.
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
    pub fn new(line: Line, plan: Plan, keys: [u64; 2], host: usize, world: &mut World) -> Talker {
        world.wake_host(host, GIVE_UP);
        let now = world.now;
        let mut talker = Talker {
            line,
            plan,
            keys,
            host,
            sent: 0,
            got: 0,
            started: now,
            began_at: None,
            words: None,
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

    /// Whether it has played to the end, and found nothing wrong.
    pub fn is_clean(&self) -> bool {
        self.plan.is_clean() && !self.harmed && self.line.error().is_none()
    }

    /// Whether what it has sent ends where one of libvirt's messages does.
    pub fn is_between_messages(&self) -> bool {
        self.sent == 0
            || message(self.keys[0]).is_some_and(|length| self.sent.is_multiple_of(length))
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
        self.line.flush(world);
        self.read_some(world);
        self.write_some(world);
        self.harmed |= self.line.is_spoiled();
        self.end_if_due(world);
    }

    /// Compares bytes with what the other side wrote.
    pub fn take(&mut self, bytes: &[u8]) {
        let Some(words) = self.words.as_mut().filter(|_| self.got == 0) else {
            return self.compare(bytes);
        };
        words.extend_from_slice(bytes);
        if !WORDS.starts_with(&words[..words.len().min(WORDS.len())]) {
            let bytes = self.words.take().unwrap_or_default();
            self.compare(&bytes);
        }
    }

    fn compare(&mut self, bytes: &[u8]) {
        let mut expected = vec![0; bytes.len()];
        fill(self.keys[1], self.got, &mut expected);
        if bytes != expected {
            let right = bytes.iter().zip(&expected).take_while(|(came, due)| came == due).count();
            let (host, place, line) = (self.host, self.got + right as u64, &self.line);
            panic!("host {host} got a wrong byte at {place} through {line:?}");
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
        // Who is deaf shakes hands all the same.
        if self.is_deaf() && self.line.is_ready() {
            self.harmed = true;
            self.failed = world.half(self.line.end).broken;
            return;
        }
        while self.eager.is_none()
            && !self.ended
            && self.failed.is_none()
            && world.now >= self.read_at
        {
            let mut bytes = Vec::new();
            match self.line.read(self.plan.read_piece, &mut bytes, world) {
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
            && !self.line.is_spoiled()
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
            let mut bytes = vec![0; piece.min(self.line.room(world).max(1))];
            fill(self.keys[0], self.sent, &mut bytes);
            match self.line.write(&bytes, world) {
                Ok(n) => {
                    self.began_at = self.began_at.or(Some(world.now));
                    (self.sent, self.left) = (self.sent + n as u64, self.left - n);
                }
                Err(Errno::EAGAIN) => return,
                Err(errno) => self.failed = Some(errno),
            }
            if bytes.len() < piece {
                world.want_room(self.line.end);
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
        let all = self.has_sent_all() && self.eager.is_none() && self.line.is_ready();
        let flushed = self.line.is_flushed();
        match self.plan.ending {
            // An alert of its own goes out first.
            _ if self.failed.is_some() && flushed => self.close(Close::Normal, world),
            _ if world.now >= self.give_up_at => {
                self.gave_up = true;
                self.close(Close::Normal, world);
            }
            _ if self.failed.is_some() => {}
            _ if self.ended && (self.line.is_spoiled() || !self.line.is_ready()) => {
                self.close(Close::Normal, world);
            }
            _ if self.line.is_spoiled() => {}
            Ending::FinishFirst | Ending::FinishSecond
                if self.finished && self.ended && flushed =>
            {
                self.close(Close::Normal, world)
            }
            Ending::FinishFirst if all => self.finish(world),
            Ending::FinishSecond if all && self.ended => self.finish(world),
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
                world.lose(self.line.end, patience);
            }
            _ => {}
        }
    }

    fn finish(&mut self, world: &mut World) {
        if !self.finished {
            if !self.ended {
                count(Fault::HalfClose);
            }
            self.finish_now(world);
            if self.ended && self.line.is_flushed() {
                self.close(Close::Normal, world);
            }
        }
    }

    /// Says that nothing more follows, whatever was planned.
    pub fn finish_now(&mut self, world: &mut World) {
        self.finished = self.line.finish(world);
        let talks_on = Mischief::Last(Last::TalksOn);
        self.harmed |=
            !self.finished || self.line.manner().is_some_and(|manner| manner.mischief == talks_on);
    }

    fn close(&mut self, how: Close, world: &mut World) {
        // Of TLS, the end of the connection is none of the stream.
        self.finished |= how == Close::Normal && !self.line.is_secure();
        self.closed = true;
        self.line.close(how, world);
    }
}
