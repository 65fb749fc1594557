//! Towards a client: bytes in, bytes out, one verdict.
//!
//! ```text
//! (we: 0.2) AwaitVersion ──0.2──▶ (we: ok, what there is) AwaitSubtype ──one of it──▶ (we: go) done
//! ```

use alloc::vec::Vec;

use super::{GO, Subtype, VERSION};
use crate::Progress::{self, Done, Wait};
use crate::rfb::error::Error;
use crate::rfb::wire::take_array;

/// Said instead of zero to a version that we don't speak.
const NOT_THIS_VERSION: u8 = 255;

/// What a client may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Within {
    /// TLS, and something within it.
    Tls(Subtype),
    /// A user's name and password without TLS: for clients that came through TLS already.
    Plain,
}

impl Within {
    fn number(self) -> u32 {
        match self {
            Within::Tls(subtype) => subtype.number(),
            Within::Plain => 256,
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::rfb) struct Server {
    offered: Vec<Within>,
    has_version: bool,
}

impl Server {
    /// One that offers these, at most 255.
    pub(in crate::rfb) fn new(offered: Vec<Within>) -> Self {
        Self { offered, has_version: false }
    }

    /// Says what comes first.
    pub(in crate::rfb) fn start(&self, output: &mut Vec<u8>) {
        output.extend(VERSION);
    }

    /// Takes what the client says. After [`Within::Tls`], TLS begins, and it is the client who begins it.
    pub(in crate::rfb) fn receive(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Progress<Within>, Error> {
        if !self.has_version {
            let Some(version) = take_array::<2>(input) else { return Ok(Wait) };
            if version != VERSION {
                output.push(NOT_THIS_VERSION);
                return Err(Error::OldVeNCrypt(version));
            }
            self.has_version = true;
            output.extend([0, self.offered.len() as u8]);
            output.extend(self.offered.iter().flat_map(|one| one.number().to_be_bytes()));
        }
        let Some(chosen) = take_array::<4>(input).map(u32::from_be_bytes) else { return Ok(Wait) };
        let Some(within) = self.offered.iter().find(|one| one.number() == chosen) else {
            output.push(0);
            return Err(Error::NotOffered(chosen));
        };
        if let Within::Tls(_) = within {
            // It has to hear that it may go, before it does.
            if !input.is_empty() {
                return Err(Error::PlaintextBeforeTls);
            }
            output.push(GO);
        }
        Ok(Done(*within))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::testing::{Fed, any_split, feed};

    fn run(client: &[u8]) -> Fed<Within, Error> {
        let new = || Server::new(vec![Within::Tls(Subtype::X509Vnc), Within::Plain]);
        any_split(client, new, |machine, input, output| machine.receive(input, output))
    }

    #[test]
    fn a_client_chooses_one_of_what_it_is_offered() {
        let fed = run(&[0, 2, 0, 0, 1, 5]);
        assert_eq!(fed.verdict, Ok(Done(Within::Tls(Subtype::X509Vnc))));
        assert_eq!(fed.output, [0, 2, 0, 0, 1, 5, 0, 0, 1, 0, 1]);
        // Its name may come at once.
        let fed = run(&[0, 2, 0, 0, 1, 0, 7]);
        assert_eq!((fed.verdict, fed.rest), (Ok(Done(Within::Plain)), vec![7]));
        assert_eq!(fed.output, [0, 2, 0, 0, 1, 5, 0, 0, 1, 0], "and nothing is said of that");
    }

    #[test]
    fn each_refusal_is_told() {
        let fed = run(&[0, 1]);
        assert_eq!((fed.verdict, fed.output), (Err(Error::OldVeNCrypt([0, 1])), vec![255]));
        let fed = run(&[0, 0]);
        assert_eq!((fed.verdict, fed.output), (Err(Error::OldVeNCrypt([0, 0])), vec![255]));
        let fed = run(&[0, 2, 0, 0, 1, 1]);
        assert_eq!(fed.verdict, Err(Error::NotOffered(257)));
        assert_eq!(fed.output.last(), Some(&0));
    }

    #[test]
    fn a_byte_behind_the_choice_was_injected() {
        let new = || Server::new(vec![Within::Tls(Subtype::X509None)]);
        let client = [0, 2, 0, 0, 1, 4, 22];
        let mut machine = new();
        let fed = feed([&client[..]], |input, output| machine.receive(input, output));
        assert_eq!(fed.verdict, Err(Error::PlaintextBeforeTls));
        assert!(!fed.output.ends_with(&[1]), "nobody is told to go");
    }
}
