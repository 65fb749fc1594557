//! The head of a CONNECT request: bytes in, the wanted target or one refusal out.
//!
//! ```text
//! RequestLine ──line──▶ BlankLine ──empty line──▶ done
//! ```
//!
//! A line ends at LF or CRLF: no body follows, so a peer that reads line ends differently can gain
//! nothing. All else is strict. Host is never looked at: old SPICE clients send garbage there.

use super::error::Error;
use super::line::{RequestLine, first_word};
use super::lines::Lines;
use super::target::Target;
use crate::Progress::{self, Done, Wait};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Most header lines in one head.
pub const HEADER_LIMIT: usize = 100;

/// A CONNECT that may be judged and dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub target: Target,
    /// `x` of HTTP/1.x.
    pub minor_version: u8,
    /// Value of Proxy-Authorization, with or without a scheme.
    pub proxy_authorization: Option<Credentials>,
    /// Bytes of the head, without empty lines before it.
    pub length: usize,
}

/// A secret as it came. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(pub Vec<u8>);

/// What can be told about a request, even a refused one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// First word of the request line, if it could be a method.
    pub method: Option<String>,
    /// Target as sent, visible ASCII, user information cut out; only of well-formed lines.
    pub target: Option<String>,
}

/// How much to tolerate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Refuse IPv6 targets without brackets.
    pub strict_target: bool,
}

/// See the module's drawing.
pub struct Head {
    options: Options,
    state: State,
    lines: Lines,
    seen: Seen,
}

impl Head {
    /// A machine for one request.
    pub fn new(options: Options) -> Self {
        let (lines, seen) = (Lines::default(), Seen::default());
        Self { options, state: State::RequestLine, lines, seen }
    }

    /// Obeys the law of [`Progress`]; never writes to `output`. A client may send ahead: what is
    /// left in `input` after `Done` is payload of the tunnel.
    ///
    /// # Errors
    /// A broken request line is refused at its end, a well-formed but unwanted one at the end of
    /// the head, so that the answer doesn't cross the rest of the request.
    pub fn receive(
        &mut self,
        input: &mut &[u8],
        _output: &mut Vec<u8>,
    ) -> Result<Progress<Request>, Error> {
        // Every turn takes one line of the input.
        loop {
            let is_first = matches!(self.state, State::RequestLine);
            let Some(line) = self.lines.take(input, is_first)? else { return Ok(Wait) };
            match &self.state {
                State::RequestLine => self.take_request_line(line)?,
                State::BlankLine { headers, judged } if line.is_empty() => {
                    let (target, minor_version) = judged.clone()?;
                    let (head, rest) = input.split_at(self.lines.taken());
                    let proxy_authorization = check_headers(&head[*headers..])?;
                    let length = head.len();
                    *input = rest;
                    return Ok(Done(Request {
                        target,
                        minor_version,
                        proxy_authorization,
                        length,
                    }));
                }
                State::BlankLine { .. } => {}
            }
        }
    }

    /// What is known so far; complete once `receive` gave a verdict.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    fn take_request_line(&mut self, line: &[u8]) -> Result<(), Error> {
        self.seen.method = first_word(line).map(lossy);
        let line = RequestLine::split(line)?;
        self.seen.target = Some(without_user_info(line.target));
        let judged = line.judge(self.options.strict_target);
        self.state = State::BlankLine { headers: self.lines.taken(), judged };
        Ok(())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

enum State {
    RequestLine,
    BlankLine {
        /// Where the header lines begin in the input.
        headers: usize,
        judged: Result<(Target, u8), Error>,
    },
}

/// Reads the header lines with their final empty line, and keeps the credentials.
fn check_headers(block: &[u8]) -> Result<Option<Credentials>, Error> {
    let mut storage = [httparse::EMPTY_HEADER; HEADER_LIMIT];
    let headers = read_headers(block, &mut storage)?;
    check_framing(headers)?;
    let mut credentials = values(headers, "proxy-authorization");
    match (credentials.next(), credentials.next()) {
        (_, Some(_)) => Err(Error::RepeatedCredentials),
        (first, None) => Ok(first.map(|value| Credentials(value.to_owned()))),
    }
}

/// Reads header lines with their final empty line.
pub(super) fn read_headers<'b, 's>(
    block: &'b [u8],
    storage: &'s mut [httparse::Header<'b>; HEADER_LIMIT],
) -> Result<&'s [httparse::Header<'b>], Error> {
    match httparse::parse_headers(block, storage) {
        // Both readers must see the same end, or one of them is being fooled.
        Ok(httparse::Status::Complete((length, headers))) if length == block.len() => Ok(headers),
        Err(httparse::Error::TooManyHeaders) => Err(Error::TooManyHeaders),
        _ => Err(Error::Header),
    }
}

/// CONNECT has no body (RFC 9110 §9.3.6), so lengths are ignored, unless they could only have been
/// written to mean different things to different readers.
pub(super) fn check_framing(headers: &[httparse::Header<'_>]) -> Result<(), Error> {
    let mut lengths = values(headers, "content-length");
    let first = lengths.next();
    let is_number = |value: &[u8]| !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let is_coded = values(headers, "transfer-encoding").next().is_some();
    match first {
        Some(value) if is_coded || !is_number(value) || lengths.any(|other| other != value) => {
            Err(Error::Framing)
        }
        _ => Ok(()),
    }
}

pub(super) fn values<'h>(
    headers: &'h [httparse::Header<'_>],
    name: &'static str,
) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value)
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Logs and error pages show targets; `user:password@` must not reach them.
fn without_user_info(target: &str) -> String {
    target.rsplit_once('@').map_or(target, |(_, host)| host).to_owned()
}

#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod tests;
