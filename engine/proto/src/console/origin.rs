//! Whose page asks for a console: the headers of a request in, whether that page may out.
//!
//! A browser sends cookies and credentials along with whatever page makes it connect; only the Origin header tells whose page that was.
//! Who sends none is no browser, and could send any: it is let in unless one is required.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::host;
use crate::http::Host;
use crate::http::request::Request;

/// Pages that may ask.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origins {
    rule: Rule,
    is_required: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Rule {
    #[default]
    SameHost,
    Listed(Vec<Origin>),
    /// And that of the Host header. Whether a host's name ends with a dot counts, as in origins.
    Hosts(Vec<(Host, bool)>),
    Any,
}

/// Scheme in lower case, host in canonical form, port with the scheme's own filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Origin {
    scheme: String,
    host: Host,
    /// Its name ends with a dot. Browsers tell such a page from one without.
    is_absolute: bool,
    port: Option<u16>,
}

/// Why a page may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OriginError {
    /// It is not `scheme://host[:port]`: `null` for one, which sandboxed pages send.
    Invalid,
    /// More than one Origin.
    Repeated,
    /// None came where one is required.
    Missing,
    /// Another host than that of the Host header.
    OtherHost,
    /// The same host, but not the protocol that it was asked by.
    OtherProtocol,
    /// It is not in the list.
    Unlisted,
    /// The Host header is no `host[:port]`.
    Host,
}

/// The element of a list that is no origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListError(pub String);

impl Origins {
    /// Pages of the host that the client has in its Host header, on whatever port.
    pub fn same_host() -> Self {
        Self::default()
    }

    /// Pages of these origins, `scheme://host[:port]` each, or `*` for all pages there are. The same host isn't among them by itself.
    ///
    /// # Errors
    /// The first that is neither.
    pub fn listed<S: AsRef<str>>(list: impl IntoIterator<Item = S>) -> Result<Self, ListError> {
        let mut origins = Vec::new();
        for text in list {
            let text = text.as_ref();
            if text == "*" {
                return Ok(Self { rule: Rule::Any, is_required: false });
            }
            origins.push(Origin::parse(text).ok_or_else(|| ListError(text.to_owned()))?);
        }
        Ok(Self { rule: Rule::Listed(origins), is_required: false })
    }

    /// Pages of these hosts and of the one in the Host header, on whatever port and in whatever protocol: for consoles that say
    /// themselves which protocol their pages have, as nova's do.
    ///
    /// # Errors
    /// The first that is no host's name or address.
    pub fn hosts<S: AsRef<str>>(list: impl IntoIterator<Item = S>) -> Result<Self, ListError> {
        let host = |text: S| {
            let text = text.as_ref();
            let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
            let host = Host::parse(bare.unwrap_or(text)).ok();
            let host = host.filter(|_| bare.unwrap_or(text).bytes().all(is_host));
            let host = host.ok_or_else(|| ListError(text.to_owned()))?;
            Ok((host, text.ends_with('.')))
        };
        let hosts = list.into_iter().map(host).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { rule: Rule::Hosts(hosts), is_required: false })
    }

    /// The same, but who sends no Origin is refused.
    #[must_use]
    pub fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// Judges a request; see [`judge`](Self::judge). `trusts_forwarding` says whether X-Forwarded-Proto comes from a proxy of ours.
    ///
    /// # Errors
    /// Why it may not.
    pub fn judge_request(
        &self,
        request: &Request,
        trusts_forwarding: bool,
    ) -> Result<(), OriginError> {
        if request.headers("origin").nth(1).is_some() && self.rule != Rule::Any {
            return Err(OriginError::Repeated);
        }
        let forwarded = request.header("x-forwarded-proto").filter(|_| trusts_forwarding);
        self.judge(request.header("origin"), request.header("host"), forwarded)
    }

    /// Judges by the values of Origin, Host and, where it can be trusted, X-Forwarded-Proto.
    ///
    /// Names are compared whole and in any case. On the same host, ports don't count: consoles have other ones than
    /// portals; and the protocol counts where it is known, so that nobody between can make a page for it. In a list, everything counts.
    ///
    /// # Errors
    /// Why it may not.
    pub fn judge(
        &self,
        origin: Option<&[u8]>,
        host: Option<&[u8]>,
        forwarded_proto: Option<&[u8]>,
    ) -> Result<(), OriginError> {
        let Some(origin) = origin else {
            return if self.is_required { Err(OriginError::Missing) } else { Ok(()) };
        };
        if self.rule == Rule::Any {
            return Ok(());
        }
        let origin = core::str::from_utf8(origin).ok().and_then(Origin::parse);
        let origin = origin.ok_or(OriginError::Invalid)?;
        match &self.rule {
            Rule::SameHost => origin.is_same_host(host, forwarded_proto),
            Rule::Listed(list) if list.contains(&origin) => Ok(()),
            Rule::Listed(_) => Err(OriginError::Unlisted),
            Rule::Hosts(list) => {
                let is_it = |(host, is_absolute): &(Host, bool)| {
                    *host == origin.host && *is_absolute == origin.is_absolute
                };
                // What is wrong with Host is wrong whoever asks.
                let own = host.map(host_of).transpose()?;
                match own.iter().chain(list).any(is_it) {
                    true => Ok(()),
                    false => Err(OriginError::OtherHost),
                }
            }
            Rule::Any => Ok(()),
        }
    }
}

/// The protocol of the page that asks, as the browser has it or, where that can be trusted, as a proxy before us says. None: no page asks.
pub fn page_protocol(request: &Request, trusts_forwarding: bool) -> Option<&str> {
    let origin = request.header("origin")?;
    let forwarded = request.header("x-forwarded-proto").filter(|_| trusts_forwarding);
    let of_origin =
        || core::str::from_utf8(origin).ok()?.split_once("://").map(|(scheme, _)| scheme);
    forwarded.and_then(|proto| core::str::from_utf8(proto).ok()).or_else(of_origin)
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::SameHost => f.write_str("those of the same host")?,
            Rule::Any => f.write_str("all")?,
            Rule::Hosts(list) => {
                f.write_str("those of the same host")?;
                for (host, _) in list {
                    write!(f, ", of {host}")?;
                }
                f.write_str(", in the protocol that the token says")?;
            }
            Rule::Listed(list) => {
                for (index, origin) in list.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}://{}", origin.scheme, origin.host)?;
                    if let Some(port) = origin.port {
                        write!(f, ":{port}")?;
                    }
                }
            }
        }
        if self.is_required { Ok(()) } else { f.write_str("; and who is no page") }
    }
}

impl Origin {
    /// Reads an origin as browsers write it (RFC 6454 §6.2): nothing behind the port, not even a slash.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let (name, port) = host::split(authority).filter(|_| is_scheme)?;
        let is_bracketed = authority.starts_with('[');
        let is_host = |byte: u8| match byte {
            b':' => is_bracketed,
            other => other.is_ascii_alphanumeric() || b"-._".contains(&other),
        };
        if !name.bytes().all(is_host)
            || is_bracketed != name.contains(':')
            || authority.ends_with(':')
        {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let port = port.or(default_port(&scheme));
        let is_absolute = name.ends_with('.');
        Some(Self { scheme, host: Host::parse(name).ok()?, is_absolute, port })
    }

    fn is_same_host(
        &self,
        host: Option<&[u8]>,
        forwarded_proto: Option<&[u8]>,
    ) -> Result<(), OriginError> {
        let (host, is_absolute) = host_of(host.ok_or(OriginError::OtherHost)?)?;
        if host != self.host || is_absolute != self.is_absolute {
            return Err(OriginError::OtherHost);
        }
        let is_secure = match self.scheme.as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(OriginError::OtherProtocol),
        };
        let is_known_as = |names: [&str; 2]| {
            let is_it =
                |proto: &[u8]| names.iter().any(|n| proto.eq_ignore_ascii_case(n.as_bytes()));
            forwarded_proto.is_none_or(is_it)
        };
        let is_same =
            if is_secure { is_known_as(["https", "wss"]) } else { is_known_as(["http", "ws"]) };
        if is_same { Ok(()) } else { Err(OriginError::OtherProtocol) }
    }
}

/// Whom a Host header means, and whether its name ends with a dot.
fn host_of(host: &[u8]) -> Result<(Host, bool), OriginError> {
    let host = core::str::from_utf8(host).ok();
    let (name, _) = host.and_then(host::split).ok_or(OriginError::Host)?;
    let host = Host::parse(name).map_err(|_| OriginError::Host)?;
    Ok((host, name.ends_with('.')))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

impl OriginError {
    /// The HTTP status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::Host => 400,
            _ => 403,
        }
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "expected an Origin like https://host, came another",
            Self::Repeated => "expected at most one Origin, came several",
            Self::Missing => "expected an Origin, came none",
            Self::OtherHost => "expected an Origin of the same host as Host, came another",
            Self::OtherProtocol => "expected an Origin of the protocol in use, came another",
            Self::Unlisted => "expected an Origin that is listed, came another",
            Self::Host => "expected a Host like host:port, came another",
        })
    }
}

impl core::error::Error for OriginError {}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected an origin like https://host:port, or *, came {:?}", self.0)
    }
}

impl core::error::Error for ListError {}

#[cfg(test)]
mod tests;
