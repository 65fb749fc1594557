//! Named lists and access lines, with the place of what is wrong in them.

use std::collections::BTreeMap;

use penstock_core::policy::{
    AccessLists, AddressSet, Kind, ListBuilder, RuleProblem, Rules, ValueError,
};
use toml::Spanned;

use crate::error::Fault;
use crate::file::{Acl, Values};

/// All lists of the file beside the predefined ones.
pub(crate) fn lists(acl: &BTreeMap<Spanned<String>, Acl>) -> Result<AccessLists, Fault> {
    let mut lists = AccessLists::new();
    for (name, acl) in acl {
        let at_name = |message: String| Fault::at(name.span(), message);
        let mut list = ListBuilder::new();
        for (kind, values) in by_kind(acl) {
            list.add(kind, &words(values)).map_err(|error| at_value(values, &error))?;
        }
        let list = list.build().map_err(|error| at_name(error.to_string()))?;
        lists.insert(name.get_ref(), list).map_err(|error| at_name(error.to_string()))?;
    }
    Ok(lists)
}

fn by_kind(acl: &Acl) -> impl Iterator<Item = (Kind, &Values)> {
    let all = [
        (Kind::Src, &acl.src),
        (Kind::Dst, &acl.dst),
        (Kind::DstDomain, &acl.dstdomain),
        (Kind::Port, &acl.port),
        (Kind::LocalPort, &acl.localport),
        (Kind::Method, &acl.method),
        (Kind::Time, &acl.time),
    ];
    all.into_iter().filter_map(|(kind, values)| Some((kind, values.as_ref()?)))
}

fn words(values: &Values) -> Vec<&str> {
    values.get_ref().iter().map(|word| word.get_ref().0.as_str()).collect()
}

fn at_value(values: &Values, error: &ValueError) -> Fault {
    let value = values.get_ref().get(error.index);
    Fault::at(value.map_or(values.span(), Spanned::span), error.to_string())
}

/// Lines such as `deny !safe_ports`.
pub(crate) fn rules(lines: &[Spanned<String>], lists: &AccessLists) -> Result<Rules, Fault> {
    let texts: Vec<&str> = lines.iter().map(|line| line.get_ref().as_str()).collect();
    Rules::parse(&texts, lists).map_err(|error| {
        let span = lines[error.line].span();
        let word = match &error.problem {
            RuleProblem::Action(word) | RuleProblem::Unknown(word) => {
                position(texts[error.line], word)
            }
            RuleProblem::NoNames => None,
        };
        // A quotation mark stands before the line. Escapes, which no name needs, would shift the place.
        let range = word.map_or(span.clone(), |(start, end)| {
            (span.start + 1 + start)..(span.start + 1 + end).min(span.end)
        });
        Fault::at(range, error.to_string())
    })
}

/// Rules that forbid nothing.
pub(crate) fn everybody() -> Rules {
    Rules::parse(&["allow all"], &AccessLists::new()).expect("`all` is predefined")
}

/// Rules that forbid what is next to us without a router between: a cloud's machines are told their secrets there.
pub(crate) fn but_neighbours() -> Rules {
    let lines = ["deny to_linklocal", "allow all"];
    Rules::parse(&lines, &AccessLists::new()).expect("both lists are predefined")
}

/// Where a word, perhaps behind a `!`, stands in a line.
fn position(line: &str, word: &str) -> Option<(usize, usize)> {
    let found = line.split_ascii_whitespace().find(|part| part.trim_start_matches('!') == word)?;
    let start = found.as_ptr().addr() - line.as_ptr().addr();
    Some((start, start + found.len()))
}

/// A set of clients; nothing given: none.
pub(crate) fn addresses(values: Option<&Values>) -> Result<AddressSet, Fault> {
    match values {
        Some(values) if !values.get_ref().is_empty() => {
            AddressSet::parse(&words(values)).map_err(|error| at_value(values, &error))
        }
        _ => Ok(AddressSet::default()),
    }
}
