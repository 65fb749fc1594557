//! A login that the client does itself: whole messages pass from one side to the other, until the server has said whether it lets the client
//! in. Each side is spoken to in its own version.
//!
//! ```text
//! None ──────────────────────────────────────────────────────────────────────────┐
//! Vnc ───▶ AwaitChallenge (server) ─▶ AwaitResponse (client) ────────────────────┤
//! Plain ─▶ AwaitNames (client) ──────────────────────────────────────────────────┼─▶ AwaitOutcome (server) ─▶ done
//! Sasl ──▶ AwaitMechanisms (server) ─▶ AwaitMechanism (client) ─▶ AwaitStep (server) ─complete
//!                                                                  └─▶ AwaitData (client) ─┘
//! ```

use alloc::vec::Vec;

use super::error::{Error, SaslError};
use super::outcome::Outcome;
use super::sasl::{ROUNDS_MAX, take_data};
use super::version::Version;
use super::welcome::{let_in_for_nothing, refuse_result};
use super::wire::{peek_u32, take};
use super::{Subtype, challenge};
use crate::Progress::{self, Done, Wait};

/// Bytes of a name, or of a password, at most.
const NAME_MAX: u32 = 1024;
/// Bytes of a list of mechanisms at most, and of data of SASL.
const DATA_MAX: u32 = 32 << 10;
/// Bytes of a mechanism's name at most, as QEMU takes it.
const MECHANISM_MAX: u32 = 100;

/// See the module.
#[derive(Debug)]
pub(super) struct Passage {
    state: State,
    server: Outcome,
    client: Version,
    /// Nothing is asked of the client.
    for_nothing: bool,
    /// It chose VeNCrypt, which has a result even of nothing.
    by_vencrypt: bool,
    /// Rounds of SASL so far.
    rounds: u32,
    /// It has heard that it is not let in.
    has_told: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    AwaitChallenge,
    AwaitResponse,
    AwaitNames,
    AwaitMechanisms,
    AwaitMechanism,
    AwaitStep,
    AwaitData,
    AwaitOutcome,
    LetIn,
}

impl Passage {
    /// Between these versions of server and client, of what the server asks for within TLS.
    pub(super) fn new(server: Version, client: Version, within: Subtype) -> Self {
        let state = match within {
            Subtype::X509None => State::AwaitOutcome,
            Subtype::X509Vnc => State::AwaitChallenge,
            Subtype::X509Plain => State::AwaitNames,
            Subtype::X509Sasl => State::AwaitMechanisms,
        };
        let for_nothing = within == Subtype::X509None;
        Self {
            state,
            server: Outcome::new(server),
            client,
            for_nothing,
            by_vencrypt: false,
            rounds: 0,
            has_told: false,
        }
    }

    /// The same without TLS: what the server asks for in the clear.
    pub(super) fn in_the_clear(server: Version, client: Version, asks_for_password: bool) -> Self {
        match asks_for_password {
            true => Self::new(server, client, Subtype::X509Vnc),
            // Only since 3.8 there is a result of nothing.
            false if server < Version::V3_8 => {
                Self { state: State::LetIn, ..Self::new(server, client, Subtype::X509None) }
            }
            false => Self::new(server, client, Subtype::X509None),
        }
    }

    /// Whether the client has yet to answer something that a person may have to type.
    pub(super) fn awaits_client(&self) -> bool {
        matches!(
            self.state,
            State::AwaitResponse | State::AwaitNames | State::AwaitMechanism | State::AwaitData
        )
    }

    /// The client has chosen VeNCrypt.
    pub(super) fn by_vencrypt(self) -> Self {
        Self { by_vencrypt: true, ..self }
    }

    /// Takes what the server says. Done: the client is let in.
    ///
    /// # Errors
    /// It is not, or something makes no sense. What the client is told of that is in the output all the same.
    pub(super) fn server(
        &mut self,
        input: &mut &[u8],
        to_client: &mut Vec<u8>,
    ) -> Result<Progress<()>, Error> {
        let next = match self.state {
            State::AwaitChallenge => {
                pass(take(input, challenge::LENGTH), State::AwaitResponse, to_client)
            }
            State::AwaitMechanisms => {
                let list = take_data(input, "a list of SASL mechanisms", DATA_MAX, 0)?;
                pass(list, State::AwaitMechanism, to_client)
            }
            State::AwaitStep => {
                let step = take_data(input, "data of SASL", DATA_MAX, 1)?;
                self.rounds += u32::from(step.is_some());
                if self.rounds > ROUNDS_MAX {
                    return Err(Error::Sasl(SaslError::endless()));
                }
                let next = match step.and_then(<[u8]>::last) {
                    Some(0) => State::AwaitData,
                    _ => State::AwaitOutcome,
                };
                pass(step, next, to_client)
            }
            State::AwaitOutcome => return self.take_outcome(input, to_client),
            State::LetIn => {
                self.let_in(to_client);
                return Ok(Done(()));
            }
            _ => None,
        };
        match next {
            None => Ok(Wait),
            Some(state) => {
                self.state = state;
                self.server(input, to_client)
            }
        }
    }

    /// Takes what the client says.
    ///
    /// # Errors
    /// It makes no sense.
    pub(super) fn client(
        &mut self,
        input: &mut &[u8],
        to_server: &mut Vec<u8>,
    ) -> Result<Progress<()>, Error> {
        let next = match self.state {
            State::AwaitResponse => {
                pass(take(input, challenge::LENGTH), State::AwaitOutcome, to_server)
            }
            State::AwaitNames => pass(take_names(input)?, State::AwaitOutcome, to_server),
            State::AwaitMechanism => pass(take_mechanism(input)?, State::AwaitStep, to_server),
            State::AwaitData => {
                let data = take_data(input, "data of SASL", DATA_MAX, 0)?;
                pass(data, State::AwaitStep, to_server)
            }
            _ => None,
        };
        self.state = next.unwrap_or(self.state);
        Ok(Wait)
    }

    fn take_outcome(
        &mut self,
        input: &mut &[u8],
        to_client: &mut Vec<u8>,
    ) -> Result<Progress<()>, Error> {
        match self.server.receive(input) {
            Ok(Wait) => Ok(Wait),
            Ok(Done(())) => {
                self.let_in(to_client);
                Ok(Done(()))
            }
            Err(Error::NotLetIn(reason)) => {
                self.server_refused(&reason, to_client);
                Err(Error::NotLetIn(reason))
            }
            Err(error) => {
                self.server_refused("", to_client);
                Err(error)
            }
        }
    }

    /// Whether it hears a result in any version.
    fn has_result(&self) -> bool {
        !self.for_nothing || self.by_vencrypt
    }

    fn let_in(&self, to_client: &mut Vec<u8>) {
        match self.has_result() {
            true => to_client.extend([0; 4]),
            false => let_in_for_nothing(self.client, to_client),
        }
    }

    /// Tells the client that it is not let in, if that is what it awaits: in the place of a challenge it would be taken for one.
    pub(super) fn tell_refusal(&self, reason: &str, to_client: &mut Vec<u8>) {
        let awaits_result = match self.state {
            State::AwaitResponse | State::AwaitNames | State::AwaitOutcome => !self.has_told,
            _ => false,
        };
        if awaits_result && (self.has_result() || self.client == Version::V3_8) {
            refuse_result(self.client, reason, to_client);
        }
    }

    /// The server has refused, and says why or does not.
    fn server_refused(&mut self, reason: &str, to_client: &mut Vec<u8>) {
        let reason = if reason.is_empty() { "Authentication failed" } else { reason };
        self.tell_refusal(reason, to_client);
        self.has_told = true;
    }
}

fn pass(message: Option<&[u8]>, next: State, output: &mut Vec<u8>) -> Option<State> {
    output.extend(message?);
    Some(next)
}

/// Two lengths, a name and a password.
fn take_names<'i>(input: &mut &'i [u8]) -> Result<Option<&'i [u8]>, Error> {
    let (Some(name), Some(password)) = (peek_u32(input), input.get(4..).and_then(peek_u32)) else {
        return Ok(None);
    };
    for (what, length) in [("a name", name), ("a password", password)] {
        if length > NAME_MAX {
            return Err(Error::TooLong { what, length });
        }
    }
    Ok(take(input, 8 + name as usize + password as usize))
}

/// A mechanism's name, and what is said by it at once.
fn take_mechanism<'i>(input: &mut &'i [u8]) -> Result<Option<&'i [u8]>, Error> {
    let mut rest = *input;
    let name = take_data(&mut rest, "the name of a SASL mechanism", MECHANISM_MAX, 0)?;
    let Some(name) = name else { return Ok(None) };
    let data = take_data(&mut rest, "data of SASL", DATA_MAX, 0)?;
    Ok(data.and_then(|data| take(input, name.len() + data.len())))
}

#[cfg(test)]
mod tests;
