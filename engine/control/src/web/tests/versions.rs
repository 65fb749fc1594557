//! What a browser has already, parts, and files that are compressed.

use std::fs;
use std::time::{Duration, SystemTime};

use super::*;

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
