//! Tunnels that are handed over: exact from the first byte, ended in every way, and nothing left of them; with both drivers.

mod proxied;
mod refused;
#[expect(dead_code, reason = "nothing here listens")]
#[path = "../rig/mod.rs"]
mod rig;
mod seats;
mod web;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use penstock_core::close::{Cause, Phase, Side};
use penstock_core::config::{
    self, Address, Config, HalfClose, Listener, Password, ProxyProtocol, Service, Vnc, VncMode,
};
use penstock_core::control::{Command, Page, Record, Secrets, TunnelInfo};
use penstock_core::engine::{Engine, Plan};
use penstock_core::intake::{HandOver, Intake, Why};
use penstock_core::policy::{AccessLists, Rules};
use penstock_proto::websocket::Payload;
use penstock_ring::Driver;

use proxied::*;
use refused::*;
use rig::{plan, start_engine, start_plan, stop};
use seats::*;
use web::*;

/// An engine that listens nowhere.
fn start(driver: Driver, half_close: HalfClose) -> (Engine, Intake, Receiver<Record>) {
    start_on(driver, Listener { half_close, ..terms() })
}

/// Of tunnels that are handed over.
fn terms() -> Listener {
    let rules = Rules::parse(&["allow all"], &AccessLists::new()).expect("a rule");
    Listener::new("mine", Vec::new(), Service::handed_over(), rules)
}

fn start_on(driver: Driver, listener: Listener) -> (Engine, Intake, Receiver<Record>) {
    let (engine, addresses, records) = start_engine(driver, config::Engine::default(), listener);
    assert!(addresses.is_empty());
    let intake = engine.intake();
    (engine, intake, records)
}

/// Both ends of a TCP connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let far = listener.accept().expect("it connects").0;
    for end in [&near, &far] {
        end.set_read_timeout(Some(PATIENCE)).expect("a socket");
    }
    (near, far)
}

fn unix_pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair");
    for end in [&near, &far] {
        end.set_read_timeout(Some(PATIENCE)).expect("a socket");
    }
    (near, far)
}

const PATIENCE: Duration = Duration::from_secs(60);

fn ended(records: &Receiver<Record>) -> Record {
    records.recv_timeout(PATIENCE).expect("a record")
}

fn tunnels(engine: &Engine) -> Vec<TunnelInfo> {
    let (told, heard) = channel();
    let reply = Box::new(move |page: Page| told.send(page.tunnels).expect("somebody asks"));
    engine.mailboxes()[0].post(Command::List { from: 0, reply }).expect("room");
    heard.recv().expect("an answer")
}

/// What `stream` brings next.
fn hear(stream: &mut impl Read, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).expect("so many bytes");
    bytes
}

/// Of this process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a process").count()
}

fn alone(test: fn(Driver), driver: Driver) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    test(driver);
}

macro_rules! on_both {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            #[test]
            fn epoll() { super::alone(super::$name, penstock_ring::Driver::Epoll); }
            #[test]
            fn uring() { super::alone(super::$name, penstock_ring::Driver::Uring); }
        }
    )* };
}

on_both!(
    early_bytes_come_first_and_bulk_is_spliced,
    half_closes_pass,
    a_client_that_speaks_web_socket_is_unmasked_from_the_first_byte,
    what_is_refused_is_given_back_whole,
    who_is_cancelled_is_told,
    what_is_no_stream_is_given_back,
    who_has_left_already_is_taken,
    a_terminal_is_a_stream,
    nobody_waits_for_the_end_of_a_terminal,
    each_worker_has_its_own,
    a_worker_that_stops_takes_nothing,
    an_engine_that_has_ended_gives_back_or_tells,
    what_can_not_be_joined_is_given_back,
    a_login_waits_for_its_secrets,
    who_connects_where_only_hosts_come_is_sent_away,
    thousands_leave_nothing_behind,
    what_is_dealt_to_a_seat_waits_for_whoever_takes_it,
    a_seat_that_nobody_took_tells_what_it_was_dealt,
    a_worker_that_panics_takes_nothing,
    somebody_else_may_have_made_the_socket,
    a_tunnel_has_timers_of_its_own,
    a_tunnel_has_a_half_close_of_its_own,
    each_is_found_by_either_of_its_names,
    pages_are_not_asked_of_the_console,
    who_is_refused_behind_its_101_is_told_why,
    nobody_is_dead_who_was_not_asked,
    a_target_learns_where_its_client_came_from,
    who_has_no_address_is_introduced_as_nobody,
    who_comes_through_a_proxy_is_whom_that_tells_of,
    who_is_no_proxy_is_not_believed,
);

fn early_bytes_come_first_and_bulk_is_spliced(driver: Driver) {
    const BULK: usize = 16 << 20;
    let (engine, intake, records) = start(driver, HalfClose::Forward);
    let ((mut client, one), (other, mut target)) = (pair(), pair());
    let early = |seed: u8, length: usize| -> Vec<u8> { vec![seed; length] };
    let handed = HandOver {
        // More than is ever kept of a client that sends ahead.
        from_client: early(1, 200_000),
        from_target: early(2, 70_000),
        target_name: Some("node1:5900".into()),
        ..HandOver::new(0, one.into(), other.into())
    };
    let tag = intake.hand_over(handed).expect("room");
    client.write_all(b"and then").expect("written");
    target.write_all(b"at last").expect("written");
    assert_eq!(hear(&mut target, 200_008), [early(1, 200_000), b"and then".to_vec()].concat());
    assert_eq!(hear(&mut client, 70_007), [early(2, 70_000), b"at last".to_vec()].concat());

    let tunnels = tunnels(&engine);
    assert_eq!((tunnels[0].tag, tunnels[0].phase), (Some(tag), Phase::Relay));

    let sent = thread::spawn(move || {
        target.write_all(&early(3, BULK)).expect("written");
        target
    });
    assert!(hear(&mut client, BULK) == vec![3; BULK], "bytes out of place");
    let mut target = sent.join().expect("written");
    drop(client);
    assert_eq!(target.read(&mut [0; 1]).expect("an end"), 0);
    drop(target);
    let record = ended(&records);
    assert_eq!((record.tag, record.target.as_deref()), (Some(tag), Some("node1:5900")));
    assert_eq!(record.reason.cause, Cause::Finished, "{record:?}");
    assert_eq!((record.bytes_to_target, record.bytes_to_client), (200_008, (BULK + 70_007) as u64));
    assert!(record.bytes_spliced > BULK as u64 / 2, "{record:?}");
    assert_eq!(engine.counters()[0].handed_over.get(), 1);
    stop(engine);
}

fn half_closes_pass(driver: Driver) {
    let (engine, intake, records) = start(driver, HalfClose::Forward);
    let ((mut client, one), (other, mut target)) = (pair(), pair());
    intake.hand_over(HandOver::new(0, one.into(), other.into())).expect("room");
    client.write_all(b"all of it").expect("written");
    client.shutdown(Shutdown::Write).expect("a socket");
    let mut heard = Vec::new();
    target.read_to_end(&mut heard).expect("an end in order");
    assert_eq!(heard, b"all of it");
    target.write_all(b"thanks").expect("written");
    drop(target);
    heard.clear();
    client.read_to_end(&mut heard).expect("an end in order");
    assert_eq!((heard.as_slice(), ended(&records).reason.cause), (&b"thanks"[..], Cause::Finished));
    stop(engine);
}

/// A frame of a client: a short one, masked with zeros.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let head = [0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    [&head, payload].concat()
}

fn a_client_that_speaks_web_socket_is_unmasked_from_the_first_byte(driver: Driver) {
    let (engine, intake, records) = start(driver, HalfClose::Close);
    let ((mut client, one), (other, mut target)) = (pair(), unix_pair());
    let first = frame(2, b"first");
    let handed = HandOver {
        from_client: first[..4].to_vec(),
        from_target: b"hello".to_vec(),
        web_socket: Some(Payload::Binary),
        heartbeat: Some(Duration::from_secs(4)),
        ..HandOver::new(0, one.into(), other.into())
    };
    intake.hand_over(handed).expect("room");
    client.write_all(&first[4..]).expect("written");
    client.write_all(&frame(2, b", then")).expect("written");
    assert_eq!(hear(&mut target, 11), b"first, then");
    assert_eq!(hear(&mut client, 7), [&[0x82, 5][..], b"hello"].concat());
    client.write_all(&frame(9, b"?")).expect("written");
    assert_eq!(hear(&mut client, 3), [0x8a, 1, b'?']);
    let asked = hear(&mut client, 2);
    assert_eq!(asked[0], 0x89, "nobody asks whether it is still there");
    hear(&mut client, usize::from(asked[1]));
    client.write_all(&frame(8, &1000_u16.to_be_bytes())).expect("written");
    assert_eq!(target.read(&mut [0; 1]).expect("an end"), 0);
    assert_eq!(hear(&mut client, 4), [0x88, 2, 3, 232]);
    drop((client, target));
    assert_eq!(ended(&records).reason.cause, Cause::Finished);
    assert_eq!(engine.counters()[0].upgrades[0].get(), 1);
    stop(engine);
}

fn who_is_cancelled_is_told(driver: Driver) {
    let (engine, intake, records) = start(driver, HalfClose::Close);
    for web_socket in [None, Some(Payload::Binary)] {
        let ((mut client, one), (other, mut target)) = (pair(), pair());
        let handed = HandOver { web_socket, ..HandOver::new(0, one.into(), other.into()) };
        let tag = intake.hand_over(handed).expect("room");
        assert!(intake.cancel(tag));
        assert_eq!(target.read(&mut [0; 1]).expect("an end"), 0);
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).expect("an end in order");
        match web_socket {
            None => assert_eq!(heard, b""),
            Some(_) => assert!(heard.starts_with(&[0x88, 24, 3, 233]), "{heard:?}"),
        }
        drop(client);
        let record = ended(&records);
        assert_eq!((record.tag, record.reason.side), (Some(tag), Side::Penstock));
        assert_eq!(record.reason.cause, Cause::Cancelled);
        // Nobody is harmed by who comes too late.
        assert!(intake.cancel(tag));
    }
    let counters = Arc::clone(&engine.counters()[0]);
    stop(engine);
    assert_eq!(counters.answers_stale.get(), 2);
}

fn a_terminal_is_a_stream(driver: Driver) {
    let (engine, intake, records) = start(driver, HalfClose::Close);
    let ((mut client, one), pty) = (pair(), openpty(None, None).expect("a terminal"));
    let mut settings = tcgetattr(&pty.slave).expect("a terminal");
    cfmakeraw(&mut settings);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &settings).expect("a terminal");
    intake.hand_over(HandOver::new(0, one.into(), pty.master)).expect("room");
    let mut line = File::from(pty.slave);
    client.write_all(b"login: ").expect("written");
    assert_eq!(hear(&mut line, 7), b"login: ");
    line.write_all(b"root").expect("written");
    assert_eq!(hear(&mut client, 4), b"root");
    drop((client, line));
    assert_eq!(ended(&records).reason.phase, Phase::Relay);
    stop(engine);
}

/// The target is there all the while, and is met once it is known what it is told.
fn a_login_waits_for_its_secrets(driver: Driver) {
    let mut vnc = Vnc::new(VncMode::Authenticate);
    vnc.credentials.password = Some(Password::File("/nobody/reads/it".into()));
    let (engine, intake, records) =
        start_on(driver, Listener { vnc: Some(Arc::new(vnc)), ..terms() });
    let ((mut client, one), (other, mut target)) = (unix_pair(), unix_pair());
    let handed = HandOver {
        target_name: Some("node1:5900".into()),
        ..HandOver::new(0, one.into(), other.into())
    };
    intake.hand_over(handed).expect("room");
    let id = tunnels(&engine)[0].id;
    let result = Ok(Secrets { password: Some("secret".into()), ..Secrets::default() });
    engine.mailboxes()[0].post(Command::Unsealed { id, result }).expect("room");
    assert_eq!(hear(&mut client, 12), b"RFB 003.008\n");
    client.write_all(b"RFB 003.008\n").expect("written");
    target.write_all(b"RFB 003.008\n").expect("written");
    assert_eq!(hear(&mut target, 12), b"RFB 003.008\n");
    drop((client, target));
    let record = ended(&records);
    assert_eq!((record.reason.phase, record.target.as_deref()), (Phase::Login, Some("node1:5900")));
    stop(engine);
}

/// Of a socket, the end is awaited for two seconds. One of three is enough: a machine may stand still for as long.
fn nobody_waits_for_the_end_of_a_terminal(driver: Driver) {
    let (engine, intake, records) = start(driver, HalfClose::Close);
    let is_quick = |_: u32| {
        let ((mut client, one), pty) = (pair(), openpty(None, None).expect("a terminal"));
        intake.hand_over(HandOver::new(0, one.into(), pty.master)).expect("room");
        let mut line = File::from(pty.slave);
        line.write_all(b"login:").expect("written");
        assert_eq!(hear(&mut client, 6), b"login:");
        let begun = Instant::now();
        drop(client);
        ended(&records);
        begun.elapsed() < Duration::from_secs(1)
    };
    assert!((0..3).any(is_quick));
    stop(engine);
}

fn each_worker_has_its_own(driver: Driver) {
    let config = Config { engine: config::Engine::default(), listeners: vec![terms()] };
    let plan = Plan { workers: 3, config: Arc::new(config), ..plan(driver) };
    let (engine, _, records) = start_plan(plan);
    let intake = engine.intake();
    let ends: Vec<_> = (0..6)
        .map(|_| {
            let ((near, one), (other, far)) = (unix_pair(), unix_pair());
            let tag = intake.hand_over(HandOver::new(0, one.into(), other.into())).expect("room");
            (tag, near, far)
        })
        .collect();
    let mut workers: Vec<_> = ends
        .into_iter()
        .map(|(tag, _near, _far)| {
            assert!(intake.cancel(tag));
            let record = ended(&records);
            assert_eq!((record.tag, record.reason.cause), (Some(tag), Cause::Cancelled));
            record.id.worker
        })
        .collect();
    workers.sort_unstable();
    assert_eq!(workers, [0, 0, 1, 1, 2, 2]);
    for mailbox in engine.mailboxes() {
        mailbox.post(Command::Stop).expect("room");
    }
    engine.join();
}

/// From four threads at once; every third one is left in the middle of something.
fn thousands_leave_nothing_behind(driver: Driver) {
    const EACH: usize = 2_500;
    let (engine, intake, records) = start(driver, HalfClose::Close);
    let before = descriptors();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let intake = intake.clone();
            thread::spawn(move || (0..EACH).for_each(|n| one_of_many(&intake, n)))
        })
        .collect();
    let all = thread::spawn(move || (0..4 * EACH).map(|_| ended(&records)).collect::<Vec<_>>());
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let all = all.join().expect("no panic");
    let tags: std::collections::HashSet<_> = all.iter().map(|record| record.tag).collect();
    assert_eq!(tags.len(), 4 * EACH, "a number was given twice");
    let (counters, stats) = (Arc::clone(&engine.counters()[0]), Arc::clone(&engine.stats()[0]));
    assert_eq!((counters.handed_over.get(), engine.shared().sessions()), (4 * EACH as u64, 0));
    // A record is written before the kernel lets go of everything.
    let begun = Instant::now();
    while (descriptors(), stats.pipes_in_use.get()) != (before, 0) && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((descriptors(), stats.pipes_in_use.get()), (before, 0));
    stop(engine);
}

fn one_of_many(intake: &Intake, n: usize) {
    let ((mut client, one), (other, mut target)) = (unix_pair(), unix_pair());
    let handed = HandOver {
        from_client: vec![1; n % 100],
        from_target: vec![2; n % 77],
        ..HandOver::new(0, one.into(), other.into())
    };
    let tag = intake.hand_over(handed).expect("room");
    match n % 3 {
        0 => {
            client.write_all(b"!").expect("written");
            let expected = [vec![1; n % 100], b"!".to_vec()].concat();
            assert_eq!(hear(&mut target, expected.len()), expected);
            assert_eq!(hear(&mut client, n % 77), vec![2; n % 77]);
        }
        1 => assert!(intake.cancel(tag)),
        _ => {}
    }
}
