//! SASL by its usual library: SCRAM and PLAIN.
//!
//! SCRAM hashes a password as often as the server wants, on the worker: some milliseconds for the usual 4,096 rounds. More than a few times that is
//! refused.

use std::fmt;

use penstock_proto::Secret;
use penstock_proto::rfb::{Prover, SaslError};
use rsasl::prelude::{Mechname, MessageSent, SASLClient, SASLConfig, Session, State};

/// Rounds of hashing that a login may cost.
const ROUNDS_MAX: u32 = 20_000;

/// One conversation.
pub(super) struct Sasl {
    user: Box<str>,
    password: Secret,
    session: Option<Session>,
    is_content: bool,
}

impl Sasl {
    pub(super) fn new(user: &str, password: Secret) -> Sasl {
        Sasl { user: user.into(), password, session: None, is_content: false }
    }

    fn step(&mut self, challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, SaslError> {
        let Some(session) = &mut self.session else { return Err(broken("it has not begun")) };
        if self.is_content {
            // A server may say that it is done once more.
            return match challenge {
                None => Ok(None),
                Some(_) => Err(broken("the server says more than there is to say")),
            };
        }
        let mut said = Vec::new();
        let state = session.step(challenge, &mut said).map_err(broken)?;
        self.is_content = state.is_finished();
        Ok(match state {
            State::Finished(MessageSent::No) => None,
            State::Running | State::Finished(MessageSent::Yes) => Some(said),
        })
    }
}

impl Prover for Sasl {
    fn begin(&mut self, offered: &[&str]) -> Result<(String, Option<Vec<u8>>), SaslError> {
        let none = || SaslError::NoMechanism(offered.join(", ").into());
        let names: Vec<&Mechname> = offered
            .iter()
            .filter(|name| {
                ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"].contains(name)
            })
            .filter_map(|name| Mechname::parse(name.as_bytes()).ok())
            .collect();
        if names.is_empty() {
            return Err(none());
        }
        let password = self.password.reveal().to_owned();
        let config = SASLConfig::with_credentials(None, self.user.to_string(), password);
        let session = SASLClient::new(config.map_err(broken)?).start_suggested(&names);
        let session = self.session.insert(session.map_err(|_| none())?);
        let name = session.get_mechname().as_str().to_owned();
        Ok((name, self.step(None)?))
    }

    fn answer(&mut self, challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, SaslError> {
        match challenge.and_then(rounds) {
            Some(rounds) if rounds > ROUNDS_MAX => Err(SaslError::TooCostly(rounds)),
            _ => self.step(challenge),
        }
    }

    fn is_content(&self) -> bool {
        self.is_content
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sasl({}, content: {})", self.user, self.is_content)
    }
}

/// What SCRAM's server wants (RFC 5802 §5.1), if it wants any.
fn rounds(challenge: &[u8]) -> Option<u32> {
    let mut attributes = std::str::from_utf8(challenge).ok()?.split(',');
    let value = attributes.find_map(|attribute| attribute.strip_prefix("i="))?;
    Some(value.parse().unwrap_or(u32::MAX))
}

fn broken(error: impl fmt::Display) -> SaslError {
    SaslError::Broken(error.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_what_is_offered_is_taken() {
        let begin = |offered: &[&str]| Sasl::new("user", "pencil".into()).begin(offered);
        let (name, said) =
            begin(&["DIGEST-MD5", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"]).expect("one");
        assert_eq!(name, "SCRAM-SHA-256");
        assert!(said.is_some_and(|said| said.starts_with(b"n,,n=user,r=")));
        let (name, said) = begin(&["LOGIN", "PLAIN"]).expect("one");
        assert_eq!((&*name, said), ("PLAIN", Some(b"\0user\0pencil".to_vec())));
        for none in [&["DIGEST-MD5", "GSSAPI"][..], &[], &["\u{e9}"]] {
            assert_eq!(begin(none), Err(SaslError::NoMechanism(none.join(", ").into())));
        }
    }

    #[test]
    fn who_wants_too_much_hashing_is_refused() {
        let mut sasl = Sasl::new("user", "pencil".into());
        sasl.begin(&["SCRAM-SHA-1"]).expect("it begins");
        let challenge = b"r=abcdef,s=QSXCR+Q6sek8bf92,i=20001";
        assert_eq!(sasl.answer(Some(challenge)), Err(SaslError::TooCostly(20_001)));
        assert!(matches!(sasl.answer(Some(b"r=other,s=QQ==,i=1")), Err(SaslError::Broken(_))));
        assert_eq!(rounds(b"r=1,s=2,i=99999999999999"), Some(u32::MAX));
        assert!(!sasl.is_content());
    }
}
