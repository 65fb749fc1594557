//! What breaks outside must break nothing inside: what arrives is an exact prefix, what ends in order is whole, and
//! afterwards the daemon holds what it held before.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use penstock_tests::connect::{self, try_tunnel, tunnel};
use penstock_tests::peers::Helper;
use penstock_tests::stream::{Dice, End, Pattern};
use penstock_tests::{
    Driver, Penstock, Setup, Stopwatch, both_drivers, loopback, names, origin, process, procfs,
    wait,
};

both_drivers! {
    a_killed_origin_leaves_exact_prefixes,
    a_reset_at_any_byte_reaches_the_other_side,
    forward_lets_the_other_direction_live,
    close_flushes_before_it_closes,
    five_bytes_and_the_end_arrive_as_five_bytes_and_the_end,
    out_of_descriptors_it_waits_and_spares_what_lives,
    without_pipes_everything_is_copied,
    eight_buffers_serve_64_floods,
}

const MIB: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

fn a_killed_origin_leaves_exact_prefixes(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let before = penstock.holdings();
    let mut doomed = Helper::start(&["origin", &loopback::address().to_string()], None);
    let healthy = origin::start();
    let begin = |seed: u64, target: &str, length: u64| {
        let mut stream = tunnel(penstock.proxy(), target);
        // What is under way has to be read before the end can be: it should not be much.
        socket2::SockRef::from(&stream).set_recv_buffer_size(64 << 10).expect("a socket");
        stream.write_all(format!("send {seed} {length}\n").as_bytes()).expect("an open tunnel");
        let mut pattern = Pattern::new(seed);
        pattern.receive(&mut stream, 200_000).expect("the beginning");
        (stream, pattern)
    };
    let lost: Vec<_> = (0..10).map(|seed| begin(seed, doomed.said(), 1 << 40)).collect();
    let kept: Vec<_> = (0..10).map(|seed| begin(seed, &healthy.to_string(), 8 * MIB)).collect();
    let ends = lost.into_iter().map(|(mut stream, mut pattern)| {
        thread::spawn(move || {
            pattern.drain(&mut stream);
        })
    });
    let ends: Vec<_> = ends.collect();
    thread::sleep(SECOND / 5);
    let killed = Stopwatch::start();
    doomed.process().signal(Signal::SIGKILL);
    for end in ends {
        end.join().expect("an exact prefix");
    }
    assert!(killed.elapsed() < SECOND, "noticed after {:?}", killed.real());
    for (mut stream, mut pattern) in kept {
        pattern.receive(&mut stream, 8 * MIB - 200_000).expect("the rest");
    }
    penstock.assert_holds(&before);
}

fn a_reset_at_any_byte_reaches_the_other_side(driver: Driver) {
    let penstock = Setup::new(driver).set("listen", "half_close", "\"forward\"").start();
    let before = penstock.holdings();
    let seed = seed();
    let mut dice = Dice::new(seed);
    for round in 0..300 {
        let (client, server) = penstock.pair();
        let (breaker, other) = if dice.below(2) == 0 { (client, server) } else { (server, client) };
        // Many fall into the first buffer, some into the middle of a spliced flood.
        let bits = dice.below(23);
        let (length, unread) = (dice.below(1 << bits), dice.below(64 << 10));
        let mut sink = send_and_reset(breaker, &other, length, unread, round);
        let watch = Stopwatch::start();
        sink.drain(&mut &other);
        assert!(sink.bytes() <= length, "more came than was sent, seed {seed}");
        assert!(watch.elapsed() < SECOND, "after {:?}, seed {seed}", watch.real());
    }
    penstock.assert_holds(&before);
}

fn forward_lets_the_other_direction_live(driver: Driver) {
    let penstock = Setup::new(driver).set("listen", "half_close", "\"forward\"").start();
    let before = penstock.holdings();
    for client_first in [true, false] {
        let (client, server) = penstock.pair();
        let (first, second) = if client_first { (client, server) } else { (server, client) };
        finish_while_the_other_waits(&first, &second);
        finish_while_the_other_waits(&second, &first);
    }
    // Both at once, with 8 MiB on the way in each direction.
    let (client, server) = penstock.pair();
    thread::scope(|scope| {
        scope.spawn(|| finish_while_the_other_waits(&client, &server));
        scope.spawn(|| finish_while_the_other_waits(&server, &client));
    });
    drop((client, server));
    penstock.assert_holds(&before);
}

fn close_flushes_before_it_closes(driver: Driver) {
    let penstock = Setup::new(driver).set("listen", "half_close", "\"close\"").start();
    let before = penstock.holdings();
    for client_first in [true, false] {
        let (client, server) = penstock.pair();
        let (first, second) = if client_first { (client, server) } else { (server, client) };
        finish_while_the_other_waits(&first, &second);
        // The other direction ends too, without being asked.
        let ended = (&first).read(&mut [0]);
        assert!(
            matches!(ended, Ok(0)) || ended.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
        );
    }
    penstock.assert_holds(&before);
}

fn five_bytes_and_the_end_arrive_as_five_bytes_and_the_end(driver: Driver) {
    let penstock = Setup::new(driver).set("listen", "half_close", "\"forward\"").start();
    let before = penstock.holdings();
    for _ in 0..500 {
        let (mut client, mut server) = penstock.pair();
        client.write_all(b"hello").expect("an open tunnel");
        client.shutdown(Shutdown::Write).expect("an open tunnel");
        let mut came = Vec::new();
        server.read_to_end(&mut came).expect("the end");
        assert_eq!(came, b"hello");
    }
    penstock.assert_holds(&before);
}

fn out_of_descriptors_it_waits_and_spares_what_lives(driver: Driver) {
    // An armed multishot accept goes on with the limit that stood when it was armed.
    let penstock = Setup::new(driver).mask("multishot-accept").start();
    let origin = origin::start();
    let (mut client, mut server) = penstock.pair();
    let before = penstock.holdings();
    let used = procfs::descriptors(penstock.pid()).len();
    let pauses = penstock.metric(names::ACCEPT_PAUSES, &[]);
    limit_descriptors(&penstock, used + 3);
    let waiting: Vec<_> = (0..16)
        .map(|_| TcpStream::connect(penstock.proxy()).expect("a place in the queue"))
        .collect();
    thread::sleep(SECOND / 2);
    let (cpu, start) = (procfs::cpu(penstock.pid()), Instant::now());
    thread::sleep(2 * SECOND);
    let load = (procfs::cpu(penstock.pid()) - cpu).as_secs_f64() / start.elapsed().as_secs_f64();
    assert!(load < 0.05, "it spins: {load:.3} of a core");
    let (mut up, mut down) = (Pattern::new(1), Pattern::new(1));
    thread::scope(|scope| {
        scope.spawn(|| up.send(&mut client, 8 * MIB).expect("a living tunnel"));
        down.receive(&mut server, 8 * MIB).expect("all of it");
    });
    drop(waiting);
    limit_descriptors(&penstock, 10_000);
    let watch = Stopwatch::start();
    let open = wait::until("a tunnel", 5 * SECOND, || try_tunnel(penstock.proxy(), origin).ok());
    assert!(watch.elapsed() < SECOND, "recovered after {:?}", watch.real());
    drop(open);
    assert!(penstock.metric(names::ACCEPT_PAUSES, &[]) > pauses, "nothing was short");
    penstock.assert_holds(&before);
}

fn without_pipes_everything_is_copied(driver: Driver) {
    // A number of its own for each process and driver: the quota is the user's.
    let user = 100_000
        + std::process::id() % 50_000 * 2
        + u32::from(driver == penstock_tests::Driver::Uring);
    let penstock = Setup::new(driver).user(user).start();
    let before = penstock.holdings();
    // 64 MiB of pipes of 64 KiB: all that a user may have. From there on, a pipe is a page or two.
    let mut eater = Helper::start(&["pipes", "1100"], Some(user));
    let (mut client, mut server) = penstock.pair();
    bulk(&mut client, &mut server);
    assert!(penstock.metric(names::PIPE_QUOTA, &[]) > 0.0, "the quota was not met");
    assert_eq!(penstock.metric(names::BYTES, &[("mover", "splice")]), 0.0);
    penstock.wait_for_metric(names::BYTES, &[("mover", "copy")], (32 * MIB) as f64);
    eater.process().hang_up();
    eater.process().wait(connect::PATIENCE);
    // What has come back is used again.
    wait::until_true("a spliced transfer", connect::PATIENCE, || {
        let (mut client, mut server) = penstock.pair();
        bulk(&mut client, &mut server);
        penstock.metric(names::BYTES, &[("mover", "splice")]) > 0.0
    });
    drop((client, server));
    penstock.assert_holds(&before);
}

fn eight_buffers_serve_64_floods(driver: Driver) {
    let setup = Setup::new(driver).set("engine", "workers", "1").set("engine", "splice", "\"off\"");
    let penstock = setup.set("engine", "memory", "\"64KiB\"").start();
    let before = penstock.holdings();
    let origin = origin::start();
    let mut slowest = Duration::ZERO;
    thread::scope(|scope| {
        let floods: Vec<_> = (0..64)
            .map(|seed| {
                let proxy = penstock.proxy();
                scope.spawn(move || {
                    let mut stream = tunnel(proxy, origin);
                    stream
                        .write_all(format!("send {seed} {}\n", 4 * MIB).as_bytes())
                        .expect("an open tunnel");
                    let (mut pattern, mut slowest) = (Pattern::new(seed), Duration::ZERO);
                    for _ in 0..64 {
                        let watch = Stopwatch::start();
                        pattern.receive(&mut stream, MIB / 16).expect("all of it");
                        slowest = slowest.max(watch.elapsed());
                    }
                    slowest
                })
            })
            .collect();
        for flood in floods {
            slowest = slowest.max(flood.join().expect("an exact flood"));
        }
    });
    assert!(slowest < 2 * SECOND, "one of them stood still for {slowest:?}");
    assert!(penstock.metric(names::BUFFERS_EXHAUSTED, &[]) > 0.0, "there was no want of buffers");
    penstock.assert_holds(&before);
}

/// Sends 8 MiB and the end; the receiver begins only when all that the way holds is full.
fn finish_while_the_other_waits(from: &TcpStream, to: &TcpStream) {
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let mut source = Pattern::new(8);
            source.send(&mut &*from, 8 * MIB).expect("an open direction");
            from.shutdown(Shutdown::Write).expect("an open direction");
            source.sha256()
        });
        thread::sleep(Duration::from_millis(100));
        let mut sink = Pattern::new(8);
        assert_eq!(sink.drain(&mut &*to), End::Eof);
        assert_eq!(sink.bytes(), 8 * MIB);
        assert_eq!(sink.sha256(), sender.join().expect("a sender"));
    });
}

/// Sends `length` bytes, of which the other end reads all but some, and resets. What the sockets hold is on the way.
fn send_and_reset(
    breaker: TcpStream,
    other: &TcpStream,
    length: u64,
    unread: u64,
    seed: u64,
) -> Pattern {
    let mut sink = Pattern::new(seed);
    thread::scope(|scope| {
        scope.spawn(|| Pattern::new(seed).send(&mut &breaker, length).expect("an open tunnel"));
        sink.receive(&mut &*other, length.saturating_sub(unread)).expect("an open tunnel");
    });
    socket2::SockRef::from(&breaker).set_linger(Some(Duration::ZERO)).expect("a socket");
    sink
}

fn bulk(client: &mut TcpStream, server: &mut TcpStream) {
    let (mut up, mut down) = (Pattern::new(3), Pattern::new(3));
    thread::scope(|scope| {
        scope.spawn(|| up.send(server, 32 * MIB).expect("an open tunnel"));
        down.receive(client, 32 * MIB).expect("all of it");
    });
    assert_eq!(up.sha256(), down.sha256());
}

fn limit_descriptors(penstock: &Penstock, limit: usize) {
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &penstock.pid().to_string(), &format!("--nofile={limit}:")]);
    process::run(&mut prlimit);
}

/// New at each run, or the one of a run to repeat.
fn seed() -> u64 {
    std::env::var("PENSTOCK_SEED").map_or_else(
        |_| std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs(),
        |text| text.parse().expect("PENSTOCK_SEED is a number"),
    )
}
