//! The program around the engine, where it hands connections over: takes them itself, reads of them or does not, hands them over, and asks
//! about them by number. What it gets back it still has, whole.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::HalfClose;
use penstock_core::control::{Command, Mailbox, TunnelInfo, Which};
use penstock_core::intake::{HandOver, Intake, Refused, Tag, Why};
use penstock_core::shared::Shared;
use penstock_core::websocket::Payload;
use penstock_ring::{Close, Time};

use crate::sim::descriptors::Descriptors;
use crate::sim::errands::{Call, Errand, Mistake, Stage};
use crate::sim::handed;
use crate::sim::link::{Holder, Read};
use crate::sim::outside::Desk;
use crate::sim::policy::cookie;
use crate::sim::tally::{Fault, count};
use crate::sim::world::{End, World};

/// After so long it tries again where there was no room.
const AGAIN: Duration = Duration::from_millis(30);
/// A number that nobody has.
const NOBODY: u64 = 1 << 40;

/// See the module.
pub struct Around {
    /// Its number as a host.
    pub host: usize,
    pub errands: Vec<Errand>,
    engine: Option<Engine>,
    desk: Desk,
    descriptors: Descriptors,
    /// Numbers that it was told of.
    numbers: HashSet<u64>,
}

/// Where it hands over.
struct Engine {
    intake: Intake,
    mailbox: Mailbox,
    shared: Arc<Shared>,
    max_tunnels: usize,
    /// A stop was asked for.
    stopping: bool,
}

/// An answer about a number: whether its record had come by then, and what was described.
pub type Described = (Tag, bool, Option<TunnelInfo>);

impl Around {
    /// One at a desk.
    pub fn new(host: usize, desk: Desk) -> Around {
        Around {
            host,
            errands: Vec::new(),
            engine: None,
            desk,
            descriptors: Descriptors::new(Fault::HandedUntaken),
            numbers: HashSet::new(),
        }
    }

    /// There is an engine.
    pub fn serve(&mut self, mailbox: Mailbox, shared: Arc<Shared>, max_tunnels: usize) {
        let intake = Intake::new(Arc::clone(&shared), [mailbox.clone()].into());
        self.engine = Some(Engine { intake, mailbox, shared, max_tunnels, stopping: false });
    }

    /// A stop is asked for.
    pub fn stop(&mut self) {
        self.engine.iter_mut().for_each(|engine| engine.stopping = true);
    }

    /// What was planned for a client, if it is handed over.
    pub fn errand(&self, number: usize) -> Option<&Errand> {
        self.errands.iter().find(|errand| errand.number == number)
    }

    /// Whether nothing is left to be handed over, and all that was is over.
    pub fn is_gone(&self) -> bool {
        self.errands.iter().all(|errand| match &errand.stage {
            Stage::Read { .. } => false,
            Stage::Given(tag) => self.desk.is_told(*tag),
            Stage::Before | Stage::Over => true,
        })
    }

    /// Descriptors that are open although nobody took them.
    pub fn left_open(&mut self, world: &mut World) -> usize {
        self.descriptors.left_open(world)
    }

    /// Looks at what became of what it handed over, and asked.
    pub fn turn(&mut self, world: &mut World) {
        self.descriptors.look_after(world);
        for (tag, is_over, info) in self.desk.take_described() {
            let Some(info) = info else {
                assert!(is_over, "{tag} lives, and is not described");
                count(Fault::DescribedOver);
                continue;
            };
            assert!(!is_over, "{tag} is over, and described as {info:?}");
            count(Fault::DescribedLive);
            let errand = self.errands.iter_mut().find(|errand| errand.tag() == Some(tag));
            let errand = errand.expect("it asks only for its own");
            let named = (info.tag, info.cookie, info.listener);
            assert_eq!(named, (Some(tag), cookie(errand.number), errand.listener), "{info:?}");
            errand.id = Some(info.id);
        }
    }

    /// Takes connections, hands over those whose time has come, and asks about others.
    pub fn step(&mut self, world: &mut World) {
        while let Some(end) = world.visitor(self.host) {
            self.receive(end, world);
        }
        for at in 0..self.errands.len() {
            while self.read(at, world) {
                self.try_handing(at, world);
            }
            self.call(at, world);
        }
    }

    /// Every other one of those that have not come.
    pub fn laggards(&self) -> Vec<usize> {
        let late = |errand: &&Errand| matches!(errand.stage, Stage::Before);
        let all = self.errands.iter().filter(late).map(|errand| errand.number);
        all.filter(|number| number.is_multiple_of(2)).collect()
    }

    /// Hands all over that has come, ready or not, behind the worker's last turn.
    pub fn rush(&mut self, world: &mut World) {
        while let Some(end) = world.visitor(self.host) {
            self.receive(end, world);
        }
        for at in 0..self.errands.len() {
            if matches!(self.errands[at].stage, Stage::Read { .. }) {
                self.try_handing(at, world);
                if self.errands[at].tag().is_some() {
                    count(Fault::HandedAtEnd);
                }
            }
        }
    }

    /// A client has come: its target is connected to.
    fn receive(&mut self, client: End, world: &mut World) {
        let host = world.links[client.link as usize].host.expect("somebody has connected");
        let errand = self.errands.iter_mut().find(|errand| 2 * errand.number == host);
        let errand = errand.expect("nobody else connects here");
        let target = world.link([Holder::Host(self.host), Holder::Host(host + 1)]);
        let link = &mut world.links[target.link as usize];
        (link.host, link.is_terminal) = (Some(host + 1), errand.is_terminal);
        world.visitors.push((host + 1, target.peer()));
        world.wake_host(host + 1, Duration::ZERO);
        let until = world.now + world.random.span(errand.patience);
        errand.stage = Stage::Read { ends: [client, target], came: Default::default(), until };
        world.wake_host(self.host, until.since(world.now));
    }

    /// Reads as much as it wants to have read; whether it is time to hand over.
    fn read(&mut self, at: usize, world: &mut World) -> bool {
        let errand = &mut self.errands[at];
        let Stage::Read { ends, came, until } = &mut errand.stage else { return false };
        for ((end, bytes), most) in ends.iter().zip(came).zip(errand.early) {
            let left = most.saturating_sub(bytes.len());
            while left > 0 && bytes.len() < most {
                let Read::Bytes(_) = world.read(*end, most - bytes.len(), bytes) else { break };
            }
        }
        world.now >= *until
    }

    fn try_handing(&mut self, at: usize, world: &mut World) {
        let stage = std::mem::replace(&mut self.errands[at].stage, Stage::Over);
        let Stage::Read { ends, came, .. } = stage else { return };
        let errand = &mut self.errands[at];
        let client = self.descriptors.socket(ends[0], world);
        let target = match errand.is_terminal {
            true => self.descriptors.terminal(ends[1], world),
            false => self.descriptors.socket(ends[1], world),
        };
        let mistake = errand.mistake.take();
        let mut handed = errand.hand_over([client, target], &came);
        let spared = mistake.and_then(|mistake| err(mistake, &mut handed));
        let before = Seen::of(&handed);
        match self.hand_over(handed) {
            Ok(tag) => {
                assert!(mistake.is_none(), "taken, in spite of {mistake:?}");
                for end in ends {
                    world.links[end.link as usize].accepted = true;
                }
                self.taken(at, tag, &came, world);
            }
            Err(refused) => {
                assert_eq!(Seen::of(&refused.handed), before, "not given back as it was");
                self.check_refusal(at, refused.why, mistake);
                let HandOver { client, target, .. } = *refused.handed;
                // What was wrong was never one of the two.
                let [client, target] = match (mistake, spared) {
                    (Some(Mistake::Client), Some(right)) => [right, target],
                    (Some(Mistake::Endless), Some(right)) => [client, right],
                    _ => [client, target],
                };
                self.descriptors.take_back(client, world);
                self.descriptors.take_back(target, world);
                self.refused(at, refused.why, (ends, came), world);
            }
        }
    }

    fn hand_over(&mut self, handed: HandOver) -> Result<Tag, Refused> {
        let engine = self.engine.as_ref().expect("there is one before anybody comes");
        let mut known = None;
        let handed = engine.intake.hand_over_as(handed, |tag| known = Some(tag));
        if let Some(tag) = known {
            let is_new = self.numbers.insert(tag.number());
            assert!(is_new && tag.number() != 0, "{tag} was given before");
        }
        if let Ok(tag) = handed {
            assert_eq!(known, Some(tag), "another number");
        }
        handed
    }

    /// Its places are taken, and its time has begun.
    fn taken(&mut self, at: usize, tag: Tag, came: &[Vec<u8>; 2], world: &mut World) {
        let engine = self.engine.as_ref().expect("it has taken one");
        let errand = &mut self.errands[at];
        handed::count_terms(errand, &engine.shared.config, came, engine.stopping);
        errand.stage = Stage::Given(tag);
        let mut spans: Vec<_> = errand.calls.iter_mut().collect();
        for (span, _) in &mut spans {
            world.wake_host(self.host, *span);
            // From here on, the time.
            *span = (world.now + *span).since(Time(0));
        }
        errand.calls.sort_by_key(|(at, _)| *at);
    }

    fn check_refusal(&self, at: usize, why: Why, mistake: Option<Mistake>) {
        let (errand, engine) = (&self.errands[at], self.engine.as_ref().expect("it said so"));
        if let Some(mistake) = mistake {
            assert_eq!(why, mistake.why(), "{errand:?}");
        }
        let settings = &engine.shared.config.listeners[usize::from(errand.listener)];
        let right = match why {
            Why::Full => {
                let lives =
                    |errand: &&Errand| errand.tag().is_some_and(|tag| !self.desk.is_told(tag));
                let mine = self.errands.iter().filter(|other| other.listener == errand.listener);
                let counts = engine.shared.counts_connections(errand.listener);
                let max = settings.max_sessions.filter(|_| counts);
                max.is_some_and(|max| mine.filter(lives).count() >= max)
                    || engine.shared.sessions() >= engine.max_tunnels
            }
            Why::Busy => !engine.mailbox.is_empty() && !engine.mailbox.is_closed(),
            Why::Stopped => engine.mailbox.is_closed(),
            _ => mistake.is_some(),
        };
        assert!(right, "refused for {why:?}: {errand:?}");
        count(match why {
            Why::NoSuchTerms => Fault::RefusedNoTerms,
            Why::NoStream => Fault::RefusedNoStream,
            Why::TooLate => Fault::RefusedTooLate,
            Why::NeverEnds => Fault::RefusedNeverEnds,
            Why::Full => Fault::RefusedFull,
            Why::Busy => Fault::RefusedBusy,
            Why::Stopped => Fault::RefusedStopped,
        });
    }

    /// It has both back, and tries again, or goes home.
    fn refused(
        &mut self,
        at: usize,
        why: Why,
        (ends, came): ([End; 2], [Vec<u8>; 2]),
        world: &mut World,
    ) {
        let errand = &mut self.errands[at];
        let tries = matches!(why, Why::Full | Why::Busy);
        if why == Why::Stopped || tries && errand.retries == 0 {
            ends.into_iter().for_each(|end| world.close_end(end, Close::Normal));
            return;
        }
        let span = if tries { AGAIN } else { Duration::ZERO };
        errand.retries -= u32::from(tries);
        ends.into_iter().for_each(|end| world.hold(end, Holder::Host(self.host)));
        errand.stage = Stage::Read { ends, came, until: world.now + span };
        world.wake_host(self.host, span);
    }

    /// Asks about it by its number, or by the engine's own name of it.
    fn call(&mut self, at: usize, world: &mut World) {
        let (errand, engine) = (&mut self.errands[at], self.engine.as_ref());
        let (Some(tag), Some(Engine { intake, mailbox, .. })) = (errand.tag(), engine) else {
            return;
        };
        let now = world.now.since(Time(0));
        while errand.calls.first().is_some_and(|(due, _)| *due <= now) {
            let by_id = errand.id.filter(|_| world.random.percent(30));
            let which = by_id.map_or(Which::HandedOver(tag), Which::Session);
            match errand.calls.remove(0).1 {
                Call::Describe => {
                    let desk = self.desk.clone();
                    let reply = Box::new(move |info| desk.described(tag, info));
                    // A full mailbox loses it.
                    drop(mailbox.post(Command::Describe { which, reply }));
                }
                Call::Cancel => {
                    let posted = match which {
                        Which::HandedOver(tag) => intake.cancel(tag),
                        Which::Session(_) => mailbox.post(Command::Cancel(which)).is_ok(),
                    };
                    let is_over = self.desk.is_told(tag);
                    handed::count_cancel(errand, [posted, is_over, by_id.is_some()]);
                    if posted && !is_over {
                        errand.cancelled.push(world.now);
                    }
                    if world.random.percent(20) {
                        count(Fault::CancelNobody);
                        intake.cancel(Tag::of_number(tag.number() + NOBODY));
                    }
                }
            }
        }
    }
}

/// Makes a mistake; what was taken out for that.
fn err(mistake: Mistake, handed: &mut HandOver) -> Option<OwnedFd> {
    match mistake {
        Mistake::Terms(listener) => handed.listener = listener,
        Mistake::Upgraded => handed.web_socket = Some(Payload::Binary),
        Mistake::Client => {
            let nothing = File::open("/dev/null").expect("every Linux has it");
            return Some(std::mem::replace(&mut handed.client, nothing.into()));
        }
        Mistake::Endless => {
            handed.own.half_close = Some(HalfClose::Forward);
            let pty = nix::pty::openpty(None, None).expect("terminals are left");
            return Some(std::mem::replace(&mut handed.target, pty.master));
        }
    }
    None
}

/// All of what is handed over, to be compared.
#[derive(PartialEq, Debug)]
struct Seen {
    numbers: [i32; 2],
    bytes: [Vec<u8>; 2],
    rest: String,
}

impl Seen {
    fn of(handed: &HandOver) -> Seen {
        let HandOver { listener, web_socket, heartbeat, target_name, cookie, own, .. } = handed;
        Seen {
            numbers: [handed.client.as_raw_fd(), handed.target.as_raw_fd()],
            bytes: [handed.from_client.clone(), handed.from_target.clone()],
            rest: format!(
                "{listener} {web_socket:?} {heartbeat:?} {target_name:?} {cookie} {own:?}"
            ),
        }
    }
}
