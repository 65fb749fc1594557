//! Tokens through the real daemon: a browser's request is led to where its source says, or told no, and no token is ever shown.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use penstock_tests::{
    Driver, Penstock, Setup, Stopwatch, both_drivers, connect, http, loopback, process,
};

use crate::service::{self, answer};

both_drivers! {
    a_browser_is_led_to_where_its_token_says_and_no_token_is_shown,
    who_waits_too_long_for_a_look_up_is_told_and_the_log_says_where,
}

/// Where consoles of each kind of source are.
const PORTS: [(&str, u16); 5] =
    [("file", 6080), ("single", 6081), ("sockets", 6082), ("api", 6083), ("down", 6084)];

/// What every token here contains, and what sources say that is wrong.
const CANARY: &str = "canary7";

/// Asks for a console; the status, all that came, and the connection.
fn ask(daemon: SocketAddr, token: &str) -> (u16, String, TcpStream) {
    let mut stream = TcpStream::connect(daemon).expect("it listens");
    connect::be_patient(&stream).expect("a socket");
    let token: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let head = format!(
        "GET /websockify?token={token} HTTP/1.1\r\nHost: {daemon}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("in time") == 1 {
        said.push(byte[0]);
    }
    let mut said = String::from_utf8(said).expect("text");
    let status = said.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    if status != 101 {
        stream.read_to_string(&mut said).expect("a body");
    }
    (status, said, stream)
}

fn setup(driver: Driver, sources: &[(&str, String)]) -> Setup {
    let setup = Setup::without_listeners(driver);
    let address = setup.address();
    let setup = setup.set("acl", "lab", "{ dst = [\"127.0.0.0/8\"] }");
    sources.iter().fold(setup, |setup, (name, tokens)| {
        let (_, port) = PORTS.iter().find(|(known, _)| known == name).expect("it has a port");
        setup.listener(&format!(
            "name = \"{name}\"\naddress = [\"{address}:{port}\"]\nservice = \"console\"\n\
             tokens = {{ {tokens} }}\naccess = [\"allow lab\", \"allow all\"]"
        ))
    })
}

/// Everything that anybody can read of a daemon.
fn shown(daemon: &mut Penstock, ends: usize) -> Vec<(&'static str, String)> {
    daemon.records(ends);
    let page = |path| http::get(daemon.admin(), path).expect("the admin page").1;
    let pages = [("metrics", page("/metrics")), ("tunnels", page("/tunnels"))];
    let line = fs::read_to_string(format!("/proc/{}/cmdline", daemon.pid())).expect("it runs");
    let said = [("messages", daemon.said()), ("process list", line)];
    let log = ("access log", daemon.process().text("access.log"));
    pages.into_iter().chain(said).chain([log]).collect()
}

fn a_browser_is_led_to_where_its_token_says_and_no_token_is_shown(driver: Driver) {
    let dir = process::directory();
    let target = TcpListener::bind((loopback::address(), 0)).expect("a port");
    let to = target.local_addr().expect("bound");
    let [file, sockets] = ["tokens", "sockets"].map(|name| dir.path().join(name));
    let lines = format!(
        "good-{CANARY}: {to}\nuri-{CANARY}: qemu+ext:///{CANARY}\nport-{CANARY}: {}:0\n",
        to.ip()
    );
    fs::write(&file, lines).expect("our directory");
    fs::create_dir(&sockets).expect("our directory");
    let console = UnixListener::bind(sockets.join(format!("good-{CANARY}"))).expect("bound");
    let _outside = UnixListener::bind(dir.path().join(format!("evil-{CANARY}"))).expect("bound");
    let api = service::start(move |head, stream| match head.contains("good-") {
        true => answer(stream, "200 OK", &to.to_string()),
        false => answer(stream, "200 OK", &format!("tcp://{CANARY}")),
    });
    let down = loopback::address();
    let plugin =
        |plugin: &str, source: &str| format!("plugin = \"{plugin}\", source = \"{source}\"");
    let path = file.display().to_string();
    let sources = [
        ("file", plugin("TokenFile", &path)),
        ("single", plugin("ReadOnlyTokenFile", &path) + ", single_use = true"),
        ("sockets", plugin("UnixDomainSocketDirectory", &sockets.display().to_string())),
        ("api", plugin("BaseTokenAPI", &format!("http://{api}/%s?key={CANARY}"))),
        ("down", plugin("TokenRedis", &format!("{down}:1:0:{CANARY}"))),
    ];
    let mut daemon = setup(driver, &sources).start();
    let mut asked = 0;
    for (source, token, expected) in [
        ("file", "good-", 101),
        ("file", "uri-", 403),
        ("file", "port-", 403),
        ("file", "none-", 403),
        ("single", "good-", 101),
        // The same viewer.
        ("single", "good-", 101),
        ("sockets", "good-", 101),
        ("sockets", "../evil-", 403),
        ("sockets", "none-", 403),
        ("api", "good-", 101),
        ("api", "bad-", 403),
        ("down", "good-", 503),
    ] {
        let (_, port) = PORTS.iter().find(|(known, _)| *known == source).expect("a port");
        let address = SocketAddr::new(daemon.admin().ip(), *port);
        let (status, said, _stream) = ask(address, &format!("{token}{CANARY}"));
        assert_eq!(status, expected, "{source} {token}: {said}{}", daemon.said());
        assert!(!said.contains(CANARY), "{said}");
        asked += 1;
        match (status, source) {
            (101, "sockets") => drop(console.accept().expect("it is led here")),
            (101, _) => drop(target.accept().expect("it is led here")),
            _ => {}
        }
    }
    for (where_, text) in shown(&mut daemon, asked) {
        assert!(!text.contains(CANARY), "in {where_}: {text}");
    }
    let details = daemon.process().text("access.log");
    for told in ["line 2: expected host:port, came a URI", "can't connect", "no line is for"] {
        assert!(details.contains(told), "{told} is not in {details}");
    }
    target.set_nonblocking(true).expect("ours");
    std::thread::sleep(Duration::from_millis(50));
    assert!(target.accept().is_err(), "nobody else was led here");
}

fn who_waits_too_long_for_a_look_up_is_told_and_the_log_says_where(driver: Driver) {
    let silent = service::start(|_, _| std::thread::sleep(Duration::from_secs(60)));
    let setup = Setup::without_listeners(driver);
    let address = SocketAddr::new(setup.address(), 6080);
    let mut daemon = setup
        .listener(&format!(
            "name = \"slow\"\naddress = \"{address}\"\nservice = \"console\"\n\
             tokens = {{ plugin = \"BaseTokenAPI\", source = \"http://{silent}/%s\" }}\n\
             timeouts = {{ token = \"300ms\" }}"
        ))
        .start();
    let watch = Stopwatch::start();
    let (status, said, _stream) = ask(address, CANARY);
    assert_eq!(status, 503, "{said}");
    assert!(watch.elapsed() < Duration::from_millis(1200), "{:?}", watch.real());
    assert_eq!(daemon.records(1)[0]["cause"], "token_lookup_failed");
    let details = daemon.process().text("access.log");
    assert!(details.contains("no answer within 300ms"), "{details}");
}
