//! A URI in words, for `penstock check`: what would be done, with which files, and what the server will want.
//!
//! In: a URI, whose machine it is, and a closure that says which files are there. Out: lines of text. Nothing is opened.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::certificates::{Files, Places};
use super::error::WayError;
use super::parameters::{Parameter, Proxy, Purpose};
use super::sockets::Sockets;
use super::surroundings::Surroundings;
use super::uri::{Transport, Uri};
use super::way::{Command, Way};
use super::{parameters, ssh};

/// How clients reach Penstock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientLeg {
    /// `qemu+tcp://penstock/…`
    Tcp,
    /// `qemu+tls://penstock/…`
    Tls,
    /// `qemu+unix:///…?socket=…`
    Unix,
}

/// Why SASL can't pass from a client on `leg` to a daemon behind `transport`, if that is so.
///
/// Its bytes pass untouched, but each side decides by its own leg whether SASL has to encrypt, and over TCP alone it has to.
pub fn sasl_conflict(leg: ClientLeg, transport: Transport) -> Option<&'static str> {
    match (leg, transport) {
        (ClientLeg::Tcp, Transport::Tcp) => None,
        (_, Transport::Tcp) => Some(
            "SASL will fail: over TCP libvirtd wants it to encrypt, and clients on TLS or a UNIX socket will not; use a TLS target, or auth_tcp = \"none\" there",
        ),
        (ClientLeg::Tcp, _) => Some(
            "SASL will fail: clients on TCP want it to encrypt, and libvirtd does not behind TLS, ssh or a UNIX socket; listen with TLS or on a UNIX socket",
        ),
        _ => None,
    }
}

/// What would be done to reach a daemon, line by line.
///
/// # Errors
/// As [`Uri::way`].
pub fn explain(
    uri: &Uri,
    surroundings: &Surroundings,
    readonly: bool,
    exists: &dyn Fn(&str) -> bool,
) -> Result<Vec<String>, WayError> {
    let mut lines = Vec::new();
    match uri.way(surroundings, readonly)? {
        Way::Tls { host, port, files, verify, priority } => {
            lines.push(format!("TLS to {host}, port {port}"));
            lines.extend(server_identity(&host, verify));
            lines.extend(priority.map(|text| format!("versions as GnuTLS understands `{text}`")));
            lines.extend(certificates(&files, exists));
        }
        Way::Tcp { host, port } => {
            lines.push(format!("TCP in the clear to {host}, port {port}"));
        }
        Way::Unix(sockets) => lines.extend(socket(&sockets, exists)),
        Way::Command(command) => lines.extend(command_line(uri, surroundings, &command)?),
    }
    lines
        .extend(wanted(uri, surroundings, readonly).map(|text| format!("the server wants {text}")));
    lines.push(clients_name(uri));
    lines.extend(uri.parameters.iter().filter_map(|(one, _)| parameter(*one, uri.transport)));
    Ok(lines)
}

fn server_identity(host: &crate::http::Host, verify: bool) -> Option<String> {
    Some(match verify {
        true => format!("its certificate must be signed by the CA and be for `{host}`"),
        false => "ITS CERTIFICATE IS NOT VERIFIED (`no_verify`): anybody on the way can read and change everything".to_owned(),
    })
}

fn certificates(places: &Places, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let seen = |path: &String| match exists(path) {
        true => path.clone(),
        false => format!("{path} (missing)"),
    };
    let list = |paths: &[String]| paths.iter().map(seen).collect::<Vec<_>>().join(", then ");
    let pairs = places.identity.iter();
    let pairs: Vec<String> =
        pairs.map(|pair| format!("{} with {}", seen(&pair.certificate), seen(&pair.key))).collect();
    let mut lines = Vec::from([
        format!("CA looked for: {}", list(&places.ca)),
        format!("revocations looked for: {}", list(&places.crl)),
        format!("own certificate looked for: {}", pairs.join(", then ")),
    ]);
    lines.push(match places.find(exists) {
        Ok(files) => taken(&files),
        Err(missing) => format!("NOT USABLE: {missing}"),
    });
    lines
}

fn taken(files: &Files) -> String {
    let crl = files.crl.as_deref().unwrap_or("no revocations");
    match &files.identity {
        Some(pair) => format!("taken: {}, {crl}, {} with {}", files.ca, pair.certificate, pair.key),
        None => format!("taken: {}, {crl}, no own certificate", files.ca),
    }
}

fn socket(sockets: &Sockets, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let seen = |path: &str| match exists(path) {
        true => path.to_owned(),
        false => format!("{path} (missing)"),
    };
    let candidates: Vec<String> = sockets.candidates().map(seen).collect();
    Vec::from([
        format!("UNIX socket looked for at each connection: {}", candidates.join(", then ")),
        format!("now it would be {}", sockets.choose(exists)),
    ])
}

fn command_line(
    uri: &Uri,
    surroundings: &Surroundings,
    command: &Command,
) -> Result<Vec<String>, WayError> {
    let mut words = Vec::from([ssh::escaped(&command.program)]);
    words.extend(command.arguments.iter().map(|argument| ssh::escaped(argument)));
    let mut lines = Vec::from([
        format!("runs: {}", words.join(" ")),
        format!("with LC_ALL=C and, where they are set, {}", command.environment.join(", ")),
    ]);
    if uri.transport == Transport::Ssh {
        lines.push(match ssh::proxy(uri, surroundings)? {
            Proxy::Auto => "there, virt-ssh-helper finds the daemon, or where it is missing netcat opens the socket".to_owned(),
            Proxy::Native => "there, virt-ssh-helper finds the daemon".to_owned(),
            Proxy::Netcat => "there, netcat opens the socket".to_owned(),
        });
        if uri.is_set(Parameter::NoVerify) {
            lines.push("WHO THE HOST IS, IS NOT VERIFIED (`no_verify`): anybody on the way can read and change everything".to_owned());
        }
    }
    Ok(lines)
}

fn wanted(
    uri: &Uri,
    surroundings: &Surroundings,
    readonly: bool,
) -> impl Iterator<Item = &'static str> {
    let is_session = surroundings.session(uri).is_some();
    let all: &[&str] = match uri.transport {
        Transport::Tls => &[
            "our certificate signed by its CA, its subject in tls_allowed_dn_list where there is one; it judges ours, never the client's",
            "SASL of the client, if auth_tls says so",
        ],
        Transport::Tcp => &["SASL of the client that encrypts, unless auth_tcp is \"none\""],
        Transport::Unix if is_session => &["to be opened by the user whose daemon it is"],
        Transport::Unix if readonly => &["what unix_sock_ro_perms and auth_unix_ro say"],
        Transport::Unix => &[
            "Penstock's user in unix_sock_group, or to be root",
            "what auth_unix_rw says; polkit sees Penstock's user, never the client's",
        ],
        Transport::Ssh => &[
            "a key without a password, or one in the agent of SSH_AUTH_SOCK: nobody is there to type (BatchMode)",
            "to be a known host, unless `no_verify` is set",
            "its user to be let in by the daemon; polkit there sees that user, never the client's",
        ],
        Transport::Ext => &["what the program wants"],
    };
    all.iter().copied()
}

fn clients_name(uri: &Uri) -> String {
    match uri.remote_name() {
        name if name.is_empty() => "clients name the daemon's driver by themselves".to_owned(),
        name => format!(
            "clients ask for `{name}` by themselves: Penstock reads nothing of what they say"
        ),
    }
}

/// What to say of a parameter that does not do what it would in libvirt's client.
fn parameter(parameter: Parameter, transport: Transport) -> Option<String> {
    let text = match (parameter, parameters::Parameter::purpose(parameter, transport)) {
        (_, Purpose::Ours) => return None,
        (Parameter::NoTty, _) => "has no effect: nobody is ever asked for a password",
        (_, Purpose::Needless) => "has no effect: files are checked whenever they are read",
        (_, Purpose::Clients) => {
            "is for what the client says to the daemon: write it in the client's URI"
        }
        (_, Purpose::OtherTransport) => "has no say over this transport",
    };
    Some(format!("`{}` {text}", parameter.name()))
}

#[cfg(test)]
mod tests;
