//! Pages over real socketpairs, out of real folders; the test is the worker.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net;
use std::time::{Duration, SystemTime};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use penstock_core::config::{Config, Engine};
use penstock_core::ring::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::*;

struct Rig {
    sites: Arc<Sites>,
    web: Web,
    /// With the pages in `root`.
    top: tempfile::TempDir,
}

fn rig() -> Rig {
    let top = tempfile::tempdir().expect("a folder");
    let root = top.path().join("root");
    fs::create_dir(&root).expect("room");
    let config = Config { engine: Engine::default(), listeners: Vec::new() };
    let sites = Sites::new(Page::new(&config));
    Rig { sites, web: Web::Directory(root), top }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Reply {
    /// The header, or nothing.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn read(bytes: &[u8]) -> Reply {
        let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = std::str::from_utf8(&bytes[..at]).expect("text");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let pairs = lines.map(|line| line.split_once(": ").expect("a header"));
        Reply {
            status: status.parse().expect("a number"),
            headers: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: bytes[at + 4..].to_vec(),
        }
    }
}

impl Rig {
    fn root(&self) -> std::path::PathBuf {
        self.top.path().join("root")
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("room");
        fs::write(path, bytes).expect("room");
    }

    fn open(&self) -> UnixStream {
        self.open_with(Cut::default())
    }

    fn open_with(&self, cut: Cut) -> UnixStream {
        let descriptor = self.sites.open(&self.web, cut).expect("a connection");
        UnixStream::from_std(net::UnixStream::from(descriptor)).expect("an event loop")
    }

    /// All that is said to `request`, after which nothing more is sent.
    async fn raw(&self, request: &str) -> Vec<u8> {
        let mut stream = self.open();
        stream.write_all(request.as_bytes()).await.expect("room");
        stream.shutdown().await.expect("open");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.expect("an orderly end");
        all
    }

    async fn ask(&self, line: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = format!("{line} HTTP/1.1\r\nHost: h\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        Reply::read(&self.raw(&(request + "\r\n")).await)
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path}"), &[]).await
    }
}

#[tokio::test]
async fn a_file_is_served_with_what_browsers_need_to_know() {
    let rig = rig();
    rig.write("app/ui.js", "let x;");
    let reply = rig.get("/app/ui.js?token=x").await;
    assert_eq!((reply.status, &*reply.body), (200, &b"let x;"[..]));
    for (name, value) in [
        ("content-type", "text/javascript; charset=utf-8"),
        ("content-length", "6"),
        ("accept-ranges", "bytes"),
        ("cache-control", "max-age=300"),
        ("vary", "accept-encoding"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("server", "penstock"),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    assert!(
        reply.header("date").ends_with(" GMT") && reply.header("last-modified").ends_with(" GMT")
    );
    assert!(reply.header("etag").starts_with('"'), "{reply:?}");
    assert_eq!(reply.header("x-frame-options"), "", "portals frame consoles");
}

#[tokio::test]
async fn files_have_the_type_of_their_names() {
    let rig = rig();
    for (name, kind) in [
        ("a.HTML", "text/html; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.wasm", "application/wasm"),
        ("a.svg", "image/svg+xml"),
        ("a.woff2", "font/woff2"),
        ("a.json", "application/json"),
        ("a.unknown", "application/octet-stream"),
        ("a", "application/octet-stream"),
        (".png", "application/octet-stream"),
    ] {
        rig.write(name, "x");
        assert_eq!(rig.get(&format!("/{name}")).await.header("content-type"), kind, "{name}");
    }
}

#[tokio::test]
async fn documents_are_asked_about_each_time() {
    let rig = rig();
    rig.write("vnc.html", "x");
    assert_eq!(rig.get("/vnc.html").await.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn a_head_is_the_head_of_a_get() {
    let rig = rig();
    rig.write("a.txt", vec![b'x'; 100_000]);
    let (mut head, mut get) = (rig.ask("HEAD /a.txt", &[]).await, rig.get("/a.txt").await);
    assert_eq!((head.body.len(), get.body.len()), (0, 100_000));
    head.headers.remove("date");
    get.headers.remove("date");
    assert_eq!((head.status, head.headers), (200, get.headers));
}

#[tokio::test]
async fn every_other_method_is_refused_and_the_connection_lives_on() {
    let rig = rig();
    rig.write("a", "page");
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let bodies = "Content-Length: 4\r\n\r\nbody";
        let request = format!(
            "{method} /a HTTP/1.1\r\nHost: h\r\n{bodies}GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
        );
        let all = rig.raw(&request).await;
        let reply = Reply::read(&all);
        assert_eq!((reply.status, reply.header("allow")), (405, "GET, HEAD"), "{method}");
        assert!(all.ends_with(b"\r\n\r\npage"), "{method}: {reply:?}");
    }
    assert_eq!(rig.ask("OPTIONS *", &[]).await.status, 405);
}

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
async fn an_index_stands_for_its_folder() {
    let rig = rig();
    rig.write("index.htm", "second");
    assert_eq!(rig.get("/").await.body, b"second");
    rig.write("index.html", "first");
    let reply = rig.get("/?x").await;
    assert_eq!(
        (&*reply.body, reply.header("content-type")),
        (&b"first"[..], "text/html; charset=utf-8")
    );
    fs::create_dir_all(rig.root().join("a/index.html")).expect("room");
    rig.write("a/index.htm", "beside a folder");
    assert_eq!(rig.get("/a/").await.body, b"beside a folder");
}

#[tokio::test]
async fn a_folder_without_its_slash_is_sent_there_with_its_query() {
    let rig = rig();
    rig.write("a b/c/index.html", "x");
    for (path, location) in [
        ("/a%20b/c", "/a%20b/c/"),
        ("/a%20b/c?token=t&path=/x", "/a%20b/c/?token=t&path=/x"),
        ("/a%20b//c", "/a%20b//c/"),
    ] {
        let reply = rig.get(path).await;
        assert_eq!((reply.status, reply.header("location")), (301, location));
    }
}

#[tokio::test]
async fn no_redirect_leads_to_another_site() {
    let rig = rig();
    rig.write("evil.example/index.html", "x");
    for path in [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "/%5Cevil.example",
        "/%2Fevil.example",
    ] {
        let reply = rig.get(path).await;
        assert_eq!((reply.status, reply.header("location")), (400, ""), "{path}");
    }
    let absolute = rig.get("http://evil.example//evil.example").await;
    assert_eq!((absolute.status, absolute.header("location")), (400, ""));
    let named = rig.get("http://elsewhere/evil.example").await;
    assert_eq!((named.status, named.header("location")), (301, "/evil.example/"));
}

#[tokio::test]
async fn folders_are_not_listed() {
    let rig = rig();
    rig.write("a/secret-name", "x");
    let reply = rig.get("/a/").await;
    assert_eq!((reply.status, reply.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(!String::from_utf8_lossy(&reply.body).contains("secret-name"));
}

#[tokio::test]
async fn what_is_not_there_is_said_without_repeating_it() {
    let rig = rig();
    rig.write("a", "x");
    for path in ["/canary", "/canary/", "/a/canary", "/a/"] {
        let reply = rig.get(path).await;
        assert_eq!(reply.status, 404, "{path}");
        let body = String::from_utf8(reply.body).expect("text");
        assert!(body.contains("Not Found") && !body.contains("canary"), "{body}");
    }
    let long = format!("/{}", "x".repeat(300));
    assert_eq!(rig.get(&long).await.status, 404);
}

#[tokio::test]
async fn nothing_beyond_the_root_is_served() {
    let rig = rig();
    fs::write(rig.top.path().join("secret"), "canary").expect("room");
    symlink("../secret", rig.root().join("out")).expect("room");
    symlink("/etc", rig.root().join("system")).expect("room");
    symlink("a", rig.root().join("inside")).expect("room");
    rig.write("a", "page");
    for (path, status) in [
        ("/../secret", 400),
        ("/%2e%2e/secret", 400),
        ("/x/..%2f..%2fsecret", 400),
        ("/..%5csecret", 400),
        ("/a%00", 400),
        ("/%c0%ae%c0%ae/secret", 400),
        ("/out", 404),
        ("/system", 404),
        ("/system/passwd", 404),
        ("/inside", 200),
    ] {
        let reply = rig.get(path).await;
        assert_eq!(reply.status, status, "{path}");
        assert!(!String::from_utf8_lossy(&reply.body).contains("canary"), "{path}");
    }
}

#[tokio::test]
async fn what_is_no_file_holds_nobody_up() {
    let rig = rig();
    mkfifo(&rig.root().join("fifo"), Mode::S_IRWXU).expect("room");
    let _socket = net::UnixListener::bind(rig.root().join("socket")).expect("room");
    for path in ["/fifo", "/socket"] {
        let reply = timeout(Duration::from_secs(5), rig.get(path)).await;
        // Who waits for a writer is let go, lest a failure hang.
        let _ = fs::File::options().read(true).write(true).open(rig.root().join("fifo"));
        assert_eq!(reply.expect("at once").status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_root_that_is_not_there_is_not_found() {
    let mut rig = rig();
    rig.web = Web::Directory(rig.top.path().join("nowhere"));
    assert_eq!(rig.get("/").await.status, 404);
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let rig = rig();
    rig.write("a.js", "let x;");
    let first = rig.get("/a.js").await;
    let (tag, date) = (first.header("etag"), first.header("last-modified"));
    for header in [("If-None-Match", tag), ("If-Modified-Since", date)] {
        let again = rig.ask("GET /a.js", &[header]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{header:?}");
        assert_eq!((again.header("etag"), again.header("vary")), (tag, "accept-encoding"));
        assert_eq!(again.header("cache-control"), "max-age=300");
    }
    rig.write("a.js", "let xy;");
    assert_eq!(rig.ask("GET /a.js", &[("If-None-Match", tag)]).await.status, 200);
    assert_eq!(rig.ask("GET /a.js", &[("If-Match", tag)]).await.status, 412);
    let long_ago = ("If-Unmodified-Since", "Mon, 12 Jan 1970 13:46:40 GMT");
    assert_eq!(rig.ask("GET /a.js", &[long_ago]).await.status, 412);
}

#[tokio::test]
async fn parts_are_served_one_at_a_time() {
    let rig = rig();
    rig.write("a.txt", "0123456789");
    let part = async |range: &str| rig.ask("GET /a.txt", &[("Range", range)]).await;
    let reply = part("bytes=2-4").await;
    assert_eq!((reply.status, &*reply.body), (206, &b"234"[..]));
    assert_eq!(
        (reply.header("content-range"), reply.header("content-length")),
        ("bytes 2-4/10", "3")
    );
    assert_eq!(part("bytes=-2").await.body, b"89");
    let beyond = part("bytes=10-").await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */10"));
    assert_eq!(part("bytes=0-1,4-5").await.status, 200);
    let other = [("Range", "bytes=2-4"), ("If-Range", "\"other\"")];
    assert_eq!(rig.ask("GET /a.txt", &other).await.body, b"0123456789");
}

#[tokio::test]
async fn compressed_siblings_are_served_to_who_takes_them() {
    let rig = rig();
    rig.write("a.js", "plain");
    rig.write("a.js.br", "brotli");
    rig.write("a.js.gz", "gzip");
    let plain = rig.get("/a.js").await;
    let with = async |accepted: &str| rig.ask("GET /a.js", &[("Accept-Encoding", accepted)]).await;
    let reply = with("gzip, br").await;
    assert_eq!((&*reply.body, reply.header("content-encoding")), (&b"brotli"[..], "br"));
    assert_eq!(reply.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(reply.header("vary"), "accept-encoding");
    assert_ne!(reply.header("etag"), plain.header("etag"));
    let reply = with("gzip").await;
    assert_eq!((&*reply.body, reply.header("content-encoding")), (&b"gzip"[..], "gzip"));
    for none in ["identity", "br;q=0"] {
        let reply = with(none).await;
        assert_eq!((&*reply.body, reply.header("content-encoding")), (&b"plain"[..], ""));
    }
    assert_eq!(plain.header("vary"), "accept-encoding", "caches have to know in each case");
}

#[tokio::test]
async fn a_compressed_sibling_older_than_its_original_is_left_alone() {
    let rig = rig();
    rig.write("a.js.gz", "old");
    rig.write("a.js", "new");
    let hour = Duration::from_secs(3600);
    let sibling =
        fs::File::options().write(true).open(rig.root().join("a.js.gz")).expect("it is there");
    sibling.set_modified(SystemTime::now() - hour).expect("ours");
    let accepted = [("Accept-Encoding", "gzip")];
    assert_eq!(rig.ask("GET /a.js", &accepted).await.body, b"new");
    sibling.set_modified(SystemTime::now() + hour).expect("ours");
    assert_eq!(rig.ask("GET /a.js", &accepted).await.body, b"old");
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
    let more = timeout(Duration::from_secs(5), stream.read_to_end(&mut all)).await.expect("an end");
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
    let mut held: Vec<_> = (0..CONNECTIONS_MAX).map(|_| rig.open()).collect();
    let refused = rig.sites.open(&rig.web, Cut::default()).expect_err("all places are taken");
    assert_eq!(refused.errno, Errno::EAGAIN);
    drop(held.pop());
    sleep(Duration::from_millis(100)).await;
    assert!(rig.sites.open(&rig.web, Cut::default()).is_ok());
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
async fn a_file_that_may_not_be_read_is_said_to_be_there() {
    use std::os::unix::fs::PermissionsExt;
    let rig = rig();
    rig.write("a", "x");
    fs::set_permissions(rig.root().join("a"), fs::Permissions::from_mode(0o000)).expect("ours");
    // Root reads everything.
    let status = if nix::unistd::geteuid().is_root() { 200 } else { 403 };
    assert_eq!(rig.get("/a").await.status, status);
}

#[tokio::test]
async fn the_built_in_page_needs_nothing_else() {
    let mut rig = rig();
    rig.web = Web::Demo;
    let page = rig.get("/?token=x").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let html = String::from_utf8(page.body.clone()).expect("text");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    for name in ["/terminal.js", "/style.css", "/icon.svg"] {
        assert!(html.contains(&format!("\"{name}\"")), "{name}");
        assert_eq!(rig.get(name).await.status, 200, "{name}");
    }
    assert!(!html.contains("//"), "something of another site");
    assert!(!html.contains("<script>") && !html.contains("style="), "the policy forbids it");
    assert_eq!(rig.get("/canary").await.status, 404);
}
