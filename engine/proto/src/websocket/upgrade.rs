//! The opening handshake: a request in, the 101 or the reason against it out.
//!
//! As websockify: the Connection header isn't looked at, the key may be any string, and HTTP/1.0 is good enough. Unlike it, the
//! elements of lists may have blanks around them, and a request with a body is refused. Who may have a console is for others to say.

use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use sha1::{Digest, Sha1};

use super::Payload;
use crate::http::request::Request;

/// The versions that are spoken, as a 400 lists them in `Sec-WebSocket-Version`. Their frames are the same.
pub const VERSIONS: &str = "13, 8, 7";

/// RFC 6455 §1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A handshake that can be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgrade {
    accept: String,
    protocol: Option<Payload>,
}

/// Why a request for a WebSocket is answered with 400. `Display` gives websockify's words where it has some.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UpgradeError {
    /// No Sec-WebSocket-Version.
    MissingVersion,
    /// Another version than 7, 8 and 13: its visible characters, at most 16.
    Version(String),
    /// No Sec-WebSocket-Key.
    MissingKey,
    /// Sub-protocols are offered, but neither `binary` nor `base64`.
    Protocol,
    /// A body follows, which would be read as frames.
    Body,
}

impl Upgrade {
    /// Whether the request asks for a WebSocket at all; anything else is for a web server.
    pub fn is_asked_for(request: &Request) -> bool {
        request.method() == "GET" && request.lists("upgrade", "websocket")
    }

    /// Reads the handshake of a request that asks for one; see [`is_asked_for`](Self::is_asked_for).
    ///
    /// # Errors
    /// The first thing that is missing or wrong.
    pub fn of(request: &Request) -> Result<Self, UpgradeError> {
        let version =
            request.header("sec-websocket-version").ok_or(UpgradeError::MissingVersion)?;
        if ![&b"7"[..], b"8", b"13"].contains(&version) {
            return Err(UpgradeError::Version(visible(version)));
        }
        let key = request.header("sec-websocket-key").ok_or(UpgradeError::MissingKey)?;
        if request.has_body() {
            return Err(UpgradeError::Body);
        }
        let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
        Ok(Self { accept: STANDARD.encode(digest), protocol: choose(request)? })
    }

    /// What the data frames carry.
    pub fn payload(&self) -> Payload {
        self.protocol.unwrap_or_default()
    }

    /// Appends the 101. No extension is ever agreed on.
    pub fn reply(&self, output: &mut Vec<u8>) {
        let protocol = match self.protocol {
            None => "",
            Some(Payload::Binary) => "Sec-WebSocket-Protocol: binary\r\n",
            Some(Payload::Base64) => "Sec-WebSocket-Protocol: base64\r\n",
        };
        for part in [
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            "Sec-WebSocket-Accept: ",
            &self.accept,
            "\r\n",
            protocol,
            "\r\n",
        ] {
            output.extend_from_slice(part.as_bytes());
        }
    }
}

/// None are offered by noVNC. A browser refuses an answer that chooses none of those that it offered.
fn choose(request: &Request) -> Result<Option<Payload>, UpgradeError> {
    let offers = |name: &str| {
        let mut values = request.headers("sec-websocket-protocol");
        values.any(|list| {
            list.split(|byte| *byte == b',').any(|one| one.trim_ascii() == name.as_bytes())
        })
    };
    match request.header("sec-websocket-protocol") {
        None => Ok(None),
        Some(_) if offers("binary") => Ok(Some(Payload::Binary)),
        Some(_) if offers("base64") => Ok(Some(Payload::Base64)),
        Some(_) => Err(UpgradeError::Protocol),
    }
}

fn visible(value: &[u8]) -> String {
    value
        .iter()
        .filter(|byte| byte.is_ascii_graphic())
        .take(16)
        .map(|byte| char::from(*byte))
        .collect()
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingVersion => "Missing Sec-WebSocket-Version header",
            Self::Version(version) => return write!(f, "Unsupported protocol version {version}"),
            Self::MissingKey => "Missing Sec-WebSocket-Key header",
            Self::Protocol => "Invalid protocol selected",
            Self::Body => "expected no body with a WebSocket handshake, came one",
        })
    }
}

impl core::error::Error for UpgradeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Progress::Done;
    use crate::http::request::RequestHead;
    use alloc::format;
    use alloc::string::ToString;

    fn request(first: &str, lines: &str) -> Request {
        let head = format!("{first}\r\n{lines}\r\n");
        let Ok(Done(request)) = RequestHead::new().receive(&mut head.as_bytes(), &mut Vec::new())
        else {
            panic!("{head}")
        };
        request
    }

    /// The example of RFC 6455 §1.3, with more lines.
    fn asked(more: &str) -> Request {
        let lines = "Host: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
        request("GET /chat HTTP/1.1", &[lines, more].concat())
    }

    fn reply(more: &str) -> String {
        let mut output = Vec::new();
        Upgrade::of(&asked(more)).expect("an upgrade").reply(&mut output);
        String::from_utf8(output).expect("text")
    }

    const REPLY: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        assert_eq!(reply(""), [REPLY, "\r\n"].concat());
        assert_eq!(reply("Sec-WebSocket-Extensions: permessage-deflate\r\n"), reply(""));
    }

    #[test]
    fn binary_is_preferred_and_base64_is_taken() {
        for (offered, chosen) in [
            ("binary", Some("binary")),
            ("base64", Some("base64")),
            ("base64, binary", Some("binary")),
            ("binary,base64", Some("binary")),
            ("chat , binary", Some("binary")),
            ("chat\r\nSec-WebSocket-Protocol: binary", Some("binary")),
            ("chat", None),
            ("Binary", None),
            ("", None),
            ("binary2", None),
        ] {
            let line = format!("Sec-WebSocket-Protocol: {offered}\r\n");
            match chosen {
                Some(name) => {
                    let line = format!("{REPLY}Sec-WebSocket-Protocol: {name}\r\n\r\n");
                    assert_eq!(reply(&format!("Sec-WebSocket-Protocol: {offered}\r\n")), line);
                }
                None => assert_eq!(Upgrade::of(&asked(&line)), Err(UpgradeError::Protocol)),
            }
        }
        assert_eq!(Upgrade::of(&asked("")).map(|upgrade| upgrade.payload()), Ok(Payload::Binary));
        let base64 = Upgrade::of(&asked("Sec-WebSocket-Protocol: base64\r\n"));
        assert_eq!(base64.map(|upgrade| upgrade.payload()), Ok(Payload::Base64));
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_in_websockifys_words() {
        for (lines, text) in [
            ("", "Missing Sec-WebSocket-Version header"),
            ("Sec-WebSocket-Version: 9\r\n", "Unsupported protocol version 9"),
            ("Sec-WebSocket-Version: 13, 8\r\n", "Unsupported protocol version 13,8"),
            ("Sec-WebSocket-Version: \u{e9}1\t0\r\n", "Unsupported protocol version 10"),
            ("Sec-WebSocket-Version: 13\r\n", "Missing Sec-WebSocket-Key header"),
            (
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Protocol: chat\r\n",
                "Invalid protocol selected",
            ),
        ] {
            let error = Upgrade::of(&request("GET / HTTP/1.1", lines)).expect_err(lines);
            assert_eq!(error.to_string(), text);
        }
        assert_eq!(Upgrade::of(&asked("Content-Length: 4\r\n")), Err(UpgradeError::Body));
        assert_eq!(Upgrade::of(&asked("Transfer-Encoding: chunked\r\n")), Err(UpgradeError::Body));
    }

    #[test]
    fn only_a_get_with_the_right_word_asks_for_a_websocket() {
        for (first, lines, expected) in [
            ("GET / HTTP/1.1", "Upgrade: WebSocket\r\n", true),
            ("GET / HTTP/1.0", "Upgrade: websocket\r\n", true),
            ("GET / HTTP/1.1", "Upgrade: h2c, websocket\r\n", true),
            ("GET / HTTP/1.1", "Upgrade: h2c\r\n", false),
            ("GET / HTTP/1.1", "Upgrade: websocket13\r\n", false),
            ("GET / HTTP/1.1", "Connection: Upgrade\r\n", false),
            ("POST / HTTP/1.1", "Upgrade: websocket\r\n", false),
            ("get / HTTP/1.1", "Upgrade: websocket\r\n", false),
        ] {
            assert_eq!(Upgrade::is_asked_for(&request(first, lines)), expected, "{first} {lines}");
        }
    }

    #[test]
    fn every_version_of_websockify_is_taken() {
        for version in ["7", "8", "13"] {
            let lines =
                format!("Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: any string\r\n");
            assert!(Upgrade::of(&request("GET / HTTP/1.1", &lines)).is_ok(), "{version}");
            assert!(VERSIONS.split(", ").any(|one| one == version));
        }
    }
}
