//! What is answered: files, folders and what is not there.

use std::fs;

use super::*;

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
async fn a_root_that_is_not_there_is_not_found() {
    let mut rig = rig();
    rig.web = Web::Directory(rig.top.path().join("nowhere"));
    assert_eq!(rig.get("/").await.status, 404);
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
