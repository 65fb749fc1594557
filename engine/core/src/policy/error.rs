//! What can be wrong with rules: always the configuration's doing, told at start-up.

use std::fmt;

/// A value that no list can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// Which of the values, from 0.
    pub index: usize,
    /// The value.
    pub value: Box<str>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The list has no values, so nothing could ever match.
    Empty,
    /// No address, prefix, or range.
    Address,
    /// No prefix length for this family, and no contiguous mask.
    Mask,
    /// Bits are set behind the prefix; what was meant is unclear. Holds the two readings.
    HostBits(Box<str>),
    /// A range that ends before it begins.
    Backwards,
    /// A range from one address family to the other.
    Families,
    /// No port, 1 to 65535, or range of ports.
    Port,
    /// No domain name, or one in another notation.
    Domain,
    /// No method token.
    Method,
    /// No `[days] [h1:m1-h2:m2]`.
    Time,
}

/// A name that cannot be given to a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Predefined, or given before.
    Taken(Box<str>),
    /// Empty, or with characters that an access line could not tell apart.
    Unusable(Box<str>),
}

/// A line that is no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Which of the lines, from 0.
    pub line: usize,
    /// What is wrong with it.
    pub problem: RuleProblem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleProblem {
    /// Doesn't begin with `allow` or `deny`. Holds the first word.
    Action(Box<str>),
    /// Names no list. For everybody, there is `all`.
    NoNames,
    /// Names a list that is not there.
    Unknown(Box<str>),
}

impl ValueError {
    /// For the values of one kind as a whole.
    pub(super) fn empty() -> Self {
        Self { index: 0, value: "".into(), problem: Problem::Empty }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, problem, .. } = self;
        match problem {
            Problem::Empty => f.write_str("a list without values matches nothing"),
            problem => write!(f, "`{value}` {problem}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::Address => {
                "is not an address; expected 10.0.0.1, 10.0.0.0/8, 10.0.0.0/255.0.0.0, \
                 10.0.0.1-10.0.0.9, all, ipv4 or ipv6"
            }
            Self::Mask => "has no prefix length or contiguous mask of its address family",
            Self::HostBits(readings) => {
                return write!(f, "has bits set behind its prefix; write {readings}");
            }
            Self::Backwards => "ends before it begins",
            Self::Families => "begins in one address family and ends in the other",
            Self::Port => "is not a port; expected 1 to 65535, or a range such as 5900-6923",
            Self::Domain => {
                "is not a domain; expected `example.com`, or `.example.com` for it and all below \
                 it; addresses belong into dst"
            }
            Self::Method => "is not a method",
            Self::Time => {
                "is not a time; expected days (S M T W H F A, D for Monday to Friday), \
                 a range such as 08:00-18:00, or both"
            }
        })
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(name) => write!(f, "the name `{name}` is taken"),
            Self::Unusable(name) => {
                write!(f, "`{name}` is not a name; expected no spaces and no `!` in front")
            }
        }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            RuleProblem::Action(word) => write!(f, "expected `allow` or `deny`, came `{word}`"),
            RuleProblem::NoNames => f.write_str("expected the name of a list, such as `all`"),
            RuleProblem::Unknown(name) => write!(f, "there is no list named `{name}`"),
        }
    }
}

impl std::error::Error for ValueError {}
impl std::error::Error for NameError {}
impl std::error::Error for RuleError {}

/// Reads all values of one kind; the first that is wrong is named.
pub(super) fn each<V: AsRef<str>>(
    values: &[V],
    mut read: impl FnMut(&str) -> Result<(), Problem>,
) -> Result<(), ValueError> {
    if values.is_empty() {
        return Err(ValueError::empty());
    }
    for (index, value) in values.iter().map(AsRef::as_ref).enumerate() {
        read(value).map_err(|problem| ValueError { index, value: value.into(), problem })?;
    }
    Ok(())
}
