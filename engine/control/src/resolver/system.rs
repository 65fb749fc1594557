//! One question to getaddrinfo(3). Waits as long as the system does.

use std::net::IpAddr;

use dns_lookup::LookupErrorKind;
use penstock_core::control::ResolveError;

use super::Answer;

/// A name with hundreds of addresses would only keep a client waiting.
const ADDRESSES_MAX: usize = 16;

pub(crate) fn look_up(name: &str) -> Answer {
    let found = dns_lookup::lookup_host(name).map_err(|error| match error.kind() {
        LookupErrorKind::NoName | LookupErrorKind::NoData => ResolveError::NotFound,
        _ => ResolveError::Failed,
    })?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(ResolveError::NotFound) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_answers_without_a_network() {
        let addresses = look_up("localhost").expect("every host knows itself");
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }

    #[test]
    fn what_cannot_be_a_name_is_not_found_or_failed() {
        assert!(look_up("a..b").is_err());
        assert!(look_up("").is_err());
        assert!(look_up("with\0zero").is_err());
    }
}
