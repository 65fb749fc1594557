//! One seed: a configuration, an operating system, a population; the real worker run to the end; and what must be true on
//! the way and after it.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::close::Cause;
use penstock_core::config::{Config, Engine, Listener};
use penstock_core::control::{Command, Mailbox, Record};
use penstock_core::metrics::Counters;
use penstock_core::shared::Shared;
use penstock_core::worker::{Setup, Worker};
use penstock_ring::{Group, Kernel, Time};

use crate::sim::doors::Doors;
use crate::sim::kernel::SimKernel;
use crate::sim::kit::Kit;
use crate::sim::listeners::{self, Chosen, ClientTerms, TargetTerms};
use crate::sim::outside::{Desk, Resolver};
use crate::sim::policy::Policy;
use crate::sim::population::Population;
use crate::sim::random::Random;
use crate::sim::secrets::Reader;
use crate::sim::temper::Temper;
use crate::sim::tokens::Tokens;
use crate::sim::world::{Action, World};
use crate::sim::{consoles, targets, wish};

/// Turns after which a run is taken for one that never ends.
const TURNS: usize = 2_000_000;

/// Nobody waits so long for a buffer: those who hold them without need are ended before.
const STARVED: Duration = Duration::from_secs(20);

/// What the seed decided, apart from the population.
pub struct Choices {
    pub config: Arc<Config>,
    /// By listener: what is asked of clients, and of targets, where TLS is spoken.
    pub clients: Vec<Option<ClientTerms>>,
    pub targets: Vec<Option<TargetTerms>>,
    /// Causes that the target of a listener that forwards explains.
    pub forwarding: Vec<Vec<Cause>>,
    /// What hosts speak TLS with.
    pub kit: Kit,
    pub temper: Temper,
    pub max_tunnels: usize,
    /// Of 100 targets, so many never read: with few buffers, they hold the pool.
    pub deaf: u32,
    /// When a stop is asked for, and how patient it is.
    pub drain: Option<(Duration, Duration)>,
}

/// A run that has ended, for the last questions.
pub struct Run {
    pub worker: Worker<SimKernel<Population>>,
    pub counters: Arc<Counters>,
    pub choices: Choices,
    /// With the time of its end.
    pub records: Vec<(Time, Record)>,
}

impl Choices {
    /// The seed's choice.
    pub fn of(random: &mut Random) -> Choices {
        // What is in the clear may be spliced, which is a story of its own.
        let plain = random.percent(25);
        let chosen =
            (0..listeners::COUNT as u16).map(|index| listeners::choose(index, plain, random));
        let (mut listeners, mut clients, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for Chosen { listener, clients: client_side, targets: target_side } in chosen {
            listeners.push(listener);
            clients.push(client_side);
            targets.push(target_side);
        }
        let per_direction = random.pick(&[8 << 10, 64 << 10, 64 << 10, 256 << 10]);
        let engine = Engine { per_direction, ..Engine::default() };
        let drains = random.percent(30);
        let at = random.pick(&[300, 3_000, 30_000]);
        let at = random.span(Duration::from_millis(at));
        let mut temper = Temper::of(random);
        let pinned = random.percent(8);
        if pinned {
            temper.buffers.small = 4;
        }
        Choices {
            forwarding: Vec::new(),
            config: Arc::new(Config { engine, listeners }),
            clients,
            targets,
            kit: Kit::default(),
            temper,
            deaf: if pinned { 60 } else { random.pick(&[0, 15]) },
            max_tunnels: random.pick(&[1_000, 1_000, 1_000, 5]),
            drain: drains
                .then(|| (at, Duration::from_millis(random.pick(&[0, 500, 5_000, 60_000])))),
        }
    }
}

/// Runs a seed to its end.
pub fn run(seed: u64) -> Run {
    let mut random = Random::new(seed ^ 0x5eed);
    let mut choices = Choices::of(&mut random);
    let desk = Desk::default();
    let clients = random.pick(&[3, 12, 30, 60]);
    let population = people(clients, &desk, &mut random);
    let mut kernel = SimKernel::new(seed, choices.temper.clone(), population);
    prepare(&mut kernel.world, &mut random);
    let mailbox = Mailbox::new(random.pick(&[2, 64]), kernel.waker());
    kernel.hosts.resolver.answers.go_to(mailbox.clone());
    kernel.hosts.doors.answers.go_to(mailbox.clone());
    kernel.hosts.tokens.answers.go_to(mailbox.clone());
    kernel.hosts.secrets.answers.go_to(mailbox.clone());
    kernel.hosts.policy.answers.go_to(mailbox.clone());
    choices.forwarding = choices
        .config
        .listeners
        .iter()
        .map(|listener| targets::of_listener(listener, &mut kernel.hosts, &mut kernel.world))
        .collect();
    for number in 0..clients {
        wish::add(number, &choices, &mut kernel.hosts, &mut kernel.world);
    }
    let counters = Arc::<Counters>::default();
    let setup = setup(&choices, &counters, &desk, &mailbox);
    let worker = Worker::new(setup, kernel).expect("the simulated kernel takes every listener");
    let mut run = Run { worker, counters, choices, records: Vec::new() };
    run.live(&mailbox, &desk);
    run.wind_up(&desk);
    run
}

/// Those who know names, tokens and secrets, open doors and decide; there will be so many clients.
fn people(clients: usize, desk: &Desk, random: &mut Random) -> Population {
    let mut resolver = Resolver::new(2 * clients, desk.clone());
    resolver.answers.confused = random.pick(&[0, 0, 50]);
    resolver.busy = random.pick(&[0, 0, 0, 30]);
    let mut doors = Doors::new(2 * clients + 1, desk.clone());
    doors.answers.confused = random.pick(&[0, 0, 50]);
    let mut tokens = Tokens::new(2 * clients + 2, desk.clone());
    tokens.answers.confused = random.pick(&[0, 0, 50]);
    let mut secrets = Reader::new(2 * clients + 3, desk.clone());
    secrets.answers.confused = random.pick(&[0, 0, 50]);
    let mut policy = Policy::new(2 * clients + 4, desk.clone());
    policy.answers.confused = random.pick(&[0, 0, 50]);
    let (clients, origins) = (Vec::new(), Vec::new());
    Population { clients, origins, resolver, doors, tokens, secrets, policy }
}

/// Sockets of some size, and a time without descriptors.
fn prepare(world: &mut World, random: &mut Random) {
    world.socket_sizes =
        random.pick(&[&[4 << 10, 16 << 10, 64 << 10], &[64 << 10, 256 << 10, 512 << 10]]);
    if random.percent(25) {
        let at = random.span(Duration::from_secs(5));
        world.after(at, Action::Descriptors(true));
        world.after(at + random.span(Duration::from_secs(5)), Action::Descriptors(false));
    }
}

fn setup(choices: &Choices, counters: &Arc<Counters>, desk: &Desk, mailbox: &Mailbox) -> Setup {
    let count = listeners::COUNT as u16;
    let own = (0..count).map(|index| ([127, 0, 0, 1], 3128 + index).into()).collect();
    Setup {
        index: 0,
        shared: Arc::new(Shared::new(choices.config.clone(), own, choices.max_tunnels)),
        counters: counters.clone(),
        listeners: (0..count)
            .map(|index| (File::open("/dev/null").expect("it is there").into(), index))
            .collect(),
        outside: Box::new(desk.clone()),
        mailbox: mailbox.clone(),
        turned_away_max: 64,
        at_rest: None,
    }
}

impl Run {
    /// Turns until everybody has gone, or the stop is through.
    fn live(&mut self, mailbox: &Mailbox, desk: &Desk) {
        let mut stopping = false;
        for _ in 0..TURNS {
            let on = self.worker.turn();
            self.check_turn();
            self.take_records(desk);
            if !on {
                assert!(stopping, "the worker ended without being asked");
                return;
            }
            let kernel = self.worker.kernel();
            let now = kernel.now();
            let drain =
                self.choices.drain.filter(|(at, _)| !stopping && now >= Time(1_000_000_000) + *at);
            let idle = kernel.hosts.is_gone() && self.worker.live().0 == 0;
            assert!(
                idle || !self.worker.kernel().is_asleep(),
                "the worker sleeps for ever: {:?}",
                self.worker
            );
            if idle && !stopping || drain.is_some() {
                let command = drain.map_or(Command::Stop, |(_, patience)| Command::Drain(patience));
                // Lost answers may fill the mailbox; the next turn empties it.
                stopping = mailbox.post(command).is_ok();
            }
        }
        panic!("no end after {TURNS} turns: {:?}", self.worker);
    }

    /// Takes the outcomes that are still to come, and lets the hosts go home.
    fn wind_up(&mut self, desk: &Desk) {
        for _ in 0..TURNS {
            let kernel = self.worker.kernel();
            let home = kernel.hosts.is_gone() && kernel.open_legs() == 0;
            if home || kernel.world.next_time().is_none() && kernel.outcomes_pending() == 0 {
                break;
            }
            self.worker.turn();
        }
        self.take_records(desk);
    }

    fn take_records(&mut self, desk: &Desk) {
        let now = self.worker.kernel().now();
        self.records.extend(desk.records().into_iter().map(|record| (now, record)));
    }

    /// What must be true between any two turns.
    fn check_turn(&mut self) {
        let (sessions, _) = self.worker.live();
        assert_eq!(self.counters.sessions.get(), sessions as u64, "the gauge of sessions is wrong");
        let batch = self.choices.temper.batch_memory();
        let limit = self.choices.config.engine.per_direction;
        let kernel = self.worker.kernel();
        let starved = kernel.starved_since().map(|since| kernel.now().since(since));
        assert!(
            starved.is_none_or(|span| span < STARVED),
            "a leg has waited {starved:?} for a buffer"
        );
        assert_eq!(kernel.buffers_with_caller(), 0, "a buffer was neither sent nor given back");
        for (end, queued) in kernel.queues() {
            let Some(host) = kernel.world.links[end.link as usize].host else { continue };
            let listener = kernel.hosts.clients[host / 2].wish.listener;
            let settings = &self.choices.config.listeners[listener];
            let bound = bound(settings, host.is_multiple_of(2), limit, batch);
            assert!(
                queued.memory <= bound,
                "{end:?} holds {} bytes, more than {bound}",
                queued.memory
            );
        }
    }
}

/// Most memory that a leg's queue may hold. What was asked to stop may bring one batch more; a head's early payload is no pool
/// memory, but is bounded.
fn bound(settings: &Listener, is_client: bool, limit: usize, batch: usize) -> usize {
    let (tls, upstream) = (settings.tls.as_ref(), settings.upstream_tls.as_ref());
    // A browser's pongs, pages, and frames are beside it; what becomes Base64 grows.
    let console = consoles::of(settings).is_some();
    let (rest, limit) = match console && is_client {
        true => (4 * batch + (256 << 10), 2 * limit.max(64 << 10)),
        false => (2 * batch + (64 << 10) + 8192, limit),
    };
    if tls.is_none() && upstream.is_none() && !console {
        return limit + rest;
    }
    // Of bulk, one buffer is sent while the next is filled.
    let least = 3 * Group::Bulk.stride();
    let (max_record, libvirt) = match is_client {
        true => (1 << 14, tls.is_some_and(|tls| tls.libvirt)),
        false => upstream.map_or((1 << 14, false), |tls| (tls.max_record, tls.libvirt)),
    };
    let record = if libvirt { max_record.min(28) } else { max_record };
    let plain = limit.max(least) + rest;
    plain + plain / record * 32
}
