//! The request line: bytes without their line end in, method, target and version out.
//!
//! Exactly one space between the three parts; Squid's relaxed delimiters are not copied.

use super::error::Error;
use super::target::Target;
use alloc::string::String;

/// Longest target, in bytes; one more is answered with 414.
pub const TARGET_LIMIT: usize = 8 * 1024;

/// Longest method of Squid.
const METHOD_LIMIT: usize = 32;

/// Longest line whose target keeps [`TARGET_LIMIT`], with the CR and without the LF.
pub(super) const LINE_LIMIT: usize =
    METHOD_LIMIT + TARGET_LIMIT + " ".len() * 2 + "HTTP/1.1\r".len();

/// Methods of RFC 9110 and 5789 that this port knows but doesn't serve.
const OTHER_METHODS: [&[u8]; 8] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH"];

/// The three parts of a line, not yet judged.
pub(super) struct RequestLine<'l> {
    pub(super) method: &'l [u8],
    pub(super) target: &'l str,
    version: [u8; 2],
}

impl<'l> RequestLine<'l> {
    pub(super) fn split(line: &'l [u8]) -> Result<Self, Error> {
        let mut parts = line.split(|byte| *byte == b' ');
        let method = parts.next().filter(|method| is_method(method)).ok_or(Error::RequestLine)?;
        let target = parts.next().and_then(visible_text).ok_or(Error::RequestLine)?;
        let version = parts.next().and_then(split_version).ok_or(Error::RequestLine)?;
        match parts.next() {
            Some(_) => Err(Error::RequestLine),
            None => Ok(Self { method, target, version }),
        }
    }

    /// The minor version, whatever is asked of whom.
    pub(super) fn minor_version(&self) -> Result<u8, Error> {
        match self.version {
            _ if self.target.len() > TARGET_LIMIT => Err(Error::TargetTooLong),
            [1, minor] => Ok(minor),
            [major, minor] => Err(Error::Version { major, minor }),
        }
    }

    /// Target and minor version, if this is a CONNECT of HTTP/1.
    pub(super) fn judge(&self, strict_target: bool) -> Result<(Target, u8), Error> {
        let minor = self.minor_version()?;
        match self.method {
            b"CONNECT" => {
                let target = Target::parse(self.target, strict_target).map_err(Error::Target)?;
                Ok((target, minor))
            }
            other if OTHER_METHODS.contains(&other) => Err(Error::MethodNotAllowed),
            _ => Err(Error::MethodUnknown),
        }
    }
}

/// The method of a line that may be broken behind it.
pub(super) fn first_word(line: &[u8]) -> Option<&[u8]> {
    line.split(|byte| *byte == b' ').next().filter(|word| is_method(word))
}

/// Text of bytes that may be anything.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `tchar` of RFC 9110 §5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_method(word: &[u8]) -> bool {
    (1..=METHOD_LIMIT).contains(&word.len()) && word.iter().copied().all(is_token_byte)
}

fn visible_text(word: &[u8]) -> Option<&str> {
    let is_visible = !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
    core::str::from_utf8(word).ok().filter(|_| is_visible)
}

fn split_version(word: &[u8]) -> Option<[u8; 2]> {
    match word.strip_prefix(b"HTTP/")? {
        [major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] => Some([major - b'0', minor - b'0']),
        _ => None,
    }
}
