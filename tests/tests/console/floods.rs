//! Browsers that send too much of what is worth nothing, announce what never comes, read nothing, or hang up anywhere: each costs a bounded
//! amount of memory, and others don't notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use penstock_tests::connect::PATIENCE;
use penstock_tests::web_socket::{
    BINARY, CLOSE, Client, PING, PONG, TEXT, close, frame, head_of, request,
};
use penstock_tests::{Driver, both_drivers, names, procfs, wait};

use crate::rig::{House, Plan, WIRES, all, some};

both_drivers! {
    a_flood_of_empty_fragments_is_stopped,
    a_flood_of_small_fragments_is_streamed,
    a_flood_of_pings_is_stopped_and_few_are_answered,
    pings_of_who_does_not_read_cost_nothing,
    what_is_announced_and_never_comes_costs_nothing,
    a_browser_that_stops_reading_costs_its_limit_and_slows_nobody,
    a_hang_up_at_any_byte_leaks_nothing,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// Payload that may be under way to a sink, in pool memory: the default of `per_direction`.
const PER_DIRECTION: u64 = 64 * KIB;
/// A buffer for bulk through TLS, of which each direction may have two.
const BULK: u64 = 256 * KIB;
/// What the heap, the pool's first buffers and its rounding may add to whatever was done, however much that was.
const SLACK: u64 = 2 * MIB;

/// A console that nothing happens to.
struct Witness {
    browser: Client,
    target: TcpStream,
}

impl Witness {
    fn new(house: &House) -> Witness {
        let (browser, target) = house.open();
        Witness { browser, target }
    }

    /// A message there and one back.
    fn talk(&mut self, length: usize) {
        let message = vec![5; length];
        self.browser.say(&frame(BINARY, &message));
        assert!(some(&mut self.target, length) == message);
        self.target.write_all(&message).expect("an open stream");
        assert!(self.browser.data(length) == message);
    }
}

/// Memory that the daemon alone has written, now.
fn memory(house: &House) -> u64 {
    procfs::private_dirty(house.daemon.pid())
}

fn assert_grew_at_most(house: &House, before: u64, limit: u64, by: &str) {
    let grown = memory(house).saturating_sub(before);
    assert!(grown <= limit, "{grown} bytes more than before, by {by}; expected at most {limit}");
}

/// Sends until it is stopped, or all is sent; the code of the close frame, unless a reset overtook it.
fn flood(browser: &mut Client, bytes: &[u8]) -> Option<u16> {
    for piece in bytes.chunks(6000) {
        if browser.try_say(piece).is_err() {
            break;
        }
    }
    let (frames, _) = browser.rest();
    frames.iter().find(|frame| frame.first == CLOSE).and_then(|frame| frame.close().0)
}

fn a_flood_of_empty_fragments_is_stopped(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let mut witness = Witness::new(&house);
        let before = memory(&house);
        for empty in
            [[frame(0x00, b""), frame(0x00, b"")], [frame(BINARY, b""), frame(BINARY, b"")]]
        {
            let (mut browser, mut target) = house.open();
            if empty[0][0] == 0 {
                browser.say(&frame(0x02, b""));
            }
            let code = flood(&mut browser, &empty.concat().repeat(50_000));
            assert_eq!(code, Some(1008), "it is told why");
            drop(browser);
            assert!(all(&mut target).is_empty());
        }
        assert_grew_at_most(&house, before, SLACK, "two floods");
        let records = house.daemon.records(2);
        assert!(records.iter().all(|record| record["cause"] == "bad_frame"), "{records:?}");
        witness.talk(1000);
    }
}

fn a_flood_of_small_fragments_is_streamed(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let mut witness = Witness::new(&house);
        let before = memory(&house);
        let (mut browser, mut target) = house.open();
        let says = std::thread::spawn(move || {
            browser.say(&frame(0x02, b"x"));
            let bytes = frame(0x00, b"x").repeat(1000);
            (0..100).for_each(|_| browser.say(&bytes));
            browser
        });
        let came = some(&mut target, 100_001);
        assert!(came.iter().all(|byte| *byte == b'x'));
        let mut browser = says.join().expect("no panic");
        browser.say(&frame(0x80, b"!"));
        assert_eq!(some(&mut target, 1), b"!", "the message has lasted until now");
        assert_grew_at_most(&house, before, SLACK + 2 * PER_DIRECTION, "one message");
        witness.talk(1000);
    }
}

fn a_flood_of_pings_is_stopped_and_few_are_answered(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let mut witness = Witness::new(&house);
        let before = memory(&house);
        let (mut browser, mut target) = house.open();
        // 500 a second is odd, but no flood.
        for n in 0..500u16 {
            let payload = n.to_be_bytes();
            browser.say(&frame(PING, &payload));
            let pong = browser.frame().expect("a pong");
            assert_eq!((pong.first, &*pong.payload), (PONG, &payload[..]));
        }
        std::thread::sleep(Duration::from_millis(1100));
        // Less than a MiB comes too late: more would be answered by a reset, which can overtake the close frame.
        let code = flood(&mut browser, &frame(PING, &[1; 125]).repeat(8_000));
        assert_eq!(code, Some(1008), "it is told why");
        assert!(all(&mut target).is_empty());
        assert_grew_at_most(&house, before, SLACK, "a flood");
        witness.talk(1000);
    }
}

/// A target that sends without end.
fn flooding(mut target: TcpStream) -> std::thread::JoinHandle<u64> {
    socket2::SockRef::from(&target).set_send_buffer_size(256 << 10).expect("a socket");
    target.set_write_timeout(Some(Duration::from_secs(60))).expect("a socket");
    std::thread::spawn(move || {
        let (piece, mut sent) = ([1; 64 << 10], 0);
        while let Ok(length) = target.write(&piece) {
            sent += length as u64;
        }
        sent
    })
}

fn pings_of_who_does_not_read_cost_nothing(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let mut witness = Witness::new(&house);
        let (mut browser, target) = house.open();
        socket2::SockRef::from(browser.socket()).set_recv_buffer_size(4096).expect("a socket");
        let floods = flooding(target);
        std::thread::sleep(Duration::from_millis(500));
        let before = memory(&house);
        // 2,400 of them, fewer a second than would be a flood: nobody may collect their answers either.
        for _ in 0..60 {
            browser.say(&frame(PING, &[1; 125]).repeat(40));
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_grew_at_most(&house, before, SLACK / 8, "answers that nobody reads");
        witness.talk(1000);
        drop(browser);
        floods.join().expect("no panic");
        house.daemon.tunnels();
    }
}

fn what_is_announced_and_never_comes_costs_nothing(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let mut witness = Witness::new(&house);
        let before = memory(&house);
        let mut ends = Vec::new();
        for length in [1 << 20, 1 << 32, 1 << 62, (1 << 63) - 1] {
            let (mut browser, mut target) = house.open();
            browser.say(&head_of(BINARY, length));
            browser.say(b"beginning");
            assert_eq!(some(&mut target, 9).len(), 9, "what has come is passed on");
            ends.push((browser, target));
        }
        assert_grew_at_most(&house, before, SLACK / 4, "four announcements");
        // And what comes of it is streamed.
        let (browser, target) = ends.last_mut().expect("four");
        let mut writer = target.try_clone().expect("a descriptor");
        std::thread::scope(|scope| {
            scope.spawn(|| browser.say(&vec![9; 8 << 20]));
            assert_eq!(some(&mut writer, 8 << 20).len(), 8 << 20);
        });
        assert_grew_at_most(&house, before, SLACK + 2 * PER_DIRECTION, "8 MiB of one frame");
        for length in [1 << 63, u64::MAX] {
            let (mut browser, mut target) = house.open();
            browser.say(&head_of(BINARY, length));
            assert_eq!(browser.closed().0, Some(1002));
            assert!(all(&mut target).is_empty());
        }
        witness.talk(1000);
    }
}

/// Messages there and back of all of them in turns, for so long.
fn rounds(others: &mut [Witness], span: Duration) -> u64 {
    let (begun, mut rounds) = (Instant::now(), 0);
    while begun.elapsed() < span {
        others.iter_mut().for_each(|other| other.talk(2000));
        rounds += 1;
    }
    rounds
}

/// Consoles whose browser has stopped reading.
fn stopped(house: &House, count: usize) -> Vec<(Client, std::thread::JoinHandle<u64>)> {
    let open = || {
        let (browser, target) = house.open();
        socket2::SockRef::from(browser.socket()).set_recv_buffer_size(16 << 10).expect("a socket");
        (browser, flooding(target))
    };
    (0..count).map(|_| open()).collect()
}

fn leave((browser, floods): (Client, std::thread::JoinHandle<u64>)) {
    drop(browser);
    assert!(floods.join().expect("no panic") < 64 * MIB, "backpressure reaches the target");
}

/// At most: `per_direction` bytes in the pool (two buffers of bulk, through TLS), and as many bytes of pings and pongs; twice, because
/// buffers that are filled in turns are not the ones that were just emptied.
fn a_browser_that_stops_reading_costs_its_limit_and_slows_nobody(driver: Driver) {
    const STOPPED: u64 = 8;
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let mut others: Vec<Witness> = (0..50).map(|_| Witness::new(&house)).collect();
        rounds(&mut others, Duration::from_millis(500));
        let (span, before) = (Duration::from_millis(400), memory(&house));
        // One after the other, so that what else the machine does meets both alike.
        let mut ends = Vec::new();
        let mut beside: Vec<f64> = (0..9)
            .map(|_| {
                ends.drain(..).for_each(leave);
                let alone = rounds(&mut others, span);
                ends = stopped(&house, STOPPED as usize);
                std::thread::sleep(Duration::from_millis(300));
                rounds(&mut others, span) as f64 / alone as f64
            })
            .collect();
        beside.sort_by(f64::total_cmp);
        assert!(beside[4] >= 0.8, "{beside:.2?} of the speed alone");
        let payload = if is_secure { 2 * BULK } else { PER_DIRECTION };
        let limit = SLACK + STOPPED * 2 * (payload + PER_DIRECTION);
        assert_grew_at_most(&house, before, limit, "who reads nothing");
        let metrics = house.daemon.metrics();
        let held = metrics.sum(names::BUFFERS_TOTAL, &[]) - metrics.sum(names::BUFFERS_FREE, &[]);
        assert!(held <= (STOPPED * 18) as f64, "{held} buffers are held");
        ends.into_iter().for_each(leave);
        others.iter_mut().for_each(|other| other.talk(1));
    }
}

fn a_hang_up_at_any_byte_leaks_nothing(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let before = house.daemon.holdings();
        let mut sent = request(house.address, "/?token=x", "Origin: https://evil.example\r\n");
        sent = sent.replace("https://evil.example", &format!("http://{}", house.address));
        let frames = [frame(0x02, b"abc"), frame(PING, b"d"), close(1000, "bye")].concat();
        let sent = [sent.into_bytes(), frames].concat();
        for (offset, resets) in (0..=sent.len()).flat_map(|at| [(at, false), (at, true)]) {
            let mut browser = house.browser();
            let _ = browser.try_say(&sent[..offset]);
            browser.vanish(resets);
        }
        // Those that got as far as the target left it something to accept.
        house.target.set_nonblocking(true).expect("a socket");
        wait::until_true("nobody is left", PATIENCE, || {
            while let Ok((mut stream, _)) = house.target.accept() {
                let _ = stream.read(&mut [0; 16]);
            }
            house.daemon.tunnels().is_empty()
        });
        house.target.set_nonblocking(false).expect("a socket");
        house.daemon.assert_holds(&before);
        let (mut browser, _target) = house.open();
        browser.say(&frame(TEXT, b""));
        assert_eq!(browser.closed().0, Some(1003), "and it goes on");
    }
}
