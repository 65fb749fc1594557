//! The text of a URI: `driver[+transport]://[user@][host][:port]/[path][?name=value&…]`.
//!
//! Strict where libvirt's client guesses: it takes port 0 for none, forgets a port without a host, and takes a password for
//! a part of the user's name. All of these are refused.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::authority::Authority;
use super::error::UriError;
use super::parameters::{Mode, Parameter, Proxy, Purpose};
use super::percent::{decode, encode, first_forbidden};

/// How a daemon is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TLS, port 16514.
    Tls,
    /// TCP in the clear, port 16509.
    Tcp,
    /// A socket of this host.
    Unix,
    /// Standard input and output of ssh(1).
    Ssh,
    /// Those of another program.
    Ext,
}

/// A URI that was understood. `Display` writes it out in full: what it gives is read as the same URI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uri {
    /// `qemu`, `lxc`, `remote` …, as written.
    pub driver: String,
    /// How the daemon is reached.
    pub transport: Transport,
    /// Who logs in, where somebody does.
    pub user: Option<String>,
    /// Without brackets; `localhost` where a network wants one and none was written.
    pub host: Option<String>,
    /// As written, never zero.
    pub port: Option<u16>,
    /// With its leading slash; may be empty.
    pub path: String,
    /// What libvirt's client keeps to itself, in the order of the text; the last of a name counts.
    pub parameters: Vec<(Parameter, String)>,
    /// What it sends to the daemon: names and values.
    pub others: Vec<(String, String)>,
}

impl Uri {
    /// Reads a URI.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Uri, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError::NoScheme)?;
        let (driver, transport) = match scheme.split_once('+') {
            Some((driver, transport)) => (driver, Some(transport)),
            None => (scheme, None),
        };
        if !is_driver(driver) || !rest.starts_with('/') {
            return Err(UriError::NoScheme);
        }
        if let Some(forbidden) = first_forbidden(rest) {
            return Err(UriError::Character(forbidden));
        }
        if rest.contains('#') {
            return Err(UriError::Fragment);
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let Authority { user, host, port } = Authority::parse(authority)?;
        let transport = Transport::of(transport, host.is_some())?;
        let (parameters, others) = split_query(query)?;
        let path = decode(path)?;
        let driver = driver.to_owned();
        Uri { driver, transport, user, host, port, path, parameters, others }.judged()
    }

    /// Refuses what contradicts itself, and fills in the host.
    fn judged(mut self) -> Result<Uri, UriError> {
        for (parameter, value) in &self.parameters {
            judge_value(*parameter, value, self.transport)?;
        }
        match (self.transport, &self.host) {
            (Transport::Unix, Some(host)) => return Err(UriError::HostOfUnix(host.clone())),
            (Transport::Tls | Transport::Tcp | Transport::Ssh, None) => {
                self.host = Some("localhost".to_owned());
            }
            _ => {}
        }
        if self.transport == Transport::Ext && self.parameter(Parameter::Command).is_none() {
            return Err(UriError::NoCommand);
        }
        Ok(self)
    }

    /// The value of a parameter.
    pub fn parameter(&self, wanted: Parameter) -> Option<&str> {
        let found = self.parameters.iter().rev().find(|(parameter, _)| *parameter == wanted);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is a number other than zero.
    pub fn is_set(&self, flag: Parameter) -> bool {
        self.parameter(flag).and_then(number).is_some_and(|number| number != 0)
    }

    /// What `proxy` says.
    pub fn proxy(&self) -> Option<Proxy> {
        self.parameter(Parameter::Proxy).and_then(Proxy::of)
    }

    /// What `mode` says, or what holds without it.
    pub fn mode(&self) -> Mode {
        self.parameter(Parameter::Mode).and_then(Mode::of).unwrap_or(Mode::Auto)
    }

    /// What libvirt's client asks the daemon for: the URI without what the client keeps to itself. Empty: the daemon
    /// chooses.
    pub fn remote_name(&self) -> String {
        if let Some(name) = self.parameter(Parameter::Name) {
            return name.to_owned();
        }
        if self.driver == "remote" {
            return String::new();
        }
        let mut name = self.driver.clone();
        name += "://";
        name += &encode(&self.path, PATH);
        let others = self.others.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        append_query(&mut name, others);
        name
    }

    /// Whether a user's own daemon is meant, if the user is not root.
    pub fn names_session(&self) -> bool {
        self.path == "/session" || self.driver == "test"
    }
}

impl Transport {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Tcp => "tcp",
            Self::Unix => "unix",
            Self::Ssh => "ssh",
            Self::Ext => "ext",
        }
    }

    fn of(text: Option<&str>, has_host: bool) -> Result<Transport, UriError> {
        let Some(text) = text else {
            return Ok(if has_host { Self::Tls } else { Self::Unix });
        };
        let text = text.to_ascii_lowercase();
        let all = [Self::Tls, Self::Tcp, Self::Unix, Self::Ssh, Self::Ext];
        match all.into_iter().find(|transport| transport.name() == text) {
            Some(transport) => Ok(transport),
            None if text == "libssh" || text == "libssh2" => Err(UriError::Libssh(text)),
            None => Err(UriError::UnknownTransport(text)),
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}://", self.driver, self.transport.name())?;
        if let Some(user) = &self.user {
            write!(f, "{}@", encode(user, ""))?;
        }
        match &self.host {
            Some(host) if host.contains(':') => write!(f, "[{}]", host.replace('%', "%25"))?,
            Some(host) => f.write_str(&encode(host, ""))?,
            None => {}
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&encode(&self.path, PATH))?;
        let ours = self.parameters.iter().map(|(name, value)| (name.name(), value.as_str()));
        let others = self.others.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut query = String::new();
        append_query(&mut query, ours.chain(others));
        f.write_str(&query)
    }
}

/// What libvirt's client leaves as it is in a path.
const PATH: &str = "!*'()/;@&=+$,";

fn is_driver(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
}

type Query = (Vec<(Parameter, String)>, Vec<(String, String)>);

fn split_query(query: &str) -> Result<Query, UriError> {
    let (mut ours, mut others) = Query::default();
    let mut rest = Some(query);
    while let Some(query) = rest {
        // Semicolons count behind the last ampersand only: so libvirt reads them.
        let split = query.split_once('&').or_else(|| query.split_once(';'));
        let (part, behind) = split.map_or((query, None), |(part, behind)| (part, Some(behind)));
        rest = behind;
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        match Parameter::of(&name) {
            Some(parameter) => ours.push((parameter, value)),
            None if name.is_empty() => {}
            None => others.push((name, value)),
        }
    }
    Ok((ours, others))
}

fn append_query<'q>(text: &mut String, pairs: impl Iterator<Item = (&'q str, &'q str)>) {
    for (index, (name, value)) in pairs.enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        *text += &encode(name, "");
        text.push('=');
        *text += &encode(value, "");
    }
}

fn judge_value(parameter: Parameter, value: &str, transport: Transport) -> Result<(), UriError> {
    let is_choice = match parameter {
        Parameter::Proxy => Proxy::of(value).is_some(),
        Parameter::Mode => Mode::of(value).is_some(),
        _ => true,
    };
    if !is_choice {
        return Err(UriError::Choice(parameter, value.to_owned()));
    }
    if parameter.is_flag() && number(value).is_none() {
        return Err(UriError::Number(parameter, value.to_owned()));
    }
    use Parameter::{Command, Keyfile, Netcat, Pkipath, Socket};
    let is_path = [Command, Keyfile, Netcat, Pkipath, Socket].contains(&parameter);
    let is_ours = parameter.purpose(transport) == Purpose::Ours;
    let is_local = parameter == Pkipath || parameter == Socket && transport == Transport::Unix;
    match is_path && is_ours {
        true if value.is_empty() => Err(UriError::Empty(parameter)),
        true if is_local && !value.starts_with('/') => Err(UriError::Relative(parameter)),
        _ => Ok(()),
    }
}

fn number(text: &str) -> Option<i32> {
    text.trim_start().parse().ok()
}

#[cfg(test)]
mod tests;
