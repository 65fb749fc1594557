//! Heads as clients send them, well or badly, in any pieces.

use super::*;
use crate::http::line::LINE_LIMIT;
use crate::http::{HEAD_LIMIT, HEADER_LIMIT, Host, TARGET_LIMIT, TargetError};
use crate::testing::{Fed, any_split, feed};
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

fn new() -> Head {
    Head::new(Options::default())
}

/// The verdict of every split of `stream`.
pub(super) fn verdict(stream: impl AsRef<[u8]>) -> Result<Progress<Request>, Error> {
    any_split(stream.as_ref(), new, Head::receive).verdict
}

/// The verdict of the whole stream, and of the stream cut at `at`; for streams too long to be split
/// at every byte.
fn long_verdict(stream: &[u8], at: usize) -> Result<Progress<Request>, Error> {
    let run = |pieces: &[&[u8]]| {
        let mut machine = new();
        feed(pieces.iter().copied(), |input, output| machine.receive(input, output))
    };
    let whole = run(&[stream]);
    let (head, tail) = stream.split_at(at.min(stream.len()));
    assert_eq!(run(&[head, tail]), whole);
    whole.verdict
}

fn refused(stream: impl AsRef<[u8]>) -> Error {
    verdict(stream).unwrap_err()
}

fn seen(stream: &[u8]) -> Seen {
    let mut machine = new();
    let _verdict = machine.receive(&mut &*stream, &mut Vec::new());
    machine.seen().clone()
}

const SPICE_GTK: &[u8] = b"CONNECT 2001:db8::1:5901 HTTP/1.0\r\nHost: 2001:db8::1:5901\r\n\
    Proxy-Connection: keep-alive\r\nUser-Agent: GLib/2.50\r\n\
    Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n";

#[test]
fn spice_gtk_is_understood_and_its_payload_left_alone() {
    let payload = b"REDQ\x02\0\0\0\r\n\r\n";
    let stream = [SPICE_GTK, payload].concat();
    let Fed { verdict, output, rest } = any_split(&stream, new, Head::receive);
    let Ok(Done(request)) = verdict else { panic!("{verdict:?}") };
    assert_eq!(request.target.to_string(), "[2001:db8::1]:5901");
    assert_eq!(request.minor_version, 0);
    assert_eq!(request.proxy_authorization.unwrap().0, b"Basic dXNlcjpwYXNz");
    assert_eq!(request.length, SPICE_GTK.len());
    assert_eq!((output.as_slice(), rest.as_slice()), (b"".as_slice(), payload.as_slice()));
}

#[test]
fn both_broken_forms_of_old_clients_pass() {
    let bare = "CONNECT h:1 HTTP/1.0\r\nProxy-Authorization: dXNlcjpwYXNz\r\n\r\n";
    let Ok(Done(request)) = verdict(bare) else { panic!() };
    assert_eq!(request.proxy_authorization.unwrap().0, b"dXNlcjpwYXNz");

    let glued = "CONNECT h:1 HTTP/1.0\r\nHost: hProxy-Connection: keep-alive\r\n\r\n";
    assert!(matches!(verdict(glued), Ok(Done(_))));
}

#[test]
fn each_refusal_has_its_status_and_squid_name() {
    let connect = |rest: &str| format!("CONNECT h:1 HTTP/1.1\r\n{rest}\r\n");
    for (stream, error, status, name) in [
        ("\x16\x03\x01".into(), Error::NotHttp(0x16), 400, "ERR_INVALID_REQ"),
        ("\n".repeat(9), Error::EmptyLines, 400, "ERR_INVALID_REQ"),
        ("BOGUS\r\n".into(), Error::RequestLine, 400, "ERR_INVALID_REQ"),
        ("GET http://h/ HTTP/1.1\r\n\r\n".into(), Error::MethodNotAllowed, 405, "ERR_UNSUP_REQ"),
        ("BREW h:1 HTTP/1.1\r\n\r\n".into(), Error::MethodUnknown, 501, "ERR_UNSUP_REQ"),
        (
            "PRI * HTTP/2.0\r\n\r\n".into(),
            Error::Version { major: 2, minor: 0 },
            505,
            "ERR_UNSUP_HTTPVERSION",
        ),
        (
            "CONNECT h HTTP/1.1\r\n\r\n".into(),
            Error::Target(TargetError::MissingPort),
            400,
            "ERR_INVALID_URL",
        ),
        (connect("no colon\r\n"), Error::Header, 400, "ERR_INVALID_REQ"),
        (connect("Content-Length: x\r\n"), Error::Framing, 400, "ERR_INVALID_REQ"),
        (
            connect("Proxy-Authorization: a\r\nproxy-authorization: a\r\n"),
            Error::RepeatedCredentials,
            400,
            "ERR_INVALID_REQ",
        ),
    ] {
        let came = refused(&stream);
        assert_eq!((came, came.status(), came.squid_name()), (error, status, name), "{stream:?}");
    }
    for error in [Error::TooManyHeaders, Error::HeadTooLarge] {
        assert_eq!((error.status(), error.squid_name()), (431, "ERR_TOO_BIG"));
    }
    assert_eq!(
        (Error::TargetTooLong.status(), Error::TargetTooLong.squid_name()),
        (414, "ERR_TOO_BIG")
    );
}

#[test]
fn an_unfinished_head_waits() {
    for end in 0..SPICE_GTK.len() {
        assert_eq!(verdict(&SPICE_GTK[..end]), Ok(Wait), "{end} bytes");
    }
}

#[test]
fn eight_empty_lines_are_forgiven() {
    let stream = ["\r\n".repeat(4), "\n".repeat(4), "CONNECT h:1 HTTP/1.1\n\n".into()].concat();
    let Ok(Done(request)) = verdict(stream) else { panic!() };
    assert_eq!(request.length, "CONNECT h:1 HTTP/1.1\n\n".len());
}

#[test]
fn a_head_of_65536_bytes_passes_and_one_more_does_not() {
    let head_of = |size: usize| {
        let start = b"CONNECT h:1 HTTP/1.1\r\nA: ";
        [start, vec_of(b'a', size - start.len() - 4).as_slice(), b"\r\n\r\n"].concat()
    };
    let fits = head_of(HEAD_LIMIT);
    let Ok(Done(request)) = long_verdict(&fits, HEAD_LIMIT - 1) else { panic!() };
    assert_eq!(request.length, 65_536);
    assert_eq!(long_verdict(&head_of(HEAD_LIMIT + 1), HEAD_LIMIT), Err(Error::HeadTooLarge));
    // A caller whose buffer is full must not be left waiting.
    assert_eq!(long_verdict(&fits[..HEAD_LIMIT - 1], 9), Ok(Wait));
    assert_eq!(
        long_verdict(&[&fits[..HEAD_LIMIT - 1], b"x"].concat(), 9),
        Err(Error::HeadTooLarge)
    );
}

#[test]
fn a_hundred_headers_pass_and_one_more_does_not() {
    let head_of = |n| format!("CONNECT h:1 HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(n)).into_bytes();
    assert!(matches!(long_verdict(&head_of(HEADER_LIMIT), 300), Ok(Done(_))));
    assert_eq!(long_verdict(&head_of(HEADER_LIMIT + 1), 300), Err(Error::TooManyHeaders));
}

#[test]
fn a_target_of_8192_bytes_is_judged_and_one_more_is_too_long() {
    let head_of =
        |n: usize| [b"CONNECT ", vec_of(b'a', n - 2).as_slice(), b":1 HTTP/1.1\r\n\r\n"].concat();
    let judged = Err(Error::Target(TargetError::Name));
    assert_eq!(long_verdict(&head_of(TARGET_LIMIT), 8190), judged);
    assert_eq!(long_verdict(&head_of(TARGET_LIMIT + 1), 8190), Err(Error::TargetTooLong));
    // An endless line is refused before it ends, at one and the same byte.
    assert_eq!(long_verdict(&vec_of(b'a', LINE_LIMIT), LINE_LIMIT - 1), Ok(Wait));
    assert_eq!(long_verdict(&vec_of(b'a', LINE_LIMIT + 1), LINE_LIMIT), Err(Error::TargetTooLong));
}

#[test]
fn bytes_offered_again_are_not_scanned_again() {
    let mut machine = new();
    let start = b"CONNECT h:1 HTTP/1.1\r\nA: bcdefgh";
    assert_eq!(machine.receive(&mut start.as_slice(), &mut Vec::new()), Ok(Wait));
    // A breach of the law, to see what is looked at: an end of the head where the scan has been.
    let forged = b"CONNECT h:1 HTTP/1.1\r\nA: b\r\n\r\nhi";
    assert_eq!(machine.receive(&mut forged.as_slice(), &mut Vec::new()), Ok(Wait));
    assert_eq!(machine.lines.scanned, forged.len());
}

#[test]
fn a_head_of_64_kib_in_single_bytes_is_scanned_once() {
    let head = [b"CONNECT h:1 HTTP/1.1\r\nA: ", vec_of(b'a', 65_000).as_slice()].concat();
    let mut machine = new();
    for end in 1..=head.len() {
        assert_eq!(machine.receive(&mut &head[..end], &mut Vec::new()), Ok(Wait));
        assert_eq!(machine.lines.scanned, end);
    }
}

#[test]
fn refused_requests_can_still_be_logged() {
    let log = |stream: &str| {
        let Seen { method, target } = seen(stream.as_bytes());
        (method.unwrap_or_default(), target.unwrap_or_default())
    };
    assert_eq!(log("CONNECT 127.0.0.1 HTTP/1.1\r\n\r\n"), ("CONNECT".into(), "127.0.0.1".into()));
    assert_eq!(log("GET http://h/ HTTP/1.1\r\n\r\n"), ("GET".into(), "http://h/".into()));
    assert_eq!(log("BOGUS\r\n"), ("BOGUS".into(), "".into()));
    assert_eq!(log("\x16\x03"), ("".into(), "".into()));
    assert_eq!(log("CONNECT a:canary@h:1 HTTP/1.1\r\n\r\n"), ("CONNECT".into(), "h:1".into()));
}

#[test]
fn credentials_do_not_show_in_debug_output() {
    let Ok(Done(request)) = verdict(SPICE_GTK) else { panic!() };
    assert!(!format!("{request:?}").contains("dXNlcjpwYXNz"));
}

#[test]
fn strict_targets_are_an_option() {
    let mut strict = Head::new(Options { strict_target: true });
    let verdict = strict.receive(&mut &*SPICE_GTK, &mut Vec::new());
    assert_eq!(verdict, Err(Error::Target(TargetError::Ipv6)));
}

proptest! {
    /// Random streams from the alphabet that heads are made of, at random splits.
    #[test]
    fn random_heads_give_one_verdict(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "CONNECT ", "h:1", "[::1]:5900", " HTTP/1.1", "\r", "\n", "\r\n", "A: b", ":", " ",
                "\t", "\0", "Content-Length: 1", "Transfer-Encoding: chunked", "x",
            ]),
            0..24,
        ),
        cuts in prop::collection::vec(0usize..200, 0..6),
    ) {
        let stream = words.concat().into_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let run = |pieces: Vec<&[u8]>| {
            let mut machine = new();
            (feed(pieces, |input, output| machine.receive(input, output)), machine.seen().clone())
        };
        let pieces = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(run(pieces), run(vec![stream.as_slice()]));
    }

    /// What a client may properly ask for comes out as it was meant.
    #[test]
    fn proper_requests_pass(
        name in "([a-z0-9][a-z0-9-]{0,20}\\.){0,3}[a-z][a-z0-9]{0,10}",
        port in 1u16..,
        headers in prop::collection::vec(("[A-Za-z-]{1,12}x", "[ -~]{0,30}"), 0..20),
        payload in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut head = format!("CONNECT {name}:{port} HTTP/1.1\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let stream = [head.as_bytes(), &payload].concat();
        let mut machine = new();
        let fed = feed(stream.chunks(7), |input, output| machine.receive(input, output));
        let Ok(Done(request)) = fed.verdict else { panic!("{:?} for {head:?}", fed.verdict) };
        prop_assert_eq!(request.target, Target { host: Host::Name(name), port });
        prop_assert_eq!(request.length, head.len());
        prop_assert_eq!(fed.rest, payload);
    }
}

fn vec_of(byte: u8, length: usize) -> Vec<u8> {
    core::iter::repeat_n(byte, length).collect()
}
