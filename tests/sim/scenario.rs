//! One seed: a configuration, an operating system, a population; the real worker run to the end; and what must be true on
//! the way and after it.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::{
    Address, Config, Engine, HalfClose, IdleScope, Listener, ProxyProtocol, SendProxy, Service,
    Timeouts,
};
use penstock_core::control::{Command, Mailbox, Record};
use penstock_core::metrics::Counters;
use penstock_core::policy::{AccessLists, AddressSet, Kind, ListBuilder, Rules};
use penstock_core::shared::Shared;
use penstock_core::worker::{Setup, Worker};
use penstock_ring::{Kernel, Time};

use crate::sim::kernel::SimKernel;
use crate::sim::outside::{Desk, Resolver};
use crate::sim::population::Population;
use crate::sim::random::Random;
use crate::sim::temper::Temper;
use crate::sim::wish;
use crate::sim::world::Action;

/// Turns after which a run is taken for one that never ends.
const TURNS: usize = 2_000_000;

/// Nobody waits so long for a buffer: those who hold them without need are ended before.
const STARVED: Duration = Duration::from_secs(20);

/// What the seed decided, apart from the population.
pub struct Choices {
    pub config: Arc<Config>,
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
    pub records: Vec<Record>,
}

impl Choices {
    /// The seed's choice.
    pub fn of(random: &mut Random) -> Choices {
        let listeners = (0..3).map(|index| listener(index, random)).collect();
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
            config: Arc::new(Config { engine, listeners }),
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
    let choices = Choices::of(&mut random);
    let desk = Desk::default();
    let clients = random.pick(&[3, 12, 30, 60]);
    let mut resolver = Resolver::new(2 * clients, desk.clone());
    resolver.confused = random.pick(&[0, 0, 50]);
    resolver.busy = random.pick(&[0, 0, 0, 30]);
    let population = Population { clients: Vec::new(), origins: Vec::new(), resolver };
    let mut kernel = SimKernel::new(seed, choices.temper.clone(), population);
    kernel.world.socket_sizes =
        random.pick(&[&[4 << 10, 16 << 10, 64 << 10], &[64 << 10, 256 << 10, 512 << 10]]);
    if random.percent(25) {
        let at = random.span(Duration::from_secs(5));
        kernel.world.after(at, Action::Descriptors(true));
        kernel.world.after(at + random.span(Duration::from_secs(5)), Action::Descriptors(false));
    }
    let mailbox = Mailbox::new(random.pick(&[2, 64]), kernel.waker());
    kernel.hosts.resolver.answer_to(mailbox.clone());
    for number in 0..clients {
        wish::add(number, &choices, &mut kernel.hosts, &mut kernel.world);
    }
    let counters = Arc::<Counters>::default();
    let own = (0..3).map(|index| ([127, 0, 0, 1], 3128 + index).into()).collect();
    let setup = Setup {
        index: 0,
        shared: Arc::new(Shared::new(choices.config.clone(), own, choices.max_tunnels)),
        counters: counters.clone(),
        listeners: (0..3)
            .map(|index| (File::open("/dev/null").expect("it is there").into(), index))
            .collect(),
        outside: Box::new(desk.clone()),
        mailbox: mailbox.clone(),
    };
    let worker = Worker::new(setup, kernel).expect("the simulated kernel takes every listener");
    let mut run = Run { worker, counters, choices, records: Vec::new() };
    run.live(&mailbox, &desk);
    run.wind_up(&desk);
    run
}

impl Run {
    /// Turns until everybody has gone, or the stop is through.
    fn live(&mut self, mailbox: &Mailbox, desk: &Desk) {
        let mut stopping = false;
        for _ in 0..TURNS {
            let on = self.worker.turn();
            self.check_turn();
            self.records.extend(desk.records());
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
        self.records.extend(desk.records());
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
        // What was asked to stop may bring one batch more; a head's early payload is no pool memory, but is bounded.
        let bound = limit + 2 * batch + (64 << 10) + 8192;
        for (end, queued) in kernel.queues() {
            assert!(
                queued.memory <= bound,
                "{end:?} holds {} bytes, more than {bound}",
                queued.memory
            );
        }
    }
}

fn listener(index: u16, random: &mut Random) -> Listener {
    let mut lists = AccessLists::new();
    let mut targets = ListBuilder::new();
    targets.add(Kind::Dst, &["10.0.0.0/8", "fd00::/8"]).expect("they are addresses");
    lists.insert("targets", targets.build().expect("it has values")).expect("the name is free");
    let mut loose = ListBuilder::new();
    loose.add(Kind::Dst, &["127.0.0.0/9"]).expect("it is a network");
    lists.insert("loose", loose.build().expect("it has values")).expect("the name is free");
    let mut ports = ListBuilder::new();
    ports.add(Kind::Port, &[wish::CLOSED_PORT.to_string()]).expect("it is a port");
    lists.insert("closed", ports.build().expect("it has values")).expect("the name is free");
    // The last line would allow the proxy's own host, if an address of it were named.
    let lines = ["deny closed", "allow targets", "deny !to_localhost", "allow CONNECT"];
    let seconds = |values: &[u64], random: &mut Random| Duration::from_secs(random.pick(values));
    let idle = random.percent(50).then(|| seconds(&[1, 5, 60], random));
    let lifetime = random.percent(25).then(|| seconds(&[1, 2, 20, 200], random));
    Listener {
        name: format!("l{index}").into(),
        addresses: vec![Address::Tcp(([127, 0, 0, 1], 3128 + index).into())],
        service: Service::Connect,
        tls: None,
        upstream_tls: None,
        max_sessions: None,
        proxy_protocol: if index == 1 { ProxyProtocol::Required } else { ProxyProtocol::Off },
        proxy_from: AddressSet::parse(&[wish::TRUSTED]).expect("it is a network"),
        send_proxy: random.pick(&[SendProxy::Off, SendProxy::Off, SendProxy::V1, SendProxy::V2]),
        rules: Rules::parse(&lines, &lists).expect("they are rules"),
        half_close: random.pick(&[HalfClose::Close, HalfClose::Forward]),
        idle_scope: random.pick(&[IdleScope::Tunnel, IdleScope::ClientAndTarget]),
        timeouts: Timeouts {
            handshake: seconds(&[1, 10], random),
            connect: seconds(&[1, 10], random),
            idle,
            lifetime,
        },
        connect_timeout_status: random.pick(&[503, 504]),
        strict_target: false,
    }
}
