//! Whole files: what they mean, and where they are wrong.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use penstock_core::config::{HalfClose, IdleScope, ProxyProtocol, SendProxy};
use penstock_core::policy::{Query, Verdict};
use penstock_core::ring::{Driver, SpliceMode};
use penstock_core::tls::Implementation;

use super::*;

mod consoles;
mod gateways;
mod hosts;
mod tickets;
mod vnc;

/// Whoever knows the addresses of names, for command lines and files: `dual` has an address of each family, and nobody else has any.
pub(crate) fn resolve(name: Option<&str>, port: u16) -> io::Result<Vec<SocketAddr>> {
    let at = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), port);
    match name {
        None => Ok(vec![at("0.0.0.0"), at("::")]),
        Some("dual") => Ok(vec![at("fd00::1"), at("10.0.0.1")]),
        Some(_) => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Every key there is.
const FULL: &str = r#"
[engine]
workers = "auto"          # or a number
driver  = "auto"          # auto | uring | epoll
splice  = "auto"          # auto | inline | ring | off
memory  = "64MiB"         # pool of one worker, hard
per_direction = "64KiB"   # what one direction may hold
max_tunnels = "auto"
drain_timeout = "30s"

[log]
level  = "info"
access = { path = "access.log", format = "squid" }

[admin]
listen = "127.0.0.1:9128"

[acl]
safe_ports = { port = ["80", "443", "1025-65535"] }
lab        = { dst = ["127.0.0.0/8", "::1"] }

[[listen]]
name     = "spice-proxy"
address  = ["127.0.0.1:3128", "[::1]:3128"]
service  = "connect"
proxy_protocol = "off"
proxy_from     = []
access   = ["deny !safe_ports", "allow lab", "deny all"]
half_close = "close"
idle_scope = "client+target"
timeouts = { handshake = "10s", connect = "10s", idle = "15m", lifetime = "off" }
"#;

/// The least that serves, with room for more.
fn least(engine: &str, listen: &str) -> String {
    format!(
        "[engine]\n{engine}\n[[listen]]\nname = \"a\"\naddress = \"127.0.0.1:3128\"\nservice = \"connect\"\naccess = []\n{listen}\n"
    )
}

#[test]
fn the_documented_file_works_as_it_stands() {
    let settings = parse("penstock.toml", FULL).expect("documented");
    let engine = &settings.config.engine;
    assert_eq!((engine.workers, engine.driver, engine.splice), (None, None, SpliceMode::Inline));
    assert_eq!((engine.memory, engine.per_direction), (64 << 20, 64 << 10));
    assert_eq!((engine.max_tunnels, engine.drain_timeout), (None, Duration::from_secs(30)));
    assert_eq!(settings.log.level, Level::Info);
    let access = AccessLog { path: "access.log".into(), format: AccessFormat::Squid };
    assert_eq!(settings.log.access, Some(access));
    assert_eq!(settings.admin, "127.0.0.1:9128".parse().ok());
    let [listener] = &settings.config.listeners[..] else { panic!("one listener") };
    assert_eq!((&*listener.name, listener.addresses.len()), ("spice-proxy", 2));
    assert_eq!(listener.proxy_protocol, ProxyProtocol::Off);
    assert_eq!(listener.half_close, HalfClose::Close);
    assert_eq!(listener.idle_scope, IdleScope::ClientAndTarget);
    assert_eq!(listener.timeouts, penstock_core::config::Timeouts::default());
}

#[test]
fn what_is_left_out_is_what_the_documented_file_says() {
    let text = least("", "").replace("[engine]\n", "");
    let (short, full) = (parse("a", &text).expect("short"), parse("b", FULL).expect("full"));
    assert_eq!(format!("{:?}", short.config.engine), format!("{:?}", full.config.engine));
    let (a, b) = (&short.config.listeners[0], &full.config.listeners[0]);
    assert_eq!((a.timeouts, a.half_close, a.idle_scope), (b.timeouts, b.half_close, b.idle_scope));
    assert_eq!(
        (a.connect_timeout_status, a.strict_target, a.send_proxy),
        (503, false, SendProxy::Off)
    );
    assert_eq!((short.admin, short.log), (None, Log::default()));
}

#[test]
fn every_key_has_an_effect() {
    let engine = "workers = 3\ndriver = \"epoll\"\nsplice = \"ring\"\nmemory = \"1MiB\"\nper_direction = 8192\nmax_tunnels = 7\ndrain_timeout = \"1s\"\ngather = \"off\"\nbusy_poll = \"50us\"\ntls_provider = \"ring\"\nkeepalive = \"off\"\nuser_timeout = \"5s\"";
    let listen = "proxy_protocol = \"required\"\nproxy_from = [\"10.0.0.0/8\"]\nsend_proxy = \"v2\"\nhalf_close = \"forward\"\nidle_scope = \"tunnel\"\nconnect_timeout_status = 504\nstrict_connect_target = true\ntimeouts = { idle = \"off\", lifetime = \"12h\" }\n[log]\nlevel = \"debug\"\naccess = { path = \"-\", format = \"json\" }";
    let settings = parse("x", &least(engine, listen)).expect("all valid");
    let e = &settings.config.engine;
    assert_eq!((e.workers, e.driver, e.splice), (Some(3), Some(Driver::Epoll), SpliceMode::Ring));
    assert_eq!((e.gather, e.busy_poll), (Duration::ZERO, Duration::from_micros(50)));
    assert_eq!(e.tls, Some(Implementation::Ring));
    assert_eq!((e.memory, e.per_direction, e.max_tunnels), (1 << 20, 8192, Some(7)));
    assert_eq!((e.drain_timeout, e.socket.keepalive), (Duration::from_secs(1), None));
    assert_eq!(e.socket.user_timeout, Some(Duration::from_secs(5)));
    let l = &settings.config.listeners[0];
    assert_eq!((l.proxy_protocol, l.send_proxy), (ProxyProtocol::Required, SendProxy::V2));
    assert_eq!((l.half_close, l.idle_scope), (HalfClose::Forward, IdleScope::Tunnel));
    assert_eq!((l.connect_timeout_status, l.strict_target), (504, true));
    assert_eq!((l.timeouts.idle, l.timeouts.lifetime), (None, Some(Duration::from_secs(43_200))));
    assert_eq!(settings.log.level, Level::Debug);
    assert_eq!(settings.log.access.map(|access| access.format), Some(AccessFormat::Json));
}

#[test]
fn an_end_is_passed_on_where_there_is_somebody_to_hear_it() {
    let forward = |target: &str, more: &str| {
        let service = format!("service = \"forward\"\ntarget = \"{target}\"");
        least("", more).replace("service = \"connect\"\naccess = []", &service)
    };
    let half_close =
        |text: &str| parse("x", text).map(|found| found.config.listeners[0].half_close);
    let (line, port) = ("serial:/dev/ttyS0", "tcp://10.0.0.7:5900");
    assert_eq!(half_close(&forward(port, "")).ok(), Some(HalfClose::Forward));
    assert_eq!(half_close(&forward(line, "")).ok(), Some(HalfClose::Close));
    let refused = half_close(&forward(line, "half_close = \"forward\"")).expect_err("no end");
    assert!(refused.to_string().contains("half_close = \"close\""), "{refused}");
}

/// Text, the place of the error, and what its message must say.
type Wrong = (String, (usize, usize), &'static [&'static str]);

fn wrong_values() -> Vec<Wrong> {
    vec![
        (least("worker = 1", ""), (2, 1), &["unknown field `worker`", "`workers`"]),
        (least("workers = 0", ""), (2, 11), &["integer `0`", "a number above zero, or \"auto\""]),
        (least("workers = 300", ""), (2, 11), &["at most 256"]),
        (least("driver = \"kqueue\"", ""), (2, 10), &["`kqueue`", "`uring`", "`epoll`"]),
        (least("splice = 1", ""), (2, 10), &["wanted string"]),
        (least("memory = \"64MB\"", ""), (2, 10), &["\"64MB\"", "\"64MiB\""]),
        (least("memory = \"1KiB\"", ""), (2, 10), &["at least 32KiB", "1024 bytes"]),
        (least("per_direction = \"1KiB\"", ""), (2, 17), &["4KiB", "1024 bytes"]),
        (least("per_direction = \"1GiB\"", ""), (2, 17), &["no more than `memory`"]),
        (least("memory = \"48KiB\"", ""), (2, 10), &["`per_direction`", "49152", "65536"]),
        (least("drain_timeout = \"10x\"", ""), (2, 17), &["\"10x\"", "\"10s\""]),
        (least("busy_poll = \"11ms\"", ""), (2, 13), &["at most \"10ms\""]),
        (least("gather = \"11ms\"", ""), (2, 10), &["at most \"10ms\""]),
        (least("keepalive = \"500ms\"", ""), (2, 13), &["whole seconds"]),
        (least("", "timeouts = { idle = \"soon\" }"), (8, 21), &["\"soon\"", "or \"off\""]),
        (least("", "timeouts = { handshake = \"off\" }"), (8, 26), &["\"off\"", "\"10s\""]),
        (least("", "timeouts = { idel = \"1s\" }"), (8, 14), &["`idel`", "`idle`"]),
        (least("", "connect_timeout_status = 500"), (8, 26), &["503 or 504", "500"]),
        (least("", "proxy_protocol = \"required\""), (8, 18), &["`proxy_from`"]),
        (least("", "[admin]\nlisten = \"localhost:1\""), (9, 10), &["\"localhost:1\"", "port"]),
        (least("", "[log]\nlevel = \"loud\""), (9, 9), &["`loud`", "`info`"]),
        (least("", "[acl]\nx = { srcs = [] }"), (9, 7), &["`srcs`", "`src`"]),
        (least("", "[engines]"), (8, 2), &["`engines`", "`engine`"]),
        (least("", "name = \"b\""), (8, 1), &["duplicate key"]),
    ]
}

fn wrong_places() -> Vec<Wrong> {
    let second = "[[listen]]\nname = \"a\"\naddress = \"127.0.0.1:3129\"\nservice = \"connect\"\naccess = []";
    let again = second.replace("\"a\"", "\"b\"").replace("3129", "3128");
    let unparsable = least("", "").replace("\"127.0.0.1:3128\"", "[\"[::1]:1\", \"127.0.0.1\"]");
    vec![
        (least("", second), (9, 8), &["a name of its own", "`a`"]),
        (least("", &again), (10, 11), &["127.0.0.1:3128", "twice"]),
        (least("", "[admin]\nlisten = \"127.0.0.1:3128\""), (5, 11), &["twice"]),
        (unparsable, (5, 23), &["\"127.0.0.1\"", "\"127.0.0.1:3128\""]),
        (least("", "").replace("\"127.0.0.1:3128\"", "[]"), (5, 11), &["at least one"]),
        (least("", "").replace("access = []\n", ""), (6, 11), &["missing field `access`"]),
        (least("", "").replace("\"connect\"", "\"socks\""), (6, 11), &["`socks`", "`connect`"]),
        (least("", "x = "), (8, 5), &[]),
    ]
}

fn wrong_rules() -> Vec<Wrong> {
    let access = |line: &str| least("", "").replace("access = []", &format!("access = [{line}]"));
    let acl = |values: &str| least("", &format!("[acl]\nx = {{ {values} }}"));
    vec![
        (access("\"allow all\", \"deny  !lba\""), (7, 31), &["no list named `lba`"]),
        (access("\"permit all\""), (7, 12), &["`allow` or `deny`", "`permit`"]),
        (access("\"allow\""), (7, 11), &["expected the name of a list"]),
        (acl("dst = [\"10.0.0.0/8\", \"10.0.0.1/8\"]"), (9, 28), &["`10.0.0.1/8`", "behind"]),
        (acl("port = [80, \"http\"]"), (9, 19), &["`http` is not a port"]),
        (acl("port = []"), (9, 14), &["without values"]),
        (acl(""), (9, 1), &["without values"]),
        (least("", "[acl]\nall = { port = [1] }"), (9, 1), &["`all` is taken"]),
        (
            least("", "proxy_protocol = \"required\"\nproxy_from = [\"here\"]"),
            (9, 15),
            &["`here` is not an address"],
        ),
    ]
}

#[test]
fn each_error_has_its_place_and_says_what_was_expected() {
    for (text, place, parts) in
        wrong_values().into_iter().chain(wrong_places()).chain(wrong_rules())
    {
        let error = parse("f.toml", &text).expect_err(&text);
        let shown = error.to_string();
        assert_eq!(error.position(), Some(place), "{shown}");
        assert!(shown.starts_with(&format!("f.toml:{}:{}: ", place.0, place.1)), "{shown}");
        for part in parts {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}

#[test]
fn a_file_without_listeners_or_no_file_is_an_error_without_place() {
    let error = parse("f.toml", "[engine]\n").expect_err("nothing to serve");
    assert_eq!(error.to_string(), "f.toml: nothing to serve: expected at least one [[listen]]");
    let error = load(Path::new("/nonexistent/penstock.toml")).expect_err("no file");
    assert!(error.to_string().starts_with("/nonexistent/penstock.toml: can't read"), "{error}");
}

#[test]
fn the_embedded_default_stays_on_loopback() {
    let settings = default();
    let listeners = &settings.config.listeners;
    let addresses = listeners.iter().flat_map(|listener| &listener.addresses);
    let shown: Vec<String> = addresses.map(ToString::to_string).collect();
    let expected = ["127.0.0.1:3128", "[::1]:3128", "127.0.0.1:6080", "[::1]:6080"];
    assert_eq!(shown, expected);
    assert_eq!(settings.admin, "127.0.0.1:9128".parse().ok());
}

#[test]
fn the_embedded_default_lets_only_this_host_reach_private_networks() {
    let rules = &default().config.listeners[0].rules;
    let verdict = |client: &str, target: &str| {
        let address = |text: &str| text.parse().expect("an address");
        let query = Query {
            client: Some(address(client)),
            local: None,
            method: "CONNECT",
            host: None,
            address: Some(address(target)),
            port: 5900,
            time: Default::default(),
        };
        matches!(rules.evaluate(&query), Verdict::Allow { .. })
    };
    for target in ["127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00::1"] {
        assert!(verdict("127.0.0.1", target) && verdict("::1", target), "{target}");
        assert!(!verdict("10.0.0.9", target), "{target} from elsewhere");
    }
    for target in ["8.8.8.8", "2001:db8::1", "169.254.169.254", "0.0.0.0", "::"] {
        assert!(!verdict("127.0.0.1", target), "{target}");
    }
}

#[test]
fn the_explanation_says_how_a_target_is_reached() {
    for (target, part) in [
        ("tcp://127.0.0.1:1", "TCP in the clear to 127.0.0.1:1"),
        ("unix:/nowhere", "UNIX socket /nowhere (missing)"),
        ("serial:/nowhere?baud=9600", "device /nowhere (missing)\n    line 9600 8N1"),
        ("qemu+tcp://h/system", "TCP in the clear to h, port 16509"),
    ] {
        let text = format!(
            "[[listen]]\nname = \"x\"\naddress = \"unix:/tmp/x\"\nservice = \"forward\"\ntarget = \"{target}\"\n"
        );
        let text = explain(&parse("x", &text).expect("valid"));
        assert!(text.contains(&format!("  target:\n    {part}")), "{part} in\n{text}");
    }
}

#[test]
fn the_explanation_names_every_limit() {
    let text = explain(&parse("x", FULL).expect("documented"));
    let parts = [
        "workers: one per core",
        "64MiB a worker, 64KiB a direction",
        "buffers of a worker: 5775 of 4KiB",
        "live on for 30s",
        "access log: access.log, in Squid's native format",
        "http://127.0.0.1:9128/",
        "listen `spice-proxy`",
        "address: [::1]:3128",
        "request 10s, connect 10s (status 503), idle 15m",
        "lifetime off",
        "1. deny ",
        "otherwise deny",
    ];
    for part in parts {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}
