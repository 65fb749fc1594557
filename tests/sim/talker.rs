//! One side of a tunnel, as a host lives it: writes a pattern that can't be mistaken, reads the other side's, and ends in
//! its own way. It knows nothing of what stands between.

use std::sync::Arc;
use std::time::Duration;

use penstock_ring::{Close, Errno, Time};

use crate::sim::frames::Frames;
use crate::sim::line::Line;
use crate::sim::link::Read;
use crate::sim::login::{Leaving, Login};
use crate::sim::looks::Looks;
use crate::sim::manner::{Last, Mischief};
use crate::sim::pattern::{fill, message};
use crate::sim::plan::{Ending, Plan};
use crate::sim::tally::{Fault, count};
use crate::sim::world::World;

/// So begin the words that a terminal is refused with.
pub const WORDS: &[u8] = b"penstock: ";

/// No host waits longer than this, in virtual time: then it closes, and what is still missing is a stall.
pub const GIVE_UP: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug)]
pub struct Talker {
    /// What it writes to and reads from.
    pub line: Line,
    /// A login of VNC comes before payload.
    pub login: Option<Box<Login>>,
    /// What it does.
    pub plan: Plan,
    keys: [u64; 2],
    /// What a client says instead that may only look, and what its server hears of it; the client's, if this is it.
    pub looks: Option<(Arc<Looks>, bool)>,
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
    /// A browser's: the nap that it has not had.
    nap: Option<(u64, Duration)>,
    /// When it asks whether we are there.
    ask_at: Option<Time>,
    /// When it last wrote anything.
    pub wrote_at: Time,
    give_up_at: Time,
    /// It has said that it has ended, in order.
    pub finished: bool,
    /// When that was.
    pub finished_at: Time,
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
            login: None,
            plan,
            keys,
            looks: None,
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
            nap: None,
            ask_at: None,
            wrote_at: now,
            give_up_at: now + GIVE_UP,
            finished: false,
            finished_at: now,
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

    /// How much of what it has sent has to come through.
    pub fn passing(&self) -> u64 {
        match &self.looks {
            Some((looks, true)) => looks.passing(self.sent),
            _ => self.sent,
        }
    }

    /// Whether what it has sent ends where one of libvirt's messages does.
    pub fn is_between_messages(&self) -> bool {
        self.sent == 0
            || message(self.keys[0]).is_some_and(|length| self.sent.is_multiple_of(length))
    }

    /// What it writes from here on is framed.
    pub fn frame(&mut self, frames: Frames, now: Time) {
        (self.nap, self.ask_at) = (frames.framing().nap, Some(now));
        self.line.frame(frames);
    }

    /// Whether it reads so slowly that a flush may take too long.
    pub fn is_slow(&self) -> bool {
        let naps = self.line.frames().is_some_and(|frames| frames.framing().nap.is_some());
        naps || !self.plan.read_gap.is_zero()
    }

    /// Reads, writes, and ends, as far as is possible now.
    pub fn step(&mut self, world: &mut World) {
        if self.closed {
            return;
        }
        self.line.flush(world);
        if self.eager.is_none() && !self.log_in(world) {
            return;
        }
        self.read_some(world);
        self.part_if_dismissed(world);
        self.ask_if_due(world);
        self.write_some(world);
        self.harmed |= self.line.is_spoiled();
        self.end_if_due(world);
    }

    /// Whether payload may pass by now.
    fn log_in(&mut self, world: &mut World) -> bool {
        let Some(login) = self.login.as_mut().filter(|login| !login.is_over()) else { return true };
        if !self.ended && self.failed.is_none() {
            match login.step(&mut self.line, self.host, world) {
                Read::Ended => (self.ended, self.ended_at) = (true, world.now),
                Read::Failed(errno) => self.failed = Some(errno),
                Read::Bytes(_) | Read::Blocked => {}
            }
        }
        if login.is_through() {
            let rest = login.end();
            self.compare(&rest);
            world.wake_host(self.host, Duration::ZERO);
            return true;
        }
        let refuses = login.is_host() && login.is_refused() && !self.finished;
        let leaves = login.leaves_now();
        self.harmed |= login.left || self.line.is_spoiled();
        self.part_if_dismissed(world);
        if refuses {
            self.finish_now(world);
        }
        self.leave_login(leaves, world);
        if !self.closed && world.now >= self.give_up_at {
            self.gave_up = true;
            self.close(Close::Normal, world);
        } else if !self.closed && (self.failed.is_some() || self.ended) {
            if self.failed.is_none() && !self.finished && !self.line.is_spoiled() {
                self.finish_now(world);
            }
            if self.line.is_flushed() || self.line.is_spoiled() {
                self.close(Close::Normal, world);
            }
        }
        false
    }

    /// Its plan has an end in the middle of a login.
    fn leave_login(&mut self, leaves: Option<Leaving>, world: &mut World) {
        let Some(how) = leaves else { return };
        count(Fault::LoginLeft);
        match how {
            Leaving::Finish => self.finish_now(world),
            Leaving::Close => self.close(Close::Normal, world),
            Leaving::Reset => {
                count(Fault::ResetByPeer);
                self.close(Close::Reset, world);
            }
            Leaving::Silence => {}
        }
    }

    /// Compares bytes with what the other side wrote.
    pub fn take(&mut self, bytes: &[u8]) {
        if let Some(login) = self.login.as_mut().filter(|login| !login.is_over()) {
            return login.take(bytes);
        }
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
        let bytes = match &mut self.login {
            Some(login) => login.take_foretold(bytes),
            None => bytes,
        };
        let mut expected = vec![0; bytes.len()];
        match &self.looks {
            Some((looks, false)) => {
                let due = looks.passed.get(self.got as usize..).unwrap_or_default();
                expected = due[..due.len().min(bytes.len())].to_vec();
            }
            _ => fill(self.keys[1], self.got, &mut expected),
        }
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
            if let Some((_, span)) = self.nap.take_if(|(at, _)| self.got >= *at) {
                count(Fault::Nap);
                self.read_at = world.now + span;
                world.wake_host(self.host, span);
            } else if !self.plan.read_gap.is_zero() {
                self.read_at = world.now + self.plan.read_gap;
                world.wake_host(self.host, self.plan.read_gap);
            }
        }
    }

    fn ask_if_due(&mut self, world: &mut World) {
        let due = self.ask_at.is_some_and(|at| world.now >= at);
        let span = self.line.frames().and_then(|frames| frames.framing().asks);
        if let Some(span) = span.filter(|_| due && !self.finished && !self.harmed) {
            self.line.ask(world);
            self.ask_at = Some(world.now + span);
            world.wake_host(self.host, span);
        }
    }

    /// Who was told in WebSocket that nothing more comes says so, too.
    fn part_if_dismissed(&mut self, world: &mut World) {
        if self.line.is_dismissed() && !self.finished && !self.line.is_spoiled() {
            self.plan.bursts.clear();
            self.finish_now(world);
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
            match &self.looks {
                Some((looks, true)) => {
                    let (start, length) = (self.sent as usize, bytes.len());
                    bytes.copy_from_slice(&looks.said[start..start + length]);
                }
                _ => fill(self.keys[0], self.sent, &mut bytes),
            }
            match self.line.write(&bytes, world) {
                Ok(n) => {
                    self.began_at = self.began_at.or(Some(world.now));
                    (self.sent, self.left) = (self.sent + n as u64, self.left - n);
                    self.wrote_at = world.now;
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
        (self.finished, self.finished_at) = (self.line.finish(world), world.now);
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
