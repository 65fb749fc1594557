//! Who may reach what: rules and a request in, allow, deny, or the need of an address out.
//!
//! Semantics of Squid's access lists, with one difference: if no line matches, the answer is deny.
//! Pure: the time is passed in, names are resolved elsewhere, and no name is ever looked up
//! backwards. Ten thousand values in a list cost a request about as much as ten.

mod address;
mod domain;
mod error;
mod list;
mod method;
mod port;
mod ranges;
mod rules;
mod time;

pub use address::AddressSet;
pub use error::{NameError, Problem, RuleError, RuleProblem, ValueError};
pub use list::{AccessLists, Kind, List, ListBuilder};
pub use rules::{Query, Rules, Verdict, Why};

#[cfg(test)]
mod tests;
