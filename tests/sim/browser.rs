//! What browsers ask for: consoles through WebSocket, pages before that or in its place, and what nobody answers with either.

use penstock_core::close::Cause;
use penstock_core::config::{Auth, Console, ConsoleTarget};
use penstock_tests::web_socket::{ACCEPT, KEY};

use crate::sim::random::Random;
use crate::sim::tally::{Fault, count};

/// A page that may ask for consoles, where some are listed.
pub const PORTAL: &str = "https://portal.sim";
/// Who may have a console, where that is asked.
pub const CREDENTIALS: &str = "sim:open";
/// The same in a header.
const AUTHORIZATION: &str = "Authorization: Basic c2ltOm9wZW4=\r\n";
/// A header of the pages' own.
const MARK: &str = "X-Sim: page\r\n";

/// What a browser wants.
#[derive(Clone, Copy, Debug)]
pub struct Browser {
    /// Pages, first.
    pub pages: usize,
    /// And then a console.
    pub console: bool,
    /// Its payload is Base64 in text.
    pub base64: bool,
}

/// How it asks.
pub struct Asking {
    /// Its requests, one behind the other.
    pub bytes: Vec<u8>,
    /// What it wants by that.
    pub browser: Browser,
    /// Causes that it explains.
    pub explains: Vec<Cause>,
}

/// What is wrong with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flaw {
    NoVersion,
    OldVersion,
    NoKey,
    OtherProtocol,
    Body,
    OtherOrigin,
    NoOrigin,
    TwoOrigins,
    NoToken,
    NoCredentials,
    OtherCredentials,
    NoConsole,
    Grammar,
    TooLong,
}

impl Flaw {
    const ALL: [Flaw; 14] = [
        Flaw::NoVersion,
        Flaw::OldVersion,
        Flaw::NoKey,
        Flaw::OtherProtocol,
        Flaw::Body,
        Flaw::OtherOrigin,
        Flaw::NoOrigin,
        Flaw::TwoOrigins,
        Flaw::NoToken,
        Flaw::NoCredentials,
        Flaw::OtherCredentials,
        Flaw::NoConsole,
        Flaw::Grammar,
        Flaw::TooLong,
    ];

    /// What it leads to.
    fn cause(self, console: &Console) -> Option<Cause> {
        let by_token = matches!(console.to, ConsoleTarget::Tokens(_));
        match self {
            Flaw::NoVersion | Flaw::OldVersion | Flaw::NoKey => Some(Cause::BadRequest),
            Flaw::OtherProtocol | Flaw::Body | Flaw::Grammar => Some(Cause::BadRequest),
            Flaw::OtherOrigin | Flaw::NoOrigin | Flaw::TwoOrigins => Some(Cause::OriginRefused),
            Flaw::NoToken => by_token.then_some(Cause::TokenRefused),
            Flaw::NoCredentials | Flaw::OtherCredentials => {
                console.auth.is_some().then_some(Cause::Unauthorized)
            }
            // Where there are pages, it is for one of them.
            Flaw::NoConsole => console.web.is_none().then_some(Cause::MethodRefused),
            Flaw::TooLong => Some(Cause::TooLarge),
        }
    }
}

/// How a browser asks for the console of that token.
pub fn ask(console: &Console, token: &str, random: &mut Random) -> Asking {
    let flaw = random.percent(20).then(|| random.pick(&Flaw::ALL));
    let flaw = flaw.and_then(|flaw| Some((flaw, flaw.cause(console)?)));
    let (flaw, cause) = flaw.unzip();
    if flaw.is_some() {
        count(Fault::BadAsking);
    }
    let is = |other: Flaw| flaw == Some(other);
    // What is no request is for the web server to refuse, once it serves.
    let whole = !is(Flaw::Grammar) && !is(Flaw::TooLong);
    let some_pages = console.web.is_some() && whole && random.percent(40);
    let pages = if some_pages { random.between(1, 3) } else { 0 };
    let wants_console = pages == 0 || flaw.is_some() || random.percent(75);
    let host = if console.host_token && !is(Flaw::NoToken) { token } else { "console.sim:6080" };
    let host = if console.host_token && is(Flaw::NoToken) { ":6080" } else { host };
    let credentials = match flaw {
        _ if console.auth.is_none() && random.percent(80) => "",
        Some(Flaw::NoCredentials) => "",
        Some(Flaw::OtherCredentials) => "Authorization: Basic c2ltOnNodXQ=\r\n",
        _ => AUTHORIZATION,
    };
    let mut text = String::new();
    for number in 0..pages {
        text += &format!("GET /page{number} HTTP/1.1\r\nHost: {host}\r\n{credentials}\r\n");
    }
    let base64 = random.percent(25);
    if wants_console {
        let named = console.host_token || is(Flaw::NoToken);
        let path = if named { "/websockify".to_owned() } else { path(token, random) };
        text += &handshake(flaw, &path, host, base64, credentials, random);
    }
    Asking {
        bytes: text.into_bytes(),
        browser: Browser { pages, console: wants_console, base64 },
        explains: cause.into_iter().collect(),
    }
}

/// The token in one of the places where it is looked for.
fn path(token: &str, random: &mut Random) -> String {
    match random.below(3) {
        0 => format!("/websockify?token={token}"),
        1 => format!("/?more=1&token={token}"),
        _ => format!("/websockify%3Ftoken%3D{token}"),
    }
}

fn handshake(
    flaw: Option<Flaw>,
    path: &str,
    host: &str,
    base64: bool,
    credentials: &str,
    random: &mut Random,
) -> String {
    let is = |other: Flaw| flaw == Some(other);
    let mut head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{credentials}");
    if is(Flaw::Grammar) {
        head = head.replace("HTTP/1.1", "HTTP/eleven");
    }
    if is(Flaw::TooLong) {
        head += &format!("X-Filler: {}\r\n", "x".repeat(70_000));
    }
    if !is(Flaw::NoConsole) {
        head += "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    }
    head += match flaw {
        Some(Flaw::NoVersion) => "",
        Some(Flaw::OldVersion) => "Sec-WebSocket-Version: 9\r\n",
        _ => random.pick(&["Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 8\r\n"]),
    };
    if !is(Flaw::NoKey) {
        head += &format!("Sec-WebSocket-Key: {KEY}\r\n");
    }
    if is(Flaw::Body) {
        head += "Content-Length: 4\r\n";
    }
    head += match flaw {
        Some(Flaw::OtherProtocol) => "Sec-WebSocket-Protocol: chat\r\n",
        _ if base64 => random
            .pick(&["Sec-WebSocket-Protocol: base64\r\n", "Sec-WebSocket-Protocol: x, base64\r\n"]),
        _ => random.pick(&[
            "",
            "Sec-WebSocket-Protocol: binary\r\n",
            "Sec-WebSocket-Protocol: base64, binary\r\n",
        ]),
    };
    head += &match flaw {
        Some(Flaw::OtherOrigin) => "Origin: https://evil.sim\r\n".to_owned(),
        Some(Flaw::NoOrigin) => "Origin: null\r\n".to_owned(),
        Some(Flaw::TwoOrigins) => format!("Origin: {PORTAL}\r\nOrigin: {PORTAL}\r\n"),
        _ => random.pick(&["", "ORIGIN"]).replace("ORIGIN", &format!("Origin: {PORTAL}\r\n")),
    };
    head + "\r\n"
}

/// What came of a request.
pub enum Heard {
    /// Not all has come.
    Wait,
    /// A page, of so many bytes with its head.
    Page(usize),
    /// Frames follow a head of so many bytes.
    Console(usize),
    /// Something else.
    Refused(u16),
}

/// Reads the first answer of these.
pub fn hear(answers: &[u8], base64: bool) -> Heard {
    let Some(end) = answers.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Heard::Wait;
    };
    let head = std::str::from_utf8(&answers[..end + 2]).expect("a head is text");
    let status = head[9..12].parse().expect("a status");
    if status == 101 {
        let accepts = head.contains(&format!("Sec-WebSocket-Accept: {ACCEPT}\r\n"));
        assert!(accepts, "not the answer to our key: {head}");
        let chosen = head.contains("Sec-WebSocket-Protocol: base64\r\n");
        assert_eq!(chosen, base64, "another protocol was chosen: {head}");
        return Heard::Console(end + 4);
    }
    if !head.contains(MARK) {
        return Heard::Refused(status);
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.and_then(|digits| digits.parse().ok()).expect("a length");
    let Some(body) = answers.get(end + 4..end + 4 + length) else { return Heard::Wait };
    assert!(body.iter().enumerate().all(|(at, byte)| *byte == letter(at)), "a wrong page");
    count(Fault::PageRead);
    Heard::Page(end + 4 + length)
}

/// A page of that many bytes.
pub fn page(status: u16, length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} Sim\r\n{MARK}Content-Length: {length}\r\n\r\n");
    head.into_bytes().into_iter().chain((0..length).map(letter)).collect()
}

fn letter(at: usize) -> u8 {
    (at % 251) as u8
}

/// Who may, where that is asked.
pub fn auth() -> Auth {
    Auth::Basic(penstock_core::console::Basic::new(CREDENTIALS).expect("it has a colon"))
}
