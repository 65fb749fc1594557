//! Why a text is no target.

use alloc::string::String;
use core::fmt;

use super::SOCKET_PATH_LIMIT;
use super::serial::SerialError;
use crate::http;
use crate::libvirt::UriError;

/// Why a text is no target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetError {
    /// Nothing says what kind it is.
    NoScheme,
    /// A kind that is not served.
    Scheme(String),
    /// No `//` behind `tcp:` or `tls:`.
    Slashes(String),
    /// What stands behind them is no `host:port`.
    Address(String, http::TargetError),
    /// Not the path of a UNIX socket.
    Path(String),
    /// A path of so many bytes, which no UNIX socket can have.
    LongPath(usize),
    /// A device or its settings.
    Serial(SerialError),
    /// A URI of libvirt.
    Libvirt(UriError),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KINDS: &str = "tcp://host:port, tls://host:port, unix:/path, serial:/device or a libvirt URI such as qemu+tls://host/system";
        match self {
            Self::NoScheme => write!(f, "expected {KINDS}; write what kind it is in front"),
            Self::Scheme(came) => write!(f, "expected {KINDS}, got `{came}:`"),
            Self::Slashes(scheme) => {
                write!(f, "expected {scheme}://host:port; write // behind `{scheme}:`")
            }
            Self::Address(scheme, error) => {
                write!(f, "expected {scheme}://host:port and nothing behind it: {error}")
            }
            Self::Path(came) => write!(
                f,
                "expected unix:/path, from the root and of a socket in the file system, got `{came}`"
            ),
            Self::LongPath(length) => write!(
                f,
                "expected the path of a UNIX socket, at most {SOCKET_PATH_LIMIT} bytes, got {length}; use a shorter one, or a link"
            ),
            Self::Serial(error) => write!(f, "serial: {error}"),
            Self::Libvirt(error) => write!(f, "libvirt URI: {error}"),
        }
    }
}

impl core::error::Error for TargetError {}
