//! Named lists: values of several kinds in, one answer per request out.
//!
//! Values of one kind are alternatives; all kinds of a list must match.

use super::address::AddressSet;
use super::domain::DomainSet;
use super::error::{NameError, ValueError};
use super::method::MethodSet;
use super::port::PortSet;
use super::rules::Query;
use super::time::TimeSet;
use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

/// What a value is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The client's address.
    Src,
    /// The address that is connected to.
    Dst,
    /// The name that the client asked for. A numeric target has none.
    DstDomain,
    /// The port of the target.
    Port,
    /// The port that the client connected to.
    LocalPort,
    /// The method of the request.
    Method,
    /// The local time of day.
    Time,
}

/// One list, ready to be asked.
#[derive(Debug)]
pub struct List {
    sets: Vec<Set>,
    description: Box<str>,
}

/// Collects the values of one list.
#[derive(Debug, Default)]
pub struct ListBuilder {
    sets: Vec<Set>,
    description: String,
}

/// All lists of a configuration, with the predefined ones.
#[derive(Debug)]
pub struct AccessLists {
    lists: HashMap<Box<str>, Arc<List>>,
}

impl Kind {
    /// The kind of a name in the configuration.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }

    const NAMES: [(&'static str, Self); 7] = [
        ("src", Self::Src),
        ("dst", Self::Dst),
        ("dstdomain", Self::DstDomain),
        ("port", Self::Port),
        ("localport", Self::LocalPort),
        ("method", Self::Method),
        ("time", Self::Time),
    ];

    fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

impl ListBuilder {
    /// A list without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition: one of `values` must match. To be called once for each kind.
    ///
    /// # Errors
    /// Names the first value that is wrong; none at all are wrong, too.
    pub fn add<V: AsRef<str>>(&mut self, kind: Kind, values: &[V]) -> Result<(), ValueError> {
        self.sets.push(match kind {
            Kind::Src => Set::Src(AddressSet::parse(values)?),
            Kind::Dst => Set::Dst(AddressSet::parse(values)?),
            Kind::DstDomain => Set::DstDomain(DomainSet::parse(values)?),
            Kind::Port => Set::Port(PortSet::parse(values)?),
            Kind::LocalPort => Set::LocalPort(PortSet::parse(values)?),
            Kind::Method => Set::Method(MethodSet::parse(values)?),
            Kind::Time => Set::Time(TimeSet::parse(values)?),
        });
        describe(kind, values, &mut self.description);
        Ok(())
    }

    /// The list.
    ///
    /// # Errors
    /// Without any values: such a list would match everything.
    pub fn build(self) -> Result<List, ValueError> {
        match self.sets.is_empty() {
            true => Err(ValueError::empty()),
            false => Ok(List { sets: self.sets, description: self.description.into() }),
        }
    }
}

impl List {
    /// `None` if that depends on what the query doesn't tell.
    pub(super) fn matches(&self, query: &Query<'_>) -> Option<bool> {
        let mut answer = Some(true);
        for set in &self.sets {
            match set.contains(query) {
                Some(false) => return Some(false),
                None => answer = None,
                Some(true) => {}
            }
        }
        answer
    }

    /// Whether a `dst` value of this list, other than a whole family, holds the address.
    pub(super) fn names(&self, address: IpAddr) -> bool {
        self.sets.iter().any(|set| matches!(set, Set::Dst(dst) if dst.names(address)))
    }

    pub(super) fn needs_time(&self) -> bool {
        self.sets.iter().any(|set| matches!(set, Set::Time(_)))
    }

    pub(super) fn needs_local(&self) -> bool {
        self.sets.iter().any(|set| matches!(set, Set::LocalPort(_)))
    }

    /// For people: kinds and their first values.
    pub(super) fn description(&self) -> &str {
        &self.description
    }
}

impl AccessLists {
    /// Only the predefined lists: `all`, `localhost`, `to_localhost`, `to_linklocal`, `CONNECT`.
    pub fn new() -> Self {
        let lists = PREDEFINED.into_iter().map(|(name, kind, values)| {
            let mut list = ListBuilder::new();
            list.add(kind, values).expect("the values are constant and tested");
            (name.into(), Arc::new(list.build().expect("it has values")))
        });
        Self { lists: lists.collect() }
    }

    /// Adds a list.
    ///
    /// # Errors
    /// If the name is taken, or could not be told apart on an access line.
    pub fn insert(&mut self, name: &str, list: List) -> Result<(), NameError> {
        if name.is_empty() || name.starts_with('!') || name.contains(char::is_whitespace) {
            return Err(NameError::Unusable(name.into()));
        }
        if self.lists.contains_key(name) {
            return Err(NameError::Taken(name.into()));
        }
        self.lists.insert(name.into(), Arc::new(list));
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<List>> {
        self.lists.get(name).cloned()
    }
}

impl Default for AccessLists {
    fn default() -> Self {
        Self::new()
    }
}

/// One condition.
#[derive(Debug)]
enum Set {
    Src(AddressSet),
    Dst(AddressSet),
    DstDomain(DomainSet),
    Port(PortSet),
    LocalPort(PortSet),
    Method(MethodSet),
    Time(TimeSet),
}

impl Set {
    fn contains(&self, query: &Query<'_>) -> Option<bool> {
        match self {
            Self::Src(addresses) => addresses.matches(query.client),
            Self::Dst(addresses) => addresses.matches(query.address),
            Self::DstDomain(domains) => Some(query.host.is_some_and(|host| domains.contains(host))),
            Self::Port(ports) => Some(ports.contains(query.port)),
            Self::LocalPort(ports) => Some(ports.contains(query.local?.port())),
            Self::Method(methods) => Some(methods.contains(query.method)),
            Self::Time(times) => Some(times.contains(query.time)),
        }
    }
}

/// Squid's, but for `manager`, which is a path and no part of CONNECT.
const PREDEFINED: [(&str, Kind, &[&str]); 5] = [
    ("all", Kind::Src, &["all"]),
    ("localhost", Kind::Src, &["127.0.0.1/32", "::1"]),
    ("to_localhost", Kind::Dst, &["127.0.0.0/8", "0.0.0.0/32", "::1/128", "::/128"]),
    ("to_linklocal", Kind::Dst, &["169.254.0.0/16", "fe80::/10"]),
    ("CONNECT", Kind::Method, &["CONNECT"]),
];

/// Most values that a description spells out.
const SPELLED_OUT: usize = 8;

fn describe<V: AsRef<str>>(kind: Kind, values: &[V], text: &mut String) {
    let separator = if text.is_empty() { "" } else { "; " };
    let shown: Vec<&str> = values.iter().map(AsRef::as_ref).take(SPELLED_OUT).collect();
    let more = match values.len() - shown.len() {
        0 => String::new(),
        hidden => format!(" and {hidden} more"),
    };
    let shown = shown.join(", ");
    write!(text, "{separator}{} {shown}{more}", kind.name())
        .expect("writing to a String cannot fail");
}
