//! What has to be done to reach a daemon.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::certificates::Places;
use super::error::WayError;
use super::parameters::Parameter;
use super::sockets::Sockets;
use super::surroundings::Surroundings;
use super::uri::{Transport, Uri};
use super::{readonly, ssh};
use crate::http::Host;

/// Port of libvirtd's TLS.
const TLS_PORT: u16 = 16514;
/// Port of libvirtd's TCP.
const TCP_PORT: u16 = 16509;

/// How a daemon is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// TLS to a host. The server sends one byte 0x01 once it has accepted our certificate.
    Tls {
        /// Where to, and the name that the server's certificate must be for.
        host: Host,
        /// Its port.
        port: u16,
        /// Where our files are, unless they are configured.
        files: Places,
        /// Whether the server's certificate matters.
        verify: bool,
        /// What is spoken, as GnuTLS has it; none: the default.
        priority: Option<String>,
    },
    /// TCP to a host, in the clear.
    Tcp {
        /// Where to.
        host: Host,
        /// Its port.
        port: u16,
    },
    /// A socket of this host.
    Unix(Sockets),
    /// Standard input and output of a program.
    Command(Command),
}

/// A program to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// A path, or a name to look for in `PATH`.
    pub program: String,
    /// What follows its name.
    pub arguments: Vec<String>,
    /// The variables of our environment that it is given, where they are set. Beside them, `LC_ALL` is `C`.
    pub environment: &'static [&'static str],
}

/// What a program of the transport ext is given.
const ENVIRONMENT: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH"];

impl Uri {
    /// What has to be done; `readonly` if nothing may be changed there.
    ///
    /// # Errors
    /// If parts of the URI contradict one another, or `readonly` could not be kept.
    pub fn way(&self, surroundings: &Surroundings, readonly: bool) -> Result<Way, WayError> {
        if readonly {
            readonly::judge(self, surroundings).map_err(WayError::ReadOnly)?;
        }
        match self.transport {
            Transport::Tls => Ok(Way::Tls {
                host: self.connectable()?,
                port: self.port.unwrap_or(TLS_PORT),
                files: Places::of(self.parameter(Parameter::Pkipath), surroundings),
                verify: !self.is_set(Parameter::NoVerify),
                priority: self.parameter(Parameter::TlsPriority).map(ToOwned::to_owned),
            }),
            Transport::Tcp => {
                Ok(Way::Tcp { host: self.connectable()?, port: self.port.unwrap_or(TCP_PORT) })
            }
            Transport::Unix => Ok(Way::Unix(Sockets::of(self, surroundings, readonly))),
            Transport::Ssh => Ok(Way::Command(Command {
                program: self.parameter(Parameter::Command).unwrap_or("ssh").to_owned(),
                arguments: ssh::arguments(self, surroundings, readonly)?,
                environment: ssh::ENVIRONMENT,
            })),
            Transport::Ext => Ok(Way::Command(Command {
                program: self.parameter(Parameter::Command).unwrap_or_default().to_owned(),
                arguments: Vec::new(),
                environment: ENVIRONMENT,
            })),
        }
    }

    /// The host, where it is us who connect.
    fn connectable(&self) -> Result<Host, WayError> {
        let host = self.host.as_deref().unwrap_or_default();
        Host::parse(host).map_err(|_| WayError::Zone(host.to_owned()))
    }
}
