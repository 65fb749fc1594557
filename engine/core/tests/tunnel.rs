//! An engine on real sockets, with both drivers: conversation, then bulk, then conversation in one tunnel, a clean end,
//! and nothing left behind.

mod rig;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use penstock_core::close::{Cause, Side};
use penstock_core::config::{self, Address, Config, HalfClose, Listener, Service};
use penstock_core::engine::Plan;
use penstock_core::policy::{AccessLists, Rules};
use penstock_ring::Driver;

use rig::{PATIENCE, connect, plan, start, start_plan, start_with, stop};

/// Echoes bytes until the peer has finished.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut buffer = vec![0; 256 << 10];
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..n]).expect("the tunnel stands");
        }
    });
    address
}

fn round_trip(stream: &mut TcpStream, message: &[u8]) {
    let mut answer = vec![0; message.len()];
    stream.write_all(message).expect("written");
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, message);
}

fn both_ways(driver: Driver) {
    const BULK: usize = 32 << 20;
    let (engine, proxy, records) = start(driver, &["allow to_localhost"], HalfClose::Forward);
    let counters = Arc::clone(&engine.counters()[0]);
    let mut stream = connect(proxy, echo());
    (0..100).for_each(|n| round_trip(&mut stream, &[n; 64]));
    assert_eq!(counters.bytes[0][1].get(), 0, "a conversation is not spliced");

    let mut writer = stream.try_clone().expect("a socket");
    let pattern = |i: usize| (i / 7 % 251) as u8;
    let sent = thread::spawn(move || {
        let bytes: Vec<u8> = (0..BULK).map(pattern).collect();
        writer.write_all(&bytes).expect("written");
    });
    let mut back = vec![0; BULK];
    stream.read_exact(&mut back).expect("all of it");
    sent.join().expect("written");
    assert!(back.iter().enumerate().all(|(i, byte)| *byte == pattern(i)), "bytes out of place");
    assert!(counters.bytes[0][1].get() > BULK as u64 / 2, "bulk to the target is spliced");
    assert!(counters.bytes[1][1].get() > BULK as u64 / 2, "bulk to the client is spliced");

    thread::sleep(Duration::from_millis(400));
    (0..100).for_each(|n| round_trip(&mut stream, &[n; 64]));
    assert!(counters.switches[0].get() >= 2, "quiet directions are copied again");
    stream.shutdown(Shutdown::Write).expect("a socket");
    assert_eq!(stream.read(&mut [0; 1]).expect("an end"), 0);

    let record = records.recv_timeout(PATIENCE).expect("a record");
    let payload = (BULK + 2 * 6400) as u64;
    assert_eq!((record.bytes_to_target, record.bytes_to_client), (payload, payload + 39));
    assert_eq!((record.reason.cause, record.reason.side), (Cause::Finished, Side::Client));
    stop(engine);
}

#[test]
fn a_tunnel_carries_both_kinds_on_epoll() {
    both_ways(Driver::Epoll);
}

#[test]
fn a_tunnel_carries_both_kinds_on_uring() {
    both_ways(Driver::Uring);
}

/// Where the pool is small, every queued message reaches its direction's allowance; that does not make it bulk.
fn conversations_over_a_small_pool(driver: Driver) {
    let limits = config::Engine { memory: 256 << 10, ..config::Engine::default() };
    let rules = ["allow to_localhost"];
    let (engine, proxy, _records) = start_with(driver, limits, &rules, HalfClose::Close);
    let counters = Arc::clone(&engine.counters()[0]);
    let mut streams: Vec<TcpStream> = (0..48).map(|_| connect(proxy, echo())).collect();
    // More than enough for bulk in all, if nobody answered.
    for n in 0..200 {
        streams.iter_mut().for_each(|stream| stream.write_all(&[n; 2048]).expect("written"));
        let mut answer = [0; 2048];
        for stream in &mut streams {
            stream.read_exact(&mut answer).expect("an answer");
            assert_eq!(answer, [n; 2048]);
        }
    }
    let switched = counters.switches[1].get();
    drop(streams);
    stop(engine);
    assert_eq!(switched, 0, "{driver:?}: conversations were spliced");
}

#[test]
fn conversations_over_a_small_pool_are_copied() {
    conversations_over_a_small_pool(Driver::Epoll);
    conversations_over_a_small_pool(Driver::Uring);
}

#[test]
fn a_refused_target_is_told_why() {
    for driver in [Driver::Epoll, Driver::Uring] {
        let (engine, proxy, records) = start(driver, &["allow all"], HalfClose::Close);
        let mut stream = TcpStream::connect(proxy).expect("the proxy listens");
        stream.write_all(b"CONNECT 127.0.0.1:22 HTTP/1.0\r\n\r\n").expect("written");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply and an end");
        assert!(reply.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{reply}");
        assert!(reply.contains("X-Squid-Error: ERR_ACCESS_DENIED 0"), "{reply}");
        drop(stream);
        let record = records.recv_timeout(PATIENCE).expect("a record");
        assert_eq!((record.status, record.reason.cause), (403, Cause::LocalTarget));
        assert_eq!(record.bytes_to_client, reply.len() as u64);
        stop(engine);
    }
}

/// There is no room for anybody, and for telling so to one.
#[test]
fn only_so_many_are_told_that_there_is_no_room() {
    for driver in [Driver::Epoll, Driver::Uring] {
        let rules = Rules::parse(&["allow all"], &AccessLists::new()).expect("a rule");
        let addresses = vec![Address::Tcp(([127, 0, 0, 1], 0).into())];
        let listener = Listener::new("full", addresses, Service::Connect, rules);
        let config = Config { engine: config::Engine::default(), listeners: vec![listener] };
        let plan = Plan {
            config: Arc::new(config),
            max_tunnels: 0,
            turned_away_per_worker: 1,
            ..plan(driver)
        };
        let (engine, addresses, _records) = start_plan(plan);
        let proxy = addresses[0].tcp().expect("a TCP port");
        let clients = [(); 10].map(|()| TcpStream::connect(proxy).expect("the proxy listens"));
        let is_told = |mut client: &TcpStream| {
            let mut heard = [0; 12];
            client.set_read_timeout(Some(PATIENCE)).expect("a socket");
            client.read_exact(&mut heard).is_ok() && &heard == b"HTTP/1.1 503"
        };
        let told = clients.iter().filter(|client| is_told(client)).count();
        // The next one may be, as soon as one is given up that does not leave.
        assert!((1..10).contains(&told), "{told}");
        stop(engine);
    }
}
