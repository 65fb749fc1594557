//! Why a token opens nothing, as its source tells it.

/// Why a token opens nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRefusal {
    /// What is wrong.
    pub why: TokenFault,
    /// What was tried, and what to do; for the operator. Never the token.
    pub detail: Box<str>,
}

/// What is wrong with a token, or with who should know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenFault {
    /// Nobody knows it.
    Unknown,
    /// Its time is over, or has not come.
    Expired,
    /// Somebody else has used it.
    Used,
    /// The page that asks is not the one to which it was given.
    OtherPage,
    /// The source names something that a token can't stand for.
    NoPlace,
    /// The source could not be asked, did not answer in time, or answered what nobody understands.
    Unavailable,
}
