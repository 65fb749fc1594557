//! Towards a server, up to where it is known how we are to prove that we may come in: bytes in, bytes out, one verdict.
//!
//! ```text
//!                ┌─ 3.3 ─▶ AwaitDecision ─────────────────────────────────┐
//! AwaitVersion ──┤              │ 0 ─▶ AwaitReason ─▶ refused            ├─▶ None, Vnc
//!                └─ 3.7, 3.8 ─▶ AwaitTypes ──┬────────────────────────────┘
//!                                            └─▶ VeNCrypt ──▶ TLS, and what is within
//! ```

use alloc::vec;
use alloc::vec::Vec;

use super::Subtype;
use super::error::Error;
use super::security::{Scheme, SchemeOrder};
use super::vencrypt::client::Negotiation;
use super::version::{self, Version};
use super::wire::{peek_u32, printable, take, take_reason};
use crate::Progress::{self, Done, Wait};

/// What a server may be spoken to by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allowed {
    /// Types of security. What is not among them is not used, however the server is set up.
    pub schemes: Vec<Scheme>,
    /// Of VeNCrypt, in falling order of preference.
    pub subtypes: Vec<Subtype>,
    /// Which of several that are offered.
    pub order: SchemeOrder,
}

/// How a server is to be spoken to from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Approached {
    /// The version agreed on.
    pub version: Version,
    /// What comes next.
    pub security: Security,
}

/// What comes next with a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Security {
    /// Nothing.
    None,
    /// A password's challenge.
    Vnc,
    /// TLS, which we begin, and then what the subtype says.
    Tls(Subtype),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Approach {
    allowed: Allowed,
    version: Version,
    state: State,
}

#[derive(Debug)]
enum State {
    AwaitVersion,
    AwaitDecision,
    AwaitTypes,
    AwaitReason,
    VeNCrypt(Negotiation),
}

impl Approach {
    /// From the first byte on.
    pub(super) fn new(allowed: Allowed) -> Self {
        Self { allowed, version: Version::V3_8, state: State::AwaitVersion }
    }

    /// Takes what the server says.
    ///
    /// # Errors
    /// It speaks no RFB, refuses, or offers nothing that is allowed.
    pub(super) fn receive(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Progress<Approached>, Error> {
        loop {
            let next = match &mut self.state {
                State::AwaitVersion => self.take_version(input, output)?,
                State::AwaitDecision => match peek_u32(input) {
                    None => return Ok(Wait),
                    Some(decision) => {
                        *input = &input[4..];
                        self.decided(decision)?
                    }
                },
                State::AwaitTypes => self.take_types(input, output)?,
                State::AwaitReason => match take_reason(input) {
                    None => return Ok(Wait),
                    Some(reason) => return Err(Error::Closed(reason)),
                },
                State::VeNCrypt(negotiation) => match negotiation.receive(input, output)? {
                    Wait => return Ok(Wait),
                    Done(subtype) => Next::Done(Security::Tls(subtype)),
                },
            };
            match next {
                Next::Wait => return Ok(Wait),
                Next::State(state) => self.state = state,
                Next::Done(security) => {
                    return Ok(Done(Approached { version: self.version, security }));
                }
            }
        }
    }

    fn take_version(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> Result<Next, Error> {
        let Some(bytes) = take(input, version::LENGTH) else {
            // Who says something else may never say twelve bytes of it.
            let is_rfb = input.iter().zip(b"RFB ").all(|(came, expected)| came == expected);
            return if is_rfb { Ok(Next::Wait) } else { Err(Error::NotRfb(printable(input))) };
        };
        self.version = match (Version::read(bytes), bytes) {
            (Some(version), _) => version,
            (None, b"RFB 000.000\n") => return Err(Error::Repeater),
            (None, other) => return Err(Error::NotRfb(printable(other))),
        };
        output.extend(self.version.bytes());
        Ok(Next::State(match self.version {
            Version::V3_3 => State::AwaitDecision,
            Version::V3_7 | Version::V3_8 => State::AwaitTypes,
        }))
    }

    /// In 3.3, the server decides.
    fn decided(&self, decision: u32) -> Result<Next, Error> {
        let number = u8::try_from(decision).unwrap_or(u8::MAX);
        let chosen = self.allowed.schemes.iter().find(|scheme| scheme.number() == number);
        match (number, chosen) {
            (0, _) => Ok(Next::State(State::AwaitReason)),
            (_, Some(Scheme::None)) => Ok(Next::Done(Security::None)),
            (_, Some(Scheme::Vnc)) => Ok(Next::Done(Security::Vnc)),
            (_, Some(Scheme::VeNCrypt) | None) => Err(Error::NoCommonType(vec![number])),
        }
    }

    fn take_types(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> Result<Next, Error> {
        let Some(message) = input.first().and_then(|count| take(input, 1 + usize::from(*count)))
        else {
            return Ok(Next::Wait);
        };
        let [_count, offered @ ..] = message else { return Ok(Next::Wait) };
        if offered.is_empty() {
            return Ok(Next::State(State::AwaitReason));
        }
        let Allowed { schemes, order, subtypes } = &self.allowed;
        let chosen = Scheme::chosen(schemes, *order, offered);
        let chosen = chosen.ok_or_else(|| Error::NoCommonType(offered.to_vec()))?;
        output.push(chosen.number());
        Ok(match chosen {
            Scheme::None => Next::Done(Security::None),
            Scheme::Vnc => Next::Done(Security::Vnc),
            Scheme::VeNCrypt => {
                Next::State(State::VeNCrypt(Negotiation::new(subtypes.clone(), *order)))
            }
        })
    }
}

enum Next {
    Wait,
    State(State),
    Done(Security),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fed, any_split};

    fn run(schemes: &[Scheme], server: &[u8]) -> Fed<Approached, Error> {
        let allowed = Allowed {
            schemes: schemes.to_vec(),
            subtypes: vec![Subtype::X509None, Subtype::X509Vnc],
            order: SchemeOrder::Strongest,
        };
        let new = || Approach::new(allowed.clone());
        any_split(server, new, |machine, input, output| machine.receive(input, output))
    }

    const ALL: &[Scheme] = &[Scheme::VeNCrypt, Scheme::Vnc, Scheme::None];

    #[test]
    fn a_server_of_each_version_is_answered_in_its_own() {
        let cases: [(&[u8], Version, Security, &[u8]); 5] = [
            (b"RFB 003.003\n\0\0\0\x01", Version::V3_3, Security::None, b"RFB 003.003\n"),
            (b"RFB 003.003\n\0\0\0\x02", Version::V3_3, Security::Vnc, b"RFB 003.003\n"),
            (b"RFB 003.007\n\x01\x02", Version::V3_7, Security::Vnc, b"RFB 003.007\n\x02"),
            (b"RFB 003.889\n\x02\x1e\x01", Version::V3_8, Security::None, b"RFB 003.008\n\x01"),
            (
                b"RFB 003.008\n\x01\x13\0\x02\0\x01\0\0\x01\x04\x01",
                Version::V3_8,
                Security::Tls(Subtype::X509None),
                b"RFB 003.008\n\x13\0\x02\0\0\x01\x04",
            ),
        ];
        for (server, version, security, said) in cases {
            let fed = run(ALL, server);
            assert_eq!(fed.verdict, Ok(Done(Approached { version, security })));
            assert_eq!(fed.output, said);
        }
    }

    #[test]
    fn what_is_not_allowed_is_not_used() {
        let offered = |server: &[u8]| run(&[Scheme::VeNCrypt], server).verdict;
        assert_eq!(offered(b"RFB 003.008\n\x02\x01\x02"), Err(Error::NoCommonType(vec![1, 2])));
        assert_eq!(offered(b"RFB 003.003\n\0\0\0\x02"), Err(Error::NoCommonType(vec![2])));
        assert_eq!(offered(b"RFB 003.003\n\0\0\x01\x02"), Err(Error::NoCommonType(vec![255])));
        let nineteen = run(ALL, b"RFB 003.003\n\0\0\0\x13").verdict;
        assert_eq!(nineteen, Err(Error::NoCommonType(vec![19])), "3.3 knows no VeNCrypt");
    }

    #[test]
    fn a_server_that_lets_nobody_in_says_why() {
        let closed = |server: &[u8]| run(ALL, server).verdict;
        let reason = Err(Error::Closed("Too busy".into()));
        assert_eq!(closed(b"RFB 003.008\n\0\0\0\0\x09Too busy\0"), reason);
        assert_eq!(closed(b"RFB 003.003\n\0\0\0\0\0\0\0\x08Too busy"), reason);
        assert_eq!(closed(b"RFB 003.008\n\0\xff\0\0\0"), Err(Error::Closed("".into())), "too long");
    }

    #[test]
    fn what_is_no_vnc_server_is_told_apart_at_once() {
        let verdict = |server: &[u8]| {
            let allowed = Allowed { schemes: vec![], subtypes: vec![], order: SchemeOrder::Server };
            Approach::new(allowed).receive(&mut &*server, &mut Vec::new())
        };
        assert_eq!(verdict(b"SSH-2"), Err(Error::NotRfb("SSH-2".into())));
        assert_eq!(verdict(b"RFB 000.000\n"), Err(Error::Repeater));
        assert_eq!(verdict(b"RFB 3.8\nmore "), Err(Error::NotRfb("RFB 3.8more".into())));
        assert_eq!(verdict(b"RF"), Ok(Wait));
    }
}
