//! The admin server over loopback, with workers played by the test.

use penstock_core::close::Phase;
use penstock_core::control::{Command, Page, SessionId, TunnelInfo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::*;
use crate::state::testing;

async fn start(state: &Arc<State>) -> SocketAddr {
    let bound = bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let bound = listener(bound).expect("an event loop");
    let address = bound.local_addr().expect("bound");
    tokio::spawn(serve(bound, state.clone()));
    address
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("room");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("an orderly end");
    reply
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await
}

/// Asks without a socket: a clock that is paused goes on whenever all wait, be it for what the kernel has still to deliver.
async fn get_by_pipe(state: &Arc<State>, path: &str) -> String {
    let (mut client, server) = tokio::io::duplex(64 << 10);
    tokio::spawn(exchange(server, state.clone()));
    client
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
        .await
        .expect("room");
    let mut reply = String::new();
    client.read_to_string(&mut reply).await.expect("an orderly end");
    reply
}

#[tokio::test]
async fn pages_statuses_and_methods() {
    let state = testing::state(1);
    let address = start(&state).await;
    assert!(get(address, "/health").await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(address, "/ready").await.ends_with("\r\n\r\nready\n"));
    assert!(get(address, "/metrics?x=1").await.ends_with("# EOF\n"));
    assert!(get(address, "/secret").await.starts_with("HTTP/1.1 404 "));
    let post = "POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let reply = ask(address, post).await;
    assert!(
        reply.starts_with("HTTP/1.1 405 ") && reply.contains("allow: GET, HEAD\r\n"),
        "{reply}"
    );
    let head = ask(address, "HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    state.draining.store(true, Relaxed);
    let ready = get(address, "/ready").await;
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.ends_with("draining\n"), "{ready}");
}

#[tokio::test]
async fn a_large_or_broken_head_is_refused() {
    let address = start(&testing::state(1)).await;
    let large = format!("GET /health HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 * HEAD_MAX));
    assert!(ask(address, &large).await.starts_with("HTTP/1.1 431 "));
    assert!(ask(address, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn silent_clients_beyond_the_limit_delay_but_do_not_kill() {
    let address = start(&testing::state(1)).await;
    let mut silent = Vec::new();
    for _ in 0..AT_ONCE {
        silent.push(TcpStream::connect(address).await.expect("it listens"));
    }
    let waiting = tokio::spawn(async move { get(address, "/health").await });
    sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished(), "all places are taken");
    drop(silent.pop());
    assert!(waiting.await.expect("no panic").starts_with("HTTP/1.1 200 "));
}

fn info(worker: u8, slot: u32) -> TunnelInfo {
    TunnelInfo {
        id: SessionId { worker, slot, generation: 1 },
        tag: None,
        cookie: 0,
        listener: 0,
        client: "10.0.0.5:4000".parse().ok(),
        target: Some("vm\"1:5900".into()),
        connected: "10.1.2.3:5900".parse().ok(),
        phase: Phase::Relay,
        bytes: [1, 2],
        age: Duration::from_millis(1500),
        idle: Duration::from_millis(250),
        mover: ["copy", "splice"],
        switches: [0, 1],
    }
}

/// Answers listings of one worker: two slots a slice, five slots in all.
async fn play_worker(state: Arc<State>, worker: u8) {
    loop {
        match state.parts.workers[usize::from(worker)].mailbox.take() {
            Some(Command::List { from, reply }) => {
                let end = (from + 2).min(5);
                let tunnels = (from..end).map(|slot| info(worker, slot)).collect();
                reply(Page { tunnels, next: (end < 5).then_some(end) });
            }
            Some(other) => panic!("{other:?}"),
            None => sleep(Duration::from_millis(1)).await,
        }
    }
}

#[tokio::test]
async fn the_listing_walks_all_slices_of_all_workers() {
    let state = testing::state(2);
    let address = start(&state).await;
    for worker in 0..2 {
        tokio::spawn(play_worker(state.clone(), worker));
    }
    let reply = get(address, "/tunnels").await;
    let body = reply.split_once("\r\n\r\n").expect("a head").1;
    let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let tunnels = json["tunnels"].as_array().expect("a list");
    let ids: Vec<_> = tunnels.iter().filter_map(|tunnel| tunnel["id"].as_str()).collect();
    let expected: Vec<String> =
        (0..2).flat_map(|w| (0..5).map(move |slot| format!("{w}-{slot}-1"))).collect();
    assert_eq!(ids, expected);
    let first = &tunnels[0];
    assert_eq!(
        (&first["target"], &first["client"]),
        (&"vm\"1:5900".into(), &"10.0.0.5:4000".into())
    );
    assert_eq!((&first["age_seconds"], &first["idle_seconds"]), (&1.5.into(), &0.25.into()));
    assert_eq!(first["target_to_client"]["mover"], "splice");
    assert_eq!(first["client_to_target"]["bytes"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_answer_is_said() {
    let reply = get_by_pipe(&testing::state(1), "/tunnels").await;
    assert!(reply.starts_with("HTTP/1.1 503 ") && reply.ends_with("not answer\n"), "{reply}");
}

#[tokio::test]
async fn one_listing_at_a_time_until_it_is_read() {
    let state = testing::state(1);
    let address = start(&state).await;
    tokio::spawn(play_worker(state.clone(), 0));
    let held = tunnels::page(&state).await.expect("a listing");
    let waiting = tokio::spawn(async move { get(address, "/tunnels").await });
    sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished(), "the first is not read yet");
    drop(held);
    assert!(waiting.await.expect("no panic").starts_with("HTTP/1.1 200 "));
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_nobody_reads_is_said_to_others() {
    let state = testing::state(1);
    let _held = state.listing.clone().acquire_owned().await.expect("never closed");
    let reply = get_by_pipe(&state, "/tunnels").await;
    assert!(reply.starts_with("HTTP/1.1 503 ") && reply.ends_with("under way\n"), "{reply}");
}

/// How long the server keeps a connection that sends this and then nothing.
async fn patience_with(state: &Arc<State>, request: &[u8]) -> Duration {
    let (mut stream, server) = tokio::io::duplex(64 << 10);
    tokio::spawn(exchange(server, state.clone()));
    stream.write_all(request).await.expect("room");
    let begun = Instant::now();
    stream.read_to_end(&mut Vec::new()).await.expect("an orderly end");
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_cut_off() {
    let state = testing::state(1);
    for begun in [&b""[..], b"GET /health HTTP/1.1\r\nHost"] {
        let kept = patience_with(&state, begun).await;
        assert!((HEAD_TIME..HEAD_TIME + Duration::from_secs(1)).contains(&kept), "{kept:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_never_ends_is_cut_off() {
    let state = testing::state(1);
    let (client, server) = tokio::io::duplex(64);
    let exchange = tokio::spawn(exchange(server, state));
    let begun = Instant::now();
    let (_unread, mut requests) = tokio::io::split(client);
    requests.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("room");
    exchange.await.expect("no panic");
    let kept = begun.elapsed();
    assert!((EXCHANGE_TIME..EXCHANGE_TIME + Duration::from_secs(1)).contains(&kept), "{kept:?}");
}
