//! Who and where: the part of a URI between `//` and the path.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::net::Ipv6Addr;

use super::error::UriError;
use super::percent::decode;
use crate::http::Host;

/// `user@host:port`.
pub(super) struct Authority {
    pub(super) user: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
}

impl Authority {
    pub(super) fn parse(text: &str) -> Result<Authority, UriError> {
        let (user, place) = match text.split_once('@') {
            Some((user, _)) if user.contains(':') => return Err(UriError::Password),
            Some((user, place)) => (Some(decode(user)?), place),
            None => (None, text),
        };
        let user = user.filter(|user| !user.is_empty());
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(UriError::Ipv6)?;
                (Some(ipv6(host)?), port)
            }
            None => {
                let (host, port) = place.split_at(place.find(':').unwrap_or(place.len()));
                (name(host)?, port)
            }
        };
        let port = port_behind(port)?;
        match host {
            None if port.is_some() => Err(UriError::PortWithoutHost),
            host => Ok(Authority { user, host, port }),
        }
    }
}

/// An address without its brackets; a zone may follow it, with or without a percent sign in front that is encoded.
fn ipv6(text: &str) -> Result<String, UriError> {
    let text = text.replace("%25", "%");
    let (address, zone) = text.split_once('%').map_or((text.as_str(), None), |(a, z)| (a, Some(z)));
    let is_zone = |zone: &str| !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_right = address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_zone);
    if is_right { Ok(text) } else { Err(UriError::Ipv6) }
}

fn name(text: &str) -> Result<Option<String>, UriError> {
    let name = decode(text)?;
    match Host::parse(&name) {
        _ if name.is_empty() => Ok(None),
        Ok(_) if !name.contains(':') => Ok(Some(name)),
        _ => Err(UriError::Host(name)),
    }
}

/// `:port`, or nothing.
fn port_behind(text: &str) -> Result<Option<u16>, UriError> {
    let Some(digits) = text.strip_prefix(':') else {
        return if text.is_empty() { Ok(None) } else { Err(UriError::Ipv6) };
    };
    if digits.contains(':') {
        return Err(UriError::Ipv6);
    }
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse::<u16>() {
        Ok(port) if is_number && port > 0 => Ok(Some(port)),
        _ => Err(UriError::Port(digits.to_owned())),
    }
}
