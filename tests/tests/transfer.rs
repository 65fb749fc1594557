//! Bytes in bulk and bytes one by one: all arrive, and each kind goes the way that it should.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, send};
use penstock_tests::connect::tunnel;
use penstock_tests::peers::Nginx;
use penstock_tests::stream::{Dice, End, Pattern, sha256};
use penstock_tests::{Driver, Penstock, Setup, both_drivers, names, origin, procfs};

both_drivers! {
    a_gibibyte_through_curl_arrives_whole,
    bulk_is_spliced_and_keystrokes_are_copied,
    a_direction_that_goes_quiet_is_copied_again,
    an_urgent_byte_in_bulk_loses_nothing_and_burns_nothing,
    both_directions_at_once_are_exact,
    splice_can_be_switched_off,
    the_ring_can_splice,
    many_streams_of_every_size_stay_apart,
    single_bytes_between_floods_keep_their_order,
}

const MIB: u64 = 1 << 20;

fn a_gibibyte_through_curl_arrives_whole(driver: Driver) {
    let (penstock, nginx) = (Setup::new(driver).start(), Nginx::start());
    let mut file = File::create(nginx.file("bulk")).expect("our directory");
    Pattern::new(4).send(&mut file, 64 * MIB).expect("room for 64 MiB");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-p", "-x", &format!("http://{}", penstock.proxy()), "--cacert"]);
    // Not every temporary directory has room for a GiB: one tunnel carries the file 16 times.
    curl.arg(nginx.certificate()).arg(format!("https://{}/bulk?[1-16]", nginx.address()));
    let mut curl = curl.stdout(Stdio::piped()).spawn().expect("curl");
    let mut arriving = curl.stdout.take().expect("a pipe");
    for _ in 0..16 {
        Pattern::new(4).receive(&mut arriving, 64 * MIB).expect("the file");
    }
    assert_eq!(sha256(arriving).expect("a pipe").1, 0, "more than was asked for");
    assert!(curl.wait().expect("our child").success());
    let bytes = (1024 * MIB) as f64;
    let line = penstock.access_log(1).remove(0);
    assert_eq!((line.code.as_str(), line.url), ("TCP_TUNNEL/200", nginx.address().to_string()));
    // TLS adds its share to each record, and a handshake.
    let overhead = line.size as f64 / bytes;
    assert!((1.0..1.02).contains(&overhead), "{} bytes logged", line.size);
    assert!(moved(&penstock, "target_to_client", "splice") > 0.9 * bytes);
}

fn bulk_is_spliced_and_keystrokes_are_copied(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let origin = origin::start();
    let mut typist = tunnel(penstock.proxy(), origin);
    let typed = type_for_a_while(&mut typist, 500);
    // What was sent last may be read before it is counted.
    let counted = |direction: &str, bytes: f64| {
        let copied = [("direction", direction), ("mover", "copy")];
        penstock.wait_for_metric(names::BYTES, &copied, bytes);
    };
    // The wish is 5 bytes.
    counted("client_to_target", typed + 5.0);
    counted("target_to_client", typed);
    assert_eq!(moved(&penstock, "target_to_client", "splice"), 0.0);

    let mut viewer = tunnel(penstock.proxy(), origin);
    viewer.write_all(b"send 5 67108864\n").expect("an open tunnel");
    Pattern::new(5).receive(&mut viewer, 64 * MIB).expect("all of it");
    let all = typed + (64 * MIB) as f64;
    penstock.wait_for_metric(names::BYTES, &[("direction", "target_to_client")], all);
    let spliced = moved(&penstock, "target_to_client", "splice");
    let copied = moved(&penstock, "target_to_client", "copy") - typed;
    assert!(spliced > 0.9 * (64 * MIB) as f64, "{copied} bytes of bulk were copied");
    assert_eq!(moved(&penstock, "client_to_target", "splice"), 0.0);
}

fn a_direction_that_goes_quiet_is_copied_again(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let (mut client, mut server) = penstock.pair();
    for round in 0..3 {
        let mut up = Pattern::new(round);
        let mut down = up.clone();
        thread::scope(|scope| {
            scope.spawn(|| up.send(&mut server, 32 * MIB).expect("an open tunnel"));
            down.receive(&mut client, 32 * MIB).expect("all of it");
        });
        thread::sleep(Duration::from_secs(2));
        let before = moved(&penstock, "target_to_client", "splice");
        for _ in 0..200 {
            server.write_all(b"keystroke").expect("an open tunnel");
            client.read_exact(&mut [0; 9]).expect("a keystroke");
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(moved(&penstock, "target_to_client", "splice"), before, "round {round}");
        assert!(before > (round + 1) as f64 * 0.8 * (32 * MIB) as f64, "round {round}: {before}");
    }
}

fn an_urgent_byte_in_bulk_loses_nothing_and_burns_nothing(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let urgent = |server: &TcpStream| {
        assert_eq!(send(server.as_raw_fd(), b"!", MsgFlags::MSG_OOB), Ok(1));
    };
    for round in 0..3 {
        let (mut client, mut server) = penstock.pair();
        let mut up = Pattern::new(round);
        let mut down = up.clone();
        thread::scope(|scope| {
            scope.spawn(|| up.send(&mut server, 8 * MIB).expect("an open tunnel"));
            down.receive(&mut client, 8 * MIB).expect("all of it");
        });
        let cpu = procfs::cpu(penstock.pid());
        // The urgent byte itself is not part of the stream; what lies behind it is, before an end, too.
        urgent(&server);
        up.send(&mut server, 100).expect("an open tunnel");
        if round > 0 {
            server.shutdown(Shutdown::Write).expect("open");
        }
        down.receive(&mut client, 100).expect("what was behind");
        if round > 0 {
            assert_eq!(client.read(&mut [0]).expect("an end"), 0);
        }
        let cpu = procfs::cpu(penstock.pid()) - cpu;
        assert!(cpu < Duration::from_millis(40), "round {round}: {cpu:?}");
    }
}

fn both_directions_at_once_are_exact(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let before = penstock.holdings();
    let ends = penstock.pair();
    both_ways(ends, 64 * MIB);
    assert!(moved(&penstock, "client_to_target", "splice") > 0.8 * (64 * MIB) as f64);
    assert!(moved(&penstock, "target_to_client", "splice") > 0.8 * (64 * MIB) as f64);
    penstock.assert_holds(&before);
}

fn splice_can_be_switched_off(driver: Driver) {
    let penstock = Setup::new(driver).set("engine", "splice", "\"off\"").start();
    both_ways(penstock.pair(), 16 * MIB);
    for direction in ["client_to_target", "target_to_client"] {
        let copied = [("direction", direction), ("mover", "copy")];
        penstock.wait_for_metric(names::BYTES, &copied, (16 * MIB) as f64);
    }
}

fn the_ring_can_splice(driver: Driver) {
    let penstock = Setup::new(driver).set("engine", "splice", "\"ring\"").start();
    both_ways(penstock.pair(), 64 * MIB);
    assert!(moved(&penstock, "target_to_client", "splice") > 0.8 * (64 * MIB) as f64);
    let by_ring = penstock.metric(names::SPLICES_BY_RING, &[]);
    assert_eq!(by_ring > 0.0, driver == Driver::Uring, "{by_ring} splices on the ring");
}

fn many_streams_of_every_size_stay_apart(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let before = penstock.holdings();
    let origin = origin::start();
    thread::scope(|scope| {
        for seed in 0..48 {
            let mut dice = Dice::new(seed);
            let length = dice.below(1 << (10 + dice.clone().below(13)));
            let proxy = penstock.proxy();
            scope.spawn(move || {
                let mut stream = tunnel(proxy, origin);
                stream
                    .write_all(format!("send {seed} {length}\n").as_bytes())
                    .expect("an open tunnel");
                Pattern::new(seed).receive(&mut stream, length).expect("all of it");
            });
        }
    });
    penstock.assert_holds(&before);
}

fn single_bytes_between_floods_keep_their_order(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let (client, mut server) = penstock.pair();
    let mut source = Pattern::new(6);
    let receiver = thread::spawn(move || {
        let mut sink = Pattern::new(6);
        assert_eq!(sink.drain(&mut &client), End::Eof);
        sink
    });
    let mut dice = Dice::new(6);
    for _ in 0..60 {
        source.send(&mut server, dice.below(2 * MIB)).expect("an open tunnel");
        for _ in 0..dice.below(40) {
            source.send(&mut server, 1).expect("an open tunnel");
        }
        thread::sleep(Duration::from_millis(dice.below(20)));
    }
    drop(server);
    let sink = receiver.join().expect("an exact stream");
    assert_eq!((sink.bytes(), sink.sha256()), (source.bytes(), source.sha256()));
}

/// Sends that much each way at the same time, and compares digests.
fn both_ways((client, server): (TcpStream, TcpStream), length: u64) {
    let (client, server) = (&client, &server);
    thread::scope(|scope| {
        for (from, to, seed) in [(client, server, 1), (server, client, 2)] {
            let sender = scope.spawn(move || {
                let mut source = Pattern::new(seed);
                source.send(&mut &*from, length).expect("an open tunnel");
                source.sha256()
            });
            scope.spawn(move || {
                let mut sink = Pattern::new(seed);
                sink.receive(&mut &*to, length).expect("all of it");
                assert_eq!(sink.sha256(), sender.join().expect("a sender"));
            });
        }
    });
}

/// Round trips of 64 bytes at the pace of a fast typist with several hands; the bytes that went each way.
fn type_for_a_while(stream: &mut TcpStream, strokes: u32) -> f64 {
    stream.write_all(b"echo\n").expect("an open tunnel");
    for _ in 0..strokes {
        stream.write_all(&[b'k'; 64]).expect("an open tunnel");
        stream.read_exact(&mut [0; 64]).expect("the echo");
    }
    f64::from(strokes) * 64.0
}

fn moved(penstock: &Penstock, direction: &str, mover: &str) -> f64 {
    penstock.metric(names::BYTES, &[("direction", direction), ("mover", mover)])
}
