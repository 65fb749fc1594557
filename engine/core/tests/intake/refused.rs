//! What is not taken, or taken and told of at once: by whom, why, and in which state it comes back.

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use socket2::SockRef;

use super::*;

pub(crate) fn what_is_refused_is_given_back_whole(driver: Driver) {
    let (engine, intake, records) = start(driver, HalfClose::Close);
    let ((mut client, one), (other, mut target)) = (pair(), pair());
    let handed = HandOver { from_client: vec![7], ..HandOver::new(1, one.into(), other.into()) };
    let refused = intake.hand_over(handed).expect_err("there is no such listener");
    assert_eq!(refused.why, Why::NoSuchTerms);

    // As many as the rig allows.
    let others: Vec<_> = (0..64)
        .map(|_| {
            let ((near, one), (other, far)) = (pair(), pair());
            intake.hand_over(HandOver::new(0, one.into(), other.into())).expect("room");
            (near, far)
        })
        .collect();
    let refused = intake.hand_over(HandOver { listener: 0, ..*refused.handed });
    let refused = refused.expect_err("they are too many");
    assert_eq!(refused.why, Why::Full);
    assert!(refused.to_string().contains("limits"), "{refused}");
    drop(others);
    (0..64).for_each(|_| drop(ended(&records)));

    // It is as good as it was.
    intake.hand_over(*refused.handed).expect("room again");
    client.write_all(&[8]).expect("written");
    assert_eq!(hear(&mut target, 2), [7, 8]);
    drop((client, target));
    ended(&records);
    stop(engine);
}

/// A connection that is over already is one all the same: what it brought is delivered, and its end is told.
pub(crate) fn who_has_left_already_is_taken(driver: Driver) {
    let (engine, intake, records) = start(driver, HalfClose::Close);
    let of_unix = || {
        let (near, far) = unix_pair();
        (OwnedFd::from(near), OwnedFd::from(far))
    };
    let of_tcp = || {
        let (near, far) = pair();
        (OwnedFd::from(near), OwnedFd::from(far))
    };
    let reset = || {
        let (near, far) = pair();
        SockRef::from(&near).set_linger(Some(Duration::ZERO)).expect("a socket");
        (OwnedFd::from(near), OwnedFd::from(far))
    };
    let ways: [&dyn Fn() -> (OwnedFd, OwnedFd); 3] = [&of_unix, &of_tcp, &reset];
    for make in ways {
        let ((near, one), (other, _target)) = (make(), unix_pair());
        drop(near);
        intake.hand_over(HandOver::new(0, one, other.into())).expect("it was connected");
        assert_eq!(ended(&records).reason.side, Side::Client);
    }
    stop(engine);
}

pub(crate) fn what_is_no_stream_is_given_back(driver: Driver) {
    let (engine, intake, _records) = start(driver, HalfClose::Close);
    let file = || OwnedFd::from(File::open("/proc/self/exe").expect("a file"));
    let null = || OwnedFd::from(File::open("/dev/null").expect("a device"));
    let datagram = || OwnedFd::from(UnixDatagram::unbound().expect("a socket"));
    let listener = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").expect("a port"));
    let unconnected = || {
        let made = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None);
        made.expect("a socket")
    };
    let others: [&dyn Fn() -> OwnedFd; 5] = [&file, &null, &datagram, &listener, &unconnected];
    for other in others {
        let (near, far) = pair();
        let handed = HandOver::new(0, other(), far.into());
        let refused = intake.hand_over(handed).expect_err("no stream");
        assert_eq!(refused.why, Why::NoStream);
        let HandOver { client, target, .. } = *refused.handed;
        let refused = intake.hand_over(HandOver::new(0, target, client)).expect_err("no stream");
        assert_eq!(refused.why, Why::NoStream);
        drop(near);
    }
    assert_eq!(engine.shared().sessions(), 0);
    stop(engine);
}

pub(crate) fn a_worker_that_stops_takes_nothing(driver: Driver) {
    let (engine, intake, records) = start(driver, HalfClose::Close);
    let ((client, one), (other, target)) = (pair(), pair());
    intake.hand_over(HandOver::new(0, one.into(), other.into())).expect("room");
    engine.mailboxes()[0].post(Command::Drain(Duration::from_secs(30))).expect("room");
    let ((mut late, one), (other, _target)) = (pair(), pair());
    let tag = intake.hand_over(HandOver::new(0, one.into(), other.into())).expect("a mailbox");
    let record = ended(&records);
    assert_eq!((record.tag, record.reason.cause), (Some(tag), Cause::Drained));
    assert_eq!(late.read(&mut [0; 1]).expect("it was closed"), 0);
    // Who was there before goes on.
    assert_eq!(engine.shared().sessions(), 1);
    drop((client, target));
    ended(&records);
    engine.join();
}

/// Whatever is said to it: there is a record, or it comes back.
pub(crate) fn an_engine_that_has_ended_gives_back_or_tells(driver: Driver) {
    let before = descriptors();
    let (engine, intake, records) = start(driver, HalfClose::Close);
    engine.mailboxes()[0].post(Command::Drain(Duration::from_secs(30))).expect("room");
    let (mut taken, mut ends) = (0, Vec::new());
    // More than are looked at in one turn, until nothing is taken any more.
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let ((near, one), (other, far)) = (unix_pair(), unix_pair());
        ends.push((near, far));
        match intake.hand_over(HandOver::new(0, one.into(), other.into())) {
            Ok(_) => taken += 1,
            Err(refused) if refused.why == Why::Stopped => break,
            Err(refused) => assert!(matches!(refused.why, Why::Busy | Why::Full), "{refused}"),
        }
    }
    engine.join();
    for _ in 0..taken {
        assert_eq!(ended(&records).reason.cause, Cause::Drained);
    }
    drop((ends, records));
    let ((near, one), (other, far)) = (unix_pair(), unix_pair());
    let refused = intake.hand_over(HandOver::new(0, one.into(), other.into()));
    assert_eq!(refused.expect_err("nobody is there").why, Why::Stopped);
    // It knows by what the worker was woken.
    drop((near, far, intake));
    assert_eq!(descriptors(), before);
}

pub(crate) fn what_can_not_be_joined_is_given_back(driver: Driver) {
    let why = |listener: Listener, change: &dyn Fn(&mut HandOver)| {
        let (engine, intake, _records) = start_on(driver, listener);
        let ((_near, one), (other, _far)) = (unix_pair(), unix_pair());
        let mut handed = HandOver::new(0, one.into(), other.into());
        change(&mut handed);
        let refused = intake.hand_over(handed).expect_err("it can't be");
        stop(engine);
        refused.why
    };
    let below = Listener { proxy_protocol: ProxyProtocol::Required, ..terms() };
    let speaks = |handed: &mut HandOver| handed.web_socket = Some(Payload::Binary);
    assert_eq!(why(below, &speaks), Why::TooLate);
    let endless = |handed: &mut HandOver| {
        handed.target = openpty(None, None).expect("a terminal").master;
    };
    let passes_ends_on = Listener { half_close: HalfClose::Forward, ..terms() };
    assert_eq!(why(passes_ends_on, &endless), Why::NeverEnds);
}

pub(crate) fn who_connects_where_only_hosts_come_is_sent_away(driver: Driver) {
    let addresses = vec![Address::Tcp(([127, 0, 0, 1], 0).into())];
    let listener = Listener { addresses, ..terms() };
    let (engine, addresses, records) = start_engine(driver, config::Engine::default(), listener);
    let mut client = TcpStream::connect(addresses[0].tcp().expect("TCP")).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a socket");
    assert_eq!(client.read(&mut [0; 1]).expect("an end"), 0);
    drop(client);
    let record = ended(&records);
    assert_eq!((record.reason.cause, record.tag), (Cause::Unreachable, None));
    assert!(record.elapsed < Duration::from_secs(3), "{record:?}");
    stop(engine);
}
