//! UNIX sockets: which one, how patiently, and what is said of those that stay shut.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Instant;

use penstock_core::console::Token;

use super::*;

/// A listener with a queue for one that accepts nobody, and who fills that queue.
fn stuck(path: &Path) -> (UnixListener, Vec<UnixStream>) {
    let listener = UnixListener::bind(path).expect("bound");
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).expect("a number"))
        .expect("it listens");
    let mut waiting = Vec::new();
    while let Ok(leg) = penstock_core::ring::unix::connect_unix(path) {
        waiting.push(leg.into());
    }
    (listener, waiting)
}

#[tokio::test]
async fn the_first_socket_that_is_there_is_connected_to() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    let [missing, there] = ["missing", "there"].map(|name| folder.path().join(name));
    let listener = UnixListener::bind(&there).expect("bound");
    let mut leg = stream(rig.open(1, Door::Unix(vec![missing, there])).await);
    let (mut peer, _) = listener.accept().expect("somebody came");
    peer.write_all(b"x").expect("connected");
    leg.read_exact(&mut [0]).expect("connected");
    assert_eq!(rig.counts.opened[0].load(Relaxed), 1);
}

#[tokio::test]
async fn a_socket_within_a_folder_is_connected_to_and_none_outside_of_it() {
    let rig = rig(None);
    let outside = tempfile::tempdir().expect("a folder");
    let folder = outside.path().join("folder");
    fs::create_dir(&folder).expect("made");
    let listener = UnixListener::bind(folder.join("canary-1")).expect("bound");
    let _other = UnixListener::bind(outside.path().join("canary-2")).expect("bound");
    let door =
        |name: &str| Door::Within { folder: folder.clone(), name: Token::from(name.to_owned()) };
    let _leg = rig.open(1, door("canary-1")).await;
    listener.accept().expect("somebody came");
    let refused = rig.refused(2, door("../canary-2")).await;
    assert_eq!(refused.errno, Errno::EXDEV);
    assert!(refused.detail.contains("a way out of it"), "{}", refused.detail);
    assert!(!refused.detail.contains("canary"), "{}", refused.detail);
}

#[tokio::test]
async fn a_socket_that_stays_shut_says_what_to_do() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let door = || Door::Unix(vec![path.clone()]);
    let refused = rig.refused(1, door()).await;
    assert_eq!(refused.errno, Errno::ENOENT);
    assert!(refused.detail.contains("start what listens there"), "{}", refused.detail);
    drop(UnixListener::bind(&path).expect("bound"));
    let refused = rig.refused(2, door()).await;
    assert_eq!(refused.errno, Errno::ECONNREFUSED);
    let expected = format!(
        "can't connect to {} (nobody listens behind it: start who should, or mend the path)",
        path.display()
    );
    assert_eq!(&*refused.detail, expected);
    assert_eq!(rig.counts.opened[1].load(Relaxed), 2);
}

#[tokio::test]
async fn a_full_queue_is_tried_until_it_has_room() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let (listener, _waiting) = stuck(&path);
    rig.ask(1, Door::Unix(vec![path])).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(rig.mailbox.is_empty(), "it is tried still");
    listener.accept().expect("somebody waits");
    rig.opened().await.1.expect("there is room");
}

#[tokio::test]
async fn a_queue_that_stays_full_is_given_up() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let _stuck = stuck(&path);
    let begun = Instant::now();
    let refused = rig.refused(1, Door::Unix(vec![path])).await;
    let took = begun.elapsed();
    assert_eq!(refused.errno, Errno::EAGAIN);
    assert!((Duration::from_secs(3)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert!(refused.detail.contains("stuck, or serves somebody else"), "{}", refused.detail);
}
