//! Why a URI is none, or can't be done: each says what was expected, what came, and what to do.

use alloc::string::String;
use core::fmt;

use super::parameters::Parameter;

/// Why a text is no URI that can be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UriError {
    /// No `driver://` in front.
    NoScheme,
    /// A transport that nobody knows.
    UnknownTransport(String),
    /// `libssh` or `libssh2`.
    Libssh(String),
    /// A character that no URI has.
    Character(char),
    /// Something behind `#`.
    Fragment,
    /// A password before the host.
    Password,
    /// No host name.
    Host(String),
    /// No IPv6 address, or not in brackets.
    Ipv6,
    /// Not 1 to 65535.
    Port(String),
    /// A port, but no host that it is of.
    PortWithoutHost,
    /// `+unix` with a host.
    HostOfUnix(String),
    /// `+ext` without `command`.
    NoCommand,
    /// A percent sign without two hexadecimal digits, or what it stands for is no text.
    Percent,
    /// A parameter that has to be a number.
    Number(Parameter, String),
    /// A parameter that has to be one of a few words.
    Choice(Parameter, String),
    /// A parameter that has to say something.
    Empty(Parameter),
    /// A parameter that has to be a path from the root.
    Relative(Parameter),
}

/// Why a URI leads nowhere from here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WayError {
    /// An IPv6 address with a zone, where we connect ourselves.
    Zone(String),
    /// `netcat` where `virt-ssh-helper` is used.
    NetcatOfNative,
    /// A user's own daemon on another host, by its socket, which can't be known from here.
    SessionSocket,
    /// `mode=direct` through ssh.
    DirectOverSsh,
    /// Read-only access is wanted where only the client could see to it.
    ReadOnly(ReadOnlyFault),
}

/// Why a daemon can't be reached read-only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadOnlyFault {
    /// TLS, TCP and programs have one door for all.
    Transport,
    /// A user's own daemon has one socket for all.
    Session,
    /// The socket was given.
    Socket,
    /// `name` asks `virt-ssh-helper` for another daemon than the URI does.
    Name,
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme => f.write_str(
                "expected driver[+transport]://… as in `qemu+tls://host/system`; aliases of libvirt.conf are not read",
            ),
            Self::UnknownTransport(came) => {
                write!(f, "transport: expected tls, tcp, unix, ssh or ext, got `{came}`")
            }
            Self::Libssh(came) => write!(
                f,
                "transport: `{came}` is a library of libvirt's client that Penstock does not have; write `ssh`, which runs the system's own, with its keys and known hosts"
            ),
            Self::Character(came) => {
                write!(f, "expected characters of a URI, got {came:?}; write it as % and its number")
            }
            Self::Fragment => f.write_str("a `#…` means nothing to libvirt; leave it out, or write %23 for the character"),
            Self::Password => f.write_str(
                "user: expected a name alone, got one with a colon; libvirt's URIs hold no passwords: use a key (`keyfile=`), and SASL in the client",
            ),
            Self::Host(came) => write!(f, "host: expected a name or an address, got `{came}`"),
            Self::Ipv6 => f.write_str("host: expected an IPv6 address in brackets, as in [2001:db8::1]:16514"),
            Self::Port(came) => write!(
                f,
                "port: expected 1 to 65535, got `{came}`; leave it out with its colon for the transport's own"
            ),
            Self::PortWithoutHost => f.write_str("port: got one without a host; write the host before it"),
            Self::HostOfUnix(came) => write!(
                f,
                "host: the transport unix never leaves this machine, got `{came}`; leave it out (`qemu+unix:///system`), or use tls, tcp or ssh"
            ),
            Self::NoCommand => f.write_str("the transport ext needs `command=`, the program to run"),
            Self::Percent => {
                f.write_str("expected two hexadecimal digits behind each %, and UTF-8 without NUL as what they stand for")
            }
            Self::Number(parameter, came) => {
                write!(f, "`{}`: expected a number, 0 for no and 1 for yes, got `{came}`", parameter.name())
            }
            Self::Choice(Parameter::Proxy, came) => {
                write!(f, "`proxy`: expected auto, netcat or native, got `{came}`")
            }
            Self::Choice(parameter, came) => {
                write!(f, "`{}`: expected auto, legacy or direct, got `{came}`", parameter.name())
            }
            Self::Empty(parameter) => {
                write!(f, "`{}`: expected a path, got nothing; leave it out for the default", parameter.name())
            }
            Self::Relative(parameter) => {
                write!(f, "`{}`: expected a path from the root, which begins with a slash", parameter.name())
            }
        }
    }
}

impl fmt::Display for WayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zone(came) => write!(
                f,
                "host: expected an address without a zone, got `{came}`; use a global address or a name"
            ),
            Self::NetcatOfNative => f.write_str(
                "`netcat=` has no say where virt-ssh-helper is used; add `proxy=netcat`, or leave it out",
            ),
            Self::SessionSocket => f.write_str(
                "the socket of a user's own daemon on another host is not known here; add `proxy=native`, which asks virt-ssh-helper there, or `socket=`",
            ),
            Self::DirectOverSsh => f.write_str(
                "`mode=direct` has no say over ssh, where virt-ssh-helper finds the daemon's socket; leave it out, or give the socket with `socket=`",
            ),
            Self::ReadOnly(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for ReadOnlyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transport => {
                "`readonly = true`: only the transports unix and ssh lead to a daemon's read-only socket; over others it is the client that says what it may do"
            }
            Self::Session => {
                "`readonly = true`: a user's own daemon has no read-only socket; ask for the system's (`/system`), or leave it out"
            }
            Self::Socket => {
                "`readonly = true` has no say over `socket=`; name the read-only socket there (it ends in -ro) and leave the key out"
            }
            Self::Name => {
                "`readonly = true` does not go with `name=`, which may ask virt-ssh-helper for a daemon without a read-only socket; leave one of them out"
            }
        })
    }
}

impl core::error::Error for UriError {}
impl core::error::Error for WayError {}
