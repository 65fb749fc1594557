//! Where a forwarded connection goes, as it is configured.
//!
//! ```text
//! tcp://HOST:PORT      tls://HOST:PORT      unix:/PATH      serial:/DEVICE?baud=…      a URI of libvirt
//! ```
//!
//! In: text. Out: a [`Target`], or an error that says which part is wrong, what was expected, what came, and what to do.
//! Nothing is opened or resolved here. Paths stand for themselves: percent signs are no escapes in them.

mod error;
mod explain;
mod serial;

pub use error::TargetError;
pub use serial::{Flow, Parity, Serial, SerialError};

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::http::{self, Host};
use crate::libvirt::Uri;

/// Longest path of a UNIX socket, in bytes: `sun_path` with its NUL has 108 (unix(7)).
const SOCKET_PATH_LIMIT: usize = 107;

/// Drivers whose daemons are reached over a network: they are known without a transport in their name. Others, such as
/// `esx`, speak to their hosts without a daemon of libvirt.
const DRIVERS: &[&str] =
    &["bhyve", "ch", "lxc", "openvz", "qemu", "remote", "test", "vbox", "vz", "xen"];

/// Where a forwarded connection goes. `Display` writes what is read as the same target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A TCP port.
    Tcp(http::Target),
    /// A TCP port that speaks TLS.
    Tls(http::Target),
    /// A UNIX socket.
    Unix(String),
    /// A character device.
    Serial(Serial),
    /// A daemon of libvirt.
    Libvirt(Box<Uri>),
}

impl Target {
    /// Reads a target.
    ///
    /// # Errors
    /// The first part that is wrong.
    pub fn parse(text: &str) -> Result<Target, TargetError> {
        let (scheme, rest) = text.split_once(':').ok_or(TargetError::NoScheme)?;
        let lower = scheme.to_ascii_lowercase();
        match lower.as_str() {
            "tcp" | "tls" => {
                let address = rest.strip_prefix("//").ok_or(TargetError::Slashes(lower.clone()))?;
                let address = http::Target::parse(address, true)
                    .map_err(|error| TargetError::Address(lower.clone(), error))?;
                Ok(if lower == "tcp" { Self::Tcp(address) } else { Self::Tls(address) })
            }
            "unix" => socket(rest).map(Self::Unix),
            "serial" => Serial::parse(path_of(rest)).map(Self::Serial).map_err(TargetError::Serial),
            _ if is_libvirt(&lower) => {
                Uri::parse(text).map(Box::new).map(Self::Libvirt).map_err(TargetError::Libvirt)
            }
            _ if Host::parse(scheme).is_ok() && rest.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(TargetError::NoScheme)
            }
            _ => Err(TargetError::Scheme(scheme.to_owned())),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address) => write!(f, "tls://{address}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Serial(serial) => serial.fmt(f),
            Self::Libvirt(uri) => uri.fmt(f),
        }
    }
}

fn is_libvirt(scheme: &str) -> bool {
    scheme.contains('+') || DRIVERS.contains(&scheme)
}

/// A path may stand behind an empty authority: `unix:///run/x` is `unix:/run/x`.
fn path_of(rest: &str) -> &str {
    rest.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(rest)
}

fn socket(rest: &str) -> Result<String, TargetError> {
    let path = path_of(rest);
    match path.len() {
        _ if !path.starts_with('/') || path.starts_with("//") => {
            Err(TargetError::Path(path.to_owned()))
        }
        _ if path.contains('\0') => Err(TargetError::Path(path.to_owned())),
        length if length > SOCKET_PATH_LIMIT => Err(TargetError::LongPath(length)),
        _ => Ok(path.to_owned()),
    }
}

#[cfg(test)]
mod tests;
