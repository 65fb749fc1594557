//! Workers on threads of somebody else's, sockets that somebody else listens on, and terms of one tunnel.

use penstock_core::control::{Outside, Piece, Question, SessionId, WallTime, Which};
use penstock_core::engine::{Seat, bind};
use penstock_core::intake::{OwnTerms, Timer};
use std::os::fd::AsFd;

use super::rig::Keeper;
use super::*;

/// Two workers, the second of which is left to somebody.
fn start_but_one(driver: Driver) -> (Engine, Seat, Receiver<Record>) {
    let config = Config { engine: config::Engine::default(), listeners: vec![terms()] };
    let bound = bind(Plan { workers: 2, config: Arc::new(config), ..plan(driver) });
    let (records, kept) = channel();
    let (engine, mut seats) = bound
        .expect("nothing to bind")
        .start_but(1, &mut |_, _| Box::new(Keeper(records.clone())))
        .expect("a worker");
    assert_eq!(seats.len(), 1);
    (engine, seats.remove(0), kept)
}

fn stop_all(engine: &Engine) {
    for mailbox in engine.mailboxes() {
        mailbox.post(Command::Stop).expect("room");
    }
}

pub(crate) fn what_is_dealt_to_a_seat_waits_for_whoever_takes_it(driver: Driver) {
    let (engine, seat, records) = start_but_one(driver);
    let intake = engine.intake();
    let hand_over = || {
        let ((near, one), (other, far)) = (unix_pair(), unix_pair());
        intake.hand_over(HandOver::new(0, one.into(), other.into())).expect("room");
        (near, far)
    };
    // One of two next ones is the seat's.
    let mut ends = [hand_over(), hand_over()];
    ends.iter_mut().for_each(|(near, _)| near.write_all(b"?").expect("written"));
    let thread = thread::spawn(|| seat.take().map_err(|(_, errno)| errno));
    for (_, far) in &mut ends {
        assert_eq!(hear(far, 1), b"?");
    }
    // Its bell rings by now.
    ends = [hand_over(), hand_over()];
    for (near, far) in &mut ends {
        near.write_all(b"!").expect("written");
        assert_eq!(hear(far, 1), b"!");
    }
    stop_all(&engine);
    assert_eq!(thread.join().expect("no panic"), Ok(()));
    (0..4).for_each(|_| drop(ended(&records)));
    engine.join();
}

pub(crate) fn a_seat_that_nobody_took_tells_what_it_was_dealt(driver: Driver) {
    let (engine, seat, records) = start_but_one(driver);
    let intake = engine.intake();
    let ends: Vec<_> = (0..2)
        .map(|_| {
            let ((near, one), (other, far)) = (unix_pair(), unix_pair());
            let tag = intake.hand_over(HandOver::new(0, one.into(), other.into())).expect("room");
            (tag, near, far)
        })
        .collect();
    stop_all(&engine);
    assert_eq!(ended(&records).reason.cause, Cause::Drained);
    assert!(records.recv_timeout(Duration::from_millis(100)).is_err(), "who told of the other?");
    seat.take().expect("a driver");
    let last = ended(&records);
    assert!(ends.iter().any(|(tag, _, _)| last.tag == Some(*tag)));
    assert_eq!(engine.shared().sessions(), 0);
    engine.join();
}

/// Nobody is told of what a worker carried that has lost its mind, but nothing is dealt to it any more.
pub(crate) fn a_worker_that_panics_takes_nothing(driver: Driver) {
    struct Fragile;

    impl Outside for Fragile {
        fn wall_time(&self) -> WallTime {
            WallTime::default()
        }

        fn ask(&mut self, _question: Question) -> Result<(), Question> {
            Ok(())
        }

        fn records(&mut self, _id: SessionId, _listener: u16) {}

        fn recorded(&mut self, _piece: Piece) {}

        fn finished(&mut self, _record: Record) {
            panic!("on purpose");
        }
    }

    let config = Config { engine: config::Engine::default(), listeners: vec![terms()] };
    let plan = Plan { max_tunnels: 10_000, config: Arc::new(config), ..plan(driver) };
    let bound = bind(plan).expect("nothing to bind");
    let engine = bound.start(&mut |_, _| Box::new(Fragile)).expect("a worker");
    let intake = engine.intake();
    let hand_over = || {
        let ((near, one), (other, _)) = (unix_pair(), unix_pair());
        (near, intake.hand_over(HandOver::new(0, one.into(), other.into())))
    };
    let begun = Instant::now();
    let refused = loop {
        match hand_over() {
            (_, Err(refused)) => break refused,
            (_, Ok(_)) => assert!(begun.elapsed() < PATIENCE, "it takes whatever comes"),
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(refused.why, Why::Stopped);
    let joined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.join()));
    assert!(joined.is_err(), "a panic that nobody hears of");
}

pub(crate) fn somebody_else_may_have_made_the_socket(driver: Driver) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = TcpListener::bind("127.0.0.1:0").expect("a port");
    let rules = Rules::parse(&["allow all"], &AccessLists::new()).expect("a rule");
    let service = Service::Forward(config::Destination {
        text: "the target".into(),
        readonly: false,
        reach: config::Reach::Network(penstock_proto::http::Target {
            host: penstock_proto::http::Host::V4([127, 0, 0, 1].into()),
            port: target.local_addr().expect("bound").port(),
        }),
    });
    let config = Config {
        engine: config::Engine::default(),
        listeners: vec![Listener::new("given", Vec::new(), service, rules)],
    };
    let mut bound =
        bind(Plan { config: Arc::new(config), ..plan(driver) }).expect("nothing to bind");
    assert!(bound.accept_on(0, UnixStream::pair().expect("a pair").0.as_fd()).is_err());
    let address = bound.accept_on(0, listener.as_fd()).expect("it listens");
    assert_eq!(address, listener.local_addr().ok());
    drop(listener);
    let (records, _kept) = channel();
    let engine = bound.start(&mut |_, _| Box::new(Keeper(records.clone()))).expect("a worker");
    let _near = TcpStream::connect(address.expect("TCP")).expect("it listens");
    let begun = Instant::now();
    while engine.counters()[0].accepted.get() == 0 && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(engine.counters()[0].accepted.get() > 0);
    assert!(engine.shared().is_own(address.expect("TCP")), "a way back to ourselves is no loop");
    stop(engine);
}

pub(crate) fn a_tunnel_has_timers_of_its_own(driver: Driver) {
    let (short, never) = (Duration::from_millis(200), Timer::Never);
    let ended_with = |lifetime: Duration, own: OwnTerms, patience: Duration| {
        let (idle, lifetime) = (Some(short), Some(lifetime));
        let timeouts = config::Timeouts { idle, lifetime, ..config::Timeouts::default() };
        let (engine, intake, records) = start_on(driver, Listener { timeouts, ..terms() });
        let ((near, one), (other, far)) = (unix_pair(), unix_pair());
        let handed = HandOver { own, ..HandOver::new(0, one.into(), other.into()) };
        let tag = intake.hand_over(handed).expect("room");
        let ended = records.recv_timeout(patience);
        if ended.is_err() {
            assert!(intake.cancel(tag));
            records.recv_timeout(PATIENCE).expect("a record");
        }
        drop((near, far));
        stop(engine);
        ended.ok().map(|record| record.reason.cause)
    };
    let in_time = |lifetime, own| ended_with(lifetime, own, PATIENCE);
    // What is not meant to end a tunnel is far away.
    let far = 2 * PATIENCE;
    assert_eq!(in_time(far, OwnTerms::default()), Some(Cause::IdleTimeout));
    let no_idle = OwnTerms { idle: never, ..OwnTerms::default() };
    assert_eq!(in_time(short, no_idle), Some(Cause::LifetimeEnd));
    let endless = OwnTerms { lifetime: never, ..no_idle };
    assert_eq!(ended_with(short, endless, Duration::from_millis(1500)), None);
    let own = OwnTerms { idle: never, lifetime: Timer::After(short / 4), half_close: None };
    assert_eq!(in_time(far, own), Some(Cause::LifetimeEnd));
    let own = OwnTerms { idle: Timer::After(short / 4), lifetime: never, half_close: None };
    assert_eq!(in_time(far, own), Some(Cause::IdleTimeout));
}

pub(crate) fn a_tunnel_has_a_half_close_of_its_own(driver: Driver) {
    for (of_terms, own, answered) in [
        (HalfClose::Close, Some(HalfClose::Forward), true),
        (HalfClose::Forward, Some(HalfClose::Close), false),
        (HalfClose::Close, None, false),
    ] {
        let (engine, intake, records) = start(driver, of_terms);
        let ((mut client, one), (other, mut target)) = (unix_pair(), unix_pair());
        let own = OwnTerms { half_close: own, ..OwnTerms::default() };
        let handed = HandOver { own, ..HandOver::new(0, one.into(), other.into()) };
        intake.hand_over(handed).expect("room");
        client.shutdown(Shutdown::Write).expect("a socket");
        assert_eq!(target.read(&mut [0; 1]).expect("an end"), 0);
        if answered {
            target.write_all(b"answer").expect("written");
            drop(target);
            assert_eq!(hear(&mut client, 6), b"answer");
        } else {
            assert_eq!(client.read(&mut [0; 1]).expect("an end"), 0);
        }
        ended(&records);
        stop(engine);
    }
}

pub(crate) fn each_is_found_by_either_of_its_names(driver: Driver) {
    let (engine, intake, records) = start(driver, HalfClose::Close);
    let describe = |which: Which| {
        let (told, heard) = channel();
        let reply = Box::new(move |info: Option<TunnelInfo>| told.send(info).expect("asked"));
        engine.mailboxes()[0].post(Command::Describe { which, reply }).expect("room");
        heard.recv_timeout(PATIENCE).expect("an answer")
    };
    let ((_client, one), (other, _target)) = (unix_pair(), unix_pair());
    let tag = intake.hand_over(HandOver::new(0, one.into(), other.into())).expect("room");
    let info = describe(Which::HandedOver(tag)).expect("it lives");
    assert_eq!((info.tag, info.phase), (Some(tag), Phase::Relay));
    let same = describe(Which::Session(info.id)).expect("it lives");
    assert_eq!((same.tag, same.id), (Some(tag), info.id));
    let gone = SessionId { generation: info.id.generation + 1, ..info.id };
    assert!(describe(Which::Session(gone)).is_none());
    for which in [Which::Session(gone), Which::Session(info.id)] {
        engine.mailboxes()[0].post(Command::Cancel(which)).expect("room");
    }
    assert_eq!(ended(&records).reason.cause, Cause::Cancelled);
    assert!(describe(Which::HandedOver(tag)).is_none());
    let counters = Arc::clone(&engine.counters()[0]);
    stop(engine);
    assert_eq!(counters.answers_stale.get(), 1);
}
