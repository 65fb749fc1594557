//! Payload of every size both ways, each byte in its place: in the clear and over TLS, as bytes and as Base64.

use std::io::Write;
use std::net::TcpStream;
use std::thread;

use penstock_tests::stream::{fill, sha256};
use penstock_tests::web_socket::{BINARY, Client, Frame, TEXT, close, frame, head_of, request};
use penstock_tests::{Driver, both_drivers, names, process};

use crate::rig::{House, Plan, WIRES, all, some};

both_drivers! {
    messages_of_every_size_arrive_whole_both_ways,
    frames_byte_by_byte_are_understood,
    bulk_goes_both_ways_at_once,
    headers_say_lengths_in_their_shortest_form,
    base64_is_understood_and_spoken_where_it_is_alone,
    what_is_no_base64_ends_the_console,
}

const MIB: usize = 1 << 20;
const SIZES: [usize; 9] = [0, 1, 125, 126, 127, 65_535, 65_536, MIB, 16 * MIB];

fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fill(seed, 0, &mut bytes);
    bytes
}

/// Waits for that much on its own thread, so that no one waits for the other.
fn expect(target: &TcpStream, expected: Vec<u8>) -> thread::JoinHandle<()> {
    let mut target = target.try_clone().expect("a descriptor");
    thread::spawn(move || {
        assert!(some(&mut target, expected.len()) == expected, "{} bytes differ", expected.len());
    })
}

fn messages_of_every_size_arrive_whole_both_ways(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let (mut browser, mut target) = house.open();
        for (seed, length) in SIZES.into_iter().enumerate() {
            let sent = pattern(seed as u64, length);
            let heard = expect(&target, sent.clone());
            browser.say(&frame(BINARY, &sent));
            heard.join().expect("all of it");
            let back = pattern(100 + seed as u64, length);
            let mut writer = target.try_clone().expect("a descriptor");
            let said = {
                let back = back.clone();
                thread::spawn(move || writer.write_all(&back))
            };
            assert!(browser.data(length) == back, "{length} bytes to the browser");
            said.join().expect("no panic").expect("an open stream");
        }
        browser.say(&close(1000, ""));
        assert!(all(&mut target).is_empty());
        drop((target, browser));
        let total: u64 = SIZES.iter().map(|size| *size as u64).sum();
        let record = house.record(1);
        let bytes = ["bytes_to_client", "bytes_to_target"].map(|key| record[key].as_u64());
        assert_eq!(bytes[1], Some(total), "{record}");
        assert!(bytes[0].is_some_and(|bytes| bytes >= total), "{record}");
        let labels = [("direction", "target_to_client"), ("mover", "splice")];
        let spliced = house.daemon.metric(names::BYTES, &labels);
        assert_eq!(spliced > 0.0, !is_secure, "bulk in the clear is spliced: {spliced}");
    }
}

fn frames_byte_by_byte_are_understood(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let (mut browser, mut target) = house.open();
        let payload = pattern(1, 300);
        let parts = [frame(0x02, &payload[..3]), frame(0x89, b"ping"), frame(0x80, &payload[3..])];
        for byte in parts.concat() {
            browser.say(&[byte]);
        }
        assert_eq!(some(&mut target, 300), payload);
        assert_eq!(browser.frame().expect("a pong").payload, b"ping");
        for byte in &payload {
            target.write_all(&[*byte]).expect("an open stream");
        }
        assert_eq!(browser.data(300), payload);
    }
}

/// A browser that reads on its own thread.
fn hears(mut browser: Client, length: usize) -> thread::JoinHandle<(Client, String)> {
    thread::spawn(move || {
        let (digest, _) = sha256(browser.data(length).as_slice()).expect("memory");
        (browser, digest)
    })
}

fn bulk_goes_both_ways_at_once(driver: Driver) {
    let house = Plan::new(driver).start();
    let (browser, target) = house.open();
    let (up, down) = (pattern(1, 8 * MIB), pattern(2, 8 * MIB));
    let mut writer = browser.socket().try_clone().expect("a descriptor");
    let heard = hears(browser, down.len());
    let at_target = expect(&target, up.clone());
    let says = thread::spawn(move || {
        // Messages of all lengths, in pieces that end anywhere.
        let frames: Vec<u8> = up.chunks(70_001).flat_map(|part| frame(BINARY, part)).collect();
        frames.chunks(9973).try_for_each(|piece| writer.write_all(piece))
    });
    (&target).write_all(&down).expect("an open stream");
    let (_browser, digest) = heard.join().expect("no panic");
    assert_eq!(digest, sha256(down.as_slice()).expect("memory").0);
    says.join().expect("no panic").expect("an open stream");
    at_target.join().expect("all of it");
}

fn headers_say_lengths_in_their_shortest_form(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let (mut browser, mut target) = house.open();
        for length in [1, 125, 126, 4000] {
            target.write_all(&vec![7; length]).expect("an open stream");
            let mut left = length;
            while left > 0 {
                let frame = browser.frame().expect("a frame");
                assert_eq!((frame.first, frame.masked), (BINARY, false));
                assert_eq!(frame.header, shortest(frame.payload.len()), "{length}");
                left -= frame.payload.len();
            }
        }
        let mut writer = target.try_clone().expect("a descriptor");
        let bulk = thread::spawn(move || writer.write_all(&vec![7; 4 * MIB]));
        let mut left = 4 * MIB;
        while left > 0 {
            let frame = browser.frame().expect("a frame");
            assert_eq!(frame.header, shortest(frame.payload.len()));
            left -= frame.payload.len();
        }
        bulk.join().expect("no panic").expect("an open stream");
    }
}

fn shortest(length: usize) -> usize {
    match length {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    }
}

/// coreutils encodes and decodes.
fn base64(bytes: &[u8], decodes: bool) -> Vec<u8> {
    let dir = process::directory();
    let file = dir.path().join("bytes");
    std::fs::write(&file, bytes).expect("our directory");
    let mut command = std::process::Command::new("base64");
    command.arg(if decodes { "-d" } else { "-w0" }).arg(&file);
    let output = command.output().expect("coreutils");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn open_base64(house: &House) -> (Client, TcpStream) {
    let mut browser = house.browser();
    let lines = "Sec-WebSocket-Protocol: base64\r\n";
    let reply = browser.upgrade(&request(house.address, "/", lines));
    assert_eq!(reply.header("Sec-WebSocket-Protocol"), Some("base64"));
    (browser, house.accept())
}

fn base64_is_understood_and_spoken_where_it_is_alone(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let (mut browser, target) = open_base64(&house);
        for (seed, length) in [1, 2, 3, 100, 5000, 300_000].into_iter().enumerate() {
            let sent = pattern(seed as u64, length);
            let text = base64(&sent, false);
            let heard = expect(&target, sent.clone());
            // In three fragments that end within a group of four.
            let (one, rest) = text.split_at((text.len() / 2) | 1);
            browser.say(&[frame(0x01, one), frame(0x00, b""), frame(0x80, rest)].concat());
            heard.join().expect("all of it");
            let mut writer = target.try_clone().expect("a descriptor");
            let said = {
                let sent = sent.clone();
                thread::spawn(move || writer.write_all(&sent))
            };
            let mut heard = Vec::new();
            while heard.len() < length {
                let Frame { first, payload, .. } = browser.frame().expect("a frame");
                assert_eq!(first, TEXT);
                heard.extend(base64(&payload, true));
            }
            assert!(heard == sent, "{length} bytes to the browser");
            said.join().expect("no panic").expect("an open stream");
        }
        target.shutdown(std::net::Shutdown::Both).expect("an open stream");
        assert_eq!(browser.closed(), (Some(1000), "Target closed".to_owned()));
    }
}

fn what_is_no_base64_ends_the_console(driver: Driver) {
    let house = Plan::new(driver).start();
    for (message, code) in [
        (frame(TEXT, b"a*=="), 1007),
        (frame(TEXT, b"abc"), 1007),
        (frame(TEXT, b"=abc"), 1007),
        (frame(BINARY, b"abcd"), 1003),
        (head_of(TEXT, 1 << 63), 1002),
    ] {
        let (mut browser, mut target) = open_base64(&house);
        browser.say(&message);
        assert_eq!(browser.closed().0, Some(code), "{message:?}");
        assert!(all(&mut target).len() < 3, "no more than there was in order");
    }
}
