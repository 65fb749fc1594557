//! Clients and targets that break the handshake, or don't get through it: each hears an alert where there is one to be heard, is gone
//! in time, and leaves nothing behind.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use penstock_tests::connect::be_patient;
use penstock_tests::{Driver, Penstock, Stopwatch, both_drivers, names, procfs};

use crate::end::{End, Ending, Socket};
use crate::gateway::{Gateway, Leg, Plan};

both_drivers! {
    a_clients_handshake_cut_at_every_byte,
    a_targets_handshake_cut_at_every_byte,
    a_hello_in_pieces_of_every_kind,
    who_is_too_old_or_has_no_suite_is_told,
    what_is_no_tls_is_told_and_named,
    who_says_nothing_or_little_is_gone_in_time,
    nonsense_in_an_open_tunnel_ends_it_alone,
    nonsense_from_who_is_not_listened_to_is_told,
}

const SECOND: Duration = Duration::from_secs(1);
const ALERT: u8 = 21;
/// Tunnels before anything is measured.
const WARM: usize = 20;

/// What the daemon holds must be what it was, and it must not have grown by more than a little for each of so many.
struct Watch<'g> {
    penstock: &'g Penstock,
    before: penstock_tests::penstock::Holdings,
    memory: u64,
}

impl<'g> Watch<'g> {
    fn new(gateway: &'g Gateway) -> Watch<'g> {
        // What the first ones touch stays touched.
        for _ in 0..WARM {
            drop(gateway.ends());
        }
        let penstock = &gateway.penstock;
        let before = penstock.holdings();
        Watch { penstock, before, memory: procfs::private_dirty(penstock.pid()) }
    }

    fn assert_nothing_is_left(&self) {
        self.penstock.assert_holds(&self.before);
        let grown = procfs::private_dirty(self.penstock.pid()).saturating_sub(self.memory);
        assert!(grown < 2 << 20, "{grown} bytes more");
    }
}

/// What a client says first.
fn hello(session: &mut rustls::ClientConnection) -> Vec<u8> {
    let mut flight = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut flight).expect("memory");
    }
    flight
}

/// Sends these bytes and no more; the daemon has to end it.
fn say_and_end(gateway: &Gateway, bytes: &[u8]) {
    let mut socket = gateway.dial().expect("it listens");
    be_patient(&socket).expect("a socket");
    socket.write_all(bytes).expect("an open stream");
    socket.shutdown(Shutdown::Write).expect("an open stream");
    // Reset or not: it ends.
    let result = socket.read_to_end(&mut Vec::new());
    assert!(result.map_or_else(|e| e.raw_os_error() == Some(104), |_| true));
}

fn a_clients_handshake_cut_at_every_byte(driver: Driver) {
    let gateway = Plan::new(driver, [Leg::Tls, Leg::Tcp]).start();
    let watch = Watch::new(&gateway);
    let length = hello(&mut gateway.session()).len();
    for cut in 0..length {
        say_and_end(&gateway, &hello(&mut gateway.session())[..cut]);
    }
    for cut in 0.. {
        let (mut session, mut socket) = (gateway.session(), gateway.dial().expect("it listens"));
        be_patient(&socket).expect("a socket");
        socket.write_all(&hello(&mut session)).expect("an open stream");
        while session.is_handshaking() {
            session.read_tls(&mut socket).expect("an open stream");
            session.process_new_packets().expect("a server");
        }
        let finished = hello(&mut session);
        if cut == finished.len() {
            break;
        }
        socket.write_all(&finished[..cut]).expect("an open stream");
    }
    // The last one had said all; before that, nobody came through.
    watch.assert_nothing_is_left();
    let failed = [("side", "client"), ("kind", "failed")];
    let failed = gateway.penstock.metric(names::HANDSHAKES, &failed);
    assert!(failed > length as f64, "{failed} of more than {length}");
}

fn a_targets_handshake_cut_at_every_byte(driver: Driver) {
    let gateway = Plan::new(driver, [Leg::Tcp, Leg::Tls]).start();
    let watch = Watch::new(&gateway);
    for cut in 0.. {
        let client = gateway.dial().expect("it listens");
        be_patient(&client).expect("a socket");
        let (mut session, mut socket) = (gateway.server_session(), gateway.accept_silently());
        be_patient(&socket).expect("a socket");
        while !session.wants_write() {
            assert!(session.read_tls(&mut socket).expect("a hello") > 0, "an end");
            session.process_new_packets().expect("a client");
        }
        let mut flight = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut flight).expect("memory");
        }
        // A signature may be shorter than the one before.
        if cut >= flight.len() {
            break;
        }
        socket.write_all(&flight[..cut]).expect("an open stream");
        drop(socket);
        assert_eq!((&client).read(&mut [0]).expect("an end"), 0, "after {cut} bytes");
    }
    watch.assert_nothing_is_left();
}

/// The same handshake message in records of so many bytes.
fn in_records_of(size: usize, flight: &[u8]) -> Vec<u8> {
    let message = &flight[5..];
    assert_eq!(usize::from(flight[3]) << 8 | usize::from(flight[4]), message.len(), "one record");
    let record = |part: &[u8]| {
        let length = (part.len() as u16).to_be_bytes();
        [&flight[..3], &length, part].concat()
    };
    message.chunks(size).flat_map(record).collect()
}

fn a_hello_in_pieces_of_every_kind(driver: Driver) {
    let gateway = Plan::new(driver, [Leg::Tls, Leg::Tcp]).start();
    let watch = Watch::new(&gateway);
    // Sizes of records, and of what is sent at once.
    for (record, piece) in [(16_384, 1), (1, 6), (1, 4096), (1, 1), (100, 50), (700, 4096), (3, 7)]
    {
        let (mut session, mut socket) = (gateway.session(), gateway.dial().expect("it listens"));
        socket.set_nodelay(true).expect("a socket");
        let flight = in_records_of(record, &hello(&mut session));
        for part in flight.chunks(piece) {
            socket.write_all(part).expect("an open stream");
        }
        let mut client = End::tls(Socket::Tcp(socket), session).expect("it lets us in");
        let mut target = gateway.accept();
        // And so with what is said in it.
        for byte in 0..=255 {
            client.say(&[byte]);
        }
        assert_eq!(target.hear(256), (0..=255).collect::<Vec<u8>>(), "{record} {piece}");
        client.finish();
        assert_eq!(target.rest().1, Ending::InOrder);
    }
    watch.assert_nothing_is_left();
}

/// What OpenSSL's client says of it.
fn openssl(gateway: &Gateway, arguments: &[&str]) -> String {
    let mut client = Command::new("timeout");
    client.args(["10", "openssl", "s_client", "-connect", &gateway.address().to_string()]);
    let output = client.args(arguments).stdin(Stdio::null()).output().expect("OpenSSL's client");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn who_is_too_old_or_has_no_suite_is_told(driver: Driver) {
    let gateway = Plan::new(driver, [Leg::Tls, Leg::Tcp]).tls("min_version = \"1.2\"").start();
    let watch = Watch::new(&gateway);
    let weak = "DEFAULT:@SECLEVEL=0";
    let cases = [
        (["-tls1", "-cipher", weak], "protocol version", "TLS 1.0: update it"),
        (["-tls1_1", "-cipher", weak], "protocol version", "TLS 1.1: update it"),
        (["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], "handshake failure", "cipher suite"),
        (["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], "handshake failure", "cipher suite"),
        (["-tls1_3", "-groups", "X448"], "handshake failure", "group for the key exchange"),
    ];
    for (arguments, alert, _) in &cases {
        let watch = Stopwatch::start();
        let said = openssl(&gateway, arguments);
        assert!(said.contains(alert), "{arguments:?}: {said}");
        assert!(watch.elapsed() < 3 * SECOND, "{:?}", watch.real());
    }
    assert_told(&gateway, cases.iter().map(|(_, _, words)| *words).collect());
    watch.assert_nothing_is_left();
}

/// The log has a record of a handshake that failed for each of these words, and no other.
fn assert_told(gateway: &Gateway, mut words: Vec<&str>) {
    let records = gateway.penstock.records(words.len() + WARM);
    for record in records.iter().filter(|record| record["cause"] == "tls_failed") {
        assert_eq!((&record["side"], &record["phase"]), (&"client".into(), &"tls".into()));
        let detail = record["detail"].as_str().expect("words");
        let known = words.iter().position(|word| detail.contains(word));
        words.remove(known.unwrap_or_else(|| panic!("{detail} is none of {words:?}")));
    }
    assert!(words.is_empty(), "{words:?} are not told of");
}

/// The first record that comes, and how long the connection lived without pauses of the machine.
fn answer(mut socket: TcpStream) -> (Vec<u8>, Duration) {
    be_patient(&socket).expect("a socket");
    let (mut heard, watch) = (Vec::new(), Stopwatch::start());
    // A reset behind the answer takes nothing of it away.
    let _ = socket.read_to_end(&mut heard);
    (heard, watch.elapsed())
}

fn what_is_no_tls_is_told_and_named(driver: Driver) {
    let gateway = Plan::new(driver, [Leg::Tls, Leg::Tcp]).start();
    let watch = Watch::new(&gateway);
    let oversize = [22, 3, 1, 0x48, 0x01, 1, 0, 0, 0];
    let cases: [(&[u8], Option<u8>, &str); 7] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", None, "HTTP"),
        (b"CONNECT h:1 HTTP/1.1\r\n\r\n", None, "HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", None, "SSH"),
        (b"RFB 003.008\n", None, "VNC"),
        (&[0x80, 46, 1, 3, 1, 0, 0], None, "SSL 2"),
        (&[0; 100], None, "expected TLS"),
        (&oversize, Some(22), "larger than allowed"),
    ];
    for (said, alert, _) in &cases {
        let mut socket = gateway.dial().expect("it listens");
        socket.write_all(said).expect("an open stream");
        let (heard, took) = answer(socket);
        assert!(took < 3 * SECOND, "{took:?} for {said:?}");
        match alert {
            Some(alert) => assert_eq!(heard, [ALERT, 3, 3, 0, 2, 2, *alert], "for {said:?}"),
            None => assert!(heard.is_empty() || heard[0] == ALERT, "{heard:?} for {said:?}"),
        }
    }
    assert_told(&gateway, cases.iter().map(|(_, _, word)| *word).collect());
    watch.assert_nothing_is_left();
}

fn who_says_nothing_or_little_is_gone_in_time(driver: Driver) {
    let line = "timeouts = { handshake = \"1s\" }";
    let gateway = Plan::new(driver, [Leg::Tls, Leg::Tls]).line(line).start();
    let watch = Watch::new(&gateway);
    thread::scope(|scope| {
        for kind in 0..30 {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut socket = gateway.dial().expect("it listens");
                be_patient(&socket).expect("a socket");
                let flight = hello(&mut gateway.session());
                let watch = Stopwatch::start();
                match kind % 3 {
                    0 => {}
                    1 => socket.write_all(&flight[..700]).expect("an open stream"),
                    _ => {
                        // A byte now and then buys no time.
                        let mut bytes = flight.iter();
                        while watch.real() < 2 * SECOND
                            && socket.write_all(&[*bytes.next().expect("many")]).is_ok()
                        {
                            thread::sleep(SECOND / 20);
                        }
                    }
                }
                let _ = socket.read_to_end(&mut Vec::new());
                assert!(watch.is_within(SECOND / 2..3 * SECOND), "{kind}: {:?}", watch.real());
            });
        }
    });
    let timeouts = [("side", "client"), ("phase", "tls"), ("cause", "handshake_timeout")];
    gateway.penstock.wait_for_closed(&timeouts, 30.0);
    watch.assert_nothing_is_left();
}

fn nonsense_from_who_is_not_listened_to_is_told(driver: Driver) {
    let gateway = Plan::new(driver, [Leg::Tls, Leg::Tcp]).line("half_close = \"close\"").start();
    let watch = Watch::new(&gateway);
    let (mut client, mut target) = gateway.ends();
    target.say(b"the last");
    target.finish();
    assert_eq!(client.rest(), (b"the last".to_vec(), Ending::InOrder));
    client.socket.write_all(&[&[23, 3, 3, 0, 32], &[7; 32][..]].concat()).expect("it is read");
    gateway.penstock.wait_for_closed(&[("phase", "relay"), ("cause", "tls_failed")], 1.0);
    drop((client, target));
    watch.assert_nothing_is_left();
}

fn nonsense_in_an_open_tunnel_ends_it_alone(driver: Driver) {
    for legs in [[Leg::Tls, Leg::Tcp], [Leg::Tcp, Leg::Tls], [Leg::Tls, Leg::Tls]] {
        let gateway = Plan::new(driver, legs).start();
        let watch = Watch::new(&gateway);
        let (mut other_client, mut other_target) = gateway.ends();
        let sealed_otherwise = [&[23, 3, 3, 0, 32], &[7; 32][..]].concat();
        let broken: [&[u8]; 4] = [
            &sealed_otherwise,
            &[23, 3, 3, 0x48, 1],
            &[99, 3, 3, 0, 1, 0],
            b"GET / HTTP/1.1\r\n\r\n",
        ];
        let mut count = 0_u32;
        for (bytes, from_client) in broken.iter().flat_map(|bytes| [(bytes, true), (bytes, false)])
        {
            let (client, target) = gateway.ends();
            let (mut from, mut to) = if from_client { (client, target) } else { (target, client) };
            if from.tls.is_none() {
                continue;
            }
            count += 1;
            from.say(b"sound");
            assert_eq!(to.hear(5), b"sound");
            from.socket.write_all(bytes).expect("an open stream");
            let told = from.failure();
            assert!(told.contains("received fatal alert"), "{legs:?} {bytes:?}: {told}");
            let (heard, ending) = to.rest();
            assert!(heard.is_empty(), "{heard:?}");
            assert!(
                to.tls.is_none() || ending != Ending::InOrder,
                "{legs:?} {bytes:?}: {ending:?}"
            );
        }
        other_client.say(b"still");
        assert_eq!(other_target.hear(5), b"still");
        drop((other_client, other_target));
        let failed = [("phase", "relay"), ("cause", "tls_failed")];
        gateway.penstock.wait_for_closed(&failed, f64::from(count));
        watch.assert_nothing_is_left();
    }
}
