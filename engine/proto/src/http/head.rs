//! The head of a CONNECT request: bytes in, the wanted target or one refusal out.
//!
//! A line ends at LF or CRLF: no body follows, so a peer that reads line ends differently can gain
//! nothing. All else is strict. Host is never looked at: old SPICE clients send garbage there.

use super::error::Error;
use super::headers::{self, values};
use super::line::{RequestLine, first_word, lossy};
use super::lines::Lines;
use super::target::Target;
use crate::Progress::{self, Done, Wait};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

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

/// Reads one CONNECT.
pub struct Head {
    options: Options,
    lines: Lines<Result<(Target, u8), Error>>,
    seen: Seen,
}

impl Head {
    /// A machine for one request.
    pub fn new(options: Options) -> Self {
        Self { options, lines: Lines::default(), seen: Seen::default() }
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
        let judge = |line: &[u8]| {
            self.seen.method = first_word(line).map(lossy);
            let line = RequestLine::split(line)?;
            self.seen.target = Some(without_user_info(line.target));
            Ok(line.judge(self.options.strict_target))
        };
        let Some(whole) = self.lines.receive(input, judge)? else { return Ok(Wait) };
        let (target, minor_version) = whole.judged?;
        let proxy_authorization = credentials(whole.headers)?;
        *input = whole.rest;
        let length = whole.head.len();
        Ok(Done(Request { target, minor_version, proxy_authorization, length }))
    }

    /// What is known so far; complete once `receive` gave a verdict.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

/// Of a block of header lines, which is looked through to its end.
fn credentials(block: &[u8]) -> Result<Option<Credentials>, Error> {
    let mut storage = headers::EMPTY;
    let headers = headers::read(block, &mut storage)?;
    let mut credentials = values(headers, "proxy-authorization");
    match (credentials.next(), credentials.next()) {
        (_, Some(_)) => Err(Error::RepeatedCredentials),
        (first, None) => Ok(first.map(|value| Credentials(value.to_owned()))),
    }
}

/// Logs and error pages show targets; `user:password@` must not reach them.
fn without_user_info(target: &str) -> String {
    target.rsplit_once('@').map_or(target, |(_, host)| host).to_owned()
}

#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod tests;
