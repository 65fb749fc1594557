//! Sets of methods, compared exactly.

use super::error::{Problem, ValueError, each};
use std::collections::HashSet;

#[derive(Debug, Default)]
pub(super) struct MethodSet(HashSet<Box<str>>);

impl MethodSet {
    pub(super) fn parse<V: AsRef<str>>(values: &[V]) -> Result<Self, ValueError> {
        let mut methods = HashSet::new();
        each(values, |value| {
            let is_method = value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
            match is_method && !value.is_empty() {
                true => methods.insert(value.into()),
                false => return Err(Problem::Method),
            };
            Ok(())
        })?;
        Ok(Self(methods))
    }

    pub(super) fn contains(&self, method: &str) -> bool {
        self.0.contains(method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_match_exactly() {
        let set = MethodSet::parse(&["CONNECT", "GET"]).unwrap();
        assert!(set.contains("CONNECT") && !set.contains("connect") && !set.contains("PUT"));
        for value in ["", "get", "GE T"] {
            assert_eq!(MethodSet::parse(&[value]).unwrap_err().problem, Problem::Method);
        }
    }
}
