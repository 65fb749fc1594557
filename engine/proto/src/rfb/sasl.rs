//! SASL's messages within RFB, as the client: mechanisms, names and data are framed here; what is in them is somebody else's.
//!
//! ```text
//! AwaitMechanisms ─▶ (name, first data) AwaitChallenge ──more──▶ (data) AwaitChallenge ──complete──▶ done
//! ```

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::error::{Error, SaslError};
use super::wire::{peek_u32, printable, take};
use crate::Progress::{self, Done, Wait};

/// Bytes of a list of mechanisms at most.
const LIST_MAX: u32 = 4096;
/// Bytes of data in one message at most. QEMU takes a MiB; a login by SCRAM has some two hundred.
const DATA_MAX: u32 = 32 << 10;
/// Rounds at most. SCRAM has two.
pub(super) const ROUNDS_MAX: u32 = 16;

/// Somebody who can prove who we are: one conversation (RFC 4422).
pub trait Prover: fmt::Debug + Send {
    /// Begins by one of these mechanisms: its name, and what is said at once, if anything is.
    ///
    /// # Errors
    /// None of them is known.
    fn begin(&mut self, offered: &[&str]) -> Result<(String, Option<Vec<u8>>), SaslError>;

    /// Takes what the server says; none: nothing. The answer, if there is one.
    ///
    /// # Errors
    /// It makes no sense, or proves that the server does not know us.
    fn answer(&mut self, challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, SaslError>;

    /// Whether nothing that the server has yet to prove is missing.
    fn is_content(&self) -> bool;
}

/// See the module.
#[derive(Debug)]
pub(super) struct Conversation {
    prover: Box<dyn Prover>,
    has_begun: bool,
    rounds: u32,
}

impl Conversation {
    pub(super) fn new(prover: Box<dyn Prover>) -> Self {
        Self { prover, has_begun: false, rounds: 0 }
    }

    pub(super) fn receive(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Progress<()>, Error> {
        if !self.has_begun {
            let Some(list) = take_data(input, "a list of SASL mechanisms", LIST_MAX, 0)? else {
                return Ok(Wait);
            };
            let list = printable(&list[4..]);
            let offered: Vec<&str> =
                list.split([',', ' ']).filter(|name| !name.is_empty()).collect();
            let (name, data) = self.prover.begin(&offered).map_err(Error::Sasl)?;
            put(name.as_bytes(), output);
            put_data(data.as_deref(), output);
            self.has_begun = true;
        }
        while let Some(message) = take_data(input, "data of SASL", DATA_MAX, 1)? {
            self.rounds += 1;
            if self.rounds > ROUNDS_MAX {
                return Err(Error::Sasl(SaslError::endless()));
            }
            let [_, _, _, _, data @ .., complete] = message else { return Ok(Wait) };
            // What is said as text ends with a NUL that counts.
            let challenge = (!data.is_empty()).then(|| data.strip_suffix(&[0]).unwrap_or(data));
            let is_complete = *complete != 0;
            let answer = match (is_complete, challenge) {
                (true, None) => None,
                (_, challenge) => self.prover.answer(challenge).map_err(Error::Sasl)?,
            };
            if is_complete {
                return if self.prover.is_content() { Ok(Done(())) } else { Err(unproven()) };
            }
            put_data(answer.as_deref(), output);
        }
        Ok(Wait)
    }
}

fn unproven() -> Error {
    Error::Sasl(SaslError::Broken(
        "the server let us in without having shown that it knows the password".into(),
    ))
}

/// A length, so many bytes, and `more` behind them.
pub(super) fn take_data<'i>(
    input: &mut &'i [u8],
    what: &'static str,
    limit: u32,
    more: usize,
) -> Result<Option<&'i [u8]>, Error> {
    match peek_u32(input) {
        Some(length) if length > limit => Err(Error::TooLong { what, length }),
        Some(length) => Ok(take(input, 4 + length as usize + more)),
        None => Ok(None),
    }
}

fn put(bytes: &[u8], output: &mut Vec<u8>) {
    output.extend((bytes.len() as u32).to_be_bytes());
    output.extend(bytes);
}

/// Nothing has length zero; anything else has a NUL behind it that counts.
fn put_data(data: Option<&[u8]>, output: &mut Vec<u8>) {
    match data {
        None => put(&[], output),
        Some(data) => {
            output.extend((data.len() as u32 + 1).to_be_bytes());
            output.extend(data);
            output.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;
    use crate::testing::{Fed, any_split};

    /// Says `first`, then counts up; is content once it has heard `final`.
    #[derive(Debug, Default)]
    struct Counting {
        count: u8,
        is_content: bool,
    }

    impl Prover for Counting {
        fn begin(&mut self, offered: &[&str]) -> Result<(String, Option<Vec<u8>>), SaslError> {
            match offered.iter().find(|name| **name == "COUNT") {
                Some(name) => Ok((name.to_string(), Some(b"first".to_vec()))),
                None => Err(SaslError::NoMechanism(offered.join(", ").into())),
            }
        }

        fn answer(&mut self, challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, SaslError> {
            self.count += 1;
            match challenge {
                Some(b"final") => {
                    self.is_content = true;
                    Ok(None)
                }
                Some(b"lie") => Err(SaslError::Broken("a lie".into())),
                _ => Ok(Some([b'0' + self.count].to_vec())),
            }
        }

        fn is_content(&self) -> bool {
            self.is_content
        }
    }

    fn run(server: &[u8]) -> Fed<(), Error> {
        let new = || Conversation::new(Box::new(Counting::default()));
        any_split(server, new, |machine, input, output| machine.receive(input, output))
    }

    const LIST: &[u8] = b"\0\0\0\x0bOTHER,COUNT";
    const MORE: &[u8] = b"\0\0\0\x05more\0\0";
    const FINAL: &[u8] = b"\0\0\0\x06final\0\x01";

    #[test]
    fn data_is_framed_with_its_nul_and_nothing_without() {
        let fed = run(&[LIST, MORE, b"\0\0\0\0\0", FINAL, b"rest"].concat());
        assert_eq!((fed.verdict, fed.rest), (Ok(Done(())), b"rest".to_vec()));
        let said = b"\0\0\0\x05COUNT\0\0\0\x06first\0\0\0\0\x021\0\0\0\0\x022\0";
        assert_eq!(fed.output, said);
    }

    #[test]
    fn a_last_word_may_come_before_the_server_says_that_it_is_complete() {
        let fed = run(&[LIST, b"\0\0\0\x06final\0\0", b"\0\0\0\0\x01"].concat());
        assert_eq!(fed.verdict, Ok(Done(())));
        assert!(fed.output.ends_with(b"first\0\0\0\0\0"), "nothing is left to be said");
    }

    #[test]
    fn who_lets_us_in_without_a_proof_or_lies_is_not_believed() {
        let verdict = |server: &[&[u8]]| run(&server.concat()).verdict;
        assert_eq!(verdict(&[LIST, b"\0\0\0\0\x01"]), Err(unproven()));
        let lie = Error::Sasl(SaslError::Broken("a lie".into()));
        assert_eq!(verdict(&[LIST, b"\0\0\0\x04lie\0\x01"]), Err(lie));
        let none = Error::Sasl(SaslError::NoMechanism("DIGEST-MD5".into()));
        assert_eq!(verdict(&[b"\0\0\0\x0aDIGEST-MD5"]), Err(none));
    }

    #[test]
    fn rounds_have_an_end() {
        let verdict = run(&[LIST, &MORE.repeat(16), FINAL].concat()).verdict;
        assert_eq!(verdict, Err(Error::Sasl(SaslError::endless())));
        assert_eq!(run(&[LIST, &MORE.repeat(15), FINAL].concat()).verdict, Ok(Done(())));
    }

    #[test]
    fn what_is_too_long_is_not_waited_for() {
        let length = 1 << 20;
        let verdict = run(&[LIST, b"\0\x10\0\0"].concat()).verdict;
        assert_eq!(verdict, Err(Error::TooLong { what: "data of SASL", length }));
        let verdict = run(b"\0\x10\0\0").verdict;
        assert_eq!(verdict, Err(Error::TooLong { what: "a list of SASL mechanisms", length }));
    }
}
