//! Between a client and a server of VNC, until bytes may pass as they are: one side's security is ours.
//!
//! ```text
//! AwaitVersion ─▶ Approach ─▶ (TLS) ─┬─ authenticate ─▶ Proof ─▶ Offer ─▶ (TLS) ─────────────┐
//!   (client)      (server)           └─ bridge ───────▶ Offer ─▶ (TLS) ─▶ Passage ───────────┴─▶ Introduction ─▶ done
//!                                                       (client)          (both)                 (both, if wanted)
//! ```
//!
//! In: what either side has said. Out: what either is to be told, and when TLS begins with one of them. Nobody is offered anything before the
//! server has agreed, so that whoever is refused can be told why.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::approach::{Allowed, Approach, Approached, Security};
use super::error::Error;
use super::introduction::Introduction;
use super::passage::Passage;
use super::proof::{Method, Proof};
use super::sasl::Prover;
use super::vencrypt::{Subtype, Within};
use super::version::Version;
use super::welcome::{Offer, Offered, Welcome, let_in_for_nothing, refuse};
use crate::Progress::{self, Done, Wait};
use crate::Secret;

/// What a gateway is to do.
#[derive(Debug)]
pub struct Plan {
    /// What the server may be spoken to by.
    pub allowed: Allowed,
    /// Who proves to it that it may come in.
    pub mode: Mode,
    /// What clients may use towards us; empty: no TLS within RFB.
    pub listen: Vec<Subtype>,
    /// What is wanted of the time after that.
    pub introduction: Introduction,
}

/// Who proves to the server that it may come in.
#[derive(Debug)]
pub enum Mode {
    /// The client.
    Bridge,
    /// We.
    Authenticate(Keys),
}

/// What we can prove ourselves by.
#[derive(Debug, Default)]
pub struct Keys {
    /// For the challenge.
    pub password: Option<Secret>,
    /// For Plain.
    pub plain: Option<(Box<str>, Secret)>,
    /// For SASL.
    pub sasl: Option<Box<dyn Prover>>,
}

/// What came of both sides and waits, and what either is to be told.
pub struct Both<'b, 'i> {
    /// Of the client.
    pub from_client: &'b mut &'i [u8],
    /// Of the server.
    pub from_server: &'b mut &'i [u8],
    /// To the client.
    pub to_client: &'b mut Vec<u8>,
    /// To the server.
    pub to_server: &'b mut Vec<u8>,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// More bytes have to come.
    Wait,
    /// TLS with the server, which we begin; then [`Gateway::secured`].
    SecureServer,
    /// TLS with the client, who begins it; then [`Gateway::secured`].
    SecureClient,
    /// Bytes pass as they are.
    Done,
}

/// Whose doing an error is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The client's, else the server's.
    pub by_client: bool,
    /// What it is.
    pub error: Error,
}

/// See the module.
#[derive(Debug)]
pub struct Gateway {
    plan: Plan,
    /// As the client speaks; nobody asks before it is known.
    client: Version,
    /// How the server is proven to who comes in: within TLS or not, and by what.
    used: Option<(bool, Subtype)>,
    state: State,
}

#[derive(Debug)]
enum State {
    AwaitVersion(Welcome),
    Approach(Approach),
    AwaitServersTls(Version, Subtype),
    Proof(Box<Proof>),
    Offer(Offer, Option<Passage>),
    AwaitClientsTls(Option<Passage>),
    Passage(Passage),
    Introduction,
    Over,
}

impl Gateway {
    /// Tells the client our version.
    pub fn new(plan: Plan, to_client: &mut Vec<u8>) -> Self {
        let state = State::AwaitVersion(Welcome::new(to_client));
        Self { plan, client: Version::V3_8, used: None, state }
    }

    /// Goes as far as what came allows.
    ///
    /// # Errors
    /// It can't go on. Whatever of [`refuse`](Self::refuse) the client would understand is still to be said.
    pub fn step(&mut self, both: &mut Both<'_, '_>) -> Result<Next, Failure> {
        loop {
            let next = match &mut self.state {
                State::AwaitVersion(welcome) => {
                    match welcome.receive(both.from_client, both.to_client).map_err(by_client)? {
                        Wait => return Ok(Next::Wait),
                        Done(version) => {
                            self.client = version;
                            State::Approach(Approach::new(self.plan.allowed.clone()))
                        }
                    }
                }
                State::Approach(approach) => {
                    match approach.receive(both.from_server, both.to_server).map_err(by_server)? {
                        Wait => return Ok(Next::Wait),
                        Done(Approached { version, security: Security::Tls(subtype) }) => {
                            self.used = Some((true, subtype));
                            self.state = State::AwaitServersTls(version, subtype);
                            return Ok(Next::SecureServer);
                        }
                        Done(Approached { version, security }) => {
                            self.in_the_clear(version, security, both)?
                        }
                    }
                }
                State::Proof(proof) => {
                    match proof.receive(both.from_server, both.to_server).map_err(by_server)? {
                        Wait => return Ok(Next::Wait),
                        Done(()) => self.offer(Subtype::X509None, None, both)?,
                    }
                }
                State::Offer(offer, passage) => {
                    match offer.receive(both.from_client, both.to_client).map_err(by_client)? {
                        Wait => return Ok(Next::Wait),
                        Done(Some(Within::Tls(_))) => {
                            self.state = State::AwaitClientsTls(passage.take());
                            return Ok(Next::SecureClient);
                        }
                        Done(Some(Within::Plain) | None) => {
                            let passage = passage.take();
                            self.chosen(passage, both)
                        }
                    }
                }
                State::Passage(passage) => match pass(passage, both)? {
                    Wait => return Ok(Next::Wait),
                    Done(()) => State::Introduction,
                },
                State::Introduction => match self.introduce(both)? {
                    Wait => return Ok(Next::Wait),
                    Done(()) => State::Over,
                },
                State::AwaitServersTls(..) | State::AwaitClientsTls(_) => return Ok(Next::Wait),
                State::Over => return Ok(Next::Done),
            };
            self.state = next;
        }
    }

    /// TLS stands, with whom it was wanted.
    ///
    /// # Errors
    /// As [`step`](Self::step), which goes on after it.
    pub fn secured(&mut self, both: &mut Both<'_, '_>) -> Result<Next, Failure> {
        self.state = match core::mem::replace(&mut self.state, State::Over) {
            State::AwaitServersTls(version, subtype) => match &mut self.plan.mode {
                Mode::Bridge => {
                    let passage = Passage::new(version, self.client, subtype);
                    self.offer(subtype, Some(passage), both)?
                }
                Mode::Authenticate(keys) => {
                    let method = keys.method(subtype)?;
                    State::Proof(Box::new(Proof::new(version, true, method, both.to_server)))
                }
            },
            State::AwaitClientsTls(passage) => self.chosen(passage, both),
            other => other,
        };
        self.step(both)
    }

    /// Tells the client that nothing comes of it, if that can be said now.
    pub fn refuse(&self, reason: &str, to_client: &mut Vec<u8>) {
        match &self.state {
            State::Approach(_) | State::AwaitServersTls(..) | State::Proof(_) => {
                refuse(self.client, reason, to_client);
            }
            State::Passage(passage) => passage.tell_refusal(reason, to_client),
            _ => {}
        }
    }

    /// How the server lets in, once that is known: within TLS or not, and by what.
    pub fn used(&self) -> Option<(bool, Subtype)> {
        self.used
    }

    /// Whether ClientInit was among what it took, and is none of what follows.
    pub fn has_introduced(&self) -> bool {
        self.plan.introduction.is_needed()
    }

    /// Whether TLS with one of them is what is waited for.
    pub fn is_securing(&self) -> bool {
        matches!(self.state, State::AwaitServersTls(..) | State::AwaitClientsTls(_))
    }

    /// Whether the server has all it wants, and only its verdict is missing.
    pub fn awaits_verdict(&self) -> bool {
        match &self.state {
            State::Proof(_) => true,
            State::Passage(passage) => !passage.awaits_client(),
            _ => false,
        }
    }

    /// Whether a person may have to type something first.
    pub fn awaits_person(&self) -> bool {
        matches!(&self.state, State::Passage(passage) if passage.awaits_client())
    }

    /// Whether the server is waited for, else the client; and for what, in words.
    pub fn awaits(&self) -> (bool, &'static str) {
        match &self.state {
            State::AwaitVersion(_) => (false, "its version of RFB"),
            State::Approach(_) => (true, "its version of RFB and its security types"),
            State::AwaitServersTls(..) => (true, "its part of TLS"),
            State::Proof(_) => (true, "whether it lets us in"),
            State::Offer(..) => (false, "its choice of a security type"),
            State::AwaitClientsTls(_) => (false, "its part of TLS"),
            State::Passage(passage) if passage.awaits_client() => {
                (false, "its answer to the server")
            }
            State::Passage(_) => (true, "whether it lets the client in"),
            State::Introduction if !self.plan.introduction.has_client() => {
                (false, "whether it shares the console")
            }
            State::Introduction | State::Over => (true, "the console's name"),
        }
    }

    /// No TLS is spoken with the server.
    fn in_the_clear(
        &mut self,
        server: Version,
        security: Security,
        both: &mut Both<'_, '_>,
    ) -> Result<State, Failure> {
        let within = match security {
            Security::Vnc => Subtype::X509Vnc,
            Security::None | Security::Tls(_) => Subtype::X509None,
        };
        self.used = Some((false, within));
        match &mut self.plan.mode {
            Mode::Bridge => {
                let asks = within == Subtype::X509Vnc;
                let passage = Passage::in_the_clear(server, self.client, asks);
                self.offer(within, Some(passage), both)
            }
            Mode::Authenticate(keys) => {
                let method = keys.method(within)?;
                Ok(State::Proof(Box::new(Proof::new(server, false, method, both.to_server))))
            }
        }
    }

    /// Offers the client what it is to do.
    fn offer(
        &mut self,
        within: Subtype,
        passage: Option<Passage>,
        both: &mut Both<'_, '_>,
    ) -> Result<State, Failure> {
        let offered = match within {
            _ if !self.plan.listen.is_empty() => Offered::VeNCrypt(vec![Within::Tls(within)]),
            Subtype::X509None => Offered::None,
            Subtype::X509Vnc => Offered::Vnc,
            Subtype::X509Plain => Offered::VeNCrypt(vec![Within::Plain]),
            Subtype::X509Sasl => Offered::Sasl,
        };
        match Offer::new(self.client, offered, both.to_client) {
            Ok(offer) => Ok(State::Offer(offer, passage)),
            Err(error) => {
                self.state = State::Over;
                refuse(
                    self.client,
                    "This console needs a viewer that speaks RFB 3.8",
                    both.to_client,
                );
                Err(by_client(error))
            }
        }
    }

    /// The client has chosen what there is, and TLS stands if that was it.
    fn chosen(&mut self, passage: Option<Passage>, both: &mut Both<'_, '_>) -> State {
        match passage {
            Some(passage) if self.plan.listen.is_empty() => State::Passage(passage),
            Some(passage) => State::Passage(passage.by_vencrypt()),
            None => {
                // VeNCrypt has a result even of nothing.
                match self.plan.listen.is_empty() {
                    true => let_in_for_nothing(self.client, both.to_client),
                    false => both.to_client.extend([0; 4]),
                }
                State::Introduction
            }
        }
    }

    fn introduce(&mut self, both: &mut Both<'_, '_>) -> Result<Progress<()>, Failure> {
        let introduction = &mut self.plan.introduction;
        if !introduction.is_needed() {
            return Ok(Done(()));
        }
        match introduction.client(both.from_client, both.to_server) {
            Done(()) => Ok(Done(())),
            Wait => introduction.server(both.from_server, both.to_client).map_err(by_server),
        }
    }
}

impl Keys {
    /// What the server asks for. What we don't have should not have been allowed: nobody is let in for nothing in its place.
    fn method(&mut self, within: Subtype) -> Result<Method, Failure> {
        let method = match within {
            Subtype::X509None => Some(Method::None),
            Subtype::X509Vnc => self.password.take().map(Method::Vnc),
            Subtype::X509Plain => {
                self.plain.take().map(|(user, password)| Method::Plain(user, password))
            }
            Subtype::X509Sasl => self.sasl.take().map(Method::Sasl),
        };
        method.ok_or_else(|| by_server(Error::NoCommonSubtype(vec![within.number()])))
    }

    /// The subtypes for which there is something, the one that says most first.
    pub fn subtypes(&self) -> Vec<Subtype> {
        let has = [
            (Subtype::X509Sasl, self.sasl.is_some()),
            (Subtype::X509Plain, self.plain.is_some()),
            (Subtype::X509Vnc, self.password.is_some()),
            (Subtype::X509None, true),
        ];
        has.into_iter().filter(|(_, has)| *has).map(|(subtype, _)| subtype).collect()
    }
}

impl fmt::Debug for Both<'_, '_> {
    /// Says nothing of the bytes: there may be a password among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Both { from_client, from_server, to_client, to_server } = self;
        let (client, server) = (from_client.len(), from_server.len());
        write!(
            f,
            "Both({client} + {server} bytes in, {} + {} out)",
            to_client.len(),
            to_server.len()
        )
    }
}

fn pass(passage: &mut Passage, both: &mut Both<'_, '_>) -> Result<Progress<()>, Failure> {
    // What one side said may be what the other had to wait for.
    loop {
        let waiting = (both.from_client.len(), both.from_server.len());
        passage.client(both.from_client, both.to_server).map_err(by_client)?;
        match passage.server(both.from_server, both.to_client).map_err(by_server)? {
            Done(()) => return Ok(Done(())),
            Wait if waiting == (both.from_client.len(), both.from_server.len()) => return Ok(Wait),
            Wait => {}
        }
    }
}

fn by_client(error: Error) -> Failure {
    Failure { by_client: true, error }
}

fn by_server(error: Error) -> Failure {
    Failure { by_client: false, error }
}

#[cfg(test)]
mod tests;
