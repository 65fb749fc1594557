//! The lines of a head: bytes in, one line after the other out, within limits.
//!
//! A line ends at LF or CRLF. What a line means is for others to say; nothing is taken off the input but empty lines before the first.

use super::error::Error;
use super::line::{LINE_LIMIT, is_token_byte};

/// Longest head, in bytes, from the request line to the empty line, both included.
pub const HEAD_LIMIT: usize = 64 * 1024;

/// Most empty lines before the request line (RFC 9112 §2.2 asks for at least one).
const EMPTY_LINE_LIMIT: u8 = 8;

/// How far one head has been read.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    empty_lines: u8,
    /// So much of the input has been searched for line ends.
    pub(super) scanned: usize,
    /// The line in work begins here in the input.
    line_start: usize,
}

impl Lines {
    /// The next line without its end, if it is whole. `is_first` says whether it is the request line.
    pub(super) fn take<'i>(
        &mut self,
        input: &mut &'i [u8],
        is_first: bool,
    ) -> Result<Option<&'i [u8]>, Error> {
        self.skip_empty_lines(input)?;
        let line_end = self.find_line_end(input);
        refuse_too_long(line_end.unwrap_or(input.len()), is_first)?;
        let Some(line_end) = line_end else { return Ok(None) };
        let line = &input[self.line_start..line_end];
        self.line_start = line_end + 1;
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// Bytes of the input that the lines so far were, with their ends.
    pub(super) fn taken(&self) -> usize {
        self.line_start
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

/// `offset` is the end of the line in work, or of the input if the line is unfinished.
fn refuse_too_long(offset: usize, is_first: bool) -> Result<(), Error> {
    match offset {
        _ if is_first && offset > LINE_LIMIT => Err(Error::TargetTooLong),
        HEAD_LIMIT.. => Err(Error::HeadTooLarge),
        _ => Ok(()),
    }
}
