//! The generator and relays that speak TLS, towards it or towards its origin.

use crate::tls::{self, KeyFiles, Keys, Stream};

use super::*;

/// A relay that speaks TLS on one leg, and the route through it to its origin.
struct Secured {
    origin: Origin,
    route: Route,
    keys: Keys,
    _folder: tempfile::TempDir,
}

impl Secured {
    fn start(kind: Kind) -> Secured {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::generate().unwrap();
        keys.write(&KeyFiles::within(folder.path())).unwrap();
        let mut origin = Origin::bind().unwrap();
        if let Kind::ToTls = kind {
            origin.speech = Speech::Tls(tls::Server::new(&keys).unwrap());
        }
        let target = origin.echo.local_addr().unwrap();
        let address = start_relay_with(kind, &[target], folder.path())[0];
        let tls = matches!(kind, Kind::Tls).then(|| tls::Client::new(&keys).unwrap());
        let via = Via { tls, asks: true, ..Via::plain(address) };
        let route = Route { echo: via.clone(), flood: via };
        Secured { origin, route, keys, _folder: folder }
    }

    fn measure(&self, pattern: Pattern) -> Result<Sample> {
        measure(pattern, &self.route, &self.origin, PATIENT, &Unread)
    }
}

const SETUPS: Pattern = Pattern { setups: 4, message: 1, ..Pattern::NONE };

#[test]
fn every_task_gets_through_tls_on_either_leg() {
    for kind in [Kind::Tls, Kind::ToTls] {
        let secured = Secured::start(kind);
        for (pattern, bulk, interactive) in [
            (Pattern { streams: 2, ..Pattern::NONE }, true, false),
            (Pattern { pushers: 2, ..Pattern::NONE }, true, false),
            (Pattern { pingpongs: 50, message: 16 << 10, ..Pattern::NONE }, false, true),
            (Pattern { streams: 2, pushers: 2, ..ALONE }, true, true),
            (SETUPS, false, true),
            (Pattern { resumes: true, ..SETUPS }, false, true),
            (SETUPS, false, true),
        ] {
            let sample = secured.measure(pattern).unwrap();
            assert_eq!(
                (sample.bytes > 0, sample.operations > 0),
                (bulk, interactive),
                "{kind:?} {pattern:?}"
            );
        }
    }
}

#[test]
fn what_clients_flood_is_counted_where_it_arrives() {
    for kind in KINDS {
        let origin = Origin::bind().unwrap();
        let target = origin.echo.local_addr().unwrap();
        let route = direct(start_relay(kind, &[target])[0], target);
        let pattern = Pattern { pushers: 3, ..Pattern::NONE };
        let sample = measure(pattern, &route, &origin, TIMING, &Unread).unwrap();
        assert!(sample.bytes > 0 && sample.operations == 0, "{kind:?}");
    }
}

#[test]
fn a_herd_is_filled_by_tls_and_falls_silent() {
    for kind in [Kind::Tls, Kind::ToTls] {
        // Few and large: the last records of some wait for room.
        for (streams, fill) in [(20, 1 << 20), (4, 24 << 20)] {
            let pattern = Pattern { streams, fill: Some(fill), ..Pattern::NONE };
            let sample = Secured::start(kind).measure(pattern).unwrap();
            assert_eq!((sample.operations, sample.bytes), (streams as u64, 0), "{kind:?}");
        }
    }
}

#[test]
fn sessions_made_anew_are_not_measured_as_taken_up_again() {
    let secured = Secured::start(Kind::Tls);
    let server = tls::Server::new(&secured.keys).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let dial = listener.local_addr().unwrap();
    // An echo that gives no tickets.
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut stream = Stream::server(socket.unwrap(), &server, false).unwrap();
            let mut scratch = vec![0; SCRATCH];
            loop {
                match stream.receive(&mut scratch) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Ok(length) if length > 0 => stream.send(&scratch[..length]).unwrap(),
                    _ => break,
                }
            }
        }
    });
    let via = Via { dial, ..secured.route.echo.clone() };
    let route = Route { echo: via.clone(), flood: via };
    let one = Pattern { setups: 1, ..SETUPS };
    assert!(measure(one, &route, &secured.origin, TIMING, &Unread).is_ok());
    let reason = failure(Pattern { resumes: true, ..one }, &route);
    assert!(reason.contains("sessions were made anew"), "{reason}");
}

#[test]
fn who_speaks_no_tls_fails_the_measurement() {
    let secured = Secured::start(Kind::Tls);
    let target = secured.origin.echo.local_addr().unwrap();
    let plain = start_relay(Kind::Copy, &[target])[0];
    for pattern in [SETUPS, Pattern { streams: 1, ..Pattern::NONE }] {
        let via = Via { dial: plain, ..secured.route.echo.clone() };
        let route = Route { echo: via.clone(), flood: via };
        let error = measure(pattern, &route, &secured.origin, TIMING, &Unread).unwrap_err();
        // The origin echoes the client's own hello.
        assert!(format!("{error:#}").contains("client: receive"), "{error:#}");
    }
    // And an origin that is met without TLS, where it was to be spoken.
    let secured = Secured::start(Kind::ToTls);
    let target = secured.origin.echo.local_addr().unwrap();
    let via = Via::plain(start_relay(Kind::Copy, &[target])[0]);
    let route = Route { echo: via.clone(), flood: via };
    let error = measure(SETUPS, &route, &secured.origin, TIMING, &Unread).unwrap_err();
    assert!(format!("{error:#}").contains("TLS of the origin"), "{error:#}");
}

#[test]
fn a_flood_that_nobody_sees_arrive_fails_the_measurement() {
    // Lets the request and its answer through, and nothing more.
    let origin = Origin::bind().unwrap();
    let target = origin.echo.local_addr().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let dial = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut client, mut request) = (listener.accept().unwrap().0, [0; 16]);
        let mut upstream = TcpStream::connect(target).unwrap();
        client.read_exact(&mut request).unwrap();
        upstream.write_all(&request).unwrap();
        upstream.read_exact(&mut request).unwrap();
        client.write_all(&request).unwrap();
        thread::sleep(Duration::from_secs(5));
    });
    let pattern = Pattern { streams: 1, pushers: 1, ..Pattern::NONE };
    let route = direct(dial, origin.flood.local_addr().unwrap());
    let error = measure(pattern, &route, &origin, TIMING, &Unread).unwrap_err();
    assert!(error.to_string().contains("1 clients got nothing through"), "{error:#}");
}

#[test]
fn a_burst_is_over_only_when_its_last_record_has_gone() {
    let keys = Keys::generate().unwrap();
    let mut origin = Origin::bind().unwrap();
    origin.speech = Speech::Tls(tls::Server::new(&keys).unwrap());
    let near = TcpStream::connect(origin.echo.local_addr().unwrap()).unwrap();
    near.set_nonblocking(true).unwrap();
    socket2::SockRef::from(&near).set_recv_buffer_size(4096).unwrap();
    let far = origin::accept(&origin.echo).unwrap().unwrap();
    socket2::SockRef::from(&far).set_send_buffer_size(4096).unwrap();
    let mut echo = origin.greet(far, false).unwrap();
    let terms = tls::Client::new(&keys).unwrap();
    let mut near = Stream::client(near, &terms, false).unwrap();
    let mut scratch = vec![0; SCRATCH];
    near.start().unwrap();
    while !near.is_open() {
        echo.step(&mut scratch).unwrap();
        let _ = near.receive(&mut scratch);
    }
    near.send(&origin::burst_request(origin::FLOOD_CHUNK as u64)).unwrap();
    while !matches!(echo.step(&mut scratch).unwrap(), Fate::Loud) {}
    let (mut received, mut is_over) = (0, false);
    let deadline = Instant::now() + Duration::from_secs(5);
    while received < origin::FLOOD_CHUNK {
        assert!(Instant::now() < deadline, "{received} bytes came");
        is_over = is_over || matches!(echo.step(&mut scratch).unwrap(), Fate::Silent);
        received += near.discard(&mut scratch).unwrap_or(0);
    }
}
