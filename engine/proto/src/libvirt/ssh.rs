//! The command line that reaches another host's daemon through ssh(1), byte by byte that of libvirt's client.
//!
//! Two things differ. `BatchMode` is always on: nobody is there to type a password. And a `socket=` that a shell would take
//! apart is quoted, as libvirt's client does with all else that it hands to the other host's shells.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::error::WayError;
use super::parameters::{Mode, Parameter, Proxy};
use super::sockets;
use super::surroundings::Surroundings;
use super::uri::Uri;

/// What ssh is told of our environment, where it is set. `LC_ALL` is `C` for it, whatever ours is.
pub(super) const ENVIRONMENT: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "KRB5CCNAME",
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "OPENSSL_CONF",
    "DISPLAY",
    "XAUTHORITY",
    "TERM",
    "XDG_RUNTIME_DIR",
];

/// The arguments behind the program's name.
pub(super) fn arguments(
    uri: &Uri,
    surroundings: &Surroundings,
    readonly: bool,
) -> Result<Vec<String>, WayError> {
    let mut line: Vec<String> = Vec::new();
    let port = uri.port.map(|port| port.to_string());
    let keyfile = uri.parameter(Parameter::Keyfile);
    let options = [("-p", port.as_deref()), ("-l", uri.user.as_deref()), ("-i", keyfile)];
    for (option, value) in options {
        if let Some(value) = value {
            line.extend([option.to_owned(), value.to_owned()]);
        }
    }
    line.extend(["-T", "-e", "none", "-o", "BatchMode=yes"].map(ToOwned::to_owned));
    if uri.is_set(Parameter::NoVerify) {
        line.extend(["-o", "StrictHostKeyChecking=no"].map(ToOwned::to_owned));
    }
    let host = uri.host.clone().unwrap_or_default();
    line.extend(["--".to_owned(), host, remote_command(uri, surroundings, readonly)?]);
    Ok(line)
}

/// What the other host is to run. Its text passes two shells: that of the login, and the one that is named.
fn remote_command(
    uri: &Uri,
    surroundings: &Surroundings,
    readonly: bool,
) -> Result<String, WayError> {
    let (netcat, native) = (netcat(uri, readonly), native(uri, readonly));
    Ok(match proxy(uri, surroundings)? {
        Proxy::Netcat => format!("sh -c '{netcat}'"),
        Proxy::Native => format!("sh -c '{native}'"),
        Proxy::Auto => format!(
            "sh -c 'which virt-ssh-helper 1>/dev/null 2>&1; if test $? = 0; then     {native}; else    {netcat}; fi'"
        ),
    })
}

/// How the socket is reached.
///
/// # Errors
/// What libvirt's client refuses, and one thing more: it would look on the other host for a socket in our own folder.
pub(super) fn proxy(uri: &Uri, surroundings: &Surroundings) -> Result<Proxy, WayError> {
    if uri.mode() == Mode::Direct {
        return Err(WayError::DirectOverSsh);
    }
    let has_netcat = uri.parameter(Parameter::Netcat).is_some();
    let has_socket = uri.parameter(Parameter::Socket).is_some();
    let is_session = surroundings.session(uri).is_some();
    let wanted = uri.proxy().unwrap_or(match is_session {
        _ if has_socket => Proxy::Netcat,
        true => Proxy::Native,
        false => Proxy::Auto,
    });
    match wanted {
        Proxy::Native if has_netcat => Err(WayError::NetcatOfNative),
        Proxy::Native => Ok(Proxy::Native),
        _ if is_session && !has_socket => Err(WayError::SessionSocket),
        _ if has_netcat => Ok(Proxy::Netcat),
        other => Ok(other),
    }
}

/// Netcat, told to end with its input where it has to be.
fn netcat(uri: &Uri, readonly: bool) -> String {
    let program = twice(uri.parameter(Parameter::Netcat).unwrap_or("nc"));
    let socket = match uri.parameter(Parameter::Socket) {
        Some(socket) if escaped(socket) == socket => socket.to_owned(),
        Some(socket) => format!("'{}'", twice(socket)),
        None => sockets::remote(readonly),
    };
    format!(
        "if '{program}' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then ARG=-q0;else ARG=;fi;'{program}' $ARG -U {socket}"
    )
}

fn native(uri: &Uri, readonly: bool) -> String {
    let flag = if readonly { "-r " } else { "" };
    format!("virt-ssh-helper {flag}'{}'", twice(&uri.remote_name()))
}

/// For the inner shell, and then for the outer one, between whose quotes it is put.
fn twice(text: &str) -> String {
    escaped(&escaped(text))
}

/// One word for a shell, left as it is where it is one anyway.
pub(super) fn escaped(text: &str) -> String {
    const SPECIAL: &str = "\r\t\n !\"#$&'()*;<>?[\\]^`{|}~";
    match text.is_empty() || text.contains(|c| SPECIAL.contains(c)) {
        true => format!("'{}'", text.replace('\'', "'\\''")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
