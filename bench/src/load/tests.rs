//! The generator against relays that carry, lie, refuse or hang up.

mod tls;
mod vnc;
mod websocket;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::*;
use crate::relay::{self, Forward, Kind};

const TIMING: Timing =
    Timing { warm_up: Duration::from_millis(20), window: Duration::from_millis(100) };
/// Long enough for everybody to have a turn, even beside other work.
const PATIENT: Timing = Timing { window: Duration::from_millis(400), ..TIMING };
const ALONE: Pattern = Pattern { pingpongs: 1, ..Pattern::NONE };

/// A contestant that nobody reads.
struct Unread;

impl Meter for Unread {
    fn cpu(&self) -> Result<Duration> {
        Ok(Duration::ZERO)
    }

    fn switches(&self) -> Result<u64> {
        Ok(0)
    }

    fn memory(&self) -> Result<Memory> {
        Ok(Memory::default())
    }

    fn cores(&self) -> Result<Vec<usize>> {
        Ok(vec![0])
    }
}

/// One that nobody else takes, by the process id.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(2000);
    let pid = std::process::id();
    let address = Ipv4Addr::new(127, 1 + (pid >> 8) as u8 % 255, pid as u8, 1);
    SocketAddr::from((address, NEXT.fetch_add(1, Relaxed)))
}

fn start_relay(kind: Kind, targets: &[SocketAddr]) -> Vec<SocketAddr> {
    start_relay_with(kind, targets, Path::new("."))
}

/// A relay in a thread, which ends with the test process.
fn start_relay_with(kind: Kind, targets: &[SocketAddr], keys: &Path) -> Vec<SocketAddr> {
    let forwards: Vec<_> =
        targets.iter().map(|&target| Forward { listen: free_address(), target }).collect();
    let addresses: Vec<_> = forwards.iter().map(|forward| forward.listen).collect();
    let keys = keys.to_owned();
    thread::spawn(move || relay::run(kind, &forwards, &keys));
    for address in &addresses {
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(5));
        }
    }
    addresses
}

fn direct(echo: SocketAddr, flood: SocketAddr) -> Route {
    Route { echo: Via::plain(echo), flood: Via::plain(flood) }
}

/// A server that handles each connection with `serve`, on a thread.
fn start_server(serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    address
}

fn failure(pattern: Pattern, route: &Route) -> String {
    let origin = Origin::bind().unwrap();
    format!("{:#}", measure(pattern, route, &origin, TIMING, &Unread).unwrap_err())
}

const KINDS: [Kind; 4] = [Kind::Copy, Kind::Splice, Kind::Tokio, Kind::TokioUring];

#[test]
fn every_task_gets_through_every_bare_relay() {
    for kind in KINDS {
        let origin = Origin::bind().unwrap();
        let targets = [origin.echo.local_addr().unwrap(), origin.flood.local_addr().unwrap()];
        let addresses = start_relay(kind, &targets);
        let route = direct(addresses[0], addresses[1]);
        let task = |streams, pingpongs, setups, message| Pattern {
            streams,
            pingpongs,
            setups,
            message,
            ..ALONE
        };
        for (pattern, bulk, interactive) in [
            (task(2, 0, 0, 64), true, false),
            (task(0, 100, 0, 16 * 1024), false, true),
            (task(0, 0, 4, 64), false, true),
            (task(2, 8, 0, 64), true, true),
        ] {
            let sample = measure(pattern, &route, &origin, PATIENT, &Unread).unwrap();
            assert_eq!(
                (sample.bytes > 0, sample.operations > 0),
                (bulk, interactive),
                "{kind:?} {pattern:?}"
            );
            assert_eq!(sample.latency.len(), sample.operations);
        }
    }
}

#[test]
fn beside_streams_messages_keep_their_schedule() {
    let origin = Origin::bind().unwrap();
    let route = direct(origin.echo.local_addr().unwrap(), origin.flood.local_addr().unwrap());
    let pattern = Pattern { pingpongs: 10, streams: 2, pace: Pace::Rate(1000), ..ALONE };
    let sample = measure(pattern, &route, &origin, TIMING, &Unread).unwrap();
    assert!(
        (95..=105).contains(&sample.operations),
        "{} of 1,000 messages per second in 100 ms",
        sample.operations
    );
    assert!(sample.bytes > 0 && sample.used.load_cpu > Duration::ZERO);
}

#[test]
fn streams_at_a_rate_carry_that_and_no_more() {
    let origin = Origin::bind().unwrap();
    let targets = [origin.echo.local_addr().unwrap(), origin.flood.local_addr().unwrap()];
    let addresses = start_relay(Kind::Copy, &targets);
    let route = direct(addresses[0], addresses[1]);
    let pattern = Pattern { streams: 3, stream_rate: Some(80_000_000), ..Pattern::NONE };
    let timing = Timing { window: Duration::from_millis(300), ..TIMING };
    let Sample { bytes, used: Used { elapsed, .. }, .. } =
        measure(pattern, &route, &origin, timing, &Unread).unwrap();
    let rate = bytes as f64 / elapsed.as_secs_f64();
    assert!((60e6..100e6).contains(&rate), "{rate} bytes per second");
}

/// What a stream does not take at once it gets later.
#[test]
fn a_stream_makes_up_for_a_stall() {
    // Reads nothing for 200 ms, five times what its buffers hold, and everything then.
    let origin = Origin::bind().unwrap();
    let flood = origin.flood.local_addr().unwrap();
    let pattern = Pattern { stalled: 0, stream_rate: Some(80_000_000), ..Pattern::NONE };
    let route = direct(flood, flood);
    let mut load = Load::new(pattern, &route, &origin).unwrap();
    let mut client = TcpStream::connect(flood).unwrap();
    load.drive(Instant::now() + Duration::from_millis(20)).unwrap();
    load.start_pacer();
    load.drive(Instant::now() + Duration::from_millis(200)).unwrap();
    client.set_nonblocking(true).unwrap();
    let (end, mut read, mut buffer) =
        (Instant::now() + Duration::from_millis(100), 0, vec![0; 1 << 20]);
    while Instant::now() < end {
        load.drive(Instant::now() + Duration::from_millis(1)).unwrap();
        read += client.read(&mut buffer).unwrap_or(0);
    }
    assert!(read > 18_000_000, "{read} bytes of 24,000,000");
}

#[test]
fn bursts_come_between_round_trips() {
    let burst = Burst { after: 10, bytes: 1 << 20 };
    for kind in KINDS {
        let origin = Origin::bind().unwrap();
        let targets = [origin.echo.local_addr().unwrap(), origin.flood.local_addr().unwrap()];
        let addresses = start_relay(kind, &targets);
        let route = direct(addresses[0], addresses[1]);
        let pattern = Pattern { pingpongs: 2, burst: Some(burst), ..ALONE };
        let sample = measure(pattern, &route, &origin, TIMING, &Unread).unwrap();
        assert!(sample.bytes > 0, "{kind:?}");
        // The window may begin and end anywhere between two bursts of either client.
        let due = sample.operations as f64 / 10.0 * f64::from(1 << 20);
        let missing = (due - sample.bytes as f64).abs();
        assert!(missing <= 4.0 * f64::from(1 << 20), "{kind:?}: {} of {due}", sample.bytes);
    }
}

#[test]
fn bytes_survive_a_slow_sink_and_a_half_close() {
    let bytes: Vec<u8> =
        (0..8u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for kind in KINDS {
        // Returns all that came only after the end of the client's direction, and late enough to fill every buffer.
        let target = start_server(|mut stream| {
            thread::sleep(Duration::from_millis(100));
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            stream.write_all(&all).unwrap();
        });
        let mut client = TcpStream::connect(start_relay(kind, &[target])[0]).unwrap();
        client.write_all(&bytes).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(100));
        let mut back = Vec::new();
        client.read_to_end(&mut back).unwrap();
        assert!(back == bytes, "{kind:?}: {} bytes came back", back.len());
    }
}

#[test]
fn an_altered_byte_fails_the_measurement() {
    let liar = start_server(|mut stream| {
        let mut message = [0; 64];
        while stream.read_exact(&mut message).is_ok() {
            message[63] ^= 1;
            stream.write_all(&message).unwrap();
        }
    });
    assert!(failure(ALONE, &direct(liar, liar)).contains("the echo differs"));
}

#[test]
fn a_refused_tunnel_fails_the_measurement() {
    let refuser = start_server(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
    });
    let request = Some(Request::tunnel(refuser));
    let via = Via { request, ..Via::plain(refuser) };
    let reason = failure(ALONE, &Route { echo: via.clone(), flood: via });
    assert!(reason.contains("403 Forbidden"), "{reason}");
}

#[test]
fn a_tunnel_that_ends_fails_the_measurement() {
    let quitter = start_server(drop);
    let reason = failure(Pattern { pingpongs: 0, streams: 1, ..ALONE }, &direct(quitter, quitter));
    assert!(reason.contains("the tunnel ended") || reason.contains("receive"), "{reason}");
}

#[test]
fn a_stream_that_stalls_fails_the_measurement() {
    let staller = start_server(|mut stream| {
        stream.write_all(b"one byte and no more").unwrap();
        thread::sleep(Duration::from_secs(5));
    });
    let origin = Origin::bind().unwrap();
    let pattern = Pattern { streams: 1, pingpongs: 1, ..ALONE };
    let route = direct(origin.echo.local_addr().unwrap(), staller);
    let error = measure(pattern, &route, &origin, TIMING, &Unread).unwrap_err();
    assert!(error.to_string().contains("1 clients got nothing through"), "{error:#}");
}

/// An echo that takes 4 ms for each message.
fn start_slow_echo() -> SocketAddr {
    start_server(|mut stream| {
        stream.set_nodelay(true).unwrap();
        thread::spawn(move || {
            let mut message = [0; 64];
            while stream.read_exact(&mut message).is_ok() {
                thread::sleep(Duration::from_millis(4));
                stream.write_all(&message).unwrap();
            }
        });
    })
}

#[test]
fn an_open_loop_counts_the_wait_of_messages_that_could_not_be_sent() {
    let slow = start_slow_echo();
    let origin = Origin::bind().unwrap();
    // Each tunnel is asked every 5 ms and takes more than 4: it keeps up, just.
    let keeps_up = Pattern { pingpongs: 5, pace: Pace::Rate(1000), ..Pattern::NONE };
    let sample = measure(keeps_up, &direct(slow, slow), &origin, TIMING, &Unread).unwrap();
    assert_eq!((sample.operations, sample.latency.len()), (100, 100));
    assert!(sample.latency.min() >= 4_000_000, "{} ns", sample.latency.min());

    // Asked every 2 ms, it falls behind: the last of 50 messages in 100 ms waits for half of them.
    let falls_behind = Pattern { pingpongs: 2, ..keeps_up };
    let sample = measure(falls_behind, &direct(slow, slow), &origin, TIMING, &Unread).unwrap();
    assert_eq!(sample.latency.len(), 100);
    assert!(sample.latency.max() > 90_000_000, "{} ns", sample.latency.max());
}

#[test]
fn an_open_loop_counts_the_wait_of_connections_that_could_not_be_opened() {
    let slow = start_slow_echo();
    let origin = Origin::bind().unwrap();
    // 50 in 100 ms, one at a time: the last waits for half of them.
    let pattern = Pattern { setups: 1, pace: Pace::Rate(500), ..Pattern::NONE };
    let sample = measure(pattern, &direct(slow, slow), &origin, TIMING, &Unread).unwrap();
    assert_eq!((sample.operations, sample.latency.len()), (50, 50));
    assert!(sample.latency.max() > 90_000_000, "{} ns", sample.latency.max());
}

#[test]
fn an_open_loop_opens_as_many_connections_as_are_due() {
    for kind in [Kind::Copy, Kind::Tokio] {
        let origin = Origin::bind().unwrap();
        let targets = [origin.echo.local_addr().unwrap(), origin.flood.local_addr().unwrap()];
        let addresses = start_relay(kind, &targets);
        let route = direct(addresses[0], addresses[1]);
        // One at a time: arrivals wait for each other and are counted all the same.
        for setups in [1, 100] {
            let pattern = Pattern { setups, pace: Pace::Rate(500), ..Pattern::NONE };
            let sample = measure(pattern, &route, &origin, TIMING, &Unread).unwrap();
            assert_eq!((sample.operations, sample.latency.len()), (50, 50), "{kind:?}");
        }
    }
}

#[test]
fn an_open_loop_that_is_never_answered_fails() {
    let silent = start_server(|mut stream| {
        thread::spawn(move || {
            let mut message = [0; 64];
            stream.read_exact(&mut message).unwrap();
            stream.write_all(&message).unwrap();
            thread::sleep(Duration::from_secs(10));
        });
    });
    let pattern = Pattern { pace: Pace::Rate(100), ..ALONE };
    let reason = failure(pattern, &direct(silent, silent));
    assert!(reason.contains("10 of 10 operations had not ended"), "{reason}");
}

#[test]
fn a_herd_is_filled_and_falls_silent() {
    for kind in KINDS {
        let origin = Origin::bind().unwrap();
        let targets = [origin.echo.local_addr().unwrap(), origin.flood.local_addr().unwrap()];
        let addresses = start_relay(kind, &targets);
        let route = direct(addresses[0], addresses[1]);
        let pattern = Pattern { streams: 100, fill: Some(1 << 20), ..Pattern::NONE };
        let sample = measure(pattern, &route, &origin, TIMING, &Unread).unwrap();
        // What came before the window is not in it, and nothing came later.
        assert_eq!((sample.operations, sample.bytes), (100, 0), "{kind:?}");
    }
}

#[test]
fn ping_pongs_go_on_beside_readers_that_stopped() {
    let origin = Origin::bind().unwrap();
    let targets = [origin.echo.local_addr().unwrap(), origin.flood.local_addr().unwrap()];
    let addresses = start_relay(Kind::Copy, &targets);
    let route = direct(addresses[0], addresses[1]);
    let pattern = Pattern { stalled: 20, spin: true, ..ALONE };
    let sample = measure(pattern, &route, &origin, TIMING, &Unread).unwrap();
    assert!(sample.operations > 0);
    // Of a flood that somebody read there would be much more.
    assert!(sample.bytes < 20 << 20, "{} bytes", sample.bytes);
}
