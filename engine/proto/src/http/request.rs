//! The head of any HTTP/1 request: bytes in, the request or one refusal out.
//!
//! Limits and strictness are those of the CONNECT head. Targets are paths, `http` URLs or `*`; whether a method or a path is served is
//! for others to say. Nothing of a body is read: what follows the head stays in the input.

use super::error::Error;
use super::head::Seen;
use super::headers::{self, values};
use super::line::{RequestLine, first_word, lossy};
use super::lines::{Lines, Whole};
use crate::Progress::{self, Done, Wait};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// Reads one request.
#[derive(Default)]
pub struct RequestHead {
    lines: Lines<Result<Line, Error>>,
    seen: Seen,
}

/// What the request line says, as places in the head.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Line {
    method_end: usize,
    target_end: usize,
    minor_version: u8,
}

/// A head that was accepted; it owns its bytes. `Debug` shows none of them: there may be tokens among them.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    bytes: Box<[u8]>,
    line: Line,
    fields: Box<[Field]>,
    has_body: bool,
}

/// One header line, as places in the head.
#[derive(Clone, PartialEq, Eq)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

impl RequestHead {
    /// A machine for one request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Obeys the law of [`Progress`]; never writes to `output`. Nothing is taken off `input` before the head is whole, but empty
    /// lines before it.
    ///
    /// # Errors
    /// A broken request line is refused at its end, all else at the end of the head.
    pub fn receive(
        &mut self,
        input: &mut &[u8],
        _output: &mut Vec<u8>,
    ) -> Result<Progress<Request>, Error> {
        let judge = |line: &[u8]| {
            self.seen.method = first_word(line).map(lossy);
            let line = RequestLine::split(line)?;
            self.seen.target = shown(line.target).map(ToOwned::to_owned);
            Ok(Line::judge(&line))
        };
        let Some(whole) = self.lines.receive(input, judge)? else { return Ok(Wait) };
        let rest = whole.rest;
        let request = Request::read(whole)?;
        *input = rest;
        Ok(Done(request))
    }

    /// What is known so far, without what could be a token; complete once `receive` gave a verdict.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }
}

impl Line {
    fn judge(line: &RequestLine<'_>) -> Result<Line, Error> {
        let minor_version = line.minor_version()?;
        parts(line.target).ok_or(Error::TargetForm)?;
        let method_end = line.method.len();
        Ok(Line { method_end, target_end: method_end + 1 + line.target.len(), minor_version })
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestHead({} bytes)", self.lines.taken())
    }
}

impl Request {
    fn read(whole: Whole<'_, Result<Line, Error>>) -> Result<Self, Error> {
        let (line, head) = (whole.judged?, whole.head);
        let mut storage = headers::EMPTY;
        let headers = headers::read(whole.headers, &mut storage)?;
        if values(headers, "host").nth(1).is_some() {
            return Err(Error::RepeatedHost);
        }
        let is_something = |length: &[u8]| length.iter().any(|digit| *digit != b'0');
        let has_body = values(headers, "content-length").any(is_something)
            || values(headers, "transfer-encoding").next().is_some();
        let place = |part: &[u8]| {
            // An empty value may have been put together elsewhere.
            let start = (part.as_ptr().addr().checked_sub(head.as_ptr().addr()))
                .filter(|start| start + part.len() <= head.len())
                .unwrap_or_default();
            start..start + part.len()
        };
        let field = |header: &httparse::Header<'_>| Field {
            name: place(header.name.as_bytes()),
            value: place(header.value),
        };
        let fields = headers.iter().map(field).collect();
        Ok(Self { bytes: head.into(), line, fields, has_body })
    }

    /// Such as `GET`; as sent, in upper case or not.
    pub fn method(&self) -> &str {
        self.text(0..self.line.method_end)
    }

    /// As sent. May hold a token: logs want [`shown`](Self::shown).
    pub fn target(&self) -> &str {
        self.text(self.line.method_end + 1..self.line.target_end)
    }

    /// The target without scheme, host and query; still encoded. Begins with `/`, or is `*`.
    pub fn path(&self) -> &str {
        parts(self.target()).map_or("", |(path, _)| if path.is_empty() { "/" } else { path })
    }

    /// What follows the first `?` of the target, up to a `#`; still encoded.
    pub fn query(&self) -> Option<&str> {
        parts(self.target()).and_then(|(_, query)| query)
    }

    /// The path for logs, without anything that could be or introduce a token.
    pub fn shown(&self) -> &str {
        shown(self.target()).unwrap_or_default()
    }

    /// `x` of HTTP/1.x.
    pub fn minor_version(&self) -> u8 {
        self.line.minor_version
    }

    /// Value of the first header of that name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers(name).next()
    }

    /// Values of all headers of that name, in whatever case.
    pub fn headers<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        let is_it = move |field: &&Field| {
            self.bytes[field.name.clone()].eq_ignore_ascii_case(name.as_bytes())
        };
        self.fields.iter().filter(is_it).map(|field| &self.bytes[field.value.clone()])
    }

    /// Whether one of the elements of these headers' lists is `token`, in whatever case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let mut elements = self.headers(name).flat_map(|value| value.split(|byte| *byte == b','));
        elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The whole head, without empty lines before it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a body follows.
    pub fn has_body(&self) -> bool {
        self.has_body
    }

    /// Whether the client wants to send another request on the same connection.
    pub fn keep_alive(&self) -> bool {
        match self.minor_version() {
            0 => self.lists("connection", "keep-alive") && !self.lists("connection", "close"),
            _ => !self.lists("connection", "close"),
        }
    }

    fn text(&self, place: Range<usize>) -> &str {
        core::str::from_utf8(&self.bytes[place]).unwrap_or_default()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} bytes)", self.bytes.len())
    }
}

/// Path and query, if the target has a form that a server serves.
fn parts(target: &str) -> Option<(&str, Option<&str>)> {
    let target = target.split('#').next().unwrap_or_default();
    if target.starts_with('/') || target == "*" {
        return Some(split_query(target));
    }
    let (scheme, rest) = target.split_once("://")?;
    let is_web = ["http", "https"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
    let host_end = rest.find(['/', '?']).unwrap_or(rest.len());
    (is_web && host_end > 0).then(|| split_query(&rest[host_end..]))
}

fn split_query(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// The path up to where an argument could begin.
fn shown(target: &str) -> Option<&str> {
    let path = match parts(target)?.0 {
        "" => "/",
        path => path,
    };
    let mut places = path.char_indices().map(|(at, _)| at);
    let end = places.find(|at| may_introduce(&path.as_bytes()[*at..]));
    Some(&path[..end.unwrap_or(path.len())])
}

/// Whether this begins with a character that separates arguments, encoded or not, however often.
fn may_introduce(text: &[u8]) -> bool {
    let Some(mut digits) = text.strip_prefix(b"%") else {
        return text.first().is_some_and(|byte| b"?&=;".contains(byte));
    };
    while let Some(inner) = digits.strip_prefix(b"25") {
        digits = inner;
    }
    let number = digits.get(..2).unwrap_or_default();
    [b"3f", b"26", b"3d", b"3b", b"23"].iter().any(|other| number.eq_ignore_ascii_case(*other))
}

#[cfg(test)]
mod tests;
