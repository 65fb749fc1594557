//! The lines of a head: bytes in, within limits the request line first and then the whole head out.
//!
//! ```text
//! RequestLine ──line──▶ Headers ──empty line──▶ whole
//! ```
//!
//! A line ends at LF or CRLF. What the request line means is for others to say, and what stands in header lines is not looked at.

use super::error::Error;
use super::line::{LINE_LIMIT, is_token_byte};
use core::mem;

/// Longest head, in bytes, from the request line to the empty line, both included.
pub const HEAD_LIMIT: usize = 64 * 1024;

/// Most empty lines before the request line (RFC 9112 §2.2 asks for at least one).
const EMPTY_LINE_LIMIT: u8 = 8;

/// How far one head has been read; `J` is what was thought of its request line.
#[derive(Debug)]
pub(super) struct Lines<J> {
    empty_lines: u8,
    /// So much of the input has been searched for line ends.
    pub(super) scanned: usize,
    /// The line in work begins here in the input.
    line_start: usize,
    state: State<J>,
}

#[derive(Debug, Default)]
enum State<J> {
    #[default]
    RequestLine,
    Headers {
        /// Where they begin in the input.
        start: usize,
        judged: J,
    },
}

/// A head from its request line to its empty line.
#[derive(Debug)]
pub(super) struct Whole<'i, J> {
    pub(super) judged: J,
    pub(super) head: &'i [u8],
    /// Its header lines, with the empty line.
    pub(super) headers: &'i [u8],
    /// What the client has sent ahead.
    pub(super) rest: &'i [u8],
}

impl<J> Default for Lines<J> {
    fn default() -> Self {
        Self { empty_lines: 0, scanned: 0, line_start: 0, state: State::RequestLine }
    }
}

impl<J> Lines<J> {
    /// The head, if it is whole. Only empty lines before it are taken off the input. `judge` is given the request line, without its
    /// end, as soon as that is whole.
    pub(super) fn receive<'i>(
        &mut self,
        input: &mut &'i [u8],
        judge: impl FnOnce(&[u8]) -> Result<J, Error>,
    ) -> Result<Option<Whole<'i, J>>, Error> {
        if self.scanned == 0 {
            self.skip_empty_lines(input)?;
        }
        if let State::RequestLine = self.state {
            let Some(line) = self.next(input, LINE_LIMIT, Error::TargetTooLong)? else {
                return Ok(None);
            };
            let judged = judge(line)?;
            self.state = State::Headers { start: self.line_start, judged };
        }
        while let Some(line) = self.next(input, HEAD_LIMIT - 1, Error::HeadTooLarge)? {
            if line.is_empty() {
                return Ok(self.whole(input));
            }
        }
        Ok(None)
    }

    /// Bytes of the input that the lines so far were, with their ends.
    pub(super) fn taken(&self) -> usize {
        self.line_start
    }

    fn whole<'i>(&mut self, input: &'i [u8]) -> Option<Whole<'i, J>> {
        let (head, rest) = input.split_at(self.line_start);
        match mem::take(&mut self.state) {
            State::RequestLine => None,
            State::Headers { start, judged } => {
                Some(Whole { judged, head, headers: &head[start..], rest })
            }
        }
    }

    /// Only what precedes the request line is taken off before the verdict.
    fn skip_empty_lines(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        while let Some(rest) = input.strip_prefix(b"\n").or(input.strip_prefix(b"\r\n")) {
            *input = rest;
            self.empty_lines += 1;
            if self.empty_lines > EMPTY_LINE_LIMIT {
                return Err(Error::EmptyLines);
            }
        }
        match **input {
            [] | [b'\r'] => Ok(()),
            [first, ..] if is_token_byte(first) => Ok(()),
            [first, ..] => Err(Error::NotHttp(first)),
        }
    }

    /// The next line without its end, if it is whole. It must end before `limit` bytes of the input, or it is `error`.
    fn next<'i>(
        &mut self,
        input: &'i [u8],
        limit: usize,
        error: Error,
    ) -> Result<Option<&'i [u8]>, Error> {
        let line_end = self.find_line_end(input);
        if line_end.unwrap_or(input.len()) > limit {
            return Err(error);
        }
        let Some(line_end) = line_end else { return Ok(None) };
        let line = &input[self.line_start..line_end];
        self.line_start = line_end + 1;
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// Offset of the LF that ends the line in work. Looks at each byte once.
    fn find_line_end(&mut self, input: &[u8]) -> Option<usize> {
        // A lone CR may yet begin an empty line, which must not count as scanned.
        if input == b"\r" {
            return None;
        }
        let found = find_line_feed(&input[self.scanned..]);
        let line_end = found.map(|offset| self.scanned + offset);
        self.scanned = line_end.map_or(input.len(), |end| end + 1);
        line_end
    }
}

/// Passes over sixteen bytes at a time as long as there is none among them.
fn find_line_feed(bytes: &[u8]) -> Option<usize> {
    let (chunks, _) = bytes.as_chunks::<16>();
    let is_within = |chunk: &[u8; 16]| chunk.iter().fold(false, |is, byte| is | (*byte == b'\n'));
    let start = 16 * chunks.iter().position(is_within).unwrap_or(chunks.len());
    bytes[start..].iter().position(|byte| *byte == b'\n').map(|offset| start + offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Progress;
    use crate::http::request::RequestHead;
    use crate::http::{HEADER_LIMIT, Head, Options};
    use crate::testing::feed;
    use alloc::format;
    use alloc::string::String;

    /// What both readers of heads say of lines in front of, within and behind a good request line.
    fn refusals(before: &str, line: &str, after: &str) -> [Option<Error>; 2] {
        let head = |method: &str, target: &str| {
            let line = line.replace("METHOD", method).replace("TARGET", target);
            format!("{before}{line}\r\n{after}\r\n")
        };
        let (connect, get) = (head("CONNECT", "h:1"), head("GET", "/"));
        let mut machine = Head::new(Options::default());
        let connect = feed(connect.as_bytes().chunks(100), |i, o| machine.receive(i, o)).verdict;
        let mut machine = RequestHead::new();
        let get = feed(get.as_bytes().chunks(100), |i, o| machine.receive(i, o)).verdict;
        let whole = |is_whole: bool| assert!(is_whole, "{before:?} {line:?} {after:?}");
        [
            connect.map(|progress| whole(progress != Progress::Wait)).err(),
            get.map(|progress| whole(progress != Progress::Wait)).err(),
        ]
    }

    #[test]
    fn connect_and_browsers_have_the_same_limits_and_errors() {
        let good = "METHOD TARGET HTTP/1.1";
        let fields = |count: usize| "a:b\r\n".repeat(count);
        let long = |bytes: usize| format!("a:{}\r\n", "b".repeat(bytes));
        let line_of = |bytes: usize| format!("METHOD /{} HTTP/1.1", "a".repeat(bytes));
        let cases: [(&str, &str, String, Option<Error>); 12] = [
            ("", good, fields(HEADER_LIMIT), None),
            ("", good, fields(HEADER_LIMIT + 1), Some(Error::TooManyHeaders)),
            ("", good, long(HEAD_LIMIT - 100), None),
            ("", good, long(HEAD_LIMIT), Some(Error::HeadTooLarge)),
            ("", &line_of(LINE_LIMIT), String::new(), Some(Error::TargetTooLong)),
            (&"\r\n".repeat(8), good, String::new(), None),
            (&"\r\n".repeat(9), good, String::new(), Some(Error::EmptyLines)),
            ("\rX", good, String::new(), Some(Error::NotHttp(b'\r'))),
            (" ", good, String::new(), Some(Error::NotHttp(b' '))),
            ("", "METHOD  TARGET HTTP/1.1", String::new(), Some(Error::RequestLine)),
            ("", good, "a : b\r\n".into(), Some(Error::Header)),
            ("", good, "Content-Length: +1\r\n".into(), Some(Error::Framing)),
        ];
        for (before, line, after, expected) in cases {
            assert_eq!(refusals(before, line, &after), [expected; 2], "{before:?} {line:.40?}");
        }
    }
}
