//! What no path leads to.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::time::timeout;

use super::*;

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
        let reply = timeout(Duration::from_secs(60), rig.get(path)).await;
        // Who waits for a writer is let go, lest a failure hang.
        let _ = fs::File::options().read(true).write(true).open(rig.root().join("fifo"));
        assert_eq!(reply.expect("at once").status, 404, "{path}");
    }
}
