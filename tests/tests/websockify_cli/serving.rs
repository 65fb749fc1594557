//! Where consoles come from and lead to: ports, sockets, tokens, TLS or not, and who may have them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::sys::signal::Signal;
use penstock_tests::{process, wait};

use crate::rig::{BOTH, Browser, LIMIT, Server, Whose, answer, echo, echo_at, fresh};

#[test]
fn one_target_is_reached_from_a_port() {
    let target = echo();
    for whose in BOTH {
        let server = Server::start(whose, &format!("{{}} {target}"));
        let mut browser = Browser::open(&server.url(), &[]);
        browser.says("again");
        assert_eq!(browser.leaves(), "1000", "{}", server.said());
        let page = answer(server.address, "GET / HTTP/1.0\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 405"), "no pages without --web: {page}");
    }
}

#[test]
fn a_unix_socket_is_a_target() {
    let dir = process::directory();
    let path = dir.path().join("vm.sock");
    echo_at(&path);
    for whose in BOTH {
        let server = Server::start(whose, &format!("{{}} --unix-target {}", path.display()));
        assert_eq!(Browser::open(&server.url(), &[]).leaves(), "1000", "{}", server.said());
    }
}

#[test]
fn what_is_not_there_is_told_by_a_close_code() {
    for whose in BOTH {
        let nobody = fresh();
        let server = Server::start(whose, &format!("{{}} {nobody}"));
        let (said, _) = Browser::ask(&server.url(), &[]);
        assert_eq!(said, "closed 1011", "{}", server.said());
    }
}

#[test]
fn tokens_of_a_file_lead_on_and_wrong_ones_get_no_answer() {
    let dir = process::directory();
    let file = dir.path().join("tokens");
    fs::write(&file, format!("one: {}\n", echo())).expect("our directory");
    let old = format!("--target-config {}", file.display());
    let new = format!("--token-plugin TokenFile --token-source {}", file.display());
    for (whose, source) in BOTH.into_iter().flat_map(|whose| [(whose, &old), (whose, &new)]) {
        let server = Server::start(whose, &format!("{{}} {source}"));
        assert_eq!(Browser::open(&format!("{}?token=one", server.url()), &[]).leaves(), "1000");
        let why = Browser::refused(&format!("{}?token=other", server.url()), &[]);
        assert!(why.starts_with("InvalidMessage"), "no answer at all: {why}");
        let said = server.said();
        assert!(whose == Whose::Websockify || !said.contains("other"), "a token in {said}");
    }
}

#[test]
fn the_host_header_may_be_the_token() {
    let dir = process::directory();
    let file = dir.path().join("tokens");
    for whose in BOTH {
        let source = format!("--token-plugin TokenFile --token-source {}", file.display());
        let server = Server::start(whose, &format!("--host-token {source} {{}}"));
        fs::write(&file, format!("{}: {}\n", server.address.ip(), echo())).expect("our directory");
        assert_eq!(Browser::open(&server.url(), &[]).leaves(), "1000", "{}", server.said());
    }
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name} {}", path.display())
}

#[test]
fn a_password_and_a_listed_origin_are_asked_for() {
    let target = echo();
    for whose in BOTH {
        let basic = "--auth-plugin BasicHTTPAuth --auth-source admin:canary7";
        let server = Server::start(whose, &format!("{basic} {{}} {target}"));
        assert_eq!(Browser::open(&server.url(), &["user=admin:canary7"]).leaves(), "1000");
        assert_eq!(Browser::refused(&server.url(), &["user=admin:wrong"]), "InvalidStatusCode 401");
        assert_eq!(Browser::refused(&server.url(), &[]), "InvalidStatusCode 401");
        let origin = "--auth-plugin ExpectOrigin --auth-source https://portal.example";
        let server = Server::start(whose, &format!("{origin} {{}} {target}"));
        assert_eq!(
            Browser::open(&server.url(), &["origin=https://portal.example"]).leaves(),
            "1000"
        );
        for wrong in [&["origin=https://evil.example"][..], &[]] {
            assert_eq!(Browser::refused(&server.url(), wrong), "InvalidStatusCode 403");
        }
    }
}

#[test]
fn without_a_list_pages_of_all_origins_get_consoles() {
    let target = echo();
    for whose in BOTH {
        let server = Server::start(whose, &format!("{{}} {target}"));
        let browser = Browser::open(&server.url(), &["origin=https://evil.example"]);
        assert_eq!(browser.leaves(), "1000");
        assert!(whose == Whose::Websockify || server.said().contains("--auth-plugin ExpectOrigin"));
    }
}

/// Newer ones than Debian's websockify have this.
#[test]
fn a_unix_socket_to_listen_on_is_for_its_owner_unless_said() {
    let dir = process::directory();
    let target = echo();
    for (mode, bits) in [("", 0o600), ("--unix-listen-mode 660", 0o660)] {
        let path = dir.path().join(format!("{bits:o}"));
        let line = format!("{} {mode} {target}", option("unix-listen", &path));
        let server = Server::launch(Whose::Penstock, fresh(), &line);
        let there = || fs::metadata(&path).ok();
        let found = wait::until("the socket is there", LIMIT, there).permissions().mode();
        assert_eq!(found & 0o777, bits);
        let unix = format!("unix={}", path.display());
        assert_eq!(
            Browser::open("ws://localhost/", &[&unix]).leaves(),
            "1000",
            "{}",
            server.said()
        );
        drop(server);
    }
}

#[test]
fn messages_go_to_a_file_and_to_a_server_of_them() {
    let (dir, target) = (process::directory(), echo());
    for whose in BOTH {
        let [log, file] = ["log", "file"].map(|name| dir.path().join(format!("{whose:?}-{name}")));
        let receiver = UnixDatagram::bind(&log).expect("our directory");
        receiver.set_read_timeout(Some(LIMIT)).expect("a socket");
        let places = option("syslog", &log) + " " + &option("log-file", &file);
        let server = Server::start(whose, &format!("{places} {{}} {target}"));
        let mut bytes = [0; 4096];
        let length = receiver.recv(&mut bytes).expect("a message");
        let message = String::from_utf8_lossy(&bytes[..length]);
        assert!(message.starts_with("<14>1 ") && message.contains(" websockify "), "{message}");
        drop(Browser::open(&server.url(), &[]));
        let port = target.port().to_string();
        wait::until_true("the file tells of it", LIMIT, || {
            fs::read_to_string(&file).unwrap_or_default().contains(&port)
        });
    }
}

/// As at boot, where nothing is there yet.
#[test]
fn a_server_of_messages_may_come_later_and_be_started_anew() {
    let (dir, target) = (process::directory(), echo());
    for whose in BOTH {
        let log = dir.path().join(format!("{whose:?}-log"));
        let server = Server::start(whose, &format!("-v {} {{}} {target}", option("syslog", &log)));
        for _ in 0..2 {
            let receiver = UnixDatagram::bind(&log).expect("our directory");
            receiver.set_read_timeout(Some(LIMIT)).expect("a socket");
            drop(Browser::open(&server.url(), &[]));
            let mut bytes = [0; 4096];
            let length = receiver.recv(&mut bytes);
            let length = length.unwrap_or_else(|error| panic!("{error}: {}", server.said()));
            assert!(String::from_utf8_lossy(&bytes[..length]).contains(" websockify "));
            fs::remove_file(&log).expect("our directory");
        }
    }
}

#[test]
fn a_log_file_that_was_moved_away_is_left_at_a_signal() {
    let (dir, target) = (process::directory(), echo());
    let [log, old] = ["log", "log.1"].map(|name| dir.path().join(name));
    let server =
        Server::start(Whose::Penstock, &format!("-v {} {{}} {target}", option("log-file", &log)));
    fs::rename(&log, &old).expect("our directory");
    server.process.signal(Signal::SIGUSR1);
    drop(Browser::open(&server.url(), &[]));
    wait::until_true("messages and records go to the new file", LIMIT, || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.contains("DEBUG connection ended") && text.contains("\"listener\"")
    });
    assert!(!fs::read_to_string(&old).expect("it is there").contains("connection ended"));
}

#[test]
fn a_session_is_recorded() {
    let (dir, target) = (process::directory(), echo());
    for whose in BOTH {
        let name = format!("{whose:?}-tape");
        let server = Server::start(
            whose,
            &format!("{} {{}} {target}", option("record", &dir.path().join(&name))),
        );
        assert_eq!(Browser::open(&server.url(), &[]).leaves(), "1000");
        let recorded = || {
            let files = fs::read_dir(dir.path()).expect("ours").flatten();
            let is_tape =
                |file: &fs::DirEntry| file.file_name().to_string_lossy().starts_with(&name);
            let tape = files.into_iter().find(is_tape)?;
            fs::read_to_string(tape.path()).ok().filter(|text| text.ends_with("'EOF'];\n"))
        };
        let text = wait::until("a whole recording", LIMIT, recorded);
        assert!(text.starts_with("var VNC_frame_data = [\n"), "{text}");
        assert!(text.contains("}hello'") && text.contains("{hello'"), "{text}");
    }
}
