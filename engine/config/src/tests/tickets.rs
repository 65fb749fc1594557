//! oVirt's tickets as a source of tokens: what each key does, and each contradiction at its place, marked as `⟨what is wrong⟩`.

use std::time::Duration;

use penstock_core::config::{Carried, ConsoleTarget, Service, TokenSource};

use super::gateways::{Files, assert_all_wrong_of};
use super::*;

/// A listener that trusts somebody.
fn text(lines: &str) -> String {
    format!(
        "[[listen]]\nname = \"o\"\naddress = \"127.0.0.1:6100\"\nservice = \"console\"\nupstream_tls = {{ ca = \"DIR/ca\" }}\n{lines}\n"
    )
}

fn source(keys: &str) -> TokenSource {
    let files = Files::new();
    let lines = format!("tokens = {{ plugin = \"ovirt\", {keys} }}");
    let settings = parse("f", &files.filled(&text(&lines))).unwrap_or_else(|e| panic!("{e}"));
    assert!(explain(&settings).contains("as the path says, by oVirt's tickets"));
    match &settings.config.listeners[0].service {
        Service::Console(console) => match &console.to {
            ConsoleTarget::Tokens(tokens) => tokens.source.clone(),
            ConsoleTarget::Fixed(_) => panic!("{console:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_key_of_tickets_does_what_it_says() {
    for (keys, expected) in [
        ("cert = \"DIR/one\"", (true, Duration::ZERO)),
        ("cert = \"DIR/one\", replay = \"allow\", skew = \"off\"", (true, Duration::ZERO)),
        ("cert = \"DIR/one\", replay = \"deny\", skew = \"5s\"", (false, Duration::from_secs(5))),
    ] {
        let source = source(keys);
        assert_eq!(source.carried(), Carried::Path);
        let TokenSource::Ovirt { cert, replay, skew } = source else { panic!("{source:?}") };
        assert!(cert.ends_with("one"));
        assert_eq!((replay, skew), expected, "{keys}");
    }
}

#[test]
fn contradictions_of_tickets_have_their_place() {
    let tokens =
        |keys: &str| format!("tokens = {{ plugin = \"ovirt\", cert = \"DIR/one\"{keys} }}");
    let beside = |line: &str| format!("{}\n{line}", tokens(""));
    let file = |key: &str| format!("tokens = {{ plugin = \"TokenFile\", source = \"/t\", {key} }}");
    assert_all_wrong_of(
        text,
        &[
            ("tokens = { plugin = ⟨\"ovirt\"⟩ }", &["needs `cert`", "engine.cer"]),
            ("tokens = { plugin = \"ovirt\", cert = ⟨\"/nowhere\"⟩ }", &["can't read /nowhere"]),
            (
                "tokens = { plugin = \"ovirt\", cert = ⟨\"DIR/one.key\"⟩ }",
                &["a certificate in PEM"],
            ),
            (&tokens(", source = ⟨\"/t\"⟩"), &["`source` is not for tickets"]),
            (&tokens(", single_use = ⟨true⟩"), &["`single_use`", "replay = \"deny\""]),
            (&tokens(", bind_client = ⟨true⟩"), &["`bind_client`"]),
            (&tokens(", expiry = ⟨\"1m\"⟩"), &["`expiry`"]),
            (&tokens(", replay = ⟨\"never\"⟩"), &["`allow`"]),
            (&tokens(", skew = ⟨\"0s\"⟩"), &["off"]),
            (&file("cert = ⟨\"DIR/one\"⟩"), &["`cert` is about tickets of oVirt's"]),
            (&file("replay = ⟨\"deny\"⟩"), &["`replay`"]),
            (&file("skew = ⟨\"1s\"⟩"), &["`skew`"]),
            (&beside("web = ⟨\"demo:\"⟩"), &["every path is a ticket", "`web`"]),
            (&beside("host_token = ⟨true⟩"), &["every path is a ticket", "`host_token`"]),
        ],
    );
}

#[test]
fn tickets_need_somebody_to_trust() {
    let clear = |lines: &str| text(lines).replace("upstream_tls = { ca = \"DIR/ca\" }\n", "");
    assert_all_wrong_of(
        clear,
        &[(
            "tokens = { plugin = ⟨\"ovirt\"⟩, cert = \"DIR/one\" }",
            &["which consoles want TLS", "/etc/pki/ovirt-engine/ca.pem"],
        )],
    );
}
