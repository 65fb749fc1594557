//! Towards a client, as its server: the version, and one type of security.
//!
//! ```text
//! (we: 3.8) AwaitVersion ──▶ done          (we: one type) AwaitChoice ─┬─────────────────▶ done
//!                                                                      └─▶ VeNCrypt ─────▶ done, TLS perhaps
//! ```

use alloc::vec::Vec;

use super::error::Error;
use super::security::{NONE, SASL, VENCRYPT, VNC};
use super::vencrypt::{Server, Within};
use super::version::{self, Version};
use super::wire::{printable, put_reason, take, take_array};
use crate::Progress::{self, Done, Wait};

/// Waits for a client's version.
#[derive(Debug)]
pub(super) struct Welcome;

impl Welcome {
    /// Says ours.
    pub(super) fn new(output: &mut Vec<u8>) -> Self {
        output.extend(Version::V3_8.bytes());
        Self
    }

    /// Takes the client's, which is the one to be spoken.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn receive(
        &mut self,
        input: &mut &[u8],
        _output: &mut Vec<u8>,
    ) -> Result<Progress<Version>, Error> {
        let Some(bytes) = take(input, version::LENGTH) else { return Ok(Wait) };
        Version::read(bytes).map(Done).ok_or_else(|| Error::NotRfb(printable(bytes)))
    }
}

/// Says in place of an offer that there is none, and why.
pub(super) fn refuse(version: Version, reason: &str, output: &mut Vec<u8>) {
    match version {
        Version::V3_3 => output.extend([0; 4]),
        Version::V3_7 | Version::V3_8 => output.push(0),
    }
    put_reason(reason, output);
}

/// Says that what was asked for has been refused. Before version 3.8, without a reason.
pub(super) fn refuse_result(version: Version, reason: &str, output: &mut Vec<u8>) {
    output.extend([0, 0, 0, 1]);
    if version == Version::V3_8 {
        put_reason(reason, output);
    }
}

/// Says that the client is let in, if it expects a word after having had to do nothing.
pub(super) fn let_in_for_nothing(version: Version, output: &mut Vec<u8>) {
    if version == Version::V3_8 {
        output.extend([0; 4]);
    }
}

/// The one type that a client is offered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Offered {
    /// Nothing is asked of it.
    None,
    /// A password's challenge.
    Vnc,
    /// SASL.
    Sasl,
    /// VeNCrypt, with these subtypes.
    VeNCrypt(Vec<Within>),
}

/// Waits for a client's choice, where there is one.
#[derive(Debug)]
pub(super) struct Offer {
    version: Version,
    number: u8,
    vencrypt: Option<Server>,
    is_chosen: bool,
}

impl Offer {
    /// Says what there is.
    ///
    /// # Errors
    /// The client's version can't say it; nothing was said.
    pub(super) fn new(
        version: Version,
        offered: Offered,
        output: &mut Vec<u8>,
    ) -> Result<Self, Error> {
        let (number, vencrypt) = match offered {
            Offered::None => (NONE, None),
            Offered::Vnc => (VNC, None),
            Offered::Sasl => (SASL, None),
            Offered::VeNCrypt(subtypes) => (VENCRYPT, Some(Server::new(subtypes))),
        };
        match (version, number) {
            (Version::V3_3, NONE | VNC) => output.extend([0, 0, 0, number]),
            (Version::V3_3, _) => return Err(Error::OldClient),
            (Version::V3_7 | Version::V3_8, _) => output.extend([1, number]),
        }
        Ok(Self { version, number, vencrypt, is_chosen: version == Version::V3_3 })
    }

    /// Takes the client's choice: of VeNCrypt's subtypes, if it is that.
    ///
    /// # Errors
    /// It chose what it was not offered, which it is told, or sent something before TLS.
    pub(super) fn receive(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Progress<Option<Within>>, Error> {
        if !self.is_chosen {
            let Some([chosen]) = take_array(input) else { return Ok(Wait) };
            if chosen != self.number {
                refuse_result(self.version, "This security type was not offered", output);
                return Err(Error::NotOffered(chosen.into()));
            }
            self.is_chosen = true;
            if let Some(vencrypt) = &self.vencrypt {
                vencrypt.start(output);
            }
        }
        match &mut self.vencrypt {
            None => Ok(Done(None)),
            Some(vencrypt) => match vencrypt.receive(input, output)? {
                Wait => Ok(Wait),
                Done(within) => Ok(Done(Some(within))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::rfb::Subtype;
    use crate::testing::{Fed, any_split};

    fn run(version: Version, offered: &Offered, client: &[u8]) -> Fed<Option<Within>, Error> {
        let new = || {
            let mut said = Vec::new();
            (Offer::new(version, offered.clone(), &mut said).expect("it can be said"), said)
        };
        any_split(client, new, |(machine, said), input, output| {
            output.append(said);
            machine.receive(input, output)
        })
    }

    #[test]
    fn a_clients_version_is_spoken() {
        let mut said = Vec::new();
        let mut welcome = Welcome::new(&mut said);
        assert_eq!(said, b"RFB 003.008\n");
        let mut take = |client: &[u8]| welcome.receive(&mut &*client, &mut Vec::new());
        assert_eq!(take(b"RFB 003.00"), Ok(Wait));
        assert_eq!(take(b"RFB 003.003\n\x01"), Ok(Done(Version::V3_3)));
        assert_eq!(take(b"GET / HTTP/1"), Err(Error::NotRfb("GET / HTTP/1".into())));
    }

    #[test]
    fn a_client_takes_what_it_is_offered() {
        let fed = run(Version::V3_8, &Offered::None, &[1, 9]);
        assert_eq!((fed.verdict, fed.output, fed.rest), (Ok(Done(None)), vec![1, 1], vec![9]));
        let fed = run(Version::V3_7, &Offered::Sasl, &[20]);
        assert_eq!((fed.verdict, fed.output), (Ok(Done(None)), vec![1, 20]));
        let vencrypt = Offered::VeNCrypt(vec![Within::Tls(Subtype::X509None)]);
        let fed = run(Version::V3_8, &vencrypt, &[19, 0, 2, 0, 0, 1, 4]);
        assert_eq!(fed.verdict, Ok(Done(Some(Within::Tls(Subtype::X509None)))));
        assert_eq!(fed.output, [1, 19, 0, 2, 0, 1, 0, 0, 1, 4, 1]);
    }

    #[test]
    fn in_3_3_the_server_decides() {
        let mut output = Vec::new();
        let mut offer = Offer::new(Version::V3_3, Offered::Vnc, &mut output).expect("said");
        assert_eq!(output, [0, 0, 0, 2]);
        assert_eq!(offer.receive(&mut &[][..], &mut output), Ok(Done(None)));
        let refused = Offer::new(Version::V3_3, Offered::Sasl, &mut output);
        assert_eq!(refused.err(), Some(Error::OldClient));
        assert_eq!(output, [0, 0, 0, 2], "nothing was said");
    }

    #[test]
    fn what_was_not_offered_is_refused_with_a_result() {
        let fed = run(Version::V3_8, &Offered::None, &[2]);
        assert_eq!(fed.verdict, Err(Error::NotOffered(2)));
        assert!(fed.output.starts_with(&[1, 1, 0, 0, 0, 1, 0, 0, 0, 34]), "{:?}", fed.output);
        assert!(fed.output.ends_with(b"not offered"));
        let fed = run(Version::V3_7, &Offered::None, &[2]);
        assert_eq!(fed.output, [1, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn there_may_be_nothing_to_offer() {
        let said = |version| {
            let mut output = Vec::new();
            refuse(version, "no", &mut output);
            output
        };
        assert_eq!(said(Version::V3_3), b"\0\0\0\0\0\0\0\x02no");
        assert_eq!(said(Version::V3_8), b"\0\0\0\0\x02no");
    }
}
