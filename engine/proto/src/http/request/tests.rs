//! Requests as browsers, tools and attackers write them.

use super::*;
use crate::http::HEADER_LIMIT;
use crate::testing::{any_split, feed};
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

fn verdict(head: &str) -> Result<Progress<Request>, Error> {
    any_split(head.as_bytes(), RequestHead::new, RequestHead::receive).verdict
}

fn request(head: &str) -> Request {
    match verdict(head) {
        Ok(Done(request)) => request,
        other => panic!("{other:?} for {head:?}"),
    }
}

fn of_target(target: &str) -> Request {
    request(&format!("GET {target} HTTP/1.1\r\n\r\n"))
}

fn refusal(head: &str) -> Error {
    verdict(head).expect_err("a refusal")
}

const BROWSER: &str = "GET /websockify?token=secret HTTP/1.1\r\nHost: consoles.example:6080\r\n\
    Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nEmpty:\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n";

#[test]
fn a_browsers_request_is_understood() {
    let request = request(BROWSER);
    assert_eq!((request.method(), request.minor_version()), ("GET", 1));
    assert_eq!(request.target(), "/websockify?token=secret");
    assert_eq!((request.path(), request.query()), ("/websockify", Some("token=secret")));
    assert_eq!(request.header("host"), Some(&b"consoles.example:6080"[..]));
    assert_eq!(request.header("EMPTY"), Some(&b""[..]));
    assert_eq!(request.header("origin"), None);
    let cookies: Vec<&[u8]> = request.headers("cookie").collect();
    assert_eq!(cookies, [b"a=1", b"b=2"]);
    assert!(request.lists("connection", "upgrade") && !request.lists("connection", "up"));
    assert!(request.keep_alive() && !request.has_body());
    assert_eq!(request.bytes(), BROWSER.as_bytes());
}

#[test]
fn what_follows_the_head_stays_in_the_input() {
    let stream = [BROWSER, "next"].concat();
    let fed = any_split(stream.as_bytes(), RequestHead::new, RequestHead::receive);
    assert_eq!(fed.rest, b"next");
    let before = feed([&b"\r\n\n"[..], BROWSER.as_bytes()], |input, output| {
        RequestHead::new().receive(input, output)
    });
    assert!(matches!(before.verdict, Ok(Done(request)) if request.bytes() == BROWSER.as_bytes()));
}

#[test]
fn targets_are_paths_or_urls() {
    for (target, path, query) in [
        ("/", "/", None),
        ("/?", "/", Some("")),
        ("/a/b?c?d=/e", "/a/b", Some("c?d=/e")),
        ("/a?b#c?d", "/a", Some("b")),
        ("/a#b?c", "/a", None),
        ("//evil.example/x", "//evil.example/x", None),
        ("http://h", "/", None),
        ("http://h?a", "/", Some("a")),
        ("HTTPS://h:1/a?b", "/a", Some("b")),
        ("*", "*", None),
    ] {
        let request = of_target(target);
        assert_eq!((request.path(), request.query()), (path, query), "{target}");
    }
    for target in ["a", "a/b", "*a", "?a", "h:80", "ftp://h/", "http:/h", "http:///a", "http://?a"]
    {
        let head = format!("CONNECT {target} HTTP/1.1\r\n\r\n");
        assert_eq!(refusal(&head), Error::TargetForm, "{target}");
    }
}

#[test]
fn heads_that_two_readers_read_differently_are_refused() {
    for (lines, error) in [
        ("Host: a\r\nhost: a\r\n", Error::RepeatedHost),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Error::Framing),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", Error::Framing),
        ("Content-Length: +5\r\n", Error::Framing),
        ("Content-Length : 5\r\n", Error::Header),
        ("A: b\r\n folded\r\n", Error::Header),
        ("A: b\0\r\n", Error::Header),
        ("A: b\rc\r\n", Error::Header),
        (": b\r\n", Error::Header),
    ] {
        let head = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        assert_eq!(refusal(&head), error, "{lines:?}");
    }
    for (head, error) in [
        ("GET  / HTTP/1.1\r\n\r\n", Error::RequestLine),
        ("GET / HTTP/1.1 \r\n\r\n", Error::RequestLine),
        ("GET /\0 HTTP/1.1\r\n\r\n", Error::RequestLine),
        ("GET /ä HTTP/1.1\r\n\r\n", Error::RequestLine),
        ("GET / HTTP/2.0\r\n\r\n", Error::Version { major: 2, minor: 0 }),
        ("\x16\x03\x01", Error::NotHttp(0x16)),
        ("\n\n\n\n\n\n\n\n\n", Error::EmptyLines),
    ] {
        assert_eq!(refusal(head), error, "{head:?}");
    }
}

#[test]
fn limits_are_those_of_the_connect_head() {
    let of = |head: &str| {
        feed([head.as_bytes()], |input, output| RequestHead::new().receive(input, output)).verdict
    };
    let long = |length| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(length - 1));
    assert!(matches!(of(&long(super::super::TARGET_LIMIT)), Ok(Done(_))));
    assert_eq!(of(&long(super::super::TARGET_LIMIT + 1)), Err(Error::TargetTooLong));
    let many = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert!(matches!(of(&many(HEADER_LIMIT)), Ok(Done(_))));
    assert_eq!(of(&many(HEADER_LIMIT + 1)), Err(Error::TooManyHeaders));
    let large = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(super::super::HEAD_LIMIT));
    assert_eq!(of(&large), Err(Error::HeadTooLarge));
}

#[test]
fn bodies_are_noticed() {
    for (line, expected) in [
        ("", false),
        ("Content-Length: 0\r\n", false),
        ("Content-Length: 000\r\n", false),
        ("Content-Length: 1\r\n", true),
        ("Content-Length: 99999999999999999999999999\r\n", true),
        ("Transfer-Encoding: chunked\r\n", true),
        ("Transfer-Encoding: identity\r\n", true),
    ] {
        let request = request(&format!("POST / HTTP/1.1\r\n{line}\r\n"));
        assert_eq!(request.has_body(), expected, "{line}");
    }
}

#[test]
fn connections_are_kept_as_the_version_has_it() {
    for (minor, line, expected) in [
        (1, "", true),
        (1, "Connection: close\r\n", false),
        (1, "Connection: Upgrade, CLOSE\r\n", false),
        (1, "Connection: keep-alive\r\nConnection: close\r\n", false),
        (0, "", false),
        (0, "Connection: Keep-Alive\r\n", true),
        (0, "Connection: keep-alive, close\r\n", false),
    ] {
        let request = request(&format!("GET / HTTP/1.{minor}\r\n{line}\r\n"));
        assert_eq!(request.keep_alive(), expected, "HTTP/1.{minor} {line}");
    }
}

#[test]
fn nothing_that_may_be_a_token_is_shown() {
    for (target, expected) in [
        ("/websockify?token=SECRET", "/websockify"),
        ("/websockify%3Ftoken%3DSECRET", "/websockify"),
        ("/websockify%3ftoken=SECRET", "/websockify"),
        ("/websockify%25253ftoken=SECRET", "/websockify"),
        ("/websockify&token=SECRET", "/websockify"),
        ("/token=SECRET", "/token"),
        ("/token%3dSECRET", "/token"),
        ("/a;token=SECRET", "/a"),
        ("/a#SECRET", "/a"),
        ("/a%23SECRET", "/a"),
        ("http://SECRET@h/?SECRET", "/"),
        ("http://h?SECRET", "/"),
        ("/a%20b/%41.html", "/a%20b/%41.html"),
    ] {
        assert_eq!(of_target(target).shown(), expected, "{target}");
        let mut head = RequestHead::new();
        let text = format!("GET {target} HTTP/1.1\r\n");
        assert_eq!(head.receive(&mut text.as_bytes(), &mut vec![]), Ok(Wait));
        assert_eq!(head.seen().target.as_deref(), Some(expected));
        assert!(!format!("{:?}{:?}", of_target(target), head).contains("SECRET"));
    }
}

proptest! {
    #[test]
    fn any_bytes_get_the_same_verdict_in_any_split(
        lines in prop::collection::vec("[ -~]{0,12}|(Host|A|Content-Length): [a-z0-9]{0,5}", 0..5),
        first in "(GET|POST|x) (/|http://h|\\*|[!-~]{0,9}) HTTP/1.[01]|[ -~]{0,20}",
        end in "\r\n|\n",
    ) {
        let head = [first].into_iter().chain(lines).chain(["".to_string()]).collect::<Vec<_>>().join(&end);
        let _ = verdict(&[&head, &end, "rest"].concat());
    }
}
