//! A VNC login between a host's line and its payload: what is said in which pieces, TLS put on in the middle, and whoever leaves, falls
//! silent or is refused before it has come to an end.

use std::time::Duration;

use penstock_ring::{Errno, Time};

use crate::sim::kit::Recipe;
use crate::sim::line::Line;
use crate::sim::link::Read;
use crate::sim::random::Random;
use crate::sim::vnc_server::{Host, Server};
use crate::sim::vnc_viewer::{Guest, Told, Viewer};
use crate::sim::vnc_wire::{Next, Wire};
use crate::sim::world::World;

/// Bytes that either side says in a login, at most, without TLS.
const MOST: u32 = 120;

/// What breaks off in the middle of a login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaving {
    /// FIN.
    Finish,
    /// close(2).
    Close,
    /// RST.
    Reset,
    /// Nothing more is said, ever.
    Silence,
}

/// How either side behaves in a login, whatever it says.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Bytes written at once, and the pause between two writes.
    pub pieces: (usize, Duration),
    /// After so many bytes it leaves, when it has thought about it.
    pub leaves: Option<(u64, Leaving)>,
    /// For so long.
    pub hesitates: Duration,
}

impl Pace {
    /// A seed's choice.
    pub fn of(random: &mut Random, fair: bool) -> Pace {
        let pieces = random.pick(&[(1 << 16, 0), (1 << 16, 0), (1, 0), (1, 1_500), (7, 5_000)]);
        let hows = [Leaving::Finish, Leaving::Close, Leaving::Reset, Leaving::Silence];
        let leaves =
            (!fair && random.percent(20)).then(|| (random.below(60) as u64, random.pick(&hows)));
        let hesitates = Duration::from_millis(random.pick(&[0, 5, 100]));
        Pace { pieces: (pieces.0, Duration::from_micros(pieces.1)), leaves, hesitates }
    }

    /// How long it may take to say all, where each write may wait so long for its turn.
    pub fn time(&self, turn: Duration) -> Duration {
        let (piece, pause) = self.pieces;
        match pause.is_zero() {
            true => Duration::ZERO,
            false => (pause + turn) * MOST.div_ceil(piece as u32),
        }
    }
}

/// What either side is to be like.
#[derive(Clone, Debug)]
pub struct Part<P> {
    /// What it says.
    pub party: P,
    /// How.
    pub pace: Pace,
    /// How it speaks TLS in the middle.
    pub within: Option<Recipe>,
}

#[derive(Clone, Debug)]
enum Side {
    Host(Host),
    Guest(Guest),
}

/// See the module.
#[derive(Debug)]
pub struct Login {
    side: Side,
    wire: Wire,
    pace: Pace,
    within: Option<Recipe>,
    is_securing: bool,
    is_over: bool,
    next: Next,
    write_at: Time,
    leaves_at: Option<Time>,
    /// When the server had agreed; when the client heard of it.
    pub agreed_at: Option<Time>,
    /// It has left by its own plan.
    pub left: bool,
    has_gone: bool,
}

impl Login {
    /// A server's part.
    pub fn host(part: Part<Server>) -> Login {
        let mut first = Vec::new();
        let host = Host::new(part.party, &mut first);
        let mut login = Login::new(Side::Host(host), part.pace, part.within);
        login.wire.say(&first);
        login
    }

    /// A client's.
    pub fn guest(part: Part<Viewer>) -> Login {
        Login::new(Side::Guest(Guest::new(part.party)), part.pace, part.within)
    }

    fn new(side: Side, pace: Pace, within: Option<Recipe>) -> Login {
        Login {
            side,
            wire: Wire::default(),
            pace,
            within,
            is_securing: false,
            is_over: false,
            next: Next::More,
            write_at: Time(0),
            leaves_at: None,
            agreed_at: None,
            left: false,
            has_gone: false,
        }
    }

    /// Whether payload follows.
    pub fn is_through(&self) -> bool {
        self.has_understood_all() && self.wire.out.is_empty()
    }

    /// Whether nothing is missing but what it says itself.
    pub fn has_understood_all(&self) -> bool {
        self.next == Next::Through
    }

    /// Bytes of it that were understood.
    pub fn heard(&self) -> u64 {
        self.wire.heard
    }

    /// How its server has let in: within TLS, and by what.
    pub fn chosen(&self) -> Option<(bool, u32)> {
        match &self.side {
            Side::Host(host) => host.chosen,
            Side::Guest(_) => None,
        }
    }

    /// Whether its server has let somebody in.
    pub fn has_let_in(&self) -> bool {
        matches!(&self.side, Side::Host(host) if host.has_agreed)
    }

    /// Whether its server had agreed by what it has offered: to be let in by nothing, old ones have no verdict.
    pub fn is_agreed_at_once(&self) -> bool {
        matches!(&self.side, Side::Host(host) if host.has_no_verdict())
    }

    /// What its client was told.
    pub fn told(&self) -> Option<&Told> {
        match &self.side {
            Side::Host(_) => None,
            Side::Guest(guest) => guest.told.as_ref(),
        }
    }

    /// Its client.
    pub fn viewer(&self) -> Option<&Guest> {
        match &self.side {
            Side::Host(_) => None,
            Side::Guest(guest) => Some(guest),
        }
    }

    /// ClientInit, as its server has heard it.
    pub fn shared(&self) -> Option<u8> {
        match &self.side {
            Side::Host(host) => host.shared,
            Side::Guest(_) => None,
        }
    }

    /// Takes what came before it was known that this is a login.
    pub fn take(&mut self, bytes: &[u8]) {
        self.wire.inbox.extend_from_slice(bytes);
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire.inbox)
    }

    /// Who is hasty hears of the console when it talks already: what is left of that is payload.
    pub fn take_foretold<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Side::Guest(guest) = &mut self.side else { return bytes };
        let (init, rest) = bytes.split_at(bytes.len().min(guest.foretold.len()));
        assert_eq!(init, &guest.foretold[..init.len()], "another console");
        guest.foretold = &guest.foretold[init.len()..];
        self.wire.heard += init.len() as u64;
        rest
    }

    /// It is over, and this follows it.
    pub fn end(&mut self) -> Vec<u8> {
        self.is_over = true;
        self.rest()
    }

    /// Whether it is known to be over.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Goes on as far as is possible now: how reading ended.
    pub fn step(&mut self, line: &mut Line, host: usize, world: &mut World) -> Read {
        loop {
            self.understand(line, world);
            self.write(line, host, world);
            if self.is_through() || self.left && !self.has_gone {
                return Read::Blocked;
            }
            if self.is_securing && self.wire.out.is_empty() {
                self.is_securing = false;
                let recipe = self.within.clone().expect("nobody asks for TLS without having it");
                let secure = recipe.make(&mut world.random);
                let rest = self.rest();
                line.secure(secure, &rest, world);
            }
            if self.has_understood_all() {
                // What follows is payload, and so is its end.
                return Read::Blocked;
            }
            let mut bytes = Vec::new();
            match line.read(4096, &mut bytes, world) {
                Read::Bytes(_) => self.take(&bytes),
                other if self.wire.out.is_empty() || !line.is_ready() => return other,
                other if matches!(other, Read::Ended | Read::Failed(_)) => return other,
                _ if world.now < self.write_at => return Read::Blocked,
                _ => {
                    self.write(line, host, world);
                    return Read::Blocked;
                }
            }
        }
    }

    fn understand(&mut self, line: &Line, world: &World) {
        while matches!(self.next, Next::More | Next::Wait | Next::Refused)
            && !self.is_securing
            && line.is_ready()
        {
            let next = match &mut self.side {
                Side::Host(host) => host.step(&mut self.wire),
                Side::Guest(guest) => guest.step(&mut self.wire),
            };
            if next == Next::Wait {
                break;
            }
            (self.next, self.is_securing) = (next, next == Next::Secure);
            if self.is_securing {
                self.next = Next::More;
            }
        }
        let agreed = match &self.side {
            Side::Host(host) => host.has_agreed,
            Side::Guest(guest) => guest.is_offered,
        };
        if agreed && self.agreed_at.is_none() {
            self.agreed_at = Some(world.now);
        }
    }

    fn write(&mut self, line: &mut Line, host: usize, world: &mut World) {
        while !self.wire.out.is_empty() && line.is_ready() && !line.is_spoiled() {
            let (piece, pause) = self.pace.pieces;
            if world.now < self.write_at {
                return;
            }
            let room = match self.pace.leaves {
                Some((at, _)) if self.wire.said >= at => return self.hesitate(host, world),
                Some((at, _)) => (at - self.wire.said) as usize,
                None => usize::MAX,
            };
            let most = piece.min(self.wire.out.len()).min(room);
            let bytes: Vec<u8> = self.wire.out.iter().take(most).copied().collect();
            match line.write(&bytes, world) {
                Ok(n) => {
                    self.wire.out.drain(..n);
                    self.wire.said += n as u64;
                }
                Err(Errno::EAGAIN) => return world.want_room(line.end),
                // Reading will tell.
                Err(_) => return self.wire.out.clear(),
            }
            if !pause.is_zero() {
                self.write_at = world.now + pause;
                world.wake_host(host, pause);
            }
        }
    }

    fn hesitate(&mut self, host: usize, world: &mut World) {
        let leaves_at = *self.leaves_at.get_or_insert_with(|| {
            world.wake_host(host, self.pace.hesitates);
            world.now + self.pace.hesitates
        });
        self.left |= world.now >= leaves_at;
    }

    /// It has left by its own plan, and nobody has done so yet.
    pub fn leaves_now(&mut self) -> Option<Leaving> {
        let (_, how) = self.pace.leaves.filter(|_| self.left && !self.has_gone)?;
        self.has_gone = true;
        Some(how)
    }

    /// Whether it was told that it does not come in, or has said so.
    pub fn is_refused(&self) -> bool {
        self.next == Next::Refused && self.wire.out.is_empty()
    }

    /// Whether it is the server's.
    pub fn is_host(&self) -> bool {
        matches!(self.side, Side::Host(_))
    }
}
