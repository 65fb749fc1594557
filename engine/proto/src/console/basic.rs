//! Basic credentials (RFC 7617): the value of an Authorization header in, whether they are right out.
//!
//! As websockify's BasicHTTPAuth, but strict about Base64, and in a time that doesn't tell how much was right. Credentials are
//! compared as ISO-8859-1, as there, and as UTF-8, in which browsers send them today.

use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use core::hint::black_box;

/// `user:password` as configured. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Basic {
    utf8: String,
    /// None if ISO-8859-1 has no letters for it.
    latin1: Option<Vec<u8>>,
}

/// Why credentials are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BasicError {
    /// None came.
    Missing,
    /// Another scheme than Basic, no Base64, or no colon within.
    Malformed,
    /// Others came.
    Wrong,
}

impl Basic {
    /// Takes `user:password`; none without a colon, because no credentials could ever be right.
    pub fn new(credentials: &str) -> Option<Self> {
        let latin1 =
            credentials.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
        credentials.contains(':').then(|| Self { utf8: credentials.into(), latin1 })
    }

    /// Judges the value of an Authorization header.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn judge(&self, authorization: Option<&[u8]>) -> Result<(), BasicError> {
        let value = authorization.filter(|value| !value.is_empty()).ok_or(BasicError::Missing)?;
        let (scheme, rest) = value.split_at_checked(6).ok_or(BasicError::Malformed)?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return Err(BasicError::Malformed);
        }
        let given = STANDARD.decode(rest.trim_ascii()).map_err(|_| BasicError::Malformed)?;
        if !given.contains(&b':') {
            return Err(BasicError::Malformed);
        }
        let as_utf8 = is_same(&given, self.utf8.as_bytes());
        let as_latin1 = self.latin1.as_ref().is_some_and(|right| is_same(&given, right));
        if as_utf8 | as_latin1 { Ok(()) } else { Err(BasicError::Wrong) }
    }
}

/// Takes as long as `given` is long, whatever it is.
fn is_same(given: &[u8], right: &[u8]) -> bool {
    let other_length = u8::from(given.len() != right.len());
    let difference = given
        .iter()
        .zip(right.iter().cycle())
        .fold(other_length, |difference, (one, other)| black_box(difference | (one ^ other)));
    difference == 0
}

impl BasicError {
    /// The HTTP status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::Missing | Self::Wrong => 401,
            Self::Malformed => 403,
        }
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Basic(hidden)")
    }
}

impl fmt::Display for BasicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "expected Basic credentials, came none",
            Self::Malformed => "expected `Basic` and Base64 of user:password, came another",
            Self::Wrong => "expected the right user and password, came others",
        })
    }
}

impl core::error::Error for BasicError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn judged(right: &str, given: &[u8]) -> Result<(), BasicError> {
        let header = format!("Basic {}", STANDARD.encode(given));
        Basic::new(right).expect("a colon").judge(Some(header.as_bytes()))
    }

    #[test]
    fn only_the_right_pair_is_let_in() {
        assert_eq!(judged("user:secret", b"user:secret"), Ok(()));
        assert_eq!(judged("user:with:colons", b"user:with:colons"), Ok(()));
        assert_eq!(judged(":", b":"), Ok(()));
        for given in
            ["user:", "user:secre", "user:secrets", "User:secret", ":", "user:secretuser:secret"]
        {
            assert_eq!(judged("user:secret", given.as_bytes()), Err(BasicError::Wrong), "{given}");
        }
    }

    #[test]
    fn other_letters_may_come_in_either_encoding() {
        assert_eq!(judged("user:ü", b"user:\xfc"), Ok(()));
        assert_eq!(judged("user:ü", "user:ü".as_bytes()), Ok(()));
        assert_eq!(judged("user:€", "user:€".as_bytes()), Ok(()));
        assert_eq!(judged("user:€", b"user:\xac"), Err(BasicError::Wrong));
        assert_eq!(judged("user:Ã¼", "user:ü".as_bytes()), Ok(()));
    }

    #[test]
    fn each_refusal_has_its_status() {
        let basic = Basic::new("user:secret").expect("a colon");
        let judged = |value: &[u8]| basic.judge(Some(value)).map_err(BasicError::status);
        assert_eq!(judged(b"basic dXNlcjpzZWNyZXQ="), Ok(()));
        assert_eq!(judged(b"Basic dXNlcjp3cm9uZw=="), Err(401));
        assert_eq!(judged(b""), Err(401));
        assert_eq!(basic.judge(None), Err(BasicError::Missing));
        for value in
            ["Bearer abc", "Basic", "Basic ", "Basic !", "Basic dXNlcg==", "Basic dXNlcjpz Z", "B"]
        {
            assert_eq!(judged(value.as_bytes()), Err(403), "{value}");
        }
    }

    #[test]
    fn credentials_are_not_shown_and_need_a_colon() {
        assert_eq!(Basic::new("user"), None);
        assert_eq!(format!("{:?}", Basic::new("user:SECRET")), "Some(Basic(hidden))");
    }
}
