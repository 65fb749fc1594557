//! Heads that make two readers disagree about where a message ends, or whom it is for: each with
//! the one verdict that Penstock gives.

use super::tests::verdict;
use crate::Progress::{Done, Wait};
use crate::http::Error::{self, *};
use crate::http::TargetError;

/// What the table expects of a head.
enum Expect {
    /// A tunnel.
    Pass,
    /// More bytes.
    More,
    Refuse(Error),
}
use Expect::{More, Pass, Refuse};

const BAD_NAME: Expect = Refuse(Target(TargetError::Name));
const BAD_PORT: Expect = Refuse(Target(TargetError::Port));
const BAD_IPV6: Expect = Refuse(Target(TargetError::Ipv6));
const NO_PORT: Expect = Refuse(Target(TargetError::MissingPort));

/// Whole heads.
const HEADS: &[(&str, Expect)] = &[
    // Line ends. One CR belongs to an LF; any other is data that some readers take for a line end.
    ("CONNECT h:1 HTTP/1.1\n\n", Pass),
    ("CONNECT h:1 HTTP/1.1\r\n\n", Pass),
    ("CONNECT h:1 HTTP/1.1\n\r\n", Pass),
    ("\r\nCONNECT h:1 HTTP/1.1\r\n\r\n", Pass),
    ("\nCONNECT h:1 HTTP/1.1\r\n\r\n", Pass),
    ("CONNECT h:1 HTTP/1.1\r\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1 HTTP/1.1\r\rA: b\r\r", More),
    ("CONNECT h:1 HTTP/1.1\rA: b\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1 HTTP/1.1\r\n\r", More),
    ("\rCONNECT h:1 HTTP/1.1\r\n\r\n", Refuse(NotHttp(b'\r'))),
    ("\r\r\nCONNECT h:1 HTTP/1.1\r\n\r\n", Refuse(NotHttp(b'\r'))),
    // The request line.
    ("CONNECT  h:1 HTTP/1.1\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1  HTTP/1.1\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT\th:1\tHTTP/1.1\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1\x0bHTTP/1.1\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1 HTTP/1.1 \r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1 HTTP/1.1 x\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1 \r\n\r\n", Refuse(RequestLine)),
    ("CONNECT\r\n\r\n", Refuse(RequestLine)),
    (" CONNECT h:1 HTTP/1.1\r\n\r\n", Refuse(NotHttp(b' '))),
    ("\0CONNECT h:1 HTTP/1.1\r\n\r\n", Refuse(NotHttp(0))),
    ("CONNECT h:1\0 HTTP/1.1\r\n\r\n", Refuse(RequestLine)),
    ("CONN\0ECT h:1 HTTP/1.1\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT: h:1 HTTP/1.1\r\n\r\n", Refuse(RequestLine)),
    ("connect h:1 HTTP/1.1\r\n\r\n", Refuse(MethodUnknown)),
    ("CONNECTX h:1 HTTP/1.1\r\n\r\n", Refuse(MethodUnknown)),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF h:1 HTTP/1.1\r\n\r\n", Refuse(MethodUnknown)),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG h:1 HTTP/1.1\r\n\r\n", Refuse(RequestLine)),
    ("POST http://h/ HTTP/1.1\r\nContent-Length: 0\r\n\r\n", Refuse(MethodNotAllowed)),
    ("CONNECT h:1 http/1.1\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1 HTTP/1\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1 HTTP/1.10\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1 HTTP/1.1,\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1 HTTP/+1.1\r\n\r\n", Refuse(RequestLine)),
    ("CONNECT h:1 HTTP/0.9\r\n\r\n", Refuse(Version { major: 0, minor: 9 })),
    ("CONNECT h:1 HTTP/2.0\r\n\r\n", Refuse(Version { major: 2, minor: 0 })),
    ("CONNECT h:1 HTTP/1.9\r\n\r\n", Pass),
    // The target.
    ("CONNECT h HTTP/1.1\r\n\r\n", NO_PORT),
    ("CONNECT http://h:80/ HTTP/1.1\r\n\r\n", Refuse(Target(TargetError::Ipv6))),
    ("CONNECT /h:80 HTTP/1.1\r\n\r\n", BAD_NAME),
    ("CONNECT h:80/ HTTP/1.1\r\n\r\n", BAD_PORT),
    ("CONNECT h:80?x HTTP/1.1\r\n\r\n", BAD_PORT),
    ("CONNECT h:0 HTTP/1.1\r\n\r\n", BAD_PORT),
    ("CONNECT h:65616 HTTP/1.1\r\n\r\n", BAD_PORT),
    ("CONNECT h:0x50 HTTP/1.1\r\n\r\n", BAD_PORT),
    ("CONNECT h:80:443 HTTP/1.1\r\n\r\n", BAD_IPV6),
    ("CONNECT a@h:80 HTTP/1.1\r\n\r\n", Refuse(Target(TargetError::UserInfo))),
    ("CONNECT h#@evil:80 HTTP/1.1\r\n\r\n", Refuse(Target(TargetError::UserInfo))),
    ("CONNECT evil\\h:80 HTTP/1.1\r\n\r\n", BAD_NAME),
    ("CONNECT h%00.evil:80 HTTP/1.1\r\n\r\n", Pass),
    ("CONNECT [::1%25eth0]:80 HTTP/1.1\r\n\r\n", BAD_IPV6),
    ("CONNECT [v1.x]:80 HTTP/1.1\r\n\r\n", BAD_IPV6),
    ("CONNECT [::1].evil:80 HTTP/1.1\r\n\r\n", NO_PORT),
    ("CONNECT xn--\u{e9}:80 HTTP/1.1\r\n\r\n", Refuse(RequestLine)),
];

/// Header lines behind a proper request line, with the empty line to come.
const HEADERS: &[(&str, Expect)] = &[
    // Lengths: ignored while they are clear, refused when they could mean two things.
    ("Content-Length: 5\r\n", Pass),
    ("Content-Length: 0\r\n", Pass),
    ("Content-Length: 5\r\nContent-Length: 5\r\n", Pass),
    ("Content-Length: 5\r\nContent-Length: 6\r\n", Refuse(Framing)),
    ("Content-Length: 5\r\ncontent-length: 05\r\n", Refuse(Framing)),
    ("Content-Length: 5, 5\r\n", Refuse(Framing)),
    ("Content-Length:\r\n", Refuse(Framing)),
    ("Content-Length: +5\r\n", Refuse(Framing)),
    ("Content-Length: -1\r\n", Refuse(Framing)),
    ("Content-Length: 0x5\r\n", Refuse(Framing)),
    ("Content-Length: 5 5\r\n", Refuse(Framing)),
    ("Content-Length: 5;\r\n", Refuse(Framing)),
    ("Transfer-Encoding: chunked\r\n", Pass),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", Pass),
    ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Refuse(Framing)),
    ("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", Refuse(Framing)),
    ("Transfer-Encoding:\r\nContent-Length: 5\r\n", Refuse(Framing)),
    ("transfer-encoding: identity\r\nCONTENT-LENGTH: 5\r\n", Refuse(Framing)),
    // Names.
    ("Content-Length : 5\r\n", Refuse(Header)),
    ("Content-Length\t: 5\r\n", Refuse(Header)),
    (" Content-Length: 5\r\n", Refuse(Header)),
    ("A: b\r\n folded\r\n", Refuse(Header)),
    ("A: b\r\n\tfolded\r\n", Refuse(Header)),
    (": b\r\n", Refuse(Header)),
    (":\r\n", Refuse(Header)),
    ("A\r\n", Refuse(Header)),
    ("A b: c\r\n", Refuse(Header)),
    ("A\0: b\r\n", Refuse(Header)),
    ("A\x7f: b\r\n", Refuse(Header)),
    ("(A): b\r\n", Refuse(Header)),
    ("\"A\": b\r\n", Refuse(Header)),
    ("\u{e9}: b\r\n", Refuse(Header)),
    ("\x0bTransfer-Encoding: chunked\r\n", Refuse(Header)),
    // Values.
    ("A: b\0c\r\n", Refuse(Header)),
    ("A: b\rc\r\n", Refuse(Header)),
    ("A: b\r\r\n", Refuse(Header)),
    ("A: b\rContent-Length: 5\r\n", Refuse(Header)),
    ("A: b\x0bc\r\n", Refuse(Header)),
    ("A: b\x01c\r\n", Refuse(Header)),
    ("A: b\x7fc\r\n", Refuse(Header)),
    ("A: \u{e9}\r\n", Pass),
    ("A:\tb\tc \t\r\n", Pass),
    ("A:\r\n", Pass),
    ("A: b\nC: d\r\n", Pass),
    ("A: b\n folded\n", Refuse(Header)),
    // Fields that another proxy would act on.
    ("Host: other:99\r\nHost: third\r\n", Pass),
    ("Host:\r\n", Pass),
    ("Upgrade: h2c\r\nConnection: Upgrade\r\n", Pass),
    ("Expect: 100-continue\r\n", Pass),
    ("Proxy-Authorization: Basic YTpi\r\nProxy-Authorization: Basic YTpj\r\n", {
        Refuse(RepeatedCredentials)
    }),
];

#[test]
fn every_head_has_its_verdict() {
    for (head, expected) in HEADS {
        check(head, expected);
    }
}

#[test]
fn every_header_has_its_verdict() {
    for (lines, expected) in HEADERS {
        check(&["CONNECT h:1 HTTP/1.1\r\n", lines, "\r\n"].concat(), expected);
    }
}

fn check(head: &str, expected: &Expect) {
    match (verdict(head), expected) {
        (Ok(Done(_)), Pass) | (Ok(Wait), More) => {}
        (Err(error), Refuse(refusal)) => assert_eq!(error, *refusal, "{head:?}"),
        (verdict, _) => panic!("{verdict:?} for {head:?}"),
    }
}
