//! Towards a server: we prove that we may come in, and hear whether we do.
//!
//! ```text
//! (Plain: name, password) ──────────────┐
//! AwaitChallenge ──▶ (answer) ──────────┼──▶ AwaitOutcome ──▶ done
//! SASL ◀──▶ SASL ──────────────complete─┘
//! ```
//!
//! Enter where [`Approach`](super::Approach) ends, after TLS if that was its verdict.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::challenge;
use super::error::Error;
use super::outcome::Outcome;
use super::sasl::{Conversation, Prover};
use super::version::Version;
use super::wire::take_array;
use crate::Progress::{self, Done, Wait};
use crate::Secret;

/// What we prove ourselves by.
#[derive(Debug)]
pub(super) enum Method {
    /// Nothing; with a certificate, TLS has done it.
    None,
    /// VNC's challenge.
    Vnc(Secret),
    /// A name and a password. For TLS alone.
    Plain(Box<str>, Secret),
    /// SASL.
    Sasl(Box<dyn Prover>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Proof {
    state: State,
    outcome: Outcome,
}

#[derive(Debug)]
enum State {
    AwaitChallenge(Secret),
    Sasl(Conversation),
    AwaitOutcome,
    LetIn,
}

impl Proof {
    /// In a version of RFB that was agreed on; `secured`: through TLS. Says what we begin with.
    pub(super) fn new(
        version: Version,
        secured: bool,
        method: Method,
        output: &mut Vec<u8>,
    ) -> Self {
        let state = match method {
            // Only since 3.8 there is a result of nothing. VeNCrypt always has one.
            Method::None if version < Version::V3_8 && !secured => State::LetIn,
            Method::None => State::AwaitOutcome,
            Method::Vnc(password) => State::AwaitChallenge(password),
            Method::Plain(user, password) => {
                let password = password.reveal();
                output.extend((user.len() as u32).to_be_bytes());
                output.extend((password.len() as u32).to_be_bytes());
                output.extend(user.bytes().chain(password.bytes()));
                State::AwaitOutcome
            }
            Method::Sasl(prover) => State::Sasl(Conversation::new(prover)),
        };
        Self { state, outcome: Outcome::new(version) }
    }

    /// Takes what the server says.
    ///
    /// # Errors
    /// It does not let us in, or makes no sense.
    pub(super) fn receive(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Progress<()>, Error> {
        if let State::AwaitChallenge(password) = &self.state {
            let Some(challenge) = take_array::<{ challenge::LENGTH }>(input) else {
                return Ok(Wait);
            };
            output.extend(challenge::answer(&challenge, password.reveal()));
            self.state = State::AwaitOutcome;
        }
        if let State::Sasl(conversation) = &mut self.state {
            match conversation.receive(input, output)? {
                Wait => return Ok(Wait),
                Done(()) => self.state = State::AwaitOutcome,
            }
        }
        match self.state {
            State::LetIn => Ok(Done(())),
            _ => self.outcome.receive(input),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fed, any_split};

    fn run(
        version: Version,
        secured: bool,
        method: fn() -> Method,
        server: &[u8],
    ) -> Fed<(), Error> {
        let new = || {
            let mut said = Vec::new();
            let proof = Proof::new(version, secured, method(), &mut said);
            (proof, said)
        };
        any_split(server, new, |(machine, said), input, output| {
            output.append(said);
            machine.receive(input, output)
        })
    }

    const OK: &[u8] = &[0, 0, 0, 0];
    const BAD: &[u8] = b"\0\0\0\x01\0\0\0\x16Authentication failed\0";

    #[test]
    fn each_method_says_what_it_has_to() {
        let challenge = [&[7; 16], OK].concat();
        let fed = run(Version::V3_8, false, || Method::Vnc("password".into()), &challenge);
        assert_eq!(fed.verdict, Ok(Done(())));
        assert_eq!(fed.output, challenge::answer(&[7; 16], "password"));
        let fed = run(Version::V3_8, true, || Method::Plain("me".into(), "pass".into()), OK);
        assert_eq!(fed.verdict, Ok(Done(())));
        assert_eq!(fed.output, b"\0\0\0\x02\0\0\0\x04mepass");
        let fed = run(Version::V3_8, false, || Method::None, OK);
        assert_eq!((fed.verdict, fed.output), (Ok(Done(())), Vec::new()));
    }

    #[test]
    fn nothing_has_a_result_only_since_3_8_or_through_tls() {
        for (version, secured, bytes_left) in [
            (Version::V3_3, false, 4),
            (Version::V3_7, false, 4),
            (Version::V3_7, true, 0),
            (Version::V3_8, false, 0),
        ] {
            let fed = run(version, secured, || Method::None, OK);
            assert_eq!((fed.verdict, fed.rest.len()), (Ok(Done(())), bytes_left), "{version:?}");
        }
    }

    #[test]
    fn who_is_not_let_in_hears_why_since_3_8() {
        let refused = |version, server: &[u8]| run(version, true, || Method::None, server).verdict;
        let reason = Err(Error::NotLetIn("Authentication failed".into()));
        assert_eq!(refused(Version::V3_8, BAD), reason);
        assert_eq!(refused(Version::V3_7, BAD), Err(Error::NotLetIn("".into())));
        assert_eq!(refused(Version::V3_8, &[0, 0, 0, 2]), Err(Error::TooManyTries));
        assert_eq!(refused(Version::V3_8, &[0, 0, 1, 0]), Err(Error::UnknownResult(256)));
        assert_eq!(refused(Version::V3_8, &BAD[..20]), Ok(Wait));
    }
}
