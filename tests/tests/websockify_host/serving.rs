//! Where consoles lead to beside a port, and what else websockify does with them.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use penstock_tests::web_socket::{BINARY, CLOSE, frame};
use penstock_tests::{process, wait};

use crate::rig::{LIMIT, Server, echo, fresh, leave, python};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websockify_host/echo.py");

#[test]
fn a_unix_socket_is_a_target() {
    let dir = process::directory();
    let path = dir.path().join("vm.sock");
    let listener = UnixListener::bind(&path).expect("our folder");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 100];
            while let Ok(length @ 1..) = stream.read(&mut bytes) {
                stream.write_all(&bytes[..length]).expect("it reads");
            }
        }
    });
    let path = path.display();
    let server = Server::start(&format!("{{}} --unix-target {path}"));
    leave(server.open("/"));
    // From the folder of pages, into which websockify goes at its start.
    fs::create_dir(dir.path().join("pages")).expect("our folder");
    let pages = dir.path().join("pages");
    let server = Server::start(&format!("{{}} --unix-target ../vm.sock --web {}", pages.display()));
    leave(server.open("/"));
    let tokens = dir.path().join("tokens");
    fs::write(&tokens, format!("vm: unix_socket:{path}\n")).expect("our folder");
    let source = format!("--token-plugin TokenFile --token-source {}", tokens.display());
    let server = Server::start(&format!("{{}} {source}"));
    leave(server.open("/?token=vm"));
}

/// websockify moves the port that the program listens on, and ends with it.
#[test]
fn a_command_serves_behind_its_own_port() {
    let address = fresh();
    let mut command = python();
    command.args(["-m", "penstock.websockify", &address.to_string(), "--", "/usr/bin/python3"]);
    let mut server = Server::spawn(address, command.args([PROGRAM, &address.port().to_string()]));
    wait::until_true("the program listens", LIMIT, || {
        let (mut client, status, _) = server.browse("/", "");
        assert_eq!(status, 101, "{}", server.said());
        client.say(&frame(BINARY, b"is anybody there?"));
        client.frame().expect("a frame").first != CLOSE
    });
    let mut client = server.open("/");
    client.say(&frame(BINARY, b"end"));
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
}

#[test]
fn a_session_is_recorded() {
    let dir = process::directory();
    let tape = dir.path().join("tape");
    let server = Server::start(&format!("--record {} {{}} {}", tape.display(), echo()));
    leave(server.open("/"));
    let recorded = || {
        let files = fs::read_dir(dir.path()).expect("our folder").flatten();
        let text = files.map(|file| fs::read_to_string(file.path()).expect("our folder")).next()?;
        text.ends_with("'EOF'];\n").then_some(text)
    };
    let text = wait::until("a whole recording", LIMIT, recorded);
    assert!(text.starts_with("var VNC_frame_data = [\n"), "{text}");
    assert!(text.contains("}is anybody there?'") && text.contains("{is anybody there?'"), "{text}");
}

#[test]
fn another_loop_of_pythons_has_no_effect() {
    let server = Server::start(&format!("--libserver {{}} {}", echo()));
    leave(server.open("/"));
    assert!(server.said().contains("--libserver has no effect"), "{}", server.said());
}
