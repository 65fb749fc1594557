//! TokenRedis with redis-server itself: there, gone, back again, stuck, with a password, and with nonsense in it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use penstock_core::config::{TokenSource, Tokens};
use penstock_core::control::TokenFault;
use penstock_tests::process::{self, Process};
use penstock_tests::{Stopwatch, loopback, wait};

use crate::rig::{Desk, PATIENCE, client, place, tokens};
use crate::service;

const PORT: u16 = 6379;

/// A running server.
pub(crate) struct Server {
    process: Process,
    pub(crate) address: SocketAddr,
    password: Option<&'static str>,
}

impl Server {
    pub(crate) fn start(password: Option<&'static str>) -> Server {
        Server::start_at(SocketAddr::from((loopback::address(), PORT)), password)
    }

    fn start_at(address: SocketAddr, password: Option<&'static str>) -> Server {
        let dir = process::directory();
        let mut command = process::command("redis-server");
        command.args(["--bind", &address.ip().to_string(), "--port", &PORT.to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(dir.path());
        if let Some(password) = password {
            command.args(["--requirepass", password]);
        }
        let process = Process::start(&mut command, dir);
        wait::until_true("redis listens", Duration::from_secs(20), || {
            TcpStream::connect(address).is_ok()
        });
        Server { process, address, password }
    }

    pub(crate) fn cli(&self, arguments: &[&str]) {
        let mut command = Command::new("redis-cli");
        command.args(["-h", &self.address.ip().to_string(), "-p", &PORT.to_string()]);
        if let Some(password) = self.password {
            command.args(["--no-auth-warning", "-a", password]);
        }
        process::run(command.args(arguments));
    }

    pub(crate) fn tokens(&self) -> Arc<Tokens> {
        of(self.address, 0, self.password, None)
    }
}

fn of(
    address: SocketAddr,
    database: u32,
    password: Option<&str>,
    namespace: Option<&str>,
) -> Arc<Tokens> {
    tokens(TokenSource::Redis {
        host: address.ip().to_string().into(),
        port: address.port(),
        database,
        password: password.map(Into::into),
        namespace: namespace.map(Into::into),
    })
}

#[test]
fn values_lead_to_hosts_and_ports_and_to_nothing_else() {
    let (server, mut desk) = (Server::start(None), Desk::start());
    let large = "x".repeat(70_000);
    for (value, expected) in [
        (r#"{"host":"10.0.0.1:5900"}"#, Ok("10.0.0.1:5900".to_owned())),
        (r#" {"host": "[::1]:5900", "note": "x"} "#, Ok("[::1]:5900".to_owned())),
        ("vm-7:5901", Ok("vm-7:5901".to_owned())),
        ("vm-7:5901\n", Ok("vm-7:5901".to_owned())),
        ("canary-value", Err(TokenFault::NoPlace)),
        (r#"{"host":"canary"}"#, Err(TokenFault::NoPlace)),
        (r#"{"host":["canary:1"]}"#, Err(TokenFault::NoPlace)),
        ("{canary", Err(TokenFault::NoPlace)),
        ("qemu+ext:///canary?command=x", Err(TokenFault::NoPlace)),
        (r#"{"host":"tcp://canary:1"}"#, Err(TokenFault::NoPlace)),
        (r#"{"host":"unix_socket:/run/canary"}"#, Err(TokenFault::NoPlace)),
        ("unix_socket:/run/canary", Err(TokenFault::NoPlace)),
        ("h:0", Err(TokenFault::NoPlace)),
        ("h:65536", Err(TokenFault::NoPlace)),
        ("", Err(TokenFault::NoPlace)),
        (&large, Err(TokenFault::Unavailable)),
    ] {
        server.cli(&["set", "the-token", value]);
        let judged = desk.look_up(&server.tokens(), "the-token");
        assert_eq!(place(&judged), expected, "{value:.40}");
        if let Err(refused) = judged {
            assert!(!refused.detail.contains("canary"), "{}", refused.detail);
        }
    }
    assert_eq!(place(&desk.look_up(&server.tokens(), "other")), Err(TokenFault::Unknown));
    server.cli(&["del", "the-token"]);
    server.cli(&["lpush", "the-token", "h:1"]);
    let refused = desk.look_up(&server.tokens(), "the-token").expect_err("it is a list");
    assert!(refused.detail.contains("WRONGTYPE"), "{}", refused.detail);
    // Whatever a token is made of, it is one key.
    server.cli(&["set", "a b\r\nc*", "h:1"]);
    assert_eq!(place(&desk.look_up(&server.tokens(), "a b\r\nc*")), Ok("h:1".to_owned()));
    assert_eq!(desk.count("found"), 5);
}

#[test]
fn passwords_databases_and_namespaces_are_used() {
    let (server, mut desk) = (Server::start(Some("canary-password")), Desk::start());
    server.cli(&["-n", "3", "set", "vms:a", "h:3"]);
    server.cli(&["set", "a", "h:1"]);
    let found = |desk: &mut Desk, tokens| place(&desk.look_up(&tokens, "a"));
    let password = server.password;
    assert_eq!(found(&mut desk, of(server.address, 0, password, None)), Ok("h:1".to_owned()));
    let both = of(server.address, 3, password, Some("vms"));
    assert_eq!(found(&mut desk, both), Ok("h:3".to_owned()));
    let other = of(server.address, 3, password, None);
    assert_eq!(found(&mut desk, other), Err(TokenFault::Unknown));
    for wrong in [None, Some("canary-wrong")] {
        let refused = desk.look_up(&of(server.address, 0, wrong, None), "a").expect_err("locked");
        assert_eq!(refused.why, TokenFault::Unavailable);
        assert!(refused.detail.contains("mend the password"), "{}", refused.detail);
        assert!(!refused.detail.contains("canary"), "{}", refused.detail);
    }
    let refused = desk.look_up(&of(server.address, 999, password, None), "a").expect_err("none");
    assert_eq!(refused.why, TokenFault::Unavailable);
}

#[test]
fn a_server_that_was_gone_is_asked_again_when_it_is_back() {
    let (mut server, mut desk) = (Server::start(None), Desk::start());
    server.cli(&["set", "a", "h:1"]);
    let tokens = server.tokens();
    for _ in 0..3 {
        assert_eq!(place(&desk.look_up(&tokens, "a")), Ok("h:1".to_owned()));
    }
    let address = server.address;
    server.process.signal(Signal::SIGKILL);
    server.process.wait(Duration::from_secs(10));
    let watch = Stopwatch::start();
    let refused = desk.look_up(&tokens, "a").expect_err("it is down");
    assert_eq!(refused.why, TokenFault::Unavailable);
    assert!(refused.detail.contains("can't connect"), "{}", refused.detail);
    assert!(watch.elapsed() < PATIENCE / 2, "it took {:?}", watch.real());
    let server = Server::start_at(address, None);
    server.cli(&["set", "a", "h:2"]);
    assert_eq!(place(&desk.look_up(&tokens, "a")), Ok("h:2".to_owned()));
    // Connections that it has ended without dying.
    server.cli(&["client", "kill", "type", "normal"]);
    assert_eq!(place(&desk.look_up(&tokens, "a")), Ok("h:2".to_owned()));
}

#[test]
fn a_server_that_is_stuck_is_given_up_and_holds_up_nobody_else() {
    let (stuck, well, mut desk) = (Server::start(None), Server::start(None), Desk::start());
    for server in [&stuck, &well] {
        server.cli(&["set", "a", "h:1"]);
    }
    assert!(desk.look_up(&stuck.tokens(), "a").is_ok());
    stuck.process.signal(Signal::SIGSTOP);
    let watch = Stopwatch::start();
    for _ in 0..500 {
        desk.ask(&stuck.tokens(), "a", client(1));
    }
    let last = desk.ask(&well.tokens(), "a", client(1));
    let (first, judged) = desk.next();
    assert_eq!((first, place(&judged)), (last, Ok("h:1".to_owned())));
    assert!(watch.elapsed() < PATIENCE / 2, "it waited: {:?}", watch.real());
    for _ in 0..500 {
        assert_eq!(place(&desk.next().1), Err(TokenFault::Unavailable));
    }
    assert!(watch.elapsed() < 2 * PATIENCE, "they waited for each other: {:?}", watch.real());
    stuck.process.signal(Signal::SIGCONT);
    assert_eq!(place(&desk.look_up(&stuck.tokens(), "a")), Ok("h:1".to_owned()));
    assert_eq!(desk.count("late"), 500);
}

#[test]
fn what_is_no_redis_is_told_so() {
    let mut desk = Desk::start();
    for says in
        [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"$3\r\nabcdef", b"*1\r\n$1\r\na\r\n", b""]
    {
        let address = service::start(move |_, stream| service::say(stream, says));
        let refused = desk.look_up(&of(address, 0, None, None), "a").expect_err("no Redis");
        assert_eq!(refused.why, TokenFault::Unavailable);
    }
    let listener = TcpListener::bind((loopback::address(), 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let watch = Stopwatch::start();
    let refused = desk.look_up(&of(address, 0, None, None), "a").expect_err("nobody there");
    assert!(refused.detail.contains(&address.to_string()), "{}", refused.detail);
    assert!(watch.elapsed() < PATIENCE / 2);
}
