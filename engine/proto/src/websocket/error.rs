//! Which rule a client's frames broke: one value, rendered as a close code and as a line.
//!
//! The codes are websockify's wherever it has one, although RFC 6455 has a better one for some.

use core::fmt;

use super::frame::CONTROL_LIMIT;

/// Always the peer's doing; each one ends the connection once it is answered with a close frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// Reserved bits of a frame, which only an extension gives a meaning.
    Reserved,
    /// A frame without a mask.
    Unmasked,
    /// An opcode that the RFC doesn't define.
    Opcode(u8),
    /// A text frame where binary ones are expected.
    Text,
    /// A binary frame where text ones are expected.
    Binary,
    /// A ping, pong or close in more than one frame.
    FragmentedControl,
    /// A ping, pong or close of more than 125 bytes.
    LongControl,
    /// A length of 2^63 or more.
    Length,
    /// A continuation without a message that it could continue.
    Continuation,
    /// A new message within another.
    Interleaved,
    /// A close with half a code.
    CloseLength,
    /// A close code that must not be sent.
    CloseCode(u16),
    /// A reason that isn't UTF-8.
    CloseReason,
    /// Payload that isn't Base64.
    Base64,
}

impl Error {
    /// The code of the close frame to answer with.
    ///
    /// By the RFC, fragmented control frames are 1002 and a reason that isn't UTF-8 is 1007; websockify has 1003 and 1002.
    pub fn close_code(self) -> u16 {
        match self {
            Self::Opcode(_) | Self::Text | Self::Binary | Self::FragmentedControl => 1003,
            Self::Base64 => 1007,
            Self::Reserved | Self::Unmasked | Self::LongControl | Self::Length => 1002,
            Self::Continuation | Self::Interleaved => 1002,
            Self::CloseLength | Self::CloseCode(_) | Self::CloseReason => 1002,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opcode(opcode) => {
                return write!(f, "expected a known opcode, came 0x{opcode:x}");
            }
            Self::LongControl => {
                return write!(
                    f,
                    "expected a control frame of at most {CONTROL_LIMIT} bytes, came a longer one"
                );
            }
            Self::CloseCode(code) => {
                return write!(f, "expected a close code that may be sent, came {code}");
            }
            Self::Reserved => "expected reserved bits of zero, came others",
            Self::Unmasked => "expected masked frames, came an unmasked one",
            Self::Text => "expected binary frames, came a text frame",
            Self::Binary => "expected text frames, came a binary one",
            Self::FragmentedControl => "expected a whole control frame, came a fragment",
            Self::Length => "expected a length below 2^63, came a greater one",
            Self::Continuation => "expected a new message, came a continuation",
            Self::Interleaved => "expected a continuation, came a new message",
            Self::CloseLength => "expected a close code of two bytes, came one byte",
            Self::CloseReason => "expected a close reason in UTF-8, came other bytes",
            Self::Base64 => "expected standard Base64, came something else",
        })
    }
}

impl core::error::Error for Error {}
