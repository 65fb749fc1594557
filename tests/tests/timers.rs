//! The three timers, kept apart: handshake, idle, lifetime; and the time a connect may take.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use penstock_tests::connect::{ask, dial, request, tunnel};
use penstock_tests::{Driver, Setup, Stopwatch, both_drivers, loopback, origin};

both_drivers! {
    a_slow_head_does_not_live_by_its_drops,
    a_quiet_tunnel_ends_and_a_busy_one_does_not,
    a_viewers_quiet_channels_live_by_its_busy_one,
    a_lifetime_ends_even_a_busy_tunnel,
    a_target_that_does_not_answer_is_503_in_time,
    a_client_may_leave_while_the_target_does_not_answer,
}

const SECOND: Duration = Duration::from_secs(1);
/// Long against the scheduling of a busy machine, short against a test's patience.
const TICK: Duration = Duration::from_millis(250);
/// Long enough that a machine which stands still for two seconds makes nobody idle who isn't.
const IDLE: Duration = Duration::from_secs(4);

/// Waits for the end of a stream, whatever is said before it, and says how long that took without pauses of the machine.
fn end(stream: &mut TcpStream) -> Duration {
    let watch = Stopwatch::start();
    match stream.read_to_end(&mut Vec::new()) {
        Err(e) if e.kind() != std::io::ErrorKind::ConnectionReset => panic!("no end: {e}"),
        _ => watch.elapsed(),
    }
}

/// One byte to an echoing origin and back.
fn is_alive(stream: &mut TcpStream) -> bool {
    stream.write_all(b".").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

fn echoing(proxy: SocketAddr, origin: SocketAddr) -> TcpStream {
    let mut stream = tunnel(proxy, origin);
    stream.write_all(b"echo\n").expect("an open tunnel");
    stream
}

fn a_slow_head_does_not_live_by_its_drops(driver: Driver) {
    let penstock = Setup::new(driver).timeouts(&[("handshake", "2s")]).start();
    let before = penstock.holdings();
    let watch = Stopwatch::start();
    let mut slow = dial(penstock.proxy()).expect("a listener");
    let mut silent = dial(penstock.proxy()).expect("a listener");
    slow.set_read_timeout(Some(TICK / 2)).expect("a socket");
    // It drips on, whatever it hears, until it is cut off.
    let mut is_in_time = None;
    let span = SECOND * 3 / 2..SECOND * 7 / 2;
    for byte in b"CONNECT 127.0.0.1".iter().cycle() {
        if slow.write_all(&[*byte]).is_err() {
            break;
        }
        match slow.read(&mut [0; 1024]) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => {
                is_in_time.get_or_insert_with(|| watch.is_within(span.clone()));
                sleep(TICK / 2);
            }
        }
        assert!(watch.elapsed() < 8 * SECOND, "heard in time: {is_in_time:?}, and still there");
    }
    let is_in_time = is_in_time.unwrap_or_else(|| watch.is_within(span));
    assert!(is_in_time, "not cut off after 2 s; gone after {:?}", watch.real());
    assert!(end(&mut silent) < SECOND, "the silent one outlived the slow one");
    drop(slow);
    penstock.assert_holds(&before);
}

fn a_quiet_tunnel_ends_and_a_busy_one_does_not(driver: Driver) {
    let setup = Setup::new(driver).timeouts(&[("idle", "4s")]);
    let penstock = setup.set("listen", "idle_scope", "\"tunnel\"").start();
    let origin = origin::start();
    let (mut busy, mut quiet) =
        (echoing(penstock.proxy(), origin), echoing(penstock.proxy(), origin));
    quiet.set_nonblocking(true).expect("a socket");
    let watch = Stopwatch::start();
    let mut is_in_time = None;
    while watch.elapsed() < 2 * IDLE {
        assert!(is_alive(&mut busy), "ended while busy, after {:?}", watch.real());
        let ended = quiet
            .read(&mut [0])
            .map_or_else(|e| e.kind() != std::io::ErrorKind::WouldBlock, |n| n == 0);
        if ended {
            let span = IDLE - SECOND / 2..IDLE + SECOND * 3 / 2;
            is_in_time.get_or_insert_with(|| watch.is_within(span));
        }
        sleep(TICK);
    }
    assert_eq!(is_in_time, Some(true), "the quiet one ends after 4 s");
}

fn a_viewers_quiet_channels_live_by_its_busy_one(driver: Driver) {
    let penstock = Setup::new(driver).timeouts(&[("idle", "4s")]).start();
    let (origin, other) = (origin::start(), origin::start());
    let mut stranger = echoing(penstock.proxy(), other);
    let mut channels: Vec<_> = (0..4).map(|_| echoing(penstock.proxy(), origin)).collect();
    assert!(channels.iter_mut().all(is_alive) && is_alive(&mut stranger));
    let watch = Stopwatch::start();
    while watch.elapsed() < 2 * IDLE {
        assert!(is_alive(&mut channels[0]), "ended while busy, after {:?}", watch.real());
        sleep(TICK);
    }
    assert!(end(&mut stranger) < SECOND, "a tunnel to another target is no sibling");
    assert!(channels.iter_mut().all(is_alive), "a silent channel was cut");
    // When all are silent, all are idle.
    for channel in &mut channels {
        let took = end(channel);
        assert!(took < IDLE + SECOND * 3 / 2, "{took:?}");
    }
}

fn a_lifetime_ends_even_a_busy_tunnel(driver: Driver) {
    let penstock = Setup::new(driver).timeouts(&[("lifetime", "2s")]).start();
    let mut busy = echoing(penstock.proxy(), origin::start());
    let watch = Stopwatch::start();
    while is_alive(&mut busy) {
        assert!(watch.elapsed() < 5 * SECOND, "outlived its lifetime");
        sleep(TICK);
    }
    assert!(watch.real() > SECOND * 3 / 2, "{:?}", watch.real());
}

fn a_target_that_does_not_answer_is_503_in_time(driver: Driver) {
    let penstock = Setup::new(driver).timeouts(&[("connect", "2s")]).start();
    let before = penstock.holdings();
    let (_listener, _queue, target) = unanswering();
    let watch = Stopwatch::start();
    let reply = ask(penstock.proxy(), request(target).as_bytes()).expect("a reply");
    let is_in_time = watch.is_within(SECOND * 3 / 2..SECOND * 7 / 2);
    let error = reply.header("X-Squid-Error").unwrap_or_default();
    assert_eq!((reply.status, error), (503, "ERR_CONNECT_FAIL 110"));
    assert!(is_in_time, "{:?}", watch.real());
    let line = penstock.access_log(1).remove(0);
    assert_eq!(
        (line.code, line.hierarchy),
        ("TCP_TUNNEL/503".into(), format!("HIER_DIRECT/{}", target.ip()))
    );
    penstock.assert_holds(&before);
}

fn a_client_may_leave_while_the_target_does_not_answer(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let before = penstock.holdings();
    let (_listener, _queue, target) = unanswering();
    let mut client = dial(penstock.proxy()).expect("a listener");
    client.write_all(request(target).as_bytes()).expect("an open connection");
    sleep(TICK);
    assert_ne!(penstock.holdings(), before, "nothing under way");
    drop(client);
    // Sooner than the connect time-out of 10 s: assert_holds waits for five.
    penstock.assert_holds(&before);
}

/// A listener whose queue is full: the kernel drops what else wants to connect.
fn unanswering() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
    use socket2::{Domain, Socket, Type};

    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from((loopback::address(), 0)).into()).expect("our address");
    listener.listen(0).expect("a bound socket");
    let address = listener.local_addr().expect("a bound address");
    let queue = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        let _ = socket.connect(&address);
        socket
    });
    let queue = queue.collect();
    sleep(Duration::from_millis(50));
    (listener, queue, address.as_socket().expect("an IPv4 address"))
}

/// Without this, a time-out of the rig could pass for one of the daemon.
#[test]
fn a_full_queue_does_not_answer() {
    let (_listener, _queue, target) = unanswering();
    let outcome = TcpStream::connect_timeout(&target, Duration::from_millis(500));
    assert_eq!(outcome.map(drop).map_err(|e| e.kind()), Err(std::io::ErrorKind::TimedOut));
}
