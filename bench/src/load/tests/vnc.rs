//! Consoles of VNC: the load's viewers through a relay that knows nothing of VNC, and the origin's TLS within the opening.

use crate::tls::{self, Keys, Stream};

use super::*;

fn route(dial: SocketAddr) -> Route {
    let request = Some(Request::upgrade(dial));
    let via = Via { request, vnc: true, asks: true, ..Via::plain(dial) };
    Route { echo: via.clone(), flood: via }
}

#[test]
fn every_task_gets_through_a_login() {
    let mut origin = Origin::bind().unwrap();
    origin.speech = Speech::Vnc(None);
    let address = start_relay(Kind::Ws, &[origin.echo.local_addr().unwrap()])[0];
    for (pattern, bulk, interactive) in [
        (Pattern { streams: 2, ..Pattern::NONE }, true, false),
        (Pattern { pushers: 2, ..Pattern::NONE }, true, false),
        (Pattern { pingpongs: 50, ..Pattern::NONE }, false, true),
        (Pattern { setups: 4, message: 1, ..Pattern::NONE }, false, true),
    ] {
        let sample = measure(pattern, &route(address), &origin, PATIENT, &Unread).unwrap();
        assert_eq!((sample.bytes > 0, sample.operations > 0), (bulk, interactive), "{pattern:?}");
    }
    let herd = Pattern { streams: 30, fill: Some(1 << 20), ..Pattern::NONE };
    let sample = measure(herd, &route(address), &origin, PATIENT, &Unread).unwrap();
    assert_eq!((sample.operations, sample.bytes), (30, 0));
}

#[test]
fn a_server_that_wants_tls_fails_who_can_not_give_it() {
    let keys = Keys::generate().unwrap();
    let mut origin = Origin::bind().unwrap();
    origin.speech = Speech::Vnc(Some(tls::Server::new(&keys).unwrap()));
    let address = start_relay(Kind::Ws, &[origin.echo.local_addr().unwrap()])[0];
    let error = measure(ALONE, &route(address), &origin, TIMING, &Unread).unwrap_err();
    assert!(format!("{error:#}").contains("one of the types [19]"), "{error:#}");
}

/// The next so many bytes, while the origin takes its turns.
fn hear(near: &mut Stream, echo: &mut Echo, length: usize) -> Vec<u8> {
    let (mut heard, mut scratch) = (Vec::new(), vec![0; SCRATCH]);
    let deadline = Instant::now() + Duration::from_secs(5);
    while heard.len() < length {
        assert!(Instant::now() < deadline, "{heard:?} came");
        echo.step(&mut scratch).unwrap();
        let came = near.receive(&mut scratch).unwrap_or(0);
        heard.extend(&scratch[..came]);
    }
    heard
}

#[test]
fn the_origin_speaks_tls_within_its_opening_and_echoes_behind_it() {
    let keys = Keys::generate().unwrap();
    let mut origin = Origin::bind().unwrap();
    origin.speech = Speech::Vnc(Some(tls::Server::new(&keys).unwrap()));
    let near = TcpStream::connect(origin.echo.local_addr().unwrap()).unwrap();
    near.set_nonblocking(true).unwrap();
    let mut echo = origin.greet(origin::accept(&origin.echo).unwrap().unwrap(), false).unwrap();
    let mut clear = Stream::plain(near.try_clone().unwrap());
    let words: [(&[u8], &[u8]); 4] = [
        (b"RFB 003.008\n", b"RFB 003.008\n"),
        (&[1, 19], &[19]),
        (&[0, 2], &[0, 2]),
        (&[0, 1, 0, 0, 1, 4], &[0, 0, 1, 4]),
    ];
    for (theirs, ours) in words {
        assert_eq!(hear(&mut clear, &mut echo, theirs.len()), theirs);
        clear.send(ours).unwrap();
    }
    assert_eq!(hear(&mut clear, &mut echo, 1), [1], "taken");
    let mut tls = Stream::client(near, &tls::Client::new(&keys).unwrap(), false).unwrap();
    tls.start().unwrap();
    assert_eq!(hear(&mut tls, &mut echo, 4), [0; 4], "let in");
    tls.send(&[1]).unwrap();
    assert!(hear(&mut tls, &mut echo, 36).ends_with(b"QEMU (bench)"));
    tls.send(b"a key").unwrap();
    assert_eq!(hear(&mut tls, &mut echo, 5), b"a key");
    assert_eq!(echo.stream.resumed(), Some(false));
}
