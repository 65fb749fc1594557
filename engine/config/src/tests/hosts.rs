//! Listeners on which the program around the engine has a word: what each key does, each contradiction at its place, and that the daemon
//! has none of it.

use std::time::Duration;

use penstock_core::config::{ConsoleTarget, HostPolicy, Listener, Reach, Service};

use super::gateways::assert_all_wrong_of;
use super::*;

fn text(lines: &str) -> String {
    let address = match lines.contains("address =") || lines.contains("no address") {
        true => "",
        false => "address = \"127.0.0.1:3128\"\n",
    };
    format!("[[listen]]\nname = \"a\"\n{address}{lines}\n")
}

fn parsed(lines: &str) -> Listener {
    let mut settings = parse("f", &text(lines)).unwrap_or_else(|error| panic!("{error}\n{lines}"));
    assert!(settings.needs_host.is_some(), "{lines}");
    settings.config.listeners.remove(0)
}

fn asks(seconds: u64) -> Option<HostPolicy> {
    Some(HostPolicy { timeout: Duration::from_secs(seconds) })
}

#[test]
fn the_host_is_asked_on_any_listener() {
    let connect = parsed("service = \"connect\"\npolicy = \"host\"");
    assert_eq!((connect.service, connect.asks_host), (Service::Connect, asks(10)));
    assert_eq!(connect.rules.explain().len(), 2, "everybody, and what happens then");
    let forward = parsed("service = \"forward\"\npolicy = \"host\"\ntimeouts = { token = \"3s\" }");
    assert_eq!(forward.asks_host, asks(3));
    assert_eq!(forward.service.destination().map(|to| &to.reach), Some(&Reach::HandedOver));
    let own = parsed("service = \"forward\"\ntarget = \"tcp://10.0.0.7:5900\"\npolicy = \"host\"");
    assert!(matches!(own.service.destination().map(|to| &to.reach), Some(Reach::Network(_))));
    let console =
        parsed("service = \"console\"\npolicy = \"host\"\nupstream_tls = { verify = \"off\" }");
    let Service::Console(consoles) = &console.service else { panic!("{console:?}") };
    let ConsoleTarget::Fixed(to) = &consoles.to else { panic!("{consoles:?}") };
    assert_eq!((&to.reach, console.asks_host), (&Reach::HandedOver, asks(10)));
    assert!(console.upstream_tls.is_some());
    // Whom the host lets in may have what only we may use.
    let held = "service = \"forward\"\ntarget = \"unix:/run/b\"\npolicy = \"host\"";
    assert!(parsed(held).asks_host.is_some());
}

#[test]
fn what_is_handed_over_needs_no_address() {
    for service in ["forward", "console"] {
        let lines = format!("# no address\nservice = \"{service}\"\ntarget = \"handed-over\"");
        let listener = parsed(&lines);
        assert_eq!((listener.addresses.len(), listener.asks_host), (0, None));
        let to = listener.service.destination().expect("one");
        assert_eq!(to.reach, Reach::HandedOver);
    }
    // Whatever socket comes, proxies before us may say of whom they speak.
    let console = "# no address\nservice = \"console\"\ntarget = \"handed-over\"";
    parsed(&format!("{console}\ntrusted_proxies = [\"10.0.0.0/8\"]"));
    for service in ["connect", "forward", "console"] {
        let lines = format!("# no address\nservice = \"{service}\"\npolicy = \"host\"");
        assert_eq!(parsed(&lines).addresses, []);
    }
}

#[test]
fn contradictions_have_their_place() {
    assert_all_wrong_of(
        text,
        &[
            ("service = \"connect\"\npolicy = ⟨\"token\"⟩", &["`token`", "`host`"]),
            (
                "service = \"console\"\npolicy = \"host\"\ntokens = ⟨{ plugin = \"TokenFile\", source = \"/t\" }⟩",
                &["the host judges tokens", "leave `tokens` or `policy` out"],
            ),
            (
                "service = \"console\"\npolicy = \"host\"\nhost_token = ⟨true⟩",
                &["`host_token` is about tokens"],
            ),
            (
                "service = \"connect\"\ntarget = ⟨\"handed-over\"⟩\naccess = []",
                &["names the target"],
            ),
            (
                "service = \"forward\"\ntarget = \"handed-over\"\nreadonly = ⟨true⟩",
                &["about libvirt"],
            ),
            (
                "service = \"forward\"\ntarget = \"handed-over\"\ntimeouts = { token = ⟨\"1s\"⟩ }",
                &["`timeouts.token`"],
            ),
            (
                "service = \"console\"\ntarget = \"handed-over\"\ntimeouts = { token = ⟨\"1s\"⟩ }",
                &["`timeouts.token`"],
            ),
            (
                "service = \"console\"\ntarget = ⟨\"handed-over\"⟩\ntokens = { plugin = \"TokenFile\", source = \"/t\" }",
                &["a token names the target"],
            ),
        ],
    );
    let nowhere =
        "[[listen]]\nname = \"a\"\nservice = \"forward\"\ntarget = \"tcp://10.0.0.7:1\"\n";
    let error = parse("f", nowhere).expect_err("it listens nowhere");
    assert_eq!(error.position(), Some((2, 8)));
    assert!(error.to_string().contains("missing field `address`"), "{error}");
}

#[test]
fn the_daemon_has_no_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.toml");
    let loaded = |lines: &str| {
        std::fs::write(&path, text(lines)).expect("room");
        load(&path)
    };
    let asked = "service = \"connect\"\npolicy = \"host\"\naccess = [\"allow all\"]";
    let handed = "service = \"forward\"\ntarget = \"handed-over\"";
    for (lines, position, word) in
        [(asked, (5, 10), "can answer"), (handed, (5, 10), "hand connections over")]
    {
        let error = loaded(lines).expect_err("there is no host");
        assert_eq!(error.position(), Some(position), "{error}");
        let shown = error.to_string();
        assert!(shown.contains("only a program that embeds the engine"), "{shown}");
        assert!(shown.contains(word) && shown.contains("see penstock.h"), "{shown}");
    }
    let alone =
        loaded("service = \"connect\"\naccess = [\"allow all\"]").expect("nobody is needed");
    assert!(alone.needs_host.is_none());
}

#[test]
fn it_is_explained() {
    let told = |lines: &str| explain(&parse("f", &text(lines)).expect("it is right"));
    let asked = told("service = \"console\"\npolicy = \"host\"\ntimeouts = { token = \"3s\" }");
    assert!(asked.contains("the host is asked about each client, and has 3s to answer"), "{asked}");
    assert!(asked.contains("console: what the host names"), "{asked}");
    let handed = told("service = \"forward\"\ntarget = \"handed-over\"");
    assert!(handed.contains("target: what is handed over"), "{handed}");
    assert!(!handed.contains("is asked"), "{handed}");
}
