//! Who may have a console is said by websockify's plugins, and by users' own.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use penstock_tests::connect;
use penstock_tests::{Stopwatch, loopback, process, wait};

use crate::rig::{Became, LIMIT, Server, echo, fresh, leave, python};

pub(crate) const MODULE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websockify_host/plugins.py");

/// So many plugins may think at a time, `EngineServer.judges`.
const JUDGES: usize = 64;

#[test]
fn tokens_of_a_file_lead_on_and_others_are_refused() {
    let (dir, first, second) = (process::directory(), echo(), echo());
    let file = dir.path().join("tokens");
    fs::write(&file, format!("one: {first}\n")).expect("our folder");
    let server =
        Server::start(&format!("{{}} --token-plugin TokenFile --token-source {}", file.display()));
    assert_eq!(server.ask("/?token=one", ""), Became::Served, "{}", server.said());
    assert_eq!(server.ask("/websockify?token=two", ""), Became::Told(403));
    assert_eq!(server.ask("/", ""), Became::Told(403));
    // It is read again for each.
    fs::write(&file, format!("two: {second}\n")).expect("our folder");
    assert_eq!(server.ask("/?token=two", ""), Became::Served, "{}", server.said());
    assert_eq!(server.ask("/?token=one", ""), Became::Told(403));
    leave(server.open("/?token=two"));
}

#[test]
fn nobody_is_there_is_told_by_a_close_code() {
    let at = fresh();
    let server = Server::start(&format!("{{}} {at}"));
    assert_eq!(server.ask("/", ""), Became::Closed(Some(1011)), "{}", server.said());
    // In websockify's words, for whoever looks for them.
    let words = format!("] Failed to connect to {at}: [Errno 111] Connection refused");
    wait::until_true("it is in the log", LIMIT, || server.said().contains(&words));
}

/// A server that knows one token, as JSONTokenApi asks for it.
fn service(target: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((loopback::address(), 8080)).expect("an address of ours");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or(0);
            let known = head[..length].starts_with(b"GET /consoles/known ");
            let (ip, port) = (target.ip(), target.port());
            let (status, body) = match known {
                true => ("200 OK", format!("{{\"host\": \"{ip}\", \"port\": {port}}}")),
                false => ("404 Not Found", "{}".to_owned()),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    address
}

#[test]
fn tokens_of_a_service_lead_on() {
    let service = service(echo());
    let server = Server::start(&format!(
        "{{}} --token-plugin JSONTokenApi --token-source http://{service}/consoles/%s"
    ));
    assert_eq!(server.ask("/?token=known", ""), Became::Served, "{}", server.said());
    assert_eq!(server.ask("/?token=other", ""), Became::Told(403), "{}", server.said());
}

#[test]
fn a_users_own_plugins_are_asked_each_by_itself() {
    let target = echo();
    let server = Server::start(
        "{} --token-plugin plugins.Tokens --token-source vm- --auth-plugin plugins.Anybody",
    );
    let token = format!("vm-{}_{}", target.ip(), target.port());
    assert_eq!(server.ask(&format!("/?token={token}"), ""), Became::Served, "{}", server.said());
    assert!(server.said().contains(&format!("asked for {} {}", target.ip(), target.port())));
    assert_eq!(server.ask("/?token=other", ""), Became::Told(403));
    // Where neighbours of ours tell secrets, no token leads.
    assert_eq!(server.ask("/?token=vm-169.254.169.254_80", ""), Became::Told(403));
    // A mistake in a plugin opens nothing, and is nobody else's to read.
    let (_, status, head) = server.browse("/?token=fail", "");
    assert_eq!(status, 403, "{head}");
    assert!(!head.contains("canary7") && server.said().contains("canary7"), "{}", server.said());
    assert_eq!(server.ask(&format!("/?token={token}"), ""), Became::Served);
}

/// Browsers whose tokens never come to anything, more than plugins may think at a time.
fn hang(server: &Server) -> Vec<TcpStream> {
    let ask = |number| {
        let mut stream = connect::dial(server.address).expect("it listens");
        let head = penstock_tests::web_socket::request("x", &format!("/?token=hang{number}"), "");
        stream.write_all(head.as_bytes()).expect("it reads");
        stream
    };
    (0..3 * JUDGES).map(ask).collect()
}

#[test]
fn a_plugin_that_hangs_holds_up_nobody_else() {
    let target = echo();
    let server = Server::start("{} --token-plugin plugins.Tokens --token-source vm-");
    let token = format!("/?token=vm-{}_{}", target.ip(), target.port());
    let hanging = hang(&server);
    let watch = Stopwatch::start();
    for _ in 0..20 {
        leave(server.open(&token));
    }
    assert!(watch.elapsed().as_secs() < 20, "{:?}", watch.elapsed());
    // Whoever waits for what never comes is told after half a minute.
    for mut stream in hanging {
        stream.set_read_timeout(Some(2 * LIMIT)).expect("a socket");
        let reply = connect::reply(&mut stream).expect("an answer");
        assert_eq!(reply.status, 503, "{}", server.said());
    }
    // Nor does anybody who has left.
    drop(hang(&server));
    let watch = Stopwatch::start();
    leave(server.open(&token));
    assert!(watch.elapsed().as_secs() < 20, "{:?}", watch.elapsed());
}

#[test]
fn a_password_is_asked_for() {
    let server = Server::start(&format!(
        "{{}} {} --auth-plugin BasicHTTPAuth --auth-source admin:canary7",
        echo()
    ));
    let (_, status, head) = server.browse("/", "");
    assert_eq!(status, 401);
    assert!(head.contains("WWW-Authenticate: Basic realm=\"Websockify\"\r\n"), "{head}");
    let shows = |text: &str| format!("Authorization: Basic {text}\r\n");
    assert_eq!(server.ask("/", &shows("YWRtaW46Y2FuYXJ5Nw==")), Became::Served);
    assert_eq!(server.ask("/", &shows("YWRtaW46Y2FuYXJ5OA==")), Became::Told(401));
    assert!(!server.said().contains("canary7"), "{}", server.said());
}

#[test]
fn a_plugin_leads_to_a_login() {
    let portal = "--auth-plugin plugins.Portal --auth-source https://login.example/?back=1";
    let server = Server::start(&format!("{{}} {} {portal}", echo()));
    let (_, status, head) = server.browse("/", "");
    assert_eq!(status, 302, "{head}");
    assert!(head.contains("\r\nLocation: https://login.example/?back=1\r\n"), "{head}");
}

#[test]
fn pages_of_a_listed_origin_alone_get_consoles() {
    let server = Server::start(&format!(
        "{{}} {} --auth-plugin ExpectOrigin --auth-source https://portal.example",
        echo()
    ));
    assert_eq!(server.ask("/", "Origin: https://portal.example\r\n"), Became::Served);
    assert_eq!(server.ask("/", "Origin: https://evil.example\r\n"), Became::Told(403));
    assert_eq!(server.ask("/", ""), Became::Told(403));
    let server = Server::start(&format!("{{}} {}", echo()));
    assert_eq!(server.ask("/", "Origin: https://evil.example\r\n"), Became::Served);
}

#[test]
fn a_users_own_handler_checks_and_connects() {
    let (address, target) = (fresh(), echo());
    let mut command = python();
    command.args([MODULE, &address.to_string(), &target.to_string()]);
    let server = Server::spawn(address, &mut command);
    assert_eq!(server.ask("/console/7", ""), Became::Served, "{}", server.said());
    assert_eq!(server.ask("/other", ""), Became::Told(403), "{}", server.said());
    assert!(server.said().contains("a console for 127."), "{}", server.said());
    assert!(server.said().contains("no console of that name"), "{}", server.said());
    leave(server.open("/console/7"));
}
