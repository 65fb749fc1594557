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
    /// The server has said its first word.
    is_answered: bool,
    is_content: bool,
}

impl Sasl {
    pub(super) fn new(user: &str, password: Secret) -> Sasl {
        Sasl { user: user.into(), password, session: None, is_answered: false, is_content: false }
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
        if let Some(challenge) = challenge {
            let text = str::from_utf8(challenge).ok().filter(|text| text.is_ascii());
            let text = text.ok_or_else(|| broken("what the server says is no SCRAM"))?;
            match std::mem::replace(&mut self.is_answered, true) {
                false => judge_first(text)?,
                true => judge_last(text)?,
            }
        }
        self.step(challenge)
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

/// The server's first word (RFC 5802 §7): `r=NONCE,s=SALT,i=ROUNDS`, and nothing that nobody knows. The library takes it apart without looking how
/// long its parts are, and hashes as often as it says.
fn judge_first(text: &str) -> Result<(), SaslError> {
    let unlike = || broken("expected a nonce, a salt and a number of rounds of SCRAM");
    let mut parts = text.split(',');
    for name in ["r=", "s="] {
        let value = parts.next().and_then(|part| part.strip_prefix(name));
        value.filter(|value| !value.is_empty()).ok_or_else(unlike)?;
    }
    let rounds = parts.next().and_then(|part| part.strip_prefix("i="));
    let rounds = rounds.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let rounds = rounds.filter(|text| !text.is_empty()).ok_or_else(unlike)?;
    match (rounds.parse().unwrap_or(u32::MAX), parts.next()) {
        (_, Some(_)) => Err(unlike()),
        (rounds, None) if rounds > ROUNDS_MAX => Err(SaslError::TooCostly(rounds)),
        (_, None) => Ok(()),
    }
}

/// Its last one: `v=PROOF` or `e=FAULT`.
fn judge_last(text: &str) -> Result<(), SaslError> {
    let value = text.strip_prefix("v=").or(text.strip_prefix("e="));
    match value.filter(|value| !value.is_empty() && !value.contains(',')) {
        Some(_) => Ok(()),
        None => Err(broken("expected the server's proof of SCRAM")),
    }
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

    /// What comes of the server's words, one after the other, to a conversation whose nonce is told to them.
    fn said(words: impl Fn(&str) -> Vec<Vec<u8>>) -> Result<Option<Vec<u8>>, SaslError> {
        let mut sasl = Sasl::new("user", "pencil".into());
        let (_, first) = sasl.begin(&["SCRAM-SHA-1"]).expect("it begins");
        let first = String::from_utf8(first.expect("the client speaks first")).expect("text");
        let nonce = first.split("r=").nth(1).expect("a nonce").to_owned();
        let mut answer = Ok(None);
        for word in words(&nonce) {
            answer = sasl.answer(Some(&word));
            if answer.is_err() {
                break;
            }
        }
        assert!(!sasl.is_content());
        answer
    }

    #[test]
    fn who_wants_too_much_hashing_is_refused() {
        let of = |rounds: &str| said(|nonce| vec![format!("r={nonce}x,s=QQ==,i={rounds}").into()]);
        assert_eq!(of("20001"), Err(SaslError::TooCostly(20_001)));
        assert_eq!(of("4294967295"), Err(SaslError::TooCostly(u32::MAX)));
        assert_eq!(of("99999999999999"), Err(SaslError::TooCostly(u32::MAX)));
        assert!(of("1").is_ok_and(|answer| answer.is_some_and(|said| said.starts_with(b"c="))));
        for hidden in ["1,i=4294967295", "1,x", "1,", "", "+1", " 1", "1\u{e9}"] {
            assert!(matches!(of(hidden), Err(SaslError::Broken(_))), "{hidden}");
        }
        let no_text =
            said(|nonce| vec![[b"r=", nonce.as_bytes(), b"\xff,s=QQ==,i=4294967295"].concat()]);
        assert!(matches!(no_text, Err(SaslError::Broken(_))), "{no_text:?}");
    }

    #[test]
    fn no_word_of_a_server_is_more_than_a_fault() {
        let words: [&[u8]; 14] = [
            b"",
            b"r",
            b"r=",
            b"r=,x",
            b"r=a",
            b"r=a,s",
            b"r=a,s=",
            b"r=a,s=QQ==,i",
            b"m=x,r=a,s=b,i=1",
            b",",
            b",,",
            b"e=other-error",
            b"\xff\xfe",
            b"r=other,s=QQ==,i=1",
        ];
        for word in words {
            let answer = said(|_| vec![word.to_vec()]);
            assert!(matches!(answer, Err(SaslError::Broken(_))), "{}", word.escape_ascii());
        }
        let first = |nonce: &str| format!("r={nonce}x,s=QQ==,i=1").into_bytes();
        let words: [&[u8]; 8] = [b"", b"v", b"v=", b"e", b"e=", b"x=1", b"v=AAAA,x", b"v=AAAA"];
        for word in words {
            let answer = said(|nonce| vec![first(nonce), word.to_vec()]);
            assert!(matches!(answer, Err(SaslError::Broken(_))), "{}", word.escape_ascii());
        }
    }
}
