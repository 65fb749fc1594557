//! The same sources to websockify's plugins and to ours: services, a Redis, a folder of sockets.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;

use penstock_core::config::{TokenSource, Tokens};
use penstock_tests::process;

use crate::redis::Server;
use crate::rig::{Desk, place, tokens};
use crate::service::{self, answer};

/// Debian's interpreter, which has Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

/// Prints where a plugin leads, as `host:port`; nothing if nowhere.
const ORACLE: &str = r#"
import sys
from websockify import token_plugins
plugin, source, token = sys.argv[1:]
sys.stdout, stdout = sys.stderr, sys.stdout
try:
    place = getattr(token_plugins, plugin)(source).lookup(token)
    parts = [part.decode() if isinstance(part, bytes) else str(part) for part in place or []]
    print(":".join(parts), file=stdout)
except Exception as error:
    print(error)
"#;

fn websockify(plugin: &str, source: &str, token: &str) -> Option<String> {
    let arguments = ["-W", "ignore", "-c", ORACLE, plugin, source, token];
    let said = process::run(Command::new(PYTHON).env_remove("http_proxy").args(arguments));
    Some(said.trim().to_owned()).filter(|said| !said.is_empty())
}

fn ours(desk: &mut Desk, tokens: &Arc<Tokens>, token: &str) -> Option<String> {
    place(&desk.look_up(tokens, token)).ok()
}

/// Whether ours leads where websockify's does, or nowhere, on purpose, where it would lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    Same,
    Refused,
    /// Nowhere there, somewhere here.
    Taken,
}
use Expected::{Refused, Same, Taken};

fn judge(what: &str, expected: Expected, theirs: Option<String>, ours: Option<String>) {
    let is_right = match expected {
        Same => theirs == ours,
        Refused => theirs.is_some() && ours.is_none(),
        Taken => theirs.is_none() && ours.is_some(),
    };
    assert!(is_right, "{what}: websockify {theirs:?}, ours {ours:?}, expected: {expected:?}");
}

#[test]
fn services_mean_to_us_what_they_mean_to_websockify() {
    let mut desk = Desk::start();
    for (status, body, json, expected) in [
        ("200 OK", "10.0.0.1:5900", false, Same),
        ("200 OK", "vm-1.example:5901", false, Same),
        ("201 Created", "vm:5900", false, Same),
        ("200 OK", "vm", false, Same),
        ("200 OK", "", false, Same),
        ("200 OK", "a:b:c", false, Same),
        ("404 Not Found", "vm:5900", false, Same),
        ("500 Oops", "vm:5900", false, Same),
        ("200 OK", r#"{"host": "vm", "port": 5900}"#, true, Same),
        ("200 OK", r#"{"host": "vm", "port": "5900"}"#, true, Same),
        ("200 OK", r#"{"host": "vm"}"#, true, Same),
        ("200 OK", r#"["vm", 5900]"#, true, Same),
        ("200 OK", "vm:5900", true, Same),
        ("404 Not Found", r#"{"host": "vm", "port": 5900}"#, true, Same),
        // What is no host and no port.
        ("200 OK", "vm:http", false, Refused),
        ("200 OK", "unix_socket:/run/vm", false, Refused),
        ("200 OK", "qemu+ext:///x", false, Refused),
        ("200 OK", r#"{"host": "unix_socket", "port": "/run/vm"}"#, true, Refused),
        ("200 OK", r#"{"host": "vm", "port": 0}"#, true, Refused),
        ("200 OK", "[::1]:5900", false, Taken),
    ] {
        let said = body.to_owned();
        let address = service::start(move |_, stream| answer(stream, status, &said));
        let url = format!("http://{address}/%s");
        let plugin = if json { "JSONTokenApi" } else { "BaseTokenAPI" };
        let theirs = websockify(plugin, &url, "tok");
        let source = TokenSource::Api { url: url.into(), json };
        let ours = ours(&mut desk, &tokens(source), "tok");
        judge(&format!("{status} {body}"), expected, theirs, ours);
    }
}

#[test]
fn values_of_redis_mean_to_us_what_they_mean_to_websockify() {
    let (server, mut desk) = (Server::start(None), Desk::start());
    let source = server.address.to_string();
    for (value, expected) in [
        (r#"{"host":"10.0.0.1:5900"}"#, Same),
        (r#" {"host": "vm:5901", "note": [1, 2]}"#, Same),
        (r#"{"host":"vm"}"#, Same),
        (r#"{"port":1}"#, Same),
        ("{", Same),
        (r#"{"host":"a:b:c"}"#, Same),
        (r#"{"host":"unix_socket:/run/vm"}"#, Refused),
        (r#"{"host":"qemu+ext:///x"}"#, Refused),
        (r#"{"host":"[::1]:5900"}"#, Taken),
        // As websockify since 0.11 has it.
        ("vm:5900", Taken),
    ] {
        server.cli(&["set", "tok", value]);
        let theirs = websockify("TokenRedis", &source, "tok");
        let ours = ours(&mut desk, &server.tokens(), "tok");
        judge(value, expected, theirs, ours);
    }
    let missing = ours(&mut desk, &server.tokens(), "other");
    judge("no such key", Same, websockify("TokenRedis", &source, "other"), missing);
}

#[test]
fn sockets_in_a_folder_mean_to_us_what_they_mean_to_websockify() {
    let (dir, mut desk) = (process::directory(), Desk::start());
    let at = |name: &str| dir.path().join(name);
    for folder in ["vm/in", "vm-evil"] {
        fs::create_dir_all(at(folder)).expect("our directory");
    }
    let _sockets = ["vm/one", "vm/in/two", "vm-evil/three", "four"]
        .map(|name| UnixListener::bind(at(name)).expect("bound"));
    fs::write(at("vm/file"), "").expect("our directory");
    std::os::unix::fs::symlink(at("four"), at("vm/detour")).expect("our directory");
    let folder = at("vm").display().to_string();
    let source = tokens(TokenSource::UnixDirectory(at("vm")));
    for (token, expected) in [
        ("one", Same),
        ("in/two", Same),
        ("none", Same),
        ("file", Same),
        ("../four", Same),
        ("../vm-evil/three", Refused),
        ("detour", Refused),
    ] {
        let theirs = websockify("UnixDomainSocketDirectory", &folder, token).is_some();
        let ours = desk.look_up(&source, token).is_ok();
        judge(token, expected, theirs.then(String::new), ours.then(String::new));
    }
}
