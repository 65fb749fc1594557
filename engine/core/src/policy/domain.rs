//! Sets of domains: `example.com` is itself, `.example.com` is itself and all below it.

use super::error::{Problem, ValueError, each};
use std::collections::HashSet;
use std::net::IpAddr;

/// All in lower case, without leading or trailing dots.
#[derive(Debug, Default)]
pub(super) struct DomainSet {
    exact: HashSet<Box<str>>,
    /// With all below them.
    trees: HashSet<Box<str>>,
}

impl DomainSet {
    pub(super) fn parse<V: AsRef<str>>(values: &[V]) -> Result<Self, ValueError> {
        let mut set = Self::default();
        each(values, |value| {
            let (domains, name) = match value.strip_prefix('.') {
                Some(name) => (&mut set.trees, name),
                None => (&mut set.exact, value),
            };
            let name = name.strip_suffix('.').unwrap_or(name);
            let is_address = name.parse::<IpAddr>().is_ok();
            match !is_address && name.split('.').all(is_label) {
                true => domains.insert(name.to_ascii_lowercase().into()),
                false => return Err(Problem::Domain),
            };
            Ok(())
        })?;
        Ok(set)
    }

    /// `host` is in lower case and without trailing dots. One look-up for each of its labels.
    pub(super) fn contains(&self, host: &str) -> bool {
        let parents = host.match_indices('.').map(|(dot, _)| &host[dot + 1..]);
        self.exact.contains(host)
            || std::iter::once(host).chain(parents).any(|domain| self.trees.contains(domain))
    }
}

/// Underscores are no part of host names, yet of names in use.
fn is_label(label: &str) -> bool {
    let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !label.is_empty() && label.bytes().all(is_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_dot_takes_in_all_below() {
        let set = DomainSet::parse(&[".Example.com", "exact.test."]).unwrap();
        for inside in ["example.com", "a.example.com", "a.b.example.com", "exact.test"] {
            assert!(set.contains(inside), "{inside}");
        }
        for outside in
            ["evil-example.com", "example.com.evil", "com", "sub.exact.test", "test", "", "."]
        {
            assert!(!set.contains(outside), "{outside}");
        }
    }

    #[test]
    fn what_could_never_match_is_an_error() {
        for value in ["", ".", "a..b", "*.example.com", "10.0.0.1", "::1", "a b", "..a", "ä.de"] {
            let error = DomainSet::parse(&[value]).unwrap_err();
            assert_eq!(error.problem, Problem::Domain, "{value}");
        }
    }
}
