//! A console that is asked for by its path, from what holds several: nova's `internal_access_path` (XenServer and VMware have such).
//!
//! In: the path, then the answer. Out: the request, then whether what follows is the console. An answer is good if its first line has `200`
//! in it, as nova has it; its headers mean nothing.

use alloc::vec::Vec;
use core::fmt;

use crate::Progress::{self, Done, Wait};

/// Bytes of an answer's head at most.
const HEAD_MAX: usize = 8 << 10;

/// Waits for an answer.
#[derive(Debug, Default)]
pub struct PathAnswer {
    /// So much has been searched.
    scanned: usize,
}

/// Why there is no console.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathError {
    /// The path can't be asked for: it would be more than one line.
    Path,
    /// The answer says no, or is none.
    Refused,
    /// Its head has no end.
    TooLong,
}

impl PathAnswer {
    /// Asks for a path.
    ///
    /// # Errors
    /// It has blanks or line ends in it; nothing was said.
    pub fn ask(path: &str, output: &mut Vec<u8>) -> Result<Self, PathError> {
        if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(PathError::Path);
        }
        output.extend(b"CONNECT ");
        output.extend(path.bytes());
        output.extend(b" HTTP/1.1\r\n\r\n");
        Ok(Self::default())
    }

    /// Takes what comes back. What is behind the head belongs to the console.
    ///
    /// # Errors
    /// There is no console.
    pub fn receive(
        &mut self,
        input: &mut &[u8],
        _output: &mut Vec<u8>,
    ) -> Result<Progress<()>, PathError> {
        let from = self.scanned.saturating_sub(3);
        let end = input[from..].windows(4).position(|bytes| bytes == b"\r\n\r\n");
        self.scanned = input.len();
        let Some(end) = end.map(|at| from + at + 4).filter(|end| *end <= HEAD_MAX) else {
            return if self.scanned < HEAD_MAX { Ok(Wait) } else { Err(PathError::TooLong) };
        };
        let (head, rest) = input.split_at(end);
        let first = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        *input = rest;
        match first.windows(3).any(|bytes| bytes == b"200") {
            true => Ok(Done(())),
            false => Err(PathError::Refused),
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathError::Path => "the console's internal_access_path is no path",
            PathError::Refused => {
                "what holds the console did not answer its internal_access_path with 200: the console may be gone"
            }
            PathError::TooLong => {
                "what holds the console answered its internal_access_path with more than 8 KiB of head: check that it is the console's host"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::testing::{Fed, any_split, feed};

    fn run(answer: &[u8]) -> Fed<(), PathError> {
        any_split(answer, PathAnswer::default, |m, input, output| m.receive(input, output))
    }

    #[test]
    fn what_follows_a_good_answer_is_the_consoles() {
        let fed = run(b"HTTP/1.1 200 OK\r\nX: 404\r\n\r\nRFB 003.008\n");
        assert_eq!((fed.verdict, &fed.rest[..]), (Ok(Done(())), &b"RFB 003.008\n"[..]));
        assert_eq!(run(b"200\r\n\r\n").verdict, Ok(Done(())));
        assert_eq!(run(b"HTTP/1.1 200 OK\r\n\r").verdict, Ok(Wait));
    }

    #[test]
    fn another_answer_is_none() {
        assert_eq!(run(b"HTTP/1.1 404 Not\r\nX: 200\r\n\r\n").verdict, Err(PathError::Refused));
        let endless = vec![b'x'; HEAD_MAX];
        let mut machine = PathAnswer::default();
        let fed = feed(endless.chunks(999), |input, output| machine.receive(input, output));
        assert_eq!(fed.verdict, Err(PathError::TooLong));
    }

    #[test]
    fn a_path_is_one_word() {
        let mut said = Vec::new();
        assert!(PathAnswer::ask("/console?ref=1", &mut said).is_ok());
        assert_eq!(said, b"CONNECT /console?ref=1 HTTP/1.1\r\n\r\n");
        for path in ["/a b", "/a\r\nX: y", "/a\0"] {
            assert_eq!(PathAnswer::ask(path, &mut said).err(), Some(PathError::Path));
        }
        assert_eq!(said.len(), 35, "nothing more was said");
    }
}
