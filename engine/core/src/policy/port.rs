//! Sets of ports: `5900` and `5900-6923` in, membership out.

use super::error::{Problem, ValueError, each};
use super::ranges::RangeSet;

#[derive(Debug, Default)]
pub(super) struct PortSet(RangeSet);

impl PortSet {
    pub(super) fn parse<V: AsRef<str>>(values: &[V]) -> Result<Self, ValueError> {
        let mut ranges = Vec::new();
        each(values, |value| {
            let (first, last) = value.split_once('-').unwrap_or((value, value));
            let (first, last) = (parse_port(first)?, parse_port(last)?);
            if last < first {
                return Err(Problem::Backwards);
            }
            ranges.push(key(first)..=key(last) | u128::MAX >> 16);
            Ok(())
        })?;
        Ok(Self(RangeSet::new(ranges)))
    }

    pub(super) fn contains(&self, port: u16) -> bool {
        self.0.contains(key(port))
    }
}

fn key(port: u16) -> u128 {
    u128::from(port) << 112
}

fn parse_port(text: &str) -> Result<u16, Problem> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| is_number && *port > 0);
    port.ok_or(Problem::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_ends() {
        let set = PortSet::parse(&["443", "1025-65535", "5900-6923"]).unwrap();
        for inside in [443, 1025, 5900, 65535] {
            assert!(set.contains(inside), "{inside}");
        }
        for outside in [0, 1, 442, 444, 1024] {
            assert!(!set.contains(outside), "{outside}");
        }
    }

    #[test]
    fn each_problem_is_named() {
        for value in ["", "0", "65536", "+1", "http", "1-", "-1", "1-2-3", " 1"] {
            assert_eq!(PortSet::parse(&[value]).unwrap_err().problem, Problem::Port, "{value}");
        }
        assert_eq!(PortSet::parse(&["2-1"]).unwrap_err().problem, Problem::Backwards);
    }
}
