//! What is said to both: each is one request, what the client says behind it, and what the target does.

use penstock_tests::web_socket::{BINARY, CLOSE, KEY, PING, PONG, TEXT, close, frame, head_of};

/// To whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Server {
    /// One target.
    Fixed,
    /// One that is not there.
    Shut,
    /// A file of tokens, `X` among them.
    Tokens,
    /// One target, for who has name and password.
    Basic,
    /// One target, for pages of one origin.
    Origin,
}

/// What the target does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Listens,
    Says(&'static str),
    Ends(&'static str),
    Resets,
}

/// See the module.
pub(super) struct Case {
    /// As in docs/COMPATIBILITY.md.
    pub(super) name: &'static str,
    pub(super) server: Server,
    /// `SERVER` stands for its address.
    pub(super) head: String,
    pub(super) say: Vec<u8>,
    pub(super) target: Target,
    /// The client ends its connection without a close.
    pub(super) leaves: bool,
}

/// A request with these lines behind its first.
fn head(first: &str, lines: &[&str]) -> String {
    format!("{first}\r\nHost: SERVER\r\n{}\r\n\r\n", lines.join("\r\n"))
}

const GET: &str = "GET /websockify HTTP/1.1";
const UPGRADE: &str = "Upgrade: websocket";
const VERSION: &str = "Sec-WebSocket-Version: 13";

fn case(name: &'static str, server: Server, head: String) -> Case {
    Case { name, server, head, say: Vec::new(), target: Target::Listens, leaves: false }
}

fn upgrade(first: &str, more: &[&str]) -> String {
    let key = format!("Sec-WebSocket-Key: {KEY}");
    head(first, &[&[UPGRADE, "Connection: Upgrade", VERSION, &key], more].concat())
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    [handshakes(), frames(), closes(), targets(), tokens(), people()]
        .into_iter()
        .flatten()
        .collect()
}

fn handshakes() -> Vec<Case> {
    let key = format!("Sec-WebSocket-Key: {KEY}");
    let key = key.as_str();
    let long = "x".repeat(20_000);
    let fixed = |name, head| case(name, Server::Fixed, head);
    let with = |name, line: &str| case(name, Server::Fixed, upgrade(GET, &[line]));
    vec![
        fixed("a plain handshake", upgrade(GET, &[])),
        fixed("version 7", head(GET, &[UPGRADE, "Sec-WebSocket-Version: 7", key])),
        fixed("version 8", head(GET, &[UPGRADE, "Sec-WebSocket-Version: 8", key])),
        fixed("version 12", head(GET, &[UPGRADE, "Sec-WebSocket-Version: 12", key])),
        fixed("no version", head(GET, &[UPGRADE, key])),
        fixed("no key", head(GET, &[UPGRADE, VERSION])),
        fixed("no Connection header", head(GET, &[UPGRADE, VERSION, key])),
        fixed("`Upgrade: WebSocket`", head(GET, &["Upgrade: WebSocket", VERSION, key])),
        fixed("`Upgrade: h2c, websocket`", head(GET, &["Upgrade: h2c, websocket", VERSION, key])),
        fixed("`Upgrade: h2c`", head(GET, &["Upgrade: h2c", VERSION, key])),
        fixed("HTTP/1.0", upgrade("GET / HTTP/1.0", &[])),
        fixed("HTTP/2.0", upgrade("GET / HTTP/2.0", &[])),
        fixed("GET of a page without `web`", head(GET, &[])),
        fixed("HEAD of a page without `web`", head("HEAD / HTTP/1.1", &[])),
        fixed("POST", upgrade("POST / HTTP/1.1", &["Content-Length: 0"])),
        fixed("OPTIONS", upgrade("OPTIONS / HTTP/1.1", &[])),
        fixed("a first line that is no HTTP", "BOGUS\r\n\r\n".to_owned()),
        fixed("a path of 20,000 bytes", upgrade(&format!("GET /{long} HTTP/1.1"), &[])),
        fixed("a header of 20,000 bytes", upgrade(GET, &[&format!("X: {long}")])),
        fixed("101 header lines", upgrade(GET, &["X: y"; 101])),
        fixed("a header without a colon", upgrade(GET, &["nonsense"])),
        with("sub-protocol `binary`", "Sec-WebSocket-Protocol: binary"),
        with("sub-protocols `binary,base64`", "Sec-WebSocket-Protocol: binary,base64"),
        with("sub-protocols `binary, base64`", "Sec-WebSocket-Protocol: binary, base64"),
        with("sub-protocols `base64, binary`", "Sec-WebSocket-Protocol: base64, binary"),
        with("sub-protocol `base64`", "Sec-WebSocket-Protocol: base64"),
        with("sub-protocol `chat`", "Sec-WebSocket-Protocol: chat"),
        with("an empty list of sub-protocols", "Sec-WebSocket-Protocol: "),
        with("an offer to compress", "Sec-WebSocket-Extensions: permessage-deflate"),
        with("a handshake with a body", "Content-Length: 4"),
        with("a page of another origin", "Origin: https://evil.example"),
        with("a page of the same host", "Origin: http://SERVER"),
    ]
}

fn saying(name: &'static str, parts: &[Vec<u8>]) -> Case {
    Case { say: parts.concat(), ..case(name, Server::Fixed, upgrade(GET, &[])) }
}

fn frames() -> Vec<Case> {
    let begun = || frame(0x02, b"one");
    vec![
        saying("a message", &[frame(BINARY, b"hello")]),
        saying(
            "messages",
            &[frame(BINARY, b"hello"), frame(BINARY, b", "), frame(BINARY, b"world")],
        ),
        saying("126 bytes", &[frame(BINARY, &[1; 126])]),
        saying("65,536 bytes", &[frame(BINARY, &[1; 65_536])]),
        saying("an empty message", &[frame(BINARY, b""), frame(BINARY, b"x")]),
        saying("fragments", &[begun(), frame(0x00, b"two"), frame(0x80, b"three")]),
        saying("an unfinished message", &[begun()]),
        saying("an empty first fragment", &[frame(0x02, b""), frame(0x80, b"two")]),
        saying("a long form of a short length", &[vec![BINARY, 0xfe, 0, 1, 0, 0, 0, 0, b'x']]),
        saying("a ping", &[frame(PING, b"x")]),
        saying("an empty ping", &[frame(PING, b"")]),
        saying("a ping between fragments", &[begun(), frame(PING, b"x"), frame(0x80, b"two")]),
        saying("a pong that nobody asked for", &[frame(PONG, b"x"), frame(BINARY, b"x")]),
        saying("a ping of 126 bytes", &[frame(PING, &[1; 126])]),
        saying("a frame without a mask", &[vec![BINARY, 1, b'x']]),
        saying("text", &[frame(TEXT, b"x")]),
        saying("a reserved bit", &[frame(0xc2, b"x")]),
        saying("an unknown opcode", &[frame(0x83, b"x")]),
        saying("an unknown control opcode", &[frame(0x8b, b"x")]),
        saying("a ping in fragments", &[frame(0x09, b"x")]),
        saying("a pong in fragments", &[frame(0x0a, b"x")]),
        saying("a stray continuation", &[frame(0x80, b"x")]),
        saying("a message within another", &[begun(), frame(BINARY, b"x")]),
        saying("data before text", &[frame(BINARY, b"before"), frame(TEXT, b"x")]),
        saying("a length of 2^63", &[head_of(BINARY, 1 << 63)]),
        saying("a frame that is not whole", &[head_of(BINARY, 1000), vec![1; 100]]),
    ]
}

fn closes() -> Vec<Case> {
    let latin1 = [&[3, 0xe8][..], b"\xe9"].concat();
    vec![
        saying("close 1000", &[close(1000, "")]),
        saying("close 1001 with words", &[close(1001, "bye")]),
        saying("close 4000", &[close(4000, "")]),
        saying("close without a code", &[frame(CLOSE, b"")]),
        saying("close with half a code", &[frame(CLOSE, &[3])]),
        saying("close with words that are no UTF-8", &[frame(CLOSE, &latin1)]),
        saying("close 1005", &[close(1005, "")]),
        saying("close 999", &[close(999, "")]),
        saying("close in fragments", &[frame(0x08, &[3, 0xe8])]),
        saying("data and close at once", &[frame(BINARY, b"last"), close(1000, "")]),
        saying("data behind close", &[close(1000, ""), frame(BINARY, b"late")]),
        Case { leaves: true, ..saying("an end without close", &[]) },
        Case { leaves: true, ..saying("data and an end without close", &[frame(BINARY, b"last")]) },
    ]
}

fn targets() -> Vec<Case> {
    let fixed = |name, target| Case { target, ..saying(name, &[]) };
    vec![
        fixed("the target speaks", Target::Says("hello")),
        fixed("the target ends", Target::Ends("")),
        fixed("the target speaks and ends", Target::Ends("bye")),
        fixed("the target resets", Target::Resets),
        case("the target refuses", Server::Shut, upgrade(GET, &[])),
    ]
}

fn tokens() -> Vec<Case> {
    let by = |name, path: &str| {
        case(name, Server::Tokens, upgrade(&format!("GET {path} HTTP/1.1"), &[]))
    };
    vec![
        by("`/?token=X`", "/?token=X"),
        by("`/websockify?token=X`", "/websockify?token=X"),
        by("`/?token=%58`", "/?token=%58"),
        by("`/?token=X%0A`", "/?token=X%0A"),
        by("`/?token=&token=X`", "/?token=&token=X"),
        by("`/?token=X&token=Y`", "/?token=X&token=Y"),
        by("`/?token=Y&token=X`", "/?token=Y&token=X"),
        by("no token", "/"),
        by("an unknown token", "/?token=Y"),
        by("`/?Token=X`", "/?Token=X"),
        by("`/%3Ftoken%3DX`", "/%3Ftoken%3DX"),
        case("a token in a cookie", Server::Tokens, upgrade(GET, &["Cookie: token=X"])),
        case("no token, and no key", Server::Tokens, head(GET, &[UPGRADE, VERSION])),
    ]
}

fn people() -> Vec<Case> {
    let basic = |name, line: &str| case(name, Server::Basic, upgrade(GET, &[line]));
    let origin = |name, line: &str| case(name, Server::Origin, upgrade(GET, &[line]));
    vec![
        basic("no password", "X: y"),
        basic("the password", "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        basic("a wrong password", "Authorization: Basic QWxhZGRpbjpvcGVuIHNheXMgbWU="),
        basic("another scheme", "Authorization: Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        basic("`basic` in small letters", "Authorization: basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        basic("a password without a colon", "Authorization: Basic QWxhZGRpbg=="),
        basic("signs in a password's Base64", "Authorization: Basic QWxh!ZGRpbjpvcGVuIHNlc2FtZQ=="),
        origin("the expected origin", "Origin: https://portal.example"),
        origin("another than the expected origin", "Origin: https://evil.example"),
        origin("no origin where one is expected", "X: y"),
        origin("the expected origin in capitals", "Origin: HTTPS://PORTAL.EXAMPLE"),
    ]
}
