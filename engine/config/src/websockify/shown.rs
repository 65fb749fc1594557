//! What is said at the start: what is served, as websockify says it, and what an operator should know who has just replaced it.

use penstock_core::config::{Address, ConsoleTarget, Listener, Service, Web};

use super::options::Given;

/// What is served, a line each.
pub(super) fn lines(given: &Given, listener: &Listener) -> Vec<String> {
    let Service::Console(console) = &listener.service else { return Vec::new() };
    let addresses: Vec<String> = listener.addresses.iter().map(Address::to_string).collect();
    let from = addresses.join(", ");
    let mut lines = vec![format!("listen on {from}")];
    if let Some(Web::Directory(path)) = console.web.as_deref() {
        lines
            .push(format!("web server, without listings of folders; its root: {}", path.display()));
    }
    lines.push(match &listener.tls {
        Some(tls) if tls.only => "TLS; connections in the clear are denied".to_owned(),
        Some(_) => "TLS and connections in the clear".to_owned(),
        None => "no TLS (no certificate)".to_owned(),
    });
    if let Some(record) = &listener.record {
        lines.push(format!("recording to {}.*", record.path.display()));
    }
    if given.flag("daemon") {
        lines.push("in the background".to_owned());
    }
    let target = match &console.to {
        ConsoleTarget::Fixed(destination) => destination.text.to_string(),
        ConsoleTarget::Tokens(tokens) => format!("targets of {:?}", tokens.source),
    };
    let tls = if listener.upstream_tls.is_some() { " (using TLS)" } else { "" };
    lines.push(format!("proxying from {from} to {target}{tls}"));
    lines
}

/// What is open, what is ignored, and what is not as it seems.
pub(super) fn warnings(given: &Given, listener: &Listener) -> Vec<String> {
    let has_tls = listener.tls.is_some();
    let named_certificate = given.text("cert").filter(|_| !has_tls);
    let missing = named_certificate.map(|name| {
        format!("--cert: {name} is not there, so there is no TLS; --ssl-only refuses to start then")
    });
    let of_tls = ["verify-client", "key", "key-password-file"];
    let without = of_tls.into_iter().find(|long| given.flag(long)).filter(|_| !has_tls);
    let without = without.map(|long| format!("--{long} has no effect: there is no certificate"));
    let facts = [
        (
            given.text("auth-plugin") != Some("ExpectOrigin"),
            "pages of all origins may open consoles, as websockify lets them: --auth-plugin ExpectOrigin --auth-source 'https://portal.example' names those that may",
        ),
        (
            given.flag("verify-client") && has_tls && !given.flag("ssl-only"),
            "--verify-client asks nobody who comes in the clear: add --ssl-only",
        ),
        (
            given.flag("verify-client") && has_tls && given.text("cafile").is_none(),
            "--verify-client without --cafile: whoever has a certificate of any public authority comes in",
        ),
        (
            given.flag("ssl-target") && listener.upstream_tls.is_none(),
            "--ssl-target has no effect: UNIX sockets are spoken to in the clear",
        ),
        (
            given.text("ssl-version") == Some("tlsv1_1"),
            "--ssl-version tlsv1_1: TLS 1.2 is the oldest that is spoken",
        ),
        (given.flag("traffic"), "--traffic has no effect: the log tells of each connection"),
        (given.flag("libserver"), "--libserver has no effect: there is one engine"),
        (
            given.text("target-config").is_some(),
            "--target-config is an old name of --token-plugin TokenFile --token-source FILE",
        ),
    ];
    let facts = facts.into_iter().filter(|(holds, _)| *holds).map(|(_, text)| text.to_owned());
    facts.chain(missing).chain(without).collect()
}
