//! Pages and the demo console, as doors.

use std::fs;
use std::io::{Read, Write};

use penstock_core::config::{Cut, Web};

use super::*;

/// What is said by whom the door leads to, after `words` and our end.
async fn conversation(descriptor: OwnedFd, words: &'static str) -> String {
    let mut stream = stream(descriptor);
    let talk = tokio::task::spawn_blocking(move || {
        stream.write_all(words.as_bytes()).expect("room");
        stream.shutdown(std::net::Shutdown::Write).expect("open");
        let mut all = String::new();
        stream.read_to_string(&mut all).expect("an orderly end");
        all
    });
    talk.await.expect("no panic")
}

fn web(web: Web) -> Door {
    Door::Web { web: Arc::new(web), cut: Cut::default() }
}

#[tokio::test]
async fn pages_are_a_connection_of_http() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("vnc.html"), "page").expect("room");
    let request = "GET /vnc.html HTTP/1.1\r\nHost: h\r\n\r\n";
    let door = web(Web::Directory(folder.path().to_owned()));
    let said = conversation(rig.open(1, door).await, request).await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("\r\n\r\npage"), "{said}");
    let demo = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let said = conversation(rig.open(2, web(Web::Demo)).await, demo).await;
    assert!(said.contains("<h1>Penstock</h1>"), "{said}");
    assert_eq!(rig.counts.opened[0].load(Relaxed), 2);
}

#[tokio::test]
async fn the_demo_console_knows_its_session() {
    let rig = rig(None);
    let said = conversation(rig.open(7, Door::Demo).await, "who\r").await;
    assert!(said.contains("you are on session 0-7-9\r\n"), "{said}");
}
