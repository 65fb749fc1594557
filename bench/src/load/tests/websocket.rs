//! The generator and relays that speak WebSocket with it, plain and behind one that takes TLS.

use crate::tls::{self, KeyFiles, Keys};

use super::*;

/// A relay that takes WebSocket, and the route through it to its origin.
struct Web {
    origin: Origin,
    route: Route,
    _folder: Option<tempfile::TempDir>,
}

fn route(dial: SocketAddr, tls: Option<tls::Client>) -> Route {
    let request = Some(Request::upgrade(dial));
    let via = Via { dial, tls, request, vnc: false, asks: true };
    Route { echo: via.clone(), flood: via }
}

impl Web {
    fn start(kind: Kind) -> Web {
        let origin = Origin::bind().unwrap();
        let address = start_relay(kind, &[origin.echo.local_addr().unwrap()])[0];
        Web { origin, route: route(address, None), _folder: None }
    }

    fn start_behind_tls(kind: Kind) -> Web {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::generate().unwrap();
        keys.write(&KeyFiles::within(folder.path())).unwrap();
        let web = Web::start(kind);
        let address = start_relay_with(Kind::Tls, &[web.route.echo.dial], folder.path())[0];
        let route = route(address, Some(tls::Client::new(&keys).unwrap()));
        Web { route, _folder: Some(folder), ..web }
    }

    fn measure(&self, pattern: Pattern) -> Result<Sample> {
        measure(pattern, &self.route, &self.origin, PATIENT, &Unread)
    }
}

fn all() -> [Web; 4] {
    [
        Web::start(Kind::Ws),
        Web::start(Kind::WsSplice),
        Web::start_behind_tls(Kind::Ws),
        Web::start_behind_tls(Kind::WsSplice),
    ]
}

#[test]
fn every_task_gets_through_websocket_plain_and_by_tls() {
    for (number, web) in all().into_iter().enumerate() {
        for (pattern, bulk, interactive) in [
            (Pattern { streams: 2, ..Pattern::NONE }, true, false),
            (Pattern { pushers: 2, ..Pattern::NONE }, true, false),
            (Pattern { pingpongs: 50, message: 16 << 10, ..Pattern::NONE }, false, true),
            (Pattern { streams: 2, pushers: 2, ..ALONE }, true, true),
            (Pattern { setups: 4, ..Pattern::NONE }, false, true),
        ] {
            let sample = web.measure(pattern).unwrap();
            assert_eq!(
                (sample.bytes > 0, sample.operations > 0),
                (bulk, interactive),
                "{number}: {pattern:?}"
            );
        }
    }
}

#[test]
fn a_herd_of_browsers_is_filled_and_falls_silent() {
    for web in all() {
        let pattern = Pattern { streams: 30, fill: Some(1 << 20), ..Pattern::NONE };
        let sample = web.measure(pattern).unwrap();
        assert_eq!((sample.operations, sample.bytes), (30, 0));
    }
}

/// What a server says to a request, and then to the first message; the load's complaint.
fn complaint(serve: fn(TcpStream)) -> String {
    failure(ALONE, &route(start_server(serve), None))
}

fn upgraded(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 1024]);
    stream.write_all(crate::websocket::REPLY.as_bytes()).unwrap();
    let _ = stream.read(&mut [0; 1024]);
}

#[test]
fn who_refuses_lies_or_closes_fails_the_measurement() {
    let refused = complaint(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
    });
    assert!(refused.contains("403 Forbidden"), "{refused}");
    let forged = complaint(|mut stream| {
        upgraded(&mut stream);
        stream.write_all(b"\x82\x40").unwrap();
        stream.write_all(&[b'?'; 64]).unwrap();
    });
    assert!(forged.contains("the echo differs"), "{forged}");
    let masked = complaint(|mut stream| {
        upgraded(&mut stream);
        stream.write_all(b"\x82\xc0....").unwrap();
    });
    assert!(masked.contains("masked: true"), "{masked}");
    let closed = complaint(|mut stream| {
        upgraded(&mut stream);
        stream.write_all(b"\x88\x06\x03\xf3gone").unwrap();
    });
    assert!(closed.contains("closed: 1011 gone"), "{closed}");
}

#[test]
fn who_does_not_unmask_fails_the_measurement() {
    // A plain relay that says yes to the request: the origin gets, and sends back, the frame as it was.
    let reason = complaint(|mut stream| {
        stream.set_nodelay(true).unwrap();
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(crate::websocket::REPLY.as_bytes()).unwrap();
        let mut frame = [0; 70];
        stream.read_exact(&mut frame).unwrap();
        stream.write_all(b"\x82\x40").unwrap();
        stream.write_all(&frame[6..]).unwrap();
    });
    assert!(reason.contains("the echo differs"), "{reason}");
}
