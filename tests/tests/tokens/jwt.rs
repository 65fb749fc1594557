//! JWTTokenApi with keys and tokens made by jwcrypto, and with what websockify's own plugin says of each.

use std::fs;
use std::path::Path;
use std::process::Command;

use penstock_core::config::TokenSource;
use penstock_core::control::TokenFault;
use penstock_tests::{pki, process};
use serde::Deserialize;

use crate::rig::{Desk, place, tokens};

/// Debian's interpreter, which has Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

const MAKER: &str = include_str!("jwt.py");

/// A token that was made, the file of the key it is meant for, and what websockify makes of it.
#[derive(Deserialize)]
struct Made {
    name: String,
    key: String,
    token: String,
    /// `host:port`, or nothing.
    websockify: Option<String>,
}

fn made(folder: &Path) -> Vec<Made> {
    let said = process::run(Command::new(PYTHON).args(["-c", MAKER]).arg(folder));
    serde_json::from_str(&said).expect("JSON")
}

/// What ours says of those that are not simply good.
fn verdict(name: &str) -> Result<String, TokenFault> {
    let kind = name.split(' ').next().unwrap_or_default();
    match kind {
        "good" | "ours" => Ok("vm:5900".to_owned()),
        "early" | "late" => Err(TokenFault::Expired),
        "nowhere" => Err(TokenFault::NoPlace),
        "bad" | "foreign" => Err(TokenFault::Unknown),
        "locked" => Err(TokenFault::Unavailable),
        other => panic!("{other} is no kind of token"),
    }
}

/// Kinds on which websockify has another opinion, on purpose: `ours` it refuses and we take, `foreign` it takes and we refuse, and a URI is
/// to it a host like others.
fn differs(name: &str) -> bool {
    name.starts_with("ours") || name.starts_with("foreign") || name.starts_with("nowhere odd")
}

#[test]
fn tokens_of_every_algorithm_mean_to_us_what_they_mean_to_websockify() {
    let dir = process::directory();
    let mut desk = Desk::start();
    let (mut wrong, mut good) = (Vec::new(), 0);
    for Made { name, key, token, websockify } in made(dir.path()) {
        let source = tokens(TokenSource::Jwt(dir.path().join(&key)));
        let judged = desk.look_up(&source, &token);
        let (ours, expected) = (place(&judged), verdict(&name));
        let detail = judged.err().map(|refused| refused.detail);
        if ours != expected {
            wrong.push(format!("{name}: {ours:?}, expected {expected:?} {detail:?}"));
        }
        if differs(&name) == (websockify == ours.clone().ok()) {
            wrong.push(format!("{name}: websockify says {websockify:?}, ours {ours:?}"));
        }
        if detail.as_ref().is_some_and(|detail| detail.contains("canary")) {
            wrong.push(format!("{name}: {detail:?}"));
        }
        let says = if name == "foreign compressed" { "compressed" } else { "" };
        if detail.as_ref().is_some_and(|detail| !detail.contains(says)) {
            wrong.push(format!("{name}: {detail:?}"));
        }
        good += usize::from(ours.is_ok());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(good > 50, "only {good} were good");
}

#[test]
fn a_key_that_is_replaced_counts_at_once() {
    let dir = process::directory();
    let all = made(dir.path());
    let named = |name: &str| all.iter().find(|made| made.name == name).expect("made");
    let (one, other) = (named("good HS256"), named("good ES256 public"));
    let source = tokens(TokenSource::Jwt(dir.path().join("key")));
    let mut desk = Desk::start();
    assert_eq!(place(&desk.look_up(&source, &one.token)), Err(TokenFault::Unavailable));
    for _ in 0..2 {
        for (now, before) in [(one, other), (other, one)] {
            fs::copy(dir.path().join(&now.key), dir.path().join("key")).expect("our directory");
            assert!(desk.look_up(&source, &now.token).is_ok(), "{}", now.name);
            let refused = place(&desk.look_up(&source, &before.token));
            assert_eq!(refused, Err(TokenFault::Unknown), "{}", before.name);
        }
    }
}

#[test]
fn a_certificate_is_a_key() {
    let dir = process::directory();
    let authority = pki::Authority::new("signer");
    let issued = authority.issue(&pki::Wanted::named_server("signer"));
    let at = |name: &str| dir.path().join(name);
    issued.write(&at("certificate.pem"), &at("key.pem"));
    let sign = "import sys\nfrom jwcrypto import jwk, jwt\n\
        key = jwk.JWK.from_pem(open(sys.argv[1], 'rb').read())\n\
        token = jwt.JWT(header={'alg': 'ES256'}, claims={'host': 'vm', 'port': 5900})\n\
        token.make_signed_token(key)\nprint(token.serialize())";
    let token = process::run(Command::new(PYTHON).args(["-c", sign]).arg(at("key.pem")));
    let mut desk = Desk::start();
    for key in ["certificate.pem", "key.pem"] {
        let source = tokens(TokenSource::Jwt(at(key)));
        assert_eq!(place(&desk.look_up(&source, token.trim())), Ok("vm:5900".to_owned()), "{key}");
    }
}
