//! The parameters of a URI that never reach the daemon, and what each is for.
//!
//! Names are known whatever their letters' case, values are not: so libvirt has it.

use super::uri::Transport;

macro_rules! parameters {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A parameter that libvirt's client keeps to itself.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Parameter { $($(#[$doc])* $name,)* }

        impl Parameter {
            /// All of them.
            pub const ALL: &[Parameter] = &[$(Parameter::$name,)*];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self { $(Parameter::$name => $text,)* }
            }
        }
    };
}

parameters! {
    /// The URI that the daemon is asked for.
    Name = "name",
    /// The program to run.
    Command = "command",
    /// The path of the daemon's socket.
    Socket = "socket",
    /// The netcat of the other host.
    Netcat = "netcat",
    /// How the other host's socket is reached: [`Proxy`].
    Proxy = "proxy",
    /// Whose socket it is: [`Mode`].
    Mode = "mode",
    /// Which authentication is chosen.
    Auth = "auth",
    /// A file of credentials.
    Authfile = "authfile",
    /// The private key for ssh.
    Keyfile = "keyfile",
    /// In which ways libssh may authenticate.
    Sshauth = "sshauth",
    /// The file of hosts that libssh knows.
    KnownHosts = "known_hosts",
    /// What libssh makes of it.
    KnownHostsVerify = "known_hosts_verify",
    /// Other than zero: who the server is, is not verified.
    NoVerify = "no_verify",
    /// Other than zero: ssh asks for no password.
    NoTty = "no_tty",
    /// Other than zero: our own certificate is not looked at before it is used.
    NoSanity = "no_sanity",
    /// The folder of the client's certificates.
    Pkipath = "pkipath",
    /// A priority string of GnuTLS.
    TlsPriority = "tls_priority",
}

/// Whom a parameter concerns where the client of the daemon is not Penstock, but whoever connects to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Penstock, over this transport.
    Ours,
    /// The client: it belongs to what it says to the daemon, so it has to stand in the client's own URI.
    Clients,
    /// Another transport: it has no say here.
    OtherTransport,
    /// Nobody: Penstock always does as if it were set, or never needs it.
    Needless,
}

impl Parameter {
    /// The one of this name.
    pub fn of(name: &str) -> Option<Parameter> {
        Self::ALL.iter().copied().find(|parameter| parameter.name().eq_ignore_ascii_case(name))
    }

    /// Whether its value is a number that means yes or no.
    pub fn is_flag(self) -> bool {
        matches!(self, Self::NoVerify | Self::NoTty | Self::NoSanity)
    }

    /// Whom it concerns.
    pub fn purpose(self, transport: Transport) -> Purpose {
        use Transport::{Ext, Ssh, Tls, Unix};
        let readers: &[Transport] = match self {
            Self::Name if transport == Ssh => return Purpose::Ours,
            Self::Name | Self::Auth | Self::Authfile => return Purpose::Clients,
            Self::NoTty | Self::NoSanity => return Purpose::Needless,
            Self::Command => &[Ssh, Ext],
            Self::Socket => &[Unix, Ssh],
            Self::Mode => &[Unix],
            Self::Netcat | Self::Proxy | Self::Keyfile => &[Ssh],
            Self::NoVerify => &[Ssh, Tls],
            Self::Pkipath | Self::TlsPriority => &[Tls],
            Self::Sshauth | Self::KnownHosts | Self::KnownHostsVerify => &[],
        };
        if readers.contains(&transport) { Purpose::Ours } else { Purpose::OtherTransport }
    }
}

/// How the socket of another host is reached through ssh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proxy {
    /// By `virt-ssh-helper` where there is one, otherwise by netcat.
    Auto,
    /// By netcat.
    Netcat,
    /// By `virt-ssh-helper`.
    Native,
}

impl Proxy {
    pub(super) fn of(text: &str) -> Option<Proxy> {
        [("auto", Self::Auto), ("netcat", Self::Netcat), ("native", Self::Native)]
            .into_iter()
            .find_map(|(name, proxy)| (name == text).then_some(proxy))
    }
}

/// Whose socket of a host is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The driver's own where there is one, otherwise libvirtd's.
    Auto,
    /// libvirtd's.
    Legacy,
    /// The driver's own.
    Direct,
}

impl Mode {
    pub(super) fn of(text: &str) -> Option<Mode> {
        [("auto", Self::Auto), ("legacy", Self::Legacy), ("direct", Self::Direct)]
            .into_iter()
            .find_map(|(name, mode)| (name == text).then_some(mode))
    }
}
