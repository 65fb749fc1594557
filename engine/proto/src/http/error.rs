//! Why a head is refused: one value, rendered as a status, as a Squid error name, and as a line.

use super::headers::HEADER_LIMIT;
use super::line::TARGET_LIMIT;
use super::lines::HEAD_LIMIT;
use super::target::TargetError;
use core::fmt;

/// Always the peer's doing; each one ends the connection once it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// This first byte begins no HTTP request; 0x16 is a TLS client hello.
    NotHttp(u8),
    /// More empty lines than tolerated stand before the request line.
    EmptyLines,
    /// Not three words, one space apart, the last of them a version.
    RequestLine,
    /// A well-known method that this port doesn't serve.
    MethodNotAllowed,
    /// A method that nobody here knows.
    MethodUnknown,
    /// Another protocol generation than HTTP/1.
    Version {
        /// As sent, one digit.
        major: u8,
        /// As sent, one digit.
        minor: u8,
    },
    /// The target is longer than 8 KiB.
    TargetTooLong,
    /// The target is no `host:port`.
    Target(TargetError),
    /// The target is neither a path nor an `http` URL.
    TargetForm,
    /// A header line that no strict reader takes: folded, nameless, or with forbidden bytes.
    Header,
    /// Content-Length and Transfer-Encoding contradict each other or themselves.
    Framing,
    /// More than one Proxy-Authorization.
    RepeatedCredentials,
    /// More than one Host.
    RepeatedHost,
    /// More than 100 header lines.
    TooManyHeaders,
    /// More than 64 KiB before the end of the head.
    HeadTooLarge,
}

impl Error {
    /// The HTTP status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::NotHttp(_) | Self::EmptyLines | Self::RequestLine | Self::Target(_) => 400,
            Self::Header | Self::Framing | Self::RepeatedCredentials => 400,
            Self::TargetForm | Self::RepeatedHost => 400,
            Self::MethodNotAllowed => 405,
            Self::TargetTooLong => 414,
            Self::TooManyHeaders | Self::HeadTooLarge => 431,
            Self::MethodUnknown => 501,
            Self::Version { .. } => 505,
        }
    }

    /// The name for `X-Squid-Error`.
    pub fn squid_name(self) -> &'static str {
        match self {
            Self::NotHttp(_) | Self::EmptyLines | Self::RequestLine => "ERR_INVALID_REQ",
            Self::Header | Self::Framing | Self::RepeatedCredentials => "ERR_INVALID_REQ",
            Self::RepeatedHost => "ERR_INVALID_REQ",
            Self::Target(_) | Self::TargetForm => "ERR_INVALID_URL",
            Self::MethodNotAllowed | Self::MethodUnknown => "ERR_UNSUP_REQ",
            Self::TargetTooLong | Self::TooManyHeaders | Self::HeadTooLarge => "ERR_TOO_BIG",
            Self::Version { .. } => "ERR_UNSUP_HTTPVERSION",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp(0x16) => f.write_str("expected plain HTTP, came a TLS client hello"),
            Self::NotHttp(byte) => write!(f, "expected an HTTP request, came byte 0x{byte:02x}"),
            Self::EmptyLines => f.write_str("expected a request line, came only empty lines"),
            Self::RequestLine => {
                f.write_str("expected `METHOD target HTTP/1.1`, came another shape of line")
            }
            Self::MethodNotAllowed => f.write_str("expected CONNECT, came another method"),
            Self::MethodUnknown => f.write_str("expected CONNECT, came an unknown method"),
            Self::Version { major, minor } => {
                write!(f, "expected HTTP/1.0 or HTTP/1.1, came HTTP/{major}.{minor}")
            }
            Self::TargetTooLong => {
                write!(f, "expected a target of at most {TARGET_LIMIT} bytes, came a longer one")
            }
            Self::Target(error) => error.fmt(f),
            Self::TargetForm => {
                f.write_str("expected a target like /path or http://host/path, came another")
            }
            Self::Header => f.write_str("expected `name: value` lines, came a malformed one"),
            Self::Framing => f.write_str(
                "expected no body, came contradictory Content-Length or Transfer-Encoding",
            ),
            Self::RepeatedCredentials => {
                f.write_str("expected at most one Proxy-Authorization, came several")
            }
            Self::RepeatedHost => f.write_str("expected at most one Host, came several"),
            Self::TooManyHeaders => {
                write!(f, "expected at most {HEADER_LIMIT} header lines, came more")
            }
            Self::HeadTooLarge => {
                write!(f, "expected a head of at most {HEAD_LIMIT} bytes, came a longer one")
            }
        }
    }
}

impl core::error::Error for Error {}
