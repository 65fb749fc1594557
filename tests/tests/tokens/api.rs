//! BaseTokenAPI and JSONTokenApi with services that answer well, badly, endlessly, and not at all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use penstock_core::config::{TokenSource, Tokens};
use penstock_core::control::TokenFault;
use penstock_tests::{Stopwatch, wait};

use crate::rig::{Desk, PATIENCE, client, place, tokens};
use crate::service::{self, answer, say};

fn api(address: SocketAddr, path: &str, json: bool) -> Arc<Tokens> {
    tokens(TokenSource::Api { url: format!("http://{address}{path}").into(), json })
}

/// Where such a body leads.
fn led_to(desk: &mut Desk, body: &str, json: bool) -> Result<String, TokenFault> {
    let body = body.to_owned();
    let address = service::start(move |_, stream| answer(stream, "200 OK", &body));
    let judged = desk.look_up(&api(address, "/%s", json), "the-token");
    if let Err(refused) = &judged {
        assert!(!refused.detail.contains("canary"), "{}", refused.detail);
    }
    place(&judged)
}

#[test]
fn text_and_json_lead_to_hosts_and_ports_and_to_nothing_else() {
    let mut desk = Desk::start();
    let long = format!("h:{}", "1".repeat(60_000));
    for (body, json, expected) in [
        ("10.0.0.1:5900", false, Some("10.0.0.1:5900")),
        ("vm:5900\r\n", false, Some("vm:5900")),
        ("[::1]:5900", false, Some("[::1]:5900")),
        ("::1:5900", false, None),
        ("canary", false, None),
        ("", false, None),
        ("qemu+ext:///canary", false, None),
        ("tcp://canary:5900", false, None),
        ("unix_socket:/run/canary", false, None),
        ("<html>canary</html>", false, None),
        ("h:0", false, None),
        ("h:99999", false, None),
        (&long, false, None),
        (r#"{"host":"h","port":5900}"#, true, Some("h:5900")),
        (r#"{"host":"h","port":"5900","more":{}}"#, true, Some("h:5900")),
        (r#"{"host":"::1","port":5900}"#, true, Some("[::1]:5900")),
        (r#"{"host":"h"}"#, true, None),
        (r#"{"host":"h","port":5900.5}"#, true, None),
        (r#"{"host":"h","port":0}"#, true, None),
        (r#"{"host":"unix_socket","port":"/run/canary"}"#, true, None),
        (r#"{"host":"qemu+ext:///canary","port":1}"#, true, None),
        (r#"{"host":"h","host":"canary","port":1}"#, true, None),
        ("[]", true, None),
        (r#"["h",5900]"#, true, None),
        ("canary:1", true, None),
    ] {
        let expected = expected.map(str::to_owned).ok_or(TokenFault::NoPlace);
        assert_eq!(led_to(&mut desk, body, json), expected, "{body:.60}");
    }
}

#[test]
fn a_token_is_asked_for_in_one_part_of_the_url() {
    let (told, heads) = mpsc::channel();
    let told = Mutex::new(told);
    let told = Arc::new(told);
    let address = service::start(move |head, stream| {
        told.lock().expect("one at a time").send(head.to_owned()).expect("the test listens");
        answer(stream, "200 OK", "h:1");
    });
    let mut desk = Desk::start();
    let path = "/a/%s/b?t=%s";
    assert!(desk.look_up(&api(address, path, false), "../x?y&z=#\r\nä").is_ok());
    let head = heads.recv().expect("asked");
    let token = "..%2Fx%3Fy%26z%3D%23%0D%0A%C3%A4";
    assert!(head.starts_with(&format!("GET /a/{token}/b?t={token} HTTP/1.1\r\n")), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains(&format!("\r\nhost: {address}\r\n")), "{head}");
    let url = format!("http://user:p%40ss@{address}/%s").into();
    let with_password = tokens(TokenSource::Api { url, json: false });
    assert!(desk.look_up(&with_password, "t").is_ok());
    let head = heads.recv().expect("asked");
    assert!(head.to_ascii_lowercase().contains("authorization: basic"), "{head}");
    assert!(head.contains("Basic dXNlcjpwQHNz\r\n"), "{head}");
    // No server may take it for a way up.
    assert_eq!(place(&desk.look_up(&api(address, path, false), "..")), Err(TokenFault::Unknown));
    assert!(heads.try_recv().is_err(), "it was not asked for");
}

#[test]
fn every_status_but_success_leads_nowhere_and_redirects_are_not_followed() {
    let followed = Arc::new(AtomicUsize::new(0));
    let counted = followed.clone();
    let elsewhere = service::start(move |_, stream| {
        counted.fetch_add(1, SeqCst);
        answer(stream, "200 OK", "h:1");
    });
    let mut desk = Desk::start();
    for (status, expected) in [
        ("200 OK", Ok("h:1".to_owned())),
        ("201 Created", Ok("h:1".to_owned())),
        ("301 Moved", Err(TokenFault::Unavailable)),
        ("302 Found", Err(TokenFault::Unavailable)),
        ("307 Temporary", Err(TokenFault::Unavailable)),
        ("400 Bad Request", Err(TokenFault::Unknown)),
        ("403 Forbidden", Err(TokenFault::Unknown)),
        ("404 Not Found", Err(TokenFault::Unknown)),
        ("429 Too Many", Err(TokenFault::Unavailable)),
        ("500 Oops", Err(TokenFault::Unavailable)),
        ("503 Later", Err(TokenFault::Unavailable)),
    ] {
        let address = service::start(move |_, stream| {
            let location = format!("Location: http://{elsewhere}/\r\nContent-Length: 3");
            say(stream, format!("HTTP/1.1 {status}\r\n{location}\r\n\r\nh:1").as_bytes());
        });
        let judged = desk.look_up(&api(address, "/%s", false), "the-token");
        assert_eq!(place(&judged), expected, "{status}");
        if let Err(refused) = judged {
            assert!(refused.detail.contains(&status[..3]), "{}", refused.detail);
            assert!(refused.detail.contains(&address.to_string()), "{}", refused.detail);
        }
    }
    assert_eq!(followed.load(SeqCst), 0);
}

#[test]
fn a_gigabyte_is_not_read_to_its_end() {
    const WHOLE: u64 = 1 << 30;
    for length in [Some(WHOLE), None] {
        let sent = Arc::new(AtomicU64::new(0));
        let counted = sent.clone();
        let (ended, wait_for_end) = mpsc::channel();
        let ended = Arc::new(Mutex::new(ended));
        let address = service::start(move |_, stream| {
            use std::io::Write;

            let length = length.map(|length| format!("Content-Length: {length}\r\n"));
            say(
                stream,
                format!("HTTP/1.1 200 OK\r\n{}\r\n", length.unwrap_or_default()).as_bytes(),
            );
            let piece = [b'1'; 64 << 10];
            while counted.load(SeqCst) < WHOLE && stream.write_all(&piece).is_ok() {
                counted.fetch_add(piece.len() as u64, SeqCst);
            }
            ended.lock().expect("one").send(()).expect("the test waits");
        });
        let mut desk = Desk::start();
        let judged = desk.look_up(&api(address, "/%s", false), "the-token");
        assert_eq!(place(&judged), Err(TokenFault::Unavailable));
        let detail = judged.expect_err("too long").detail;
        assert!(detail.contains("longer than 65536 bytes"), "{detail}");
        wait_for_end.recv_timeout(Duration::from_secs(10)).expect("the connection was closed");
        let sent = sent.load(SeqCst);
        assert!(sent < 32 << 20, "{sent} bytes were taken");
    }
}

#[test]
fn a_service_that_hangs_is_given_up_and_holds_up_nobody_else() {
    let hanging: [(&str, &[u8]); 4] = [
        ("nothing", b""),
        ("half a head", b"HTTP/1.1 200 OK\r\nContent-"),
        ("half a body", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nh:1"),
        ("no end", b"HTTP/1.1 200 OK\r\n\r\nh:1"),
    ];
    let well = service::start(|_, stream| answer(stream, "200 OK", "h:1"));
    for (what, bytes) in hanging {
        let open = Arc::new(AtomicUsize::new(0));
        let counted = open.clone();
        let address = service::start(move |_, stream| {
            use std::io::Read;

            counted.fetch_add(1, SeqCst);
            say(stream, bytes);
            let _ = stream.read(&mut [0]);
            counted.fetch_sub(1, SeqCst);
        });
        let mut desk = Desk::start();
        let watch = Stopwatch::start();
        desk.ask(&api(address, "/%s", false), "the-token", client(1));
        let quick = desk.ask(&api(well, "/%s", false), "the-token", client(1));
        let (first, judged) = desk.next();
        assert_eq!((first, place(&judged)), (quick, Ok("h:1".to_owned())), "{what}");
        assert!(watch.elapsed() < PATIENCE / 2, "{what}: {:?}", watch.real());
        let (_, judged) = desk.next();
        assert_eq!(place(&judged), Err(TokenFault::Unavailable), "{what}");
        assert!(watch.is_within(PATIENCE..2 * PATIENCE), "{what}: {:?}", watch.real());
        wait::until_true("the connection ends", PATIENCE, || open.load(SeqCst) == 0);
    }
}

#[test]
fn garbage_is_told_without_a_word_of_it() {
    let endless_head = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 1 << 20]].concat();
    let mut desk = Desk::start();
    for bytes in [
        &b"canary\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00canary",
        b"SSH-2.0-canary\r\n",
        b"HTTP/2.0 200 OK\r\n\r\nh:1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\ncanary",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nh:1",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n",
        &endless_head,
        b"",
    ] {
        let said = bytes.to_vec();
        let address = service::start(move |_, stream| say(stream, &said));
        let judged = desk.look_up(&api(address, "/%s", false), "the-token");
        assert_eq!(place(&judged), Err(TokenFault::Unavailable), "{:.30}", bytes.escape_ascii());
        let detail = judged.expect_err("garbage").detail;
        assert!(!detail.contains("canary"), "{detail}");
    }
}

#[test]
fn a_url_that_can_t_be_used_says_so_and_is_not_shown() {
    let mut desk = Desk::start();
    for url in ["ftp://canary/%s", "http://canary/", "http://%s.canary/", "canary"] {
        let source = TokenSource::Api { url: url.into(), json: false };
        let refused = desk.look_up(&tokens(source), "the-token").expect_err("no URL");
        assert_eq!(refused.why, TokenFault::Unavailable);
        assert!(refused.detail.contains("mend `source`"), "{}", refused.detail);
        assert!(!refused.detail.contains("canary"), "{}", refused.detail);
    }
    let source = TokenSource::Api { url: "http://nohost.invalid/%s".into(), json: false };
    let refused = desk.look_up(&tokens(source), "the-token").expect_err("no such host");
    assert_eq!(refused.why, TokenFault::Unavailable);
}
