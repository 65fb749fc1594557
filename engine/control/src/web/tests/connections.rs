//! Connections: one request after the other, whoever does not read, ask or end, and how many there may be.

use std::fs;
use std::io::Write;
use std::time::Duration;

use penstock_core::ring::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use super::*;

#[tokio::test]
async fn a_body_too_long_to_be_read_ends_the_connection_in_order() {
    let rig = rig();
    let body = "x".repeat(100_000);
    let request = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n{body}");
    let reply = Reply::read(&rig.raw(&request).await);
    assert_eq!((reply.status, reply.header("connection")), (405, "close"));
    let expects = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    let reply = Reply::read(&rig.raw(expects).await);
    assert_eq!((reply.status, reply.header("connection")), (405, "close"), "nobody wants it");
}

#[tokio::test]
async fn a_large_file_comes_whole_through_a_small_socket() {
    let rig = rig();
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| (n % 251) as u8).collect();
    rig.write("large", &bytes);
    let reply = rig.get("/large").await;
    assert!(reply.body == bytes, "{} bytes", reply.body.len());
    let part = rig.ask("GET /large", &[("Range", "bytes=65535-2000000")]).await;
    assert!(part.body == bytes[65_535..=2_000_000], "{} bytes", part.body.len());
}

#[tokio::test]
async fn a_file_that_shrinks_meanwhile_ends_the_connection() {
    let rig = rig();
    rig.write("large", vec![b'x'; 8 << 20]);
    let cut = Cut::default();
    let mut stream = rig.open_with(cut.clone());
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("room");
    let mut all = vec![0; 1000];
    stream.read_exact(&mut all).await.expect("the beginning");
    fs::File::options()
        .write(true)
        .open(rig.root().join("large"))
        .expect("it is there")
        .set_len(1000)
        .expect("ours");
    let more =
        timeout(Duration::from_secs(60), stream.read_to_end(&mut all)).await.expect("an end");
    assert!(more.is_ok() && all.len() < 8 << 20, "{} bytes", all.len());
    assert!(cut.is_raised(), "the end looks as if all were well");
}

#[tokio::test]
async fn what_was_answered_whole_is_not_cut() {
    let rig = rig();
    rig.write("page", "x");
    let cut = Cut::default();
    let mut stream = rig.open_with(cut.clone());
    stream.write_all(b"GET /page HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("room");
    stream.shutdown().await.expect("open");
    stream.read_to_end(&mut Vec::new()).await.expect("an orderly end");
    assert!(!cut.is_raised());
}

#[tokio::test]
async fn who_does_not_read_has_two_pieces_read_for_him_at_most() {
    let rig = rig();
    rig.write("large", vec![b'x'; 8 << 20]);
    let mut stream = rig.open();
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("room");
    sleep(Duration::from_millis(300)).await;
    // What was read by now is not changed by what becomes of the file; what is read later, is.
    let mut file =
        fs::File::options().write(true).open(rig.root().join("large")).expect("it is there");
    file.write_all(&vec![b'y'; 8 << 20]).expect("ours");
    let mut all = vec![0; 8 << 20];
    stream.read_exact(&mut all).await.expect("all of it");
    let before = all.iter().filter(|byte| **byte == b'x').count();
    let socket = 256 << 10;
    assert!(before <= socket + 2 * (body::PIECE as usize), "{before} bytes read ahead");
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let rig = rig();
    rig.write("a", "first");
    rig.write("b", "second");
    let mut stream = rig.open();
    for (path, body) in [("/a", "first"), ("/b", "second"), ("/c", "</p>\n")] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("room");
        let mut reply = Vec::new();
        while !reply.ends_with(body.as_bytes()) {
            assert!(stream.read_buf(&mut reply).await.expect("open") > 0, "an early end");
        }
    }
    let close = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(close.as_bytes()).await.expect("room");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.expect("an orderly end");
    assert!(reply.ends_with(b"first"));
}

#[tokio::test]
async fn answers_that_are_due_come_after_the_peers_end() {
    let rig = rig();
    rig.write("large", vec![b'Z'; 1 << 20]);
    let two = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2);
    let all = rig.raw(&two).await;
    assert_eq!(all.iter().filter(|byte| **byte == b'Z').count(), 2 << 20, "{} bytes", all.len());
}

/// How long a connection is kept that was sent this and then nothing.
async fn patience_with(rig: &Rig, request: &str) -> Duration {
    let mut stream = rig.open();
    stream.write_all(request.as_bytes()).await.expect("room");
    let begun = Instant::now();
    stream.read_to_end(&mut Vec::new()).await.expect("an orderly end");
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn who_asks_nothing_is_left() {
    let mut rig = rig();
    rig.web = Web::Demo;
    let about = |seconds: u64| Duration::from_secs(seconds)..Duration::from_secs(seconds + 1);
    for silent in ["", "GET / HT"] {
        let kept = patience_with(&rig, silent).await;
        assert!(about(5).contains(&kept), "{kept:?}");
    }
    let kept = patience_with(&rig, "GET /icon.svg HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(about(15).contains(&kept), "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_left() {
    let rig = rig();
    rig.write("large", vec![b'x'; 8 << 20]);
    let mut stream = rig.open();
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("room");
    stream.readable().await.expect("an answer");
    let begun = Instant::now();
    while rig.sites.places.available_permits() < CONNECTIONS_MAX {
        assert!(begun.elapsed() < Duration::from_secs(60), "still there");
        sleep(Duration::from_secs(1)).await;
    }
    assert!(begun.elapsed() > Duration::from_secs(25), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_until_one_ends() {
    let rig = rig();
    let open = |web: &Web| rig.sites.open(web, Cut::default());
    let mut held: Vec<_> = (0..CONNECTIONS_OF_ONE).map(|_| rig.open()).collect();
    let refused = open(&rig.web).expect_err("all of its places are taken");
    assert_eq!(refused.errno, Errno::EAGAIN);
    let of_demo: Vec<_> = (0..CONNECTIONS_MAX - CONNECTIONS_OF_ONE)
        .map(|_| open(&Web::Demo).expect("others have theirs"))
        .collect();
    let third = Web::Directory(rig.top.path().to_owned());
    assert_eq!(open(&third).expect_err("all places are taken").errno, Errno::EAGAIN);
    drop(of_demo);
    drop(held.pop());
    for web in [&rig.web, &third] {
        let opens = async {
            while open(web).is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), opens).await.expect("a place is free again");
    }
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_left() {
    let rig = rig();
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(200_000)), 431),
    ] {
        assert_eq!(Reply::read(&rig.raw(&request).await).status, status);
    }
}

#[tokio::test]
async fn a_folder_that_hangs_holds_up_no_other() {
    let (rig, mut other) = (rig(), rig());
    rig.write("a", "hangs");
    other.write("a", "page");
    let Site::Folder(folder) = rig.sites.site(&rig.web) else { panic!("a folder") };
    let (hang, release) = std::sync::mpsc::channel::<()>();
    let release = Arc::new(Mutex::new(release));
    for _ in 0..OF_ONE {
        let (readers, release) = (folder.readers.clone(), release.clone());
        let hangs = move || release.lock().expect("one at a time").recv().is_ok();
        tokio::spawn(async move { readers.run(hangs).await });
    }
    let waiting = timeout(Duration::from_millis(200), rig.get("/a")).await;
    assert!(waiting.is_err(), "it does not hang");
    other.sites = rig.sites.clone();
    let reply = timeout(Duration::from_secs(60), other.get("/a")).await.expect("in time");
    assert_eq!(reply.body, b"page");
    drop(hang);
    assert_eq!(rig.get("/a").await.body, b"hangs");
}
