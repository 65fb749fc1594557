//! Access rules: lines in their order, a request in, one verdict out.
//!
//! The first line all of whose names match decides. Loopback, link-local and unspecified targets
//! need more than that: the deciding line must name them.

use super::address::AddressSet;
use super::error::{RuleError, RuleProblem};
use super::list::{AccessLists, List};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

/// Access rules in the order in which they are judged. Without lines, all is denied.
#[derive(Debug, Default)]
pub struct Rules {
    lines: Vec<Line>,
    need_time: bool,
    need_local: bool,
}

/// What is known of a request.
#[derive(Clone, Copy, Debug)]
pub struct Query<'q> {
    /// Who asks, if that can be told.
    pub client: Option<IpAddr>,
    /// What the client connected to, if that can be told. Only looked at if [`Rules::need_local`].
    pub local: Option<SocketAddr>,
    /// The method, such as `CONNECT`.
    pub method: &'q str,
    /// The name asked for, in lower case and without trailing dots; `None` for an address.
    pub host: Option<&'q str>,
    /// The address to connect to. To be asked for every address that is tried: rules judge what is
    /// connected to, so that a name cannot change its meaning in between.
    pub address: Option<IpAddr>,
    /// The port asked for.
    pub port: u16,
    /// Days since Sunday and minutes since midnight, local. Only looked at if
    /// [`Rules::need_time`].
    pub time: (u8, u16),
}

/// Lines count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Connect. Only given once the address is known.
    Allow {
        /// The line that decided.
        line: usize,
    },
    /// Refuse.
    Deny {
        /// The line that decided, if any did.
        line: Option<usize>,
        /// In which way.
        why: Why,
    },
    /// Resolve the name, and ask again with the address.
    NeedAddress,
}

/// Why a request is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A line says so.
    Rule,
    /// No line matches.
    NoRule,
    /// The target is loopback, link-local or unspecified, and the line that allows it has no `dst`
    /// value that names it.
    LocalTarget,
}

impl Rules {
    /// Reads lines such as `deny !safe_ports` and `allow lab office_hours`.
    ///
    /// # Errors
    /// Names the first line that is no rule.
    pub fn parse<L: AsRef<str>>(lines: &[L], lists: &AccessLists) -> Result<Self, RuleError> {
        let parse = |(line, text): (usize, &L)| {
            Line::parse(text.as_ref(), lists).map_err(|problem| RuleError { line, problem })
        };
        let lines = lines.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
        let any = |needs: fn(&List) -> bool| {
            lines.iter().flat_map(|line| &line.names).any(|name| needs(&name.list))
        };
        let (need_time, need_local) = (any(List::needs_time), any(List::needs_local));
        Ok(Self { lines, need_time, need_local })
    }

    /// Judges a request. What can be denied without an address is denied without one, so that a
    /// refused name need not be resolved. A line that depends on what cannot be told, such as the
    /// client of a broken connection, denies but never allows.
    pub fn evaluate(&self, query: &Query<'_>) -> Verdict {
        for (number, line) in self.lines.iter().enumerate() {
            match (line.action, line.matches(query), query.address) {
                (_, Some(false), _) => {}
                // Denied by this line or by a later one: only an allow makes the address matter.
                (Action::Deny, None, None) => {}
                (Action::Deny, _, _) => {
                    return Verdict::Deny { line: Some(number), why: Why::Rule };
                }
                (Action::Allow, _, None) => return Verdict::NeedAddress,
                (Action::Allow, None, Some(_)) => {}
                (Action::Allow, Some(true), Some(address)) => {
                    return match is_local(address) && !line.names(address) {
                        true => Verdict::Deny { line: Some(number), why: Why::LocalTarget },
                        false => Verdict::Allow { line: number },
                    };
                }
            }
        }
        Verdict::Deny { line: None, why: Why::NoRule }
    }

    /// Whether any line asks for the time of day.
    pub fn need_time(&self) -> bool {
        self.need_time
    }

    /// Whether any line asks for the address that the client connected to.
    pub fn need_local(&self) -> bool {
        self.need_local
    }

    /// The rules for people, one line each.
    pub fn explain(&self) -> Vec<String> {
        let numbered =
            |(number, line): (usize, &Line)| format!("{}. {}", number + 1, line.explain());
        let mut lines: Vec<String> = self.lines.iter().enumerate().map(numbered).collect();
        lines.push("otherwise deny".into());
        lines
    }
}

#[derive(Debug)]
struct Line {
    action: Action,
    names: Vec<Name>,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Allow,
    Deny,
}

#[derive(Debug)]
struct Name {
    text: Box<str>,
    negated: bool,
    list: Arc<List>,
}

impl Line {
    fn parse(text: &str, lists: &AccessLists) -> Result<Self, RuleProblem> {
        let mut words = text.split_ascii_whitespace();
        let action = match words.next() {
            Some("allow") => Action::Allow,
            Some("deny") => Action::Deny,
            other => return Err(RuleProblem::Action(other.unwrap_or_default().into())),
        };
        let names = words.map(|word| Name::parse(word, lists)).collect::<Result<Vec<_>, _>>()?;
        if names.is_empty() { Err(RuleProblem::NoNames) } else { Ok(Self { action, names }) }
    }

    /// `None` if that depends on what the query doesn't tell.
    fn matches(&self, query: &Query<'_>) -> Option<bool> {
        let mut answer = Some(true);
        for name in &self.names {
            match name.list.matches(query).map(|matches| matches != name.negated) {
                Some(false) => return Some(false),
                None => answer = None,
                Some(true) => {}
            }
        }
        answer
    }

    /// Whether the line speaks of this address, rather than of addresses in general.
    fn names(&self, address: IpAddr) -> bool {
        self.names.iter().any(|name| !name.negated && name.list.names(address))
    }

    fn explain(&self) -> String {
        let action = match self.action {
            Action::Allow => "allow",
            Action::Deny => "deny",
        };
        let names: Vec<String> = self.names.iter().map(Name::explain).collect();
        format!("{action} if {}", names.join(", and "))
    }
}

impl Name {
    fn parse(word: &str, lists: &AccessLists) -> Result<Self, RuleProblem> {
        let (negated, text) = match word.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, word),
        };
        let list = lists.get(text).ok_or_else(|| RuleProblem::Unknown(text.into()))?;
        Ok(Self { text: text.into(), negated, list })
    }

    fn explain(&self) -> String {
        let not = if self.negated { "not " } else { "" };
        format!("{not}{} ({})", self.text, self.list.description())
    }
}

/// Targets that mean this very host or link, whatever the rules call them.
fn is_local(address: IpAddr) -> bool {
    LOCAL.contains(address)
}

static LOCAL: LazyLock<AddressSet> = LazyLock::new(|| {
    AddressSet::parse(&["127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "::1", "::", "fe80::/10"])
        .expect("the values are constant and tested")
});
