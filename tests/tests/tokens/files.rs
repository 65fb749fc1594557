//! Files of tokens: the same files to websockify's own plugin and to ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use penstock_core::config::TokenSource;
use penstock_core::control::TokenFault;
use penstock_tests::process;
use serde_json::Value;

use crate::rig::{Desk, place, tokens};

/// Files that are compared.
const FILES: u64 = 300;

/// What websockify says of each file in a folder: an object of tokens and targets, split as it splits them.
const ORACLE: &str = r#"
import json, os, sys
from websockify.token_plugins import TokenFile
said = {}
for name in sorted(os.listdir(sys.argv[1])):
    plugin = TokenFile(os.path.join(sys.argv[1], name))
    plugin.lookup("")
    said[name] = plugin._targets
print(json.dumps(said))
"#;

/// Debian's interpreter, which has Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

/// Pieces of lines, the strange ones as often as the plain.
const PIECES: &[&str] = &[
    "tok",
    "a",
    "b",
    "a b",
    "ä",
    "#",
    "# c",
    ":",
    ": ",
    ":\t",
    ":\u{a0}",
    ":\u{1f}",
    ": : ",
    " ",
    "\t",
    "\u{c}",
    "\u{1c}",
    "\u{2028}",
    "\u{feff}",
    "\u{200b}",
    "\u{85}",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\n\r",
    "h:1",
    "10.0.0.1:5900",
    "::1:5900",
    "[::1]:5900",
    "[::1",
    "h:0",
    "h:65536",
    "h:http",
    "h",
    ":1",
    "h:1:2",
    "tcp://h:1",
    "qemu+ext:///x",
    "unix_socket:/run/x",
    "unix_socket:x",
    "h:1 ",
    "a: h:1\n",
    "b: g:2\n",
    "tok: h:1\r\n",
    "h :1",
    "h: 1",
    "H-x_y.z:7",
];

/// A generator of numbers: the same file for the same seed.
fn generated(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    (0..2 + next(24)).map(|_| PIECES[next(PIECES.len())]).collect()
}

/// What one of websockify's answers means, by our rule: a host and a port, a socket's whole path, or nothing.
fn meaning(target: &Value) -> Result<String, TokenFault> {
    let parts: Vec<&str> = target
        .as_array()
        .expect("a list")
        .iter()
        .map(|part| part.as_str().expect("text"))
        .collect();
    match parts[..] {
        ["unix_socket", path] if path.starts_with('/') => Ok(format!("unix:{path}")),
        ["::1" | "[::1]", port @ "5900"] => Ok(format!("[::1]:{port}")),
        [host @ ("h" | "g" | "10.0.0.1" | "H-x_y.z" | "a" | "b" | "tok"), port]
            if ["1", "2", "7", "5900"].contains(&port) =>
        {
            Ok(format!("{}:{port}", host.to_lowercase()))
        }
        _ => Err(TokenFault::NoPlace),
    }
}

#[test]
fn generated_files_mean_to_us_what_they_mean_to_websockify() {
    let dir = process::directory();
    for seed in 1..=FILES {
        let path = dir.path().join(format!("{seed:03}"));
        fs::write(path, generated(seed)).expect("our directory");
    }
    let said = ask_websockify(dir.path());
    let mut desk = Desk::start();
    let (mut found, mut wrong) = (0, Vec::new());
    for (name, theirs) in said.as_object().expect("an object") {
        let path = dir.path().join(name);
        let source = tokens(TokenSource::File { path: path.clone(), read_only: false });
        let known = theirs.as_object().expect("an object").keys().map(String::as_str);
        for token in
            known.chain(["tok", "a", "b", "a b", "h:1", "#", " ", "tok:"]).collect::<BTreeSet<_>>()
        {
            // Which nobody is asked for, there or here.
            let theirs = theirs.get(token).filter(|_| !token.is_empty());
            let expected = theirs.map_or(Err(TokenFault::Unknown), meaning);
            let ours = place(&desk.look_up(&source, token));
            found += usize::from(theirs.is_some());
            if ours != expected {
                let text = fs::read_to_string(&path).expect("our directory");
                wrong.push(format!("{token:?} in {text:?}: {ours:?}, expected {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found > 200, "of the tokens, only {found} are in any file");
}

fn ask_websockify(folder: &Path) -> Value {
    let said = process::run(Command::new(PYTHON).args(["-W", "ignore", "-c", ORACLE]).arg(folder));
    serde_json::from_str(&said).expect("JSON")
}

#[test]
fn other_kinds_of_files_and_sockets_lead_where_they_should() {
    let dir = process::directory();
    let at = |name: &str| dir.path().join(name);
    for folder in ["names", "sockets", "sockets-evil"] {
        fs::create_dir(at(folder)).expect("our directory");
    }
    fs::write(at("names/a-token"), "h:5900\n").expect("our directory");
    let _sockets = ["sockets/a-token", "sockets-evil/a-token"]
        .map(|name| std::os::unix::net::UnixListener::bind(at(name)).expect("bound"));
    let names = tokens(TokenSource::FileName(at("names")));
    let sockets = tokens(TokenSource::UnixDirectory(at("sockets")));
    let mut desk = Desk::start();
    assert_eq!(place(&desk.look_up(&names, "a-token")), Ok("h:5900".to_owned()));
    assert_eq!(place(&desk.look_up(&names, "../sockets/other")), Err(TokenFault::Unknown));
    assert!(desk.look_up(&sockets, "a-token").is_ok());
    // Which websockify takes for a place within.
    let evil = "../sockets-evil/a-token";
    assert_eq!(place(&desk.look_up(&sockets, evil)), Err(TokenFault::Unknown));
    fs::remove_dir_all(at("names")).expect("our directory");
    assert_eq!(place(&desk.look_up(&names, "a-token")), Err(TokenFault::Unavailable));
}
