//! Where a command line has it listen, and where it leads to: words to addresses, paths and names.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use penstock_core::config::{Address, Destination, Door, Reach, UnixSocket};
use penstock_core::http::{Host, Target};

use super::options::Given;
use super::{Refusal, Resolve};

/// Permissions of a socket for its owner alone.
const MODE: u32 = 0o600;
/// Bytes of a UNIX socket's path (unix(7)).
const SOCKET_PATH: usize = 107;

/// A path that stays the same wherever the process goes.
pub(super) fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| Path::new(path).to_owned())
}

/// Where it listens. `words` are what is no option; those that are used are taken off.
pub(super) fn listening<'a>(
    given: &Given,
    words: &mut impl Iterator<Item = &'a str>,
    resolve: Resolve<'_>,
) -> Result<Vec<Address>, Refusal> {
    if given.flag("inetd") {
        return Ok(vec![Address::StandardInput]);
    }
    if let Some(path) = given.text("unix-listen") {
        let path = socket("unix-listen", path)?;
        let mode = match given.text("unix-listen-mode") {
            None => MODE,
            Some(text) => {
                let octal = u32::from_str_radix(text.trim_start_matches("0o"), 8).ok();
                octal.filter(|mode| *mode <= 0o777).ok_or_else(|| {
                    let message = "Error parsing listen unix socket mode: expected octal digits";
                    Refusal::usage(format!("{message} such as 0660, got {text}"))
                })?
            }
        };
        return Ok(vec![Address::Unix(UnixSocket { path, mode, owner: None, group: None })]);
    }
    let word = words
        .next()
        .ok_or_else(|| Refusal::usage("Too few arguments: expected [source_addr:]source_port"))?;
    let (host, port) = word.rsplit_once(':').unwrap_or(("", word));
    let port = port_of(port, "listen port")?;
    bound(host.trim_matches(['[', ']']), port, given.flag("prefer-ipv6"), resolve)
}

/// One address of the host, IPv4 unless IPv6 is preferred. All of IPv6 take all of IPv4 along, as Linux has it for a single socket.
pub(crate) fn bound(
    host: &str,
    port: u16,
    prefers_v6: bool,
    resolve: Resolve<'_>,
) -> Result<Vec<Address>, Refusal> {
    let literal = host.parse().map(|ip| vec![SocketAddr::new(ip, port)]);
    let found = match literal {
        Ok(address) => address,
        Err(_) => resolve(Some(host).filter(|host| !host.is_empty()), port).map_err(|error| {
            Refusal::unusable(format!("can't listen on {host}: no address of that name: {error}"))
        })?,
    };
    let preferred = found.iter().find(|address| address.is_ipv6() == prefers_v6);
    let chosen = preferred.or(found.first()).ok_or_else(|| {
        Refusal::unusable(format!("can't listen on {host}: the name has no address"))
    })?;
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let is_all_of_v6 = chosen.ip() == Ipv6Addr::UNSPECIFIED && port != 0;
    let along = is_all_of_v6.then_some(everywhere);
    Ok([*chosen].into_iter().chain(along).map(Address::Tcp).collect())
}

/// The one target that a command line names.
pub(super) fn target<'a>(
    given: &Given,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<Destination, Refusal> {
    if let Some(path) = given.text("unix-target") {
        let path = socket("unix-target", path)?;
        let text = format!("unix:{}", path.display());
        let reach = Reach::Door(Arc::new(Door::Unix(vec![path])));
        return Ok(Destination { text: text.into(), readonly: false, reach });
    }
    let word = words.next().ok_or_else(|| {
        Refusal::usage(
            "Too few arguments: expected target_addr:target_port, --unix-target or --token-plugin",
        )
    })?;
    let (host, port) = word.rsplit_once(':').ok_or_else(|| {
        Refusal::usage(format!("Error parsing target: expected host:port, got {word}"))
    })?;
    let port = port_of(port, "target port")?;
    if port == 0 {
        return Err(Refusal::unusable("nothing can be reached on port 0: check the target"));
    }
    let host = match host.trim_matches(['[', ']']) {
        "" => Host::V4(Ipv4Addr::LOCALHOST),
        name => Host::parse(name).map_err(|error| {
            Refusal::unusable(format!("Error parsing target: {error}, got {word}"))
        })?,
    };
    let target = Target { host, port };
    let text = format!("tcp://{target}").into();
    Ok(Destination { text, readonly: false, reach: Reach::Network(target) })
}

fn socket(option: &str, path: &str) -> Result<PathBuf, Refusal> {
    let path = absolute(path);
    match path.as_os_str().len() {
        0..=SOCKET_PATH => Ok(path),
        length => Err(Refusal::unusable(format!(
            "--{option}: expected the path of a UNIX socket in at most {SOCKET_PATH} bytes, got {length}"
        ))),
    }
}

fn port_of(text: &str, what: &str) -> Result<u16, Refusal> {
    let number: i64 = text.trim().parse().map_err(|_| {
        Refusal::usage(format!("Error parsing {what}: expected a number, got `{text}`"))
    })?;
    u16::try_from(number)
        .map_err(|_| Refusal::unusable(format!("expected a {what} up to 65535, got {number}")))
}
