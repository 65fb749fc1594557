//! Clients about whom the host is asked: what it hears of them, where they may go, what they are told, and that nothing of a late answer is
//! left; with both drivers.

mod brought;
mod denied;
#[expect(dead_code, reason = "whoever answers here is another one")]
#[path = "../rig/mod.rs"]
mod rig;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use nix::pty::openpty;
use penstock_core::close::{Cause, CloseReason, Phase, Side};
use penstock_core::config::{
    Address, Config, Console, ConsoleTarget, Destination, Door, HalfClose, HostPolicy, Listener,
    Reach, Service,
};
use penstock_core::control::{
    Admitted, Asked, Command, Connected, Denied, Mailbox, Outside, Page, Piece, Place, Question,
    Record, SessionId, To, WallTime,
};
use penstock_core::engine::{Engine, Plan, bind};
use penstock_core::http::{Host as TargetHost, Target};
use penstock_core::intake::HandOver;
use penstock_core::policy::{AccessLists, Rules};
use penstock_ring::Driver;
use socket2::SockRef;

use brought::*;
use denied::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Tells the test of questions and records, and says of all names that they are here.
struct Desk {
    mailbox: Mailbox,
    asked: Sender<(SessionId, Box<Asked>)>,
    records: Sender<Record>,
    is_busy: bool,
}

impl Outside for Desk {
    fn wall_time(&self) -> WallTime {
        WallTime::default()
    }

    fn ask(&mut self, question: Question) -> Result<(), Question> {
        match question {
            Question::Authorise { id, asked } if self.is_busy => {
                return Err(Question::Authorise { id, asked });
            }
            Question::Authorise { id, asked } => self.asked.send((id, asked)).expect("a test"),
            Question::Resolve { id, .. } => {
                let result = Ok(vec![HERE]);
                self.mailbox.post(Command::Resolved { id, result }).expect("room");
            }
            Question::Open { id, door } => {
                let Door::Unix(paths) = &*door else { panic!("{door:?}") };
                let stream = UnixStream::connect(&paths[0]).expect("it listens");
                stream.set_nonblocking(true).expect("a socket");
                let result = Ok(stream.into());
                self.mailbox.post(Command::Opened { id, result }).expect("room");
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn records(&mut self, _id: SessionId, _listener: u16) {}

    fn recorded(&mut self, _piece: Piece) {}

    fn finished(&mut self, record: Record) {
        let _ = self.records.send(record);
    }
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An engine of one listener, whose host is the test.
struct House {
    engine: Engine,
    address: SocketAddr,
    asked: Receiver<(SessionId, Box<Asked>)>,
    records: Receiver<Record>,
}

impl House {
    fn new(driver: Driver, listener: Listener) -> House {
        House::of(driver, listener, false)
    }

    fn of(driver: Driver, listener: Listener, is_busy: bool) -> House {
        let plan = rig::plan(driver);
        let engine = plan.config.engine.clone();
        let config = Arc::new(Config { engine, listeners: vec![listener] });
        let bound = bind(Plan { config, ..plan }).expect("a free port");
        let address = bound.addresses()[0].tcp().expect("a port");
        let ((asks, asked), (ends, records)) = (channel(), channel());
        let mut desk = |_, mailbox| {
            let (asked, records) = (asks.clone(), ends.clone());
            Box::new(Desk { mailbox, asked, records, is_busy }) as Box<dyn Outside>
        };
        let engine = bound.start(&mut desk).expect("a worker");
        House { engine, address, asked, records }
    }

    fn client(&self, words: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.address).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).expect("a socket");
        client.write_all(words.as_bytes()).expect("written");
        client
    }

    fn question(&self) -> (SessionId, Asked) {
        let (id, asked) = self.asked.recv_timeout(PATIENCE).expect("a question");
        (id, *asked)
    }

    fn answer(&self, id: SessionId, result: Result<Admitted, Denied>) {
        let answer = Command::Authorised { id, result };
        self.engine.mailboxes()[0].post(answer).expect("room");
    }

    /// Answers whoever asks next.
    fn allow(&self, to: Option<To>) -> Asked {
        let (id, asked) = self.question();
        self.answer(id, Ok(Admitted { to, cookie: COOKIE }));
        asked
    }

    fn ended(&self) -> Record {
        self.records.recv_timeout(PATIENCE).expect("a record")
    }

    /// How often nobody was there for an answer, at the end.
    fn stop(self) -> u64 {
        assert!(self.asked.try_recv().is_err(), "a question that nobody has seen");
        let counters = Arc::clone(&self.engine.counters()[0]);
        rig::stop(self.engine);
        counters.answers_stale.get()
    }
}

const COOKIE: u64 = u64::MAX - 7;

/// One that asks the host about whom `rules` let in.
fn listener(service: Service, rules: &[&str]) -> Listener {
    let rules = Rules::parse(rules, &AccessLists::new()).expect("well-formed rules");
    let addresses = vec![Address::Tcp((HERE, 0).into())];
    Listener {
        asks_host: Some(HostPolicy { timeout: PATIENCE }),
        ..Listener::new("test", addresses, service, rules)
    }
}

fn console() -> Service {
    let Service::Forward(destination) = Service::handed_over() else { panic!("it is one") };
    Service::Console(Box::new(Console::new(ConsoleTarget::Fixed(destination))))
}

/// A request for a WebSocket.
fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: binary\r\n\r\n"
    )
}

/// A port that somebody listens on, and how it is named.
fn target() -> (TcpListener, Place) {
    let listener = TcpListener::bind((HERE, 0)).expect("a port");
    // Nobody waits for ever for a connection that does not come.
    SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    (listener, Place::Network(Target { host: TargetHost::V4(Ipv4Addr::LOCALHOST), port }))
}

/// What comes to it.
fn accept(listener: &TcpListener) -> TcpStream {
    let stream = listener.accept().expect("a connection").0;
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// A target that the host has connected, and its other end.
fn connected(came: &[u8], name: Option<&str>) -> (UnixStream, Option<To>) {
    let (near, far) = UnixStream::pair().expect("a pair");
    near.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let connected = Connected::new(far.into(), came.to_vec(), name.map(Into::into));
    (near, Some(To::Connected(connected.expect("a stream"))))
}

/// What `stream` brings next.
fn hear(stream: &mut impl Read, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).expect("so many bytes");
    bytes
}

fn hear_all(mut stream: impl Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an end in order");
    text
}

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

macro_rules! on_both {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            #[test]
            fn epoll() { super::$name(penstock_ring::Driver::Epoll); }
            #[test]
            fn uring() { super::$name(penstock_ring::Driver::Uring); }
        }
    )* };
}

on_both!(
    a_connect_goes_where_it_wants,
    a_connect_goes_where_the_host_says,
    what_is_local_is_the_hosts_word,
    rules_are_asked_about_the_hosts_word,
    what_rules_deny_is_not_asked_about,
    rules_know_no_address_of_what_is_connected,
    the_host_may_have_connected_it,
    a_browser_is_asked_about_with_its_token,
    a_browser_gets_what_the_host_has_connected,
    a_forwarder_has_the_target_that_it_is_given,
    a_default_target_is_the_last_word_or_not,
    a_terminal_has_no_end_to_pass_on,
    what_the_host_hands_over_is_not_asked_about,
    what_comes_meanwhile_is_kept_and_no_more,
    who_is_denied_hears_the_hosts_words,
    a_denial_without_words_is_a_403,
    who_speaks_no_http_is_sent_away,
    who_has_gone_is_not_answered,
    who_was_answered_is_not_answered_again,
    who_is_not_decided_about_is_told,
    who_can_not_be_asked_about_is_told,
    a_host_that_knows_no_target_is_told,
);

fn a_connect_goes_where_it_wants(driver: Driver) {
    let house = House::new(driver, listener(Service::Connect, &["allow to_localhost"]));
    let (there, _) = target();
    let address = there.local_addr().expect("bound");
    let head =
        format!("CONNECT {address} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic eA==\r\n\r\n");
    // Empty lines before a head are no part of it, and what follows is payload.
    let mut client = house.client(&format!("\r\n{head}early"));
    let asked = house.allow(None);
    assert_eq!(asked.client, client.local_addr().ok());
    assert_eq!((asked.listener, asked.tls, asked.common_name), (0, false, None));
    assert_eq!(asked.method.as_deref(), Some("CONNECT"));
    assert_eq!(asked.target.as_deref(), Some(&*address.to_string()));
    assert_eq!((asked.path, asked.token), (None, None));
    assert_eq!(String::from_utf8(asked.head).expect("text"), head);
    let mut there = accept(&there);
    assert_eq!(hear(&mut there, 5), b"early");
    assert_eq!(hear(&mut client, 39), ESTABLISHED);
    drop((client, there));
    let record = house.ended();
    assert_eq!((record.reason.phase, record.cookie, record.tag), (Phase::Relay, COOKIE, None));
    assert_eq!(house.stop(), 0);
}

fn a_connect_goes_where_the_host_says(driver: Driver) {
    let house = House::new(driver, listener(Service::Connect, &["allow all"]));
    let (there, place) = target();
    let mut client = house.client("CONNECT vm7:5900 HTTP/1.0\r\n\r\n");
    let asked = house.allow(Some(To::Place(place)));
    assert_eq!(asked.target.as_deref(), Some("vm7:5900"));
    let mut there = accept(&there);
    assert_eq!(hear(&mut client, 39), ESTABLISHED);
    there.write_all(b"RFB").expect("written");
    assert_eq!(hear(&mut client, 3), b"RFB");
    let (told, heard) = channel();
    let reply = Box::new(move |page: Page| told.send(page.tunnels).expect("somebody asks"));
    house.engine.mailboxes()[0].post(Command::List { from: 0, reply }).expect("room");
    assert_eq!(heard.recv().expect("an answer")[0].cookie, COOKIE);
    drop((client, there));
    let folder =
        std::env::temp_dir().join(format!("penstock-host-{}-{driver:?}", std::process::id()));
    let _ = std::fs::remove_file(&folder);
    let socket = std::os::unix::net::UnixListener::bind(&folder).expect("a socket");
    let mut client = house.client("CONNECT vm8:5900 HTTP/1.1\r\n\r\nhi");
    house.allow(Some(To::Place(Place::Unix(folder.clone()))));
    assert_eq!(hear(&mut socket.accept().expect("a connection").0, 2), b"hi");
    assert_eq!(hear(&mut client, 39), ESTABLISHED);
    std::fs::remove_file(&folder).expect("it is there");
    drop(client);
    let names: Vec<_> = (0..2).map(|_| house.ended().target.expect("a name")).collect();
    assert!(names[0].starts_with("127.0.0.1:") && names[1].starts_with("unix:/"), "{names:?}");
    assert_eq!(house.stop(), 0);
}

/// A name that leads here is the client's word, also if the host allows it.
fn what_is_local_is_the_hosts_word(driver: Driver) {
    let house = House::new(driver, listener(Service::Connect, &["allow all"]));
    let client = house.client("CONNECT vm7:5900 HTTP/1.1\r\n\r\n");
    house.allow(None);
    assert!(hear_all(client).starts_with("HTTP/1.1 403 "));
    assert_eq!(house.ended().reason.cause, Cause::LocalTarget);
    let (there, Place::Network(place)) = target() else { panic!("a port") };
    let named = Target { host: TargetHost::Name("here".into()), ..place };
    let mut client = house.client("CONNECT vm7:5900 HTTP/1.1\r\n\r\n");
    house.allow(Some(To::Place(Place::Network(named))));
    let there = accept(&there);
    assert_eq!(hear(&mut client, 39), ESTABLISHED);
    drop((client, there));
    assert_eq!(house.ended().reason.phase, Phase::Relay);
    assert_eq!(house.stop(), 0);
}

fn rules_are_asked_about_the_hosts_word(driver: Driver) {
    let house = House::new(driver, listener(Service::Connect, &["deny to_localhost", "allow all"]));
    let client = house.client("CONNECT vm7:5900 HTTP/1.1\r\n\r\n");
    house.allow(Some(To::Place(target().1)));
    assert!(hear_all(client).starts_with("HTTP/1.1 403 "));
    let record = house.ended();
    let denied = CloseReason::new(Side::Penstock, Phase::Admission, Cause::AccessDenied);
    assert_eq!((record.reason, record.cookie), (denied, COOKIE));
    assert_eq!(house.stop(), 0);
}

fn what_rules_deny_is_not_asked_about(driver: Driver) {
    let house = House::new(driver, listener(Service::Connect, &["allow all"]));
    let client = house.client("CONNECT 127.0.0.1:9 HTTP/1.1\r\n\r\n");
    assert!(hear_all(client).starts_with("HTTP/1.1 403 "));
    assert_eq!(house.ended().reason.cause, Cause::LocalTarget);
    assert_eq!(house.stop(), 0);
}

/// Rules that name addresses have judged what the client wants; where it names nothing, they judge what is behind a door.
fn rules_know_no_address_of_what_is_connected(driver: Driver) {
    let rules = &["allow to_localhost", "deny all"];
    let house = House::new(driver, listener(Service::Connect, rules));
    let (mut there, to) = connected(b"", None);
    let mut client = house.client("CONNECT 127.0.0.1:5900 HTTP/1.1\r\n\r\nx");
    house.allow(to);
    assert_eq!(hear(&mut client, 39), ESTABLISHED);
    assert_eq!(hear(&mut there, 1), b"x");
    assert_eq!(house.stop(), 0);
    let house = House::new(driver, listener(Service::handed_over(), rules));
    let (mut there, to) = connected(b"", None);
    let client = house.client("");
    house.allow(to);
    assert_eq!((hear_all(&mut there), hear_all(client)), (String::new(), String::new()));
    assert_eq!(house.ended().reason.cause, Cause::AccessDenied);
    assert_eq!(house.stop(), 0);
}

fn the_host_may_have_connected_it(driver: Driver) {
    let house = House::new(driver, listener(Service::Connect, &["allow all"]));
    for name in [None, Some("console of seven")] {
        let (mut there, to) = connected(b"RFB 003.008\n", name);
        let mut client = house.client("CONNECT vm7:5900 HTTP/1.1\r\n\r\nearly");
        house.allow(to);
        assert_eq!(hear(&mut client, 39), ESTABLISHED);
        there.write_all(b"more").expect("written");
        assert_eq!(hear(&mut client, 16), b"RFB 003.008\nmore");
        assert_eq!(hear(&mut there, 5), b"early");
        drop((client, there));
        let record = house.ended();
        assert_eq!((record.reason.phase, record.cookie), (Phase::Relay, COOKIE));
        assert_eq!(record.target.as_deref(), name.or(Some("vm7:5900")));
    }
    assert_eq!(house.stop(), 0);
}
