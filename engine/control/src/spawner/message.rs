//! What the daemon and its spawner say to one another, one message at a time.
//!
//! ```text
//!  daemon ── Run (standard input and output, standard error) ──▶ spawner
//!         ── End ─────────────────────────────────────────────▶
//!         ◀── Started │ Failed ───────────────────────────────
//!         ◀── Ended ──────────────────────────────────────────  once for each that was started
//! ```
//!
//! In: values. Out: bytes, and back. Both ends are the same program: what can't be read is nobody's but a bug's.

use std::fmt;

use nix::sys::signal::Signal;
use penstock_core::control::SessionId;
use penstock_core::ring::Errno;

/// Bytes of a message at most: of a command line, that is.
pub(crate) const MESSAGE_MAX: usize = 64 << 10;

/// What the daemon asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    /// Start a program. Two descriptors come along: its standard input and output, and its standard error.
    Run {
        /// Whose it is.
        id: SessionId,
        /// Its name or path, and its arguments.
        line: Vec<String>,
        /// The variables that it is given, where they are set.
        environment: Vec<String>,
    },
    /// Nobody needs it any more: its input has ended, and it is to end, too.
    End {
        /// Whose it is.
        id: SessionId,
    },
}

/// What the spawner says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// The program runs.
    Started {
        /// Whose it is.
        id: SessionId,
    },
    /// It does not.
    Failed {
        /// Whose it is.
        id: SessionId,
        /// Why.
        errno: Errno,
    },
    /// It ran, and has ended.
    Ended {
        /// Whose it is.
        id: SessionId,
        /// How.
        end: End,
    },
}

/// How a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

const RUN: u8 = b'r';
const END: u8 = b'e';
const STARTED: u8 = b's';
const FAILED: u8 = b'f';
const EXITED: u8 = b'x';
const SIGNALLED: u8 = b'k';

impl Request {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Request::Run { id, line, environment } => {
                let mut bytes = begun(RUN, *id);
                for list in [line, environment] {
                    bytes.extend_from_slice(&(list.len() as u32).to_be_bytes());
                    for text in list {
                        bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
                        bytes.extend_from_slice(text.as_bytes());
                    }
                }
                bytes
            }
            Request::End { id } => begun(END, *id),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Request> {
        let (kind, id, mut rest) = opened(bytes)?;
        match kind {
            RUN => {
                let (line, environment) = (list(&mut rest)?, list(&mut rest)?);
                rest.is_empty().then_some(Request::Run { id, line, environment })
            }
            END => rest.is_empty().then_some(Request::End { id }),
            _ => None,
        }
    }
}

impl Answer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, id, number) = match *self {
            Answer::Started { id } => (STARTED, id, 0),
            Answer::Failed { id, errno } => (FAILED, id, errno as i32),
            Answer::Ended { id, end: End::Exit(status) } => (EXITED, id, status),
            Answer::Ended { id, end: End::Signal(signal) } => (SIGNALLED, id, signal),
        };
        let mut bytes = begun(kind, id);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Answer> {
        let (kind, id, rest) = opened(bytes)?;
        let number = i32::from_be_bytes(rest.try_into().ok()?);
        match kind {
            STARTED => Some(Answer::Started { id }),
            FAILED => Some(Answer::Failed { id, errno: Errno::from_raw(number) }),
            EXITED => Some(Answer::Ended { id, end: End::Exit(number) }),
            SIGNALLED => Some(Answer::Ended { id, end: End::Signal(number) }),
            _ => None,
        }
    }
}

fn begun(kind: u8, id: SessionId) -> Vec<u8> {
    let mut bytes = vec![kind, id.worker];
    bytes.extend_from_slice(&id.slot.to_be_bytes());
    bytes.extend_from_slice(&id.generation.to_be_bytes());
    bytes
}

fn opened(bytes: &[u8]) -> Option<(u8, SessionId, &[u8])> {
    let (&[kind, worker], mut rest) = bytes.split_first_chunk()?;
    let (slot, generation) = (number(&mut rest)?, number(&mut rest)?);
    Some((kind, SessionId { worker, slot, generation }, rest))
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*number))
}

fn list(bytes: &mut &[u8]) -> Option<Vec<String>> {
    (0..number(bytes)?).map(|_| text(bytes)).collect()
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let length = number(bytes)? as usize;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exit(status) => write!(f, "exited with {status}"),
            End::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "was killed by {signal}"),
                Err(_) => write!(f, "was killed by signal {number}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SessionId = SessionId { worker: 255, slot: u32::MAX, generation: 0xff_ffff };

    #[test]
    fn what_is_written_is_read() {
        let line = ["ssh", "", "-l", "naïve user"].map(str::to_owned).to_vec();
        let environment = vec!["PATH".to_owned()];
        let nothing = Request::Run { id: ID, line: Vec::new(), environment: Vec::new() };
        for request in
            [Request::Run { id: ID, line, environment }, nothing, Request::End { id: ID }]
        {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        for answer in [
            Answer::Started { id: ID },
            Answer::Failed { id: ID, errno: Errno::ENOENT },
            Answer::Ended { id: ID, end: End::Exit(255) },
            Answer::Ended { id: ID, end: End::Signal(11) },
        ] {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
    }

    #[test]
    fn what_is_cut_is_not_read() {
        let [line, environment] = ["ssh", "PATH"].map(|text| vec![text.to_owned()]);
        let request = Request::Run { id: ID, line, environment }.encode();
        assert!((0..request.len()).all(|cut| Request::decode(&request[..cut]).is_none()));
        assert_eq!(Request::decode(&[&request[..], b"x"].concat()), None);
        assert_eq!(Answer::decode(&request), None);
    }
}
