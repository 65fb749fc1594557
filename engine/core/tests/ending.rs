//! What a worker owes at the end of a tunnel, and to those who post to it: all bytes delivered, all commands taken, everybody told.

mod rig;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use penstock_core::close::{Cause, Side};
use penstock_core::config::{
    self, Address, Console, ConsoleTarget, Destination, Door, HalfClose, Listener, Reach, Service,
};
use penstock_core::control::Command;
use penstock_core::engine::Engine;
use penstock_core::http::Target;
use penstock_core::policy::{AccessLists, Rules};
use penstock_ring::{Driver, SpliceMode};

use rig::{PATIENCE, connect, stop};

const RULES: &[&str] = &["allow to_localhost"];

/// The target says much and ends; the client, which has not read it yet, goes on talking.
fn the_last_words_arrive_although_the_listener_talks(driver: Driver) {
    const LAST_WORDS: usize = 4 << 20;
    let (engine, proxy, records) = rig::start(driver, RULES, HalfClose::Close);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = listener.local_addr().expect("bound");
    let origin = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.write_all(&vec![7; LAST_WORDS]).expect("written");
        stream.shutdown(std::net::Shutdown::Write).expect("a socket");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut stream = connect(proxy, target);
    let mut talker = stream.try_clone().expect("a socket");
    let talks = thread::spawn(move || {
        while talker.write_all(b"a mouse moves").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    let (mut got, mut buffer) = (0, vec![0; 64 << 10]);
    let end = loop {
        thread::sleep(Duration::from_millis(10));
        match stream.read(&mut buffer) {
            Ok(0) => break None,
            Ok(n) => got += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => break Some(e),
        }
    };
    drop(stream);
    stop(engine);
    let _ = (talks.join(), origin.join());
    let record = records.recv().expect("a record");
    assert_eq!(
        got, LAST_WORDS,
        "{driver:?}: the tail is lost, then {end:?}; {} bytes were told as delivered ({:?})",
        record.bytes_to_client, record.reason
    );
}

/// More commands than one turn takes, posted while the worker is busy: none is left lying.
fn every_command_is_taken(driver: Driver) {
    const COMMANDS: usize = 600;
    let (engine, ..) = rig::start(driver, RULES, HalfClose::Close);
    let mailbox = engine.mailboxes()[0].clone();
    let (told, heard) = channel();
    let (begun, has_begun) = channel();
    let busy = move |_| {
        let _ = begun.send(());
        thread::sleep(Duration::from_millis(300));
    };
    mailbox.post(Command::List { from: 0, reply: Box::new(busy) }).expect("room");
    has_begun.recv().expect("the worker lives");
    for number in 0..COMMANDS {
        let told = told.clone();
        let reply = Box::new(move |_| {
            let _ = told.send(number);
        });
        mailbox.post(Command::List { from: 0, reply }).expect("room");
    }
    let taken = (0..COMMANDS).take_while(|_| heard.recv_timeout(PATIENCE).is_ok());
    let taken = taken.count();
    stop(engine);
    assert_eq!(taken, COMMANDS, "{driver:?}: commands lie in the mailbox while the worker sleeps");
}

#[test]
fn last_words_on_epoll() {
    the_last_words_arrive_although_the_listener_talks(Driver::Epoll);
}

#[test]
fn last_words_on_uring() {
    the_last_words_arrive_although_the_listener_talks(Driver::Uring);
}

#[test]
fn commands_on_epoll() {
    every_command_is_taken(Driver::Epoll);
}

#[test]
fn commands_on_uring() {
    every_command_is_taken(Driver::Uring);
}

/// The client has finished sending; then its connection is reset while the target is silent.
fn a_reset_after_a_half_close_is_noticed(driver: Driver) {
    let (engine, proxy, records) = rig::start(driver, RULES, HalfClose::Forward);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut client = connect(proxy, listener.local_addr().expect("bound"));
    let (mut target, _) = listener.accept().expect("a connection");
    client.write_all(b"all that I have to say").expect("written");
    client.shutdown(std::net::Shutdown::Write).expect("a socket");
    target.read_to_end(&mut Vec::new()).expect("the half-close is passed on");
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(client);
    let record = records.recv_timeout(PATIENCE);
    stop(engine);
    assert!(record.is_ok(), "{driver:?}: the tunnel outlives its client");
}

#[test]
fn half_closed_reset_on_epoll() {
    a_reset_after_a_half_close_is_noticed(Driver::Epoll);
}

#[test]
fn half_closed_reset_on_uring() {
    a_reset_after_a_half_close_is_noticed(Driver::Uring);
}

/// The client has finished in order; then its target breaks with much of it still on the way.
fn what_a_broken_target_loses_is_told(driver: Driver) {
    const MUCH: usize = 4 << 20;
    let limits = config::Engine {
        splice: SpliceMode::Off,
        memory: 512 << 20,
        per_direction: 2 * MUCH,
        ..config::Engine::default()
    };
    let (engine, proxy, records) = rig::start_with(driver, limits, RULES, HalfClose::Close);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    // So that most of it lies with the proxy, its end included.
    socket2::SockRef::from(&listener).set_recv_buffer_size(4096).expect("a socket");
    let mut client = connect(proxy, listener.local_addr().expect("bound"));
    let (target, _) = listener.accept().expect("a connection");
    client.set_write_timeout(Some(PATIENCE)).expect("a socket");
    client.write_all(&vec![7; MUCH]).expect("the proxy holds what its target does not take");
    client.shutdown(std::net::Shutdown::Write).expect("a socket");
    thread::sleep(Duration::from_millis(300));
    socket2::SockRef::from(&target).set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(target);
    let record = records.recv_timeout(PATIENCE).expect("a record");
    drop(client);
    stop(engine);
    assert!(record.bytes_to_target < MUCH as u64, "{driver:?}: all was delivered: {record:?}");
    let told = (record.reason.side, record.reason.cause);
    assert_eq!(told, (Side::Target, Cause::Reset), "{driver:?}");
}

#[test]
fn loss_to_a_broken_target_on_epoll() {
    what_a_broken_target_loses_is_told(Driver::Epoll);
}

#[test]
fn loss_to_a_broken_target_on_uring() {
    what_a_broken_target_loses_is_told(Driver::Uring);
}

/// Who reads why it was refused while a stop begins was refused for the same reason as before.
fn a_stop_is_no_reason_for_who_was_refused(driver: Driver) {
    let (engine, proxy, records) = rig::start(driver, RULES, HalfClose::Close);
    // Bound, so that nobody else is given its port, but not listening.
    let deaf =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    let nobody = deaf.local_addr().expect("bound").as_socket().expect("an address");
    let mut client = TcpStream::connect(proxy).expect("the proxy listens");
    write!(client, "CONNECT {nobody} HTTP/1.1\r\n\r\n").expect("written");
    let mut answer = [0; 12];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 503");
    stop(engine);
    let record = records.recv().expect("a record");
    assert_eq!(record.reason.cause, Cause::ConnectRefused, "{driver:?}");
}

#[test]
fn stop_after_refusal_on_epoll() {
    a_stop_is_no_reason_for_who_was_refused(Driver::Epoll);
}

#[test]
fn stop_after_refusal_on_uring() {
    a_stop_is_no_reason_for_who_was_refused(Driver::Uring);
}

/// An engine with consoles that lead there.
fn console(
    driver: Driver,
    reach: Reach,
) -> (Engine, TcpStream, std::sync::mpsc::Receiver<penstock_core::control::Record>) {
    let destination = Destination { text: "target".into(), readonly: false, reach };
    let console = Console::new(ConsoleTarget::Fixed(destination));
    let rules = Rules::parse(&["allow all"], &AccessLists::new()).expect("well-formed rules");
    let addresses = vec![Address::Tcp(([127, 0, 0, 1], 0).into())];
    let service = Service::Console(Box::new(console));
    let limits = config::Engine { splice: SpliceMode::Off, ..config::Engine::default() };
    let listener = Listener::new("test", addresses, service, rules);
    let (engine, address, records) = rig::start_listener(driver, limits, listener);
    (engine, browser(address), records)
}

/// A browser that has its 101.
fn browser(address: SocketAddr) -> TcpStream {
    let mut browser = TcpStream::connect(address).expect("the engine listens");
    browser.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let head = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: k\r\n\r\n";
    browser.write_all(head.as_bytes()).expect("written");
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        browser.read_exact(&mut byte).expect("a reply");
        reply.extend(byte);
    }
    assert!(reply.starts_with(b"HTTP/1.1 101"));
    browser
}

/// A browser says its last word while nobody knows whether its target is there: it is answered.
fn who_leaves_before_the_target_is_there_is_answered(driver: Driver) {
    let door = Reach::Door(Arc::new(Door::Unix(vec![PathBuf::from("/nobody/answers")])));
    let (engine, mut browser, records) = console(driver, door);
    browser.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 233]).expect("written");
    let mut answer = Vec::new();
    browser.read_to_end(&mut answer).expect("an end in order");
    drop(browser);
    stop(engine);
    assert_eq!(answer, [0x88, 2, 3, 233], "{driver:?}");
    let record = records.recv().expect("a record");
    assert_eq!(record.reason.cause, Cause::HungUp, "{driver:?}");
}

#[test]
fn early_parting_on_epoll() {
    who_leaves_before_the_target_is_there_is_answered(Driver::Epoll);
}

#[test]
fn early_parting_on_uring() {
    who_leaves_before_the_target_is_there_is_answered(Driver::Uring);
}

/// Bytes to the client that were taken from the engine's only tunnel.
fn taken(engine: &Engine) -> u64 {
    let (told, heard) = channel();
    let reply = Box::new(move |page: penstock_core::control::Page| {
        let _ = told.send(page.tunnels.first().map_or(0, |tunnel| tunnel.bytes[1]));
    });
    engine.mailboxes()[0].post(Command::List { from: 0, reply }).expect("room");
    heard.recv().expect("the worker lives")
}

/// The target has ended, and the browser has not taken all of it: of what it sends now nothing is wanted, but it is answered.
fn a_silenced_browser_is_answered(driver: Driver) {
    const PIECE: usize = 2048;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let target = Target::parse(&address.to_string(), false).expect("a target");
    let (engine, mut browser, _records) = console(driver, Reach::Network(target));
    let (mut target, _) = listener.accept().expect("a connection");
    // Until a little of it lies with the engine, and no more than that.
    let mut said = 0;
    let mut waited = 0;
    while waited < 200 {
        target.write_all(&[7; PIECE]).expect("written");
        (said, waited) = (said + PIECE as u64, 0);
        while taken(&engine) < said && waited < 200 {
            thread::sleep(Duration::from_millis(1));
            waited += 1;
        }
    }
    target.shutdown(std::net::Shutdown::Write).expect("a socket");
    thread::sleep(Duration::from_millis(100));
    browser.write_all(&[0x89, 0x81, 0, 0, 0, 0, 42]).expect("written");
    thread::sleep(Duration::from_millis(100));
    // Two turns of the worker: the ping has come to it before anything is read.
    let _turns = [taken(&engine), taken(&engine)];
    let mut came = Vec::new();
    while !came.ends_with(b"Target closed") {
        let mut bytes = [0; 1 << 16];
        let n = browser.read(&mut bytes).expect("the end of it");
        assert_ne!(n, 0, "{driver:?}: no last word");
        came.extend(&bytes[..n]);
    }
    browser.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 232]).expect("written");
    drop((browser, target));
    stop(engine);
    let last_words = [&[0x8a, 1, 42][..], &[0x88, 15, 3, 232], b"Target closed"].concat();
    assert!(came.ends_with(&last_words), "{driver:?}: the ping was not answered");
}

#[test]
fn silenced_browser_on_epoll() {
    a_silenced_browser_is_answered(Driver::Epoll);
}

#[test]
fn silenced_browser_on_uring() {
    a_silenced_browser_is_answered(Driver::Uring);
}
