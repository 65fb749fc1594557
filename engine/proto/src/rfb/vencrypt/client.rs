//! Towards a server: bytes in, bytes out, one verdict.
//!
//! Enter once RFB's security type 19 is chosen; leave when TLS may start on the same stream.
//!
//! ```text
//! Version ──0.2──▶ VersionAck ──0──▶ Offer ──n×u32──▶ SubtypeAck ──1──▶ done
//! ```

use alloc::vec::Vec;

use super::{GO, Subtype, VERSION};
use crate::Progress::{self, Done, Wait};
use crate::rfb::error::Error;
use crate::rfb::security::SchemeOrder;
use crate::rfb::wire::take;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::rfb) struct Negotiation {
    /// In falling order of preference.
    usable: Vec<Subtype>,
    order: SchemeOrder,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Version,
    VersionAck,
    Offer,
    SubtypeAck(Subtype),
}

impl Negotiation {
    pub(in crate::rfb) fn new(usable: Vec<Subtype>, order: SchemeOrder) -> Self {
        Self { usable, order, state: State::Version }
    }

    pub(in crate::rfb) fn receive(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Progress<Subtype>, Error> {
        // At most four turns: every step returns or moves to a later state.
        while let Some(message) = take_message(self.state, input) {
            self.state = match (self.state, message) {
                (State::Version, &[major, minor]) if [major, minor] < VERSION => {
                    return Err(Error::OldVeNCrypt([major, minor]));
                }
                (State::Version, _) => {
                    output.extend(VERSION);
                    State::VersionAck
                }
                (State::VersionAck, [0]) => State::Offer,
                (State::Offer, [_count, offered @ ..]) => {
                    let chosen = self.choose(offered)?;
                    output.extend(chosen.number().to_be_bytes());
                    State::SubtypeAck(chosen)
                }
                // The client speaks first in TLS, so a byte behind this one was injected before the encryption began.
                (State::SubtypeAck(chosen), [GO]) if input.is_empty() => {
                    return Ok(Done(chosen));
                }
                (State::SubtypeAck(_), [GO]) => return Err(Error::PlaintextBeforeTls),
                (_, refusal) => return Err(Error::VeNCryptRefused(refusal[0])),
            };
        }
        Ok(Wait)
    }

    fn choose(&self, offered: &[u8]) -> Result<Subtype, Error> {
        let offered: Vec<u32> =
            offered.as_chunks().0.iter().map(|code| u32::from_be_bytes(*code)).collect();
        let usable = |number: &u32| self.usable.iter().find(|one| one.number() == *number).copied();
        let chosen = match self.order {
            SchemeOrder::Server => offered.iter().find_map(usable),
            SchemeOrder::Strongest => {
                self.usable.iter().find(|one| offered.contains(&one.number())).copied()
            }
        };
        chosen.ok_or(Error::NoCommonSubtype(offered))
    }
}

/// All of the message the state expects, or nothing. The longest is 1021 bytes.
fn take_message<'i>(state: State, input: &mut &'i [u8]) -> Option<&'i [u8]> {
    let length = match state {
        State::Version => 2,
        State::VersionAck | State::SubtypeAck(_) => 1,
        State::Offer => 1 + 4 * usize::from(*input.first()?),
    };
    take(input, length)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::testing::any_split;

    /// Version 0.2, ok, an offer of Plain (256), X509Vnc (261) and X509Plain (262), ok.
    const SERVER: &[u8] = &[0, 2, 0, 3, 0, 0, 1, 0, 0, 0, 1, 5, 0, 0, 1, 6, 1];

    fn run(server: &[u8], order: SchemeOrder) -> (Result<Progress<Subtype>, Error>, Vec<u8>) {
        let usable = vec![Subtype::X509Plain, Subtype::X509Vnc];
        let new = || Negotiation::new(usable.clone(), order);
        let fed = any_split(server, new, |machine, input, output| machine.receive(input, output));
        (fed.verdict, fed.output)
    }

    #[test]
    fn any_split_of_the_stream_gives_the_same_verdict() {
        let (verdict, output) = run(SERVER, SchemeOrder::Strongest);
        assert_eq!((verdict, output), (Ok(Done(Subtype::X509Plain)), vec![0, 2, 0, 0, 1, 6]));
        let (verdict, output) = run(SERVER, SchemeOrder::Server);
        assert_eq!((verdict, output), (Ok(Done(Subtype::X509Vnc)), vec![0, 2, 0, 0, 1, 5]));
    }

    #[test]
    fn each_refusal_names_its_cause() {
        let fails = |server: &[u8]| run(server, SchemeOrder::Strongest).0.expect_err("refused");
        assert_eq!(fails(&[0, 1]), Error::OldVeNCrypt([0, 1]));
        assert_eq!(fails(&[0, 2, 9]), Error::VeNCryptRefused(9));
        assert_eq!(fails(&[0, 2, 0, 0]), Error::NoCommonSubtype(vec![]));
        assert_eq!(fails(&[0, 2, 0, 1, 0, 0, 1, 1]), Error::NoCommonSubtype(vec![257]));
        let refused = [&SERVER[..SERVER.len() - 1], &[0]].concat();
        assert_eq!(fails(&refused), Error::VeNCryptRefused(0));
    }

    #[test]
    fn a_byte_behind_the_last_word_was_injected() {
        let mut machine = Negotiation::new(vec![Subtype::X509Vnc], SchemeOrder::Strongest);
        let injected = [SERVER, b"x"].concat();
        let verdict = machine.receive(&mut injected.as_slice(), &mut Vec::new());
        assert_eq!(verdict, Err(Error::PlaintextBeforeTls));
    }
}
