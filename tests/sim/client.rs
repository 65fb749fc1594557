//! A client: connects, speaks TLS or does not, asks for a tunnel (or for nonsense, or for nothing), reads the answer, talks, and
//! leaves when and how it likes. Where all that comes is forwarded, it does not ask; browsers ask in their own way.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::close::Cause;
use penstock_ring::{Close, Errno, Time};

use crate::sim::browser::{self, Browser, Heard};
use crate::sim::frames::Frames;
use crate::sim::framing::Framing;
use crate::sim::kit::Recipe;
use crate::sim::line::Line;
use crate::sim::link::Read;
use crate::sim::login::{Login, Part};
use crate::sim::looks::Looks;
use crate::sim::pieces::{Pieces, send};
use crate::sim::plan::Plan;
use crate::sim::random::Random;
use crate::sim::talker::Talker;
use crate::sim::tally::{Fault, count};
use crate::sim::vnc_viewer::Viewer;
use crate::sim::world::{End, World};

/// How a client leaves before its tunnel stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    /// FIN, and then it waits.
    Finish,
    /// close(2).
    Close,
    /// RST.
    Reset,
    /// The net is lost.
    Vanish,
}

/// What is decided about a client before it begins.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Which listener it connects to, or on whose terms it is handed over.
    pub listener: usize,
    /// The host that it connects to instead, and that hands it over; it may be that nobody knows its address.
    pub handed_by: Option<(usize, bool)>,
    /// Its own address.
    pub address: SocketAddr,
    /// When it connects.
    pub start: Duration,
    /// The PROXY header in pieces, each after a gap.
    pub header: Pieces,
    /// TLS follows, and how it is spoken.
    pub secure: Option<Recipe>,
    /// It is a VNC client, and logs in before anything else.
    pub vnc: Option<Part<Viewer>>,
    /// What is said by a client that may only look.
    pub looks: Option<Arc<Looks>>,
    /// Why its login can't but fail; none: it does not.
    pub login_fails: Vec<Cause>,
    /// The request in pieces; none: it doesn't ask.
    pub request: Option<Pieces>,
    /// After the PROXY header, or a part of it, it says no more.
    pub stops: bool,
    /// All that it says until its tunnel stands may take longer than the shortest time-out.
    pub is_slow: bool,
    /// What a browser wants, and how it frames what it says.
    pub browser: Option<(Browser, Framing)>,
    /// Payload sent without waiting for the answer, at most.
    pub eager: u64,
    /// When it leaves, after its start, unless the tunnel stands by then.
    pub leave: Option<(Duration, Leave)>,
    /// Causes that what it asks for explains; none: it asks for a tunnel as it should.
    pub explains: Vec<Cause>,
    /// It is told in words, in the place of payload, if it is refused.
    pub is_told_in_words: bool,
    /// What it does in the tunnel.
    pub plan: Plan,
}

impl Wish {
    /// Whether nothing comes before payload any more, as far as it knows.
    fn is_through(&self) -> bool {
        let asks = self.request.is_some() || self.secure.is_some() || self.stops;
        !asks && self.header.is_empty()
    }
}

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Not connected.
    Before,
    /// Asks, and reads the answer.
    Asking,
    /// The tunnel stands.
    Talking,
    /// It was refused, and reads why.
    Refused,
    /// It has its pages, wants no more, and waits for the end.
    Served,
    /// It is gone.
    Gone,
}

/// See the module.
#[derive(Debug)]
pub struct Client {
    /// Its number as a host.
    pub host: usize,
    /// What it wants.
    pub wish: Wish,
    /// Of the pattern it writes, and of the one it expects.
    pub keys: [u64; 2],
    /// How far it has come.
    pub stage: Stage,
    /// Nobody took its connection.
    pub unheard: bool,
    /// Its socket, once it has one.
    pub end: Option<End>,
    /// The tunnel, from its side.
    pub talker: Option<Talker>,
    /// Status of the answer.
    pub status: Option<u16>,
    /// It has left on its own account before the tunnel stood.
    pub left: Option<Leave>,
    /// All that was answered until the tunnel stood.
    pub answer: Vec<u8>,
    /// Of that, pages that were read, and how many they were.
    pub pages: (usize, usize),
    /// What broke its connection.
    pub failed: Option<Errno>,
    piece_at: Time,
    read_at: Time,
    started: Time,
}

impl Client {
    /// A client that hasn't begun.
    pub fn new(host: usize, wish: Wish, keys: [u64; 2], world: &mut World) -> Client {
        world.wake_host(host, wish.start);
        let piece_at = world.now + wish.start;
        Client {
            host,
            wish,
            keys,
            stage: Stage::Before,
            unheard: false,
            end: None,
            talker: None,
            status: None,
            left: None,
            answer: Vec::new(),
            pages: (0, 0),
            failed: None,
            piece_at,
            read_at: Time(0),
            started: piece_at,
        }
    }

    /// Begins now, whenever it was to begin.
    pub fn hurry(&mut self, world: &mut World) {
        self.started = self.started.min(world.now);
        self.step(world);
    }

    /// Goes on as far as is possible now.
    pub fn step(&mut self, world: &mut World) {
        if self.stage == Stage::Before && world.now >= self.started {
            self.connect(world);
        }
        if self.stage == Stage::Asking {
            self.ask(world);
        }
        if self.stage == Stage::Asking {
            self.read_answer(world);
            self.leave_if_due(world);
        }
        match self.stage {
            Stage::Talking | Stage::Asking => {
                let talker = self.talker.as_mut().expect("it talks");
                talker.step(world);
                if talker.closed {
                    self.stage = Stage::Gone;
                }
            }
            Stage::Served => {
                self.talker().line.flush(world);
                self.read_refusal(world);
            }
            Stage::Refused => self.read_refusal(world),
            Stage::Before | Stage::Gone => {}
        }
    }

    fn connect(&mut self, world: &mut World) {
        let address = self.wish.address;
        let end = match self.wish.handed_by {
            Some((host, named)) => Some(world.visit(host, self.host, named.then_some(address))),
            None => world.call(self.wish.listener, self.host, address),
        };
        let Some(end) = end else {
            (self.stage, self.unheard) = (Stage::Gone, true);
            return;
        };
        let line = Line::new(end, self.host);
        let mut talker = Talker::new(line, self.wish.plan.clone(), self.keys, self.host, world);
        talker.login = self.wish.vnc.clone().map(|part| Box::new(Login::guest(part)));
        talker.looks = self.wish.looks.clone().map(|looks| (looks, true));
        (talker.eager, talker.words) = (Some(0), self.wish.is_told_in_words.then(Vec::new));
        (self.stage, self.end, self.talker) = (Stage::Asking, Some(end), Some(talker));
        if let Some((span, _)) = self.wish.leave {
            world.wake_host(self.host, span);
        }
        if let Some((_, framing)) = self.wish.browser.as_ref().filter(|_| self.is_upgraded()) {
            let frames = Frames::new(framing.clone(), Random::new(world.random.bits()));
            let talker = self.talker.as_mut().expect("just made");
            talker.frame(frames, world.now);
            talker.line.open_frames(&[]);
            self.begin(world);
        }
    }

    /// Whether somebody else has answered its request by 101 already.
    fn is_upgraded(&self) -> bool {
        self.wish.request.is_none()
    }

    fn talker(&mut self) -> &mut Talker {
        self.talker.as_mut().expect("it is connected")
    }

    /// Header, TLS and request, as far as that is possible now.
    fn ask(&mut self, world: &mut World) {
        let talker = self.talker.as_mut().expect("it is connected");
        let (line, host, at) = (&mut talker.line, self.host, &mut self.piece_at);
        if !send(&mut self.wish.header, line, at, host, false, world) || self.wish.stops {
            return;
        }
        if let Some(recipe) = self.wish.secure.take() {
            let secure = recipe.make(&mut world.random);
            line.secure(secure, &[], world);
        }
        line.flush(world);
        if let Some(request) = &mut self.wish.request {
            if request.is_empty() {
                return;
            }
            if send(request, line, at, host, true, world) {
                talker.eager = Some(self.wish.eager);
                if let Some((Browser { console: true, .. }, framing)) = &self.wish.browser {
                    let random = Random::new(world.random.bits());
                    talker.frame(Frames::new(framing.clone(), random), world.now);
                }
            }
        } else if line.is_ready() {
            self.begin(world);
        }
    }

    /// The tunnel stands, or there is nothing that would tell that it does not.
    fn begin(&mut self, world: &mut World) {
        self.stage = Stage::Talking;
        self.talker().eager = None;
        if self.wish.request.is_none() {
            // What came before is payload already.
            let first = std::mem::take(&mut self.answer);
            self.talker().take(&first);
        }
        world.wake_host(self.host, Duration::ZERO);
    }

    fn read_answer(&mut self, world: &mut World) {
        while self.stage == Stage::Asking && world.now >= self.read_at {
            let line = &mut self.talker.as_mut().expect("it is connected").line;
            let read = line.read(4096, &mut self.answer, world);
            let is_ready = line.is_ready();
            self.rest_from_reading(is_ready, world);
            if self.wish.is_through() && is_ready {
                return self.begin(world);
            }
            match read {
                Read::Bytes(_) => {}
                Read::Blocked => return,
                Read::Ended => return self.gone(Close::Normal, world),
                Read::Failed(errno) => {
                    self.failed = Some(errno);
                    return self.gone(Close::Normal, world);
                }
            }
            if let Some((browser, _)) = self.wish.browser {
                self.hear(browser, world);
            } else if let Some(at) = self.answer.windows(4).position(|four| four == b"\r\n\r\n") {
                return self.answered(at + 4, world);
            }
        }
    }

    fn answered(&mut self, head: usize, world: &mut World) {
        let status = std::str::from_utf8(&self.answer[9..12])
            .expect("a status line")
            .parse()
            .expect("a status");
        self.status = Some(status);
        if status != 200 {
            self.stage = Stage::Refused;
            return;
        }
        let rest = self.answer.split_off(head);
        self.talker().take(&rest);
        self.begin(world);
    }

    /// Who reads slowly reads pages so, too.
    fn rest_from_reading(&mut self, is_ready: bool, world: &mut World) {
        let gap = self.wish.plan.read_gap;
        let pages = self.wish.browser.as_ref().is_some_and(|(browser, _)| browser.pages > 0);
        if is_ready && pages && !gap.is_zero() {
            self.read_at = world.now + gap;
            world.wake_host(self.host, gap);
        }
    }

    /// Pages, and a console behind them.
    fn hear(&mut self, browser: Browser, world: &mut World) {
        while self.stage == Stage::Asking {
            let (at, number) = self.pages;
            match browser::hear(&self.answer[at..], browser.base64) {
                Heard::Wait => return,
                Heard::Page(length) => {
                    assert!(number < browser.pages, "a page that nobody has asked for");
                    self.pages = (at + length, number + 1);
                    if !browser.console && number + 1 == browser.pages && self.left.is_none() {
                        self.stage = Stage::Served;
                        self.talker().plan.bursts.clear();
                        self.talker().finish_now(world);
                    }
                }
                Heard::Console(head) => {
                    assert_eq!(number, browser.pages, "a console before all pages came");
                    self.status = Some(101);
                    let rest = self.answer.split_off(at + head);
                    let talker = self.talker();
                    if talker.sent > 0 {
                        count(Fault::FramesAhead);
                    }
                    talker.line.open_frames(&rest);
                    self.begin(world);
                }
                Heard::Refused(status) => {
                    (self.status, self.stage) = (Some(status), Stage::Refused);
                }
            }
        }
    }

    fn read_refusal(&mut self, world: &mut World) {
        let line = &mut self.talker.as_mut().expect("it is connected").line;
        match line.read(4096, &mut self.answer, world) {
            Read::Bytes(_) => world.wake_host(self.host, Duration::ZERO),
            Read::Blocked => {}
            Read::Ended => self.gone(Close::Normal, world),
            Read::Failed(errno) => {
                self.failed = Some(errno);
                self.gone(Close::Normal, world);
            }
        }
    }

    /// Whether the refusal it read is as long as it says.
    pub fn has_whole_refusal(&self) -> bool {
        let text = String::from_utf8_lossy(&self.answer[self.pages.0..]);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        length.and_then(|digits| digits.parse().ok()) == Some(body.len())
    }

    fn leave_if_due(&mut self, world: &mut World) {
        let Some((span, leave)) = self.wish.leave.filter(|_| self.stage == Stage::Asking) else {
            return;
        };
        if world.now < self.started + span || self.left.is_some() {
            return;
        }
        self.left = Some(leave);
        let end = self.end.expect("it is connected");
        match leave {
            Leave::Finish => {
                self.wish.header.clear();
                self.wish.request.iter_mut().for_each(VecDeque::clear);
                self.wish.secure = None;
                let talker = self.talker.as_mut().expect("it is connected");
                talker.plan.bursts.clear();
                talker.finish_now(world);
            }
            Leave::Close => self.gone(Close::Normal, world),
            Leave::Reset => {
                count(Fault::ResetByPeer);
                self.gone(Close::Reset, world);
            }
            Leave::Vanish => {
                let patience = Duration::from_secs(30) + world.random.span(Duration::from_secs(30));
                world.lose(end, patience);
            }
        }
    }

    fn gone(&mut self, how: Close, world: &mut World) {
        self.stage = Stage::Gone;
        world.close_end(self.end.expect("it is connected"), how);
    }
}
