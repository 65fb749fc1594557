//! What is decided of a pair of connections before it is handed over: on whose terms, how much is read of it before, what is asked of it
//! afterwards, and by which mistake it is refused first.

use std::os::fd::OwnedFd;
use std::time::Duration;

use penstock_core::config::{HalfClose, Listener, ProxyProtocol, SendProxy, Service};
use penstock_core::control::SessionId;
use penstock_core::intake::{HandOver, OwnTerms, Tag, Timer, Why};
use penstock_core::websocket::Payload;
use penstock_ring::Time;

use crate::sim::browser::Browser;
use crate::sim::client::Wish;
use crate::sim::policy::cookie;
use crate::sim::random::Random;
use crate::sim::world::End;

/// Why it can't be taken as it is handed over first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mistake {
    /// The terms are those of a listener that connects itself, or of none.
    Terms(u16),
    /// The client's descriptor is no stream.
    Client,
    /// The client is to speak WebSocket already, on terms that begin below that.
    Upgraded,
    /// The target is a terminal, whose end is to be passed on.
    Endless,
}

impl Mistake {
    /// What is said of it.
    pub fn why(self) -> Why {
        match self {
            Mistake::Terms(_) => Why::NoSuchTerms,
            Mistake::Client => Why::NoStream,
            Mistake::Upgraded => Why::TooLate,
            Mistake::Endless => Why::NeverEnds,
        }
    }
}

/// What is asked for by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Cancel,
    Describe,
}

/// How far it has come.
#[derive(Debug)]
pub enum Stage {
    /// The client has not come.
    Before,
    /// Both are there, and this was read of them.
    Read { ends: [End; 2], came: [Vec<u8>; 2], until: Time },
    /// The engine has it.
    Given(Tag),
    /// Nobody took it.
    Over,
}

/// See the module.
#[derive(Debug)]
pub struct Errand {
    /// Of the client.
    pub number: usize,
    pub listener: u16,
    /// The client speaks WebSocket already.
    pub web_socket: Option<Payload>,
    pub heartbeat: Option<Duration>,
    pub own: OwnTerms,
    pub target_name: Option<Box<str>>,
    /// The target is a terminal.
    pub is_terminal: bool,
    /// The client's address is not known.
    pub is_unnamed: bool,
    /// It is handed over before the worker begins.
    pub before_start: bool,
    /// So many bytes are read of client and target, if they come in time.
    pub early: [usize; 2],
    pub patience: Duration,
    /// Somebody between puts a byte before the target's TLS.
    pub injects: bool,
    pub mistake: Option<Mistake>,
    /// How often it is tried again where there is no room.
    pub retries: u32,
    /// What is asked for by its number, so long after it was taken.
    pub calls: Vec<(Duration, Call)>,
    pub stage: Stage,
    /// What it is called within the engine, once that was described.
    pub id: Option<SessionId>,
    /// When it was cancelled, while it was not over.
    pub cancelled: Vec<Time>,
}

/// Whether something stands below WebSocket on these terms.
fn is_below(settings: &Listener) -> bool {
    let reads = matches!(settings.service, Service::Console(_));
    reads || settings.tls.is_some() || settings.proxy_protocol != ProxyProtocol::Off
}

/// What a browser speaks that was answered with 101 before, on terms that allow it.
pub fn upgraded(settings: &Listener, random: &mut Random) -> Option<Browser> {
    let base64 = random.percent(25);
    let is_one = !is_below(settings) && random.percent(50);
    is_one.then_some(Browser { pages: 0, console: true, base64 })
}

fn timer(random: &mut Random) -> Timer {
    let span = Duration::from_millis(random.pick(&[300, 1_500, 4_000, 30_000]));
    random.pick(&[Timer::Terms, Timer::Terms, Timer::Never, Timer::After(span)])
}

fn calls(random: &mut Random) -> Vec<(Duration, Call)> {
    let most = Duration::from_millis(random.pick(&[0, 0, 3, 300, 5_000, 40_000]));
    let mut calls: Vec<_> =
        (0..random.pick(&[0, 1, 2, 4])).map(|_| (random.span(most), Call::Describe)).collect();
    for _ in 0..random.pick(&[0, 0, 0, 0, 1, 1, 2]) {
        calls.push((random.span(most), Call::Cancel));
    }
    calls
}

impl Errand {
    /// The seed's choice for a client of that wish.
    pub fn of(number: usize, wish: &mut Wish, settings: &Listener, random: &mut Random) -> Errand {
        let addressed =
            settings.proxy_protocol != ProxyProtocol::Off || settings.send_proxy != SendProxy::Off;
        let is_terminal = settings.upstream_tls.is_none() && random.percent(12);
        let ends = [None, None, Some(HalfClose::Close), Some(HalfClose::Forward)];
        let half_close = match is_terminal {
            true => Some(HalfClose::Close),
            false => random.pick(&ends),
        };
        let own = OwnTerms { idle: timer(random), lifetime: timer(random), half_close };
        let browser = wish.browser.as_ref().filter(|_| wish.request.is_none());
        let before_start = random.percent(10);
        if before_start {
            wish.start = Duration::ZERO;
        }
        let sizes = [0, 0, 1, 3_000, 5_000, 64 << 10];
        let patience = Duration::from_micros(random.pick(&[0, 500, 20_000, 20_000, 500_000]));
        let mut errand = Errand {
            number,
            listener: wish.listener as u16,
            web_socket: browser.map(|(browser, _)| match browser.base64 {
                true => Payload::Base64,
                false => Payload::Binary,
            }),
            heartbeat: random.pick(&[None, Some(1), Some(5)]).map(Duration::from_secs),
            own,
            target_name: random.percent(50).then(|| format!("t{number}.sim:5900").into()),
            is_terminal,
            is_unnamed: !addressed && random.percent(30),
            before_start,
            early: [random.pick(&sizes), random.pick(&sizes)],
            patience: if before_start { Duration::ZERO } else { patience },
            injects: settings.upstream_tls.is_some() && random.percent(6),
            mistake: None,
            retries: random.pick(&[0, 3]),
            calls: calls(random),
            stage: Stage::Before,
            id: None,
            cancelled: Vec::new(),
        };
        errand.mistake = random.percent(15).then(|| errand.mistake(settings, random));
        errand
    }

    fn mistake(&self, settings: &Listener, random: &mut Random) -> Mistake {
        match random.below(4) {
            0 => Mistake::Terms(random.pick(&[0, 3, 5, 999])),
            1 => Mistake::Client,
            2 if self.web_socket.is_none() && is_below(settings) => Mistake::Upgraded,
            _ => Mistake::Endless,
        }
    }

    /// What is handed over.
    pub fn hand_over(&self, [client, target]: [OwnedFd; 2], came: &[Vec<u8>; 2]) -> HandOver {
        let [from_client, from_target] = came.clone();
        HandOver {
            from_client,
            from_target: if self.injects { vec![0] } else { from_target },
            web_socket: self.web_socket,
            heartbeat: self.heartbeat,
            target_name: self.target_name.clone(),
            own: self.own,
            cookie: cookie(self.number),
            ..HandOver::new(self.listener, client, target)
        }
    }

    /// Whether nobody took it.
    pub fn is_given_up(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// What it is called, once it was taken.
    pub fn tag(&self) -> Option<Tag> {
        match self.stage {
            Stage::Given(tag) => Some(tag),
            _ => None,
        }
    }
}
