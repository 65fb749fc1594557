//! A VNC client that chooses what it is told to, and tells what it was told.
//!
//! In: a [`Login`], and a connection of any kind. Out: a [`Console`], or why there is none.

use std::io::{self, Write};
use std::net::SocketAddr;

use rustls::pki_types::ServerName;

use super::subtype::{self, Inner};
use super::wire::{Faults, Messages, Moment, Wire};
use super::{Account, V38, respond, sasl, security};
use crate::connect;
use crate::tls::TlsClient;
use crate::web_socket::{self, Client};

/// What a client wants, and what it knows.
#[derive(Clone, Debug)]
pub struct Login {
    /// What it answers to the server's version.
    pub version: Vec<u8>,
    /// The security type that it chooses, whether it is offered or not.
    pub security: u8,
    /// The subtype that it chooses within VeNCrypt.
    pub subtype: u32,
    /// What it speaks TLS by, and whom it expects.
    pub tls: Option<(TlsClient, ServerName<'static>)>,
    /// What it answers challenges by.
    pub password: String,
    /// Who it says that it is.
    pub account: Account,
    /// The first byte behind the security: whether others may stay.
    pub shared: u8,
}

impl Login {
    /// RFB 3.8 with this security type.
    pub fn new(security: u8) -> Login {
        Login {
            version: V38.to_vec(),
            security,
            subtype: 0,
            tls: None,
            password: "secret".to_owned(),
            account: Account::new("lab", "secret"),
            shared: 1,
        }
    }

    /// VeNCrypt with this subtype, and TLS if that has any.
    pub fn vencrypt(subtype: u32, tls: &TlsClient, server: SocketAddr) -> Login {
        let tls = Some((tls.clone(), ServerName::from(server.ip())));
        Login { subtype, tls, ..Login::new(security::VENCRYPT) }
    }

    /// Speaks another version.
    #[must_use]
    pub fn version(self, version: &[u8]) -> Login {
        Login { version: version.to_vec(), ..self }
    }

    /// Knows another password, for challenges and by name.
    #[must_use]
    pub fn password(mut self, password: &str) -> Login {
        self.password = password.to_owned();
        self.account.password = password.to_owned();
        self
    }

    /// Logs in by TCP.
    ///
    /// # Errors
    /// Why there is no console.
    pub fn open(&self, server: SocketAddr) -> Result<Console, Failure> {
        self.open_with(server, Faults::default())
    }

    /// The same, over a connection with faults.
    ///
    /// # Errors
    /// Why there is no console.
    pub fn open_with(&self, server: SocketAddr, faults: Faults) -> Result<Console, Failure> {
        self.over(Wire::new(connect::dial(server)?, faults))
    }

    /// Logs in by WebSocket, at that path, with TLS around it if that is how one connects there.
    ///
    /// # Errors
    /// Why there is no console.
    ///
    /// # Panics
    /// When there is no WebSocket.
    pub fn browse(
        &self,
        server: SocketAddr,
        tls: Option<&TlsClient>,
        path: &str,
        faults: Faults,
    ) -> Result<Console, Failure> {
        let mut client = Client::dial(server, tls)?;
        client.upgrade(&web_socket::request(server, path, "Sec-WebSocket-Protocol: binary\r\n"));
        self.over(Wire::new(Messages::new(client), faults))
    }

    /// Logs in over a connection that there is.
    ///
    /// # Errors
    /// Why there is no console.
    pub fn over(&self, wire: Wire) -> Result<Console, Failure> {
        let mut guest = Guest { login: self, wire, offers: Offers::default() };
        match guest.talk() {
            Ok((name, size)) => Ok(Console { wire: guest.wire, offers: guest.offers, name, size }),
            Err(Failure::Broken(error, _)) => Err(Failure::Broken(error, guest.wire.parting())),
            Err(other) => Err(other),
        }
    }
}

/// What a server said on the way.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Offers {
    /// Its version.
    pub version: Vec<u8>,
    /// Its security types; of RFB 3.3, the one it wants.
    pub types: Vec<u8>,
    /// Its subtypes of VeNCrypt.
    pub subtypes: Vec<u32>,
}

/// A client that is in.
#[derive(Debug)]
pub struct Console {
    /// The connection.
    pub wire: Wire,
    /// What the server said on the way.
    pub offers: Offers,
    /// What it calls its screen.
    pub name: String,
    /// How large that is.
    pub size: (u16, u16),
}

/// Why there is no console.
#[derive(Debug)]
pub enum Failure {
    /// The connection broke, or made no sense; and what a close frame said of it, if there was one.
    Broken(io::Error, Option<(Option<u16>, String)>),
    /// No security type is offered to us, and why.
    Nothing(String),
    /// What we choose isn't offered. Then we leave.
    NotOffered(Offers),
    /// VeNCrypt goes no further: our version, or our subtype, is not welcome.
    NoVencrypt,
    /// SASL has no mechanism that we know.
    NoMechanism(String),
    /// We are refused: the result, and the reason in words where there is one.
    Refused(u32, Option<String>),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Broken(error, None)
    }
}

impl Console {
    /// Sends something and gets it back, over a server that does so.
    ///
    /// # Errors
    /// The connection's.
    ///
    /// # Panics
    /// When something else comes.
    pub fn echo(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)?;
        let back = self.wire.many(bytes.len() as u32)?;
        assert!(back == bytes, "{} bytes came back as others", bytes.len());
        Ok(())
    }
}

/// One conversation.
struct Guest<'l> {
    login: &'l Login,
    wire: Wire,
    offers: Offers,
}

impl Guest<'_> {
    fn talk(&mut self) -> Result<(String, (u16, u16)), Failure> {
        self.offers.version = self.wire.array::<12>()?.to_vec();
        self.wire.write_all(&self.login.version)?;
        let kind = self.security()?;
        let tells = match kind {
            // Old versions leave out what is not in doubt.
            security::NONE => self.login.version >= V38.to_vec(),
            security::VNC => self.challenge().map(|()| true)?,
            security::VENCRYPT => self.vencrypt().map(|()| true)?,
            security::SASL => self.sasl().map(|()| true)?,
            _ => true,
        };
        if tells {
            self.verdict()?;
        }
        self.wire.write_all(&[self.login.shared])?;
        let size = self.wire.array::<4>()?;
        let [width, height] = [0, 2].map(|at| u16::from_be_bytes([size[at], size[at + 1]]));
        self.wire.array::<16>()?;
        Ok((self.wire.text()?, (width, height)))
    }

    fn security(&mut self) -> Result<u8, Failure> {
        if self.login.version < b"RFB 003.007\n".to_vec() {
            let kind = self.wire.word()? as u8;
            if kind == 0 {
                return Err(Failure::Nothing(self.wire.text()?));
            }
            self.offers.types = vec![kind];
        } else {
            let count = self.wire.byte()?;
            if count == 0 {
                return Err(Failure::Nothing(self.wire.text()?));
            }
            self.offers.types = self.wire.many(count.into())?;
        }
        if !self.offers.types.contains(&self.login.security) {
            return Err(Failure::NotOffered(self.offers.clone()));
        }
        if self.login.version >= b"RFB 003.007\n".to_vec() {
            self.wire.write_all(&[self.login.security])?;
        }
        Ok(self.login.security)
    }

    fn challenge(&mut self) -> Result<(), Failure> {
        let challenge = self.wire.array()?;
        self.wire.write_all(&respond(&self.login.password, challenge))?;
        Ok(())
    }

    fn vencrypt(&mut self) -> Result<(), Failure> {
        let version = self.wire.array::<2>()?;
        self.wire.write_all(&version)?;
        if self.wire.byte()? != 0 {
            return Err(Failure::NoVencrypt);
        }
        let count = self.wire.byte()?;
        for _ in 0..count {
            let subtype = self.wire.word()?;
            self.offers.subtypes.push(subtype);
        }
        let chosen = self.login.subtype;
        if !self.offers.subtypes.contains(&chosen) {
            return Err(Failure::NotOffered(self.offers.clone()));
        }
        let Some(inner) = subtype::within(chosen) else {
            self.wire.write_all(&chosen.to_be_bytes())?;
            return self.plain();
        };
        self.wire.say_last(&chosen.to_be_bytes())?;
        if self.wire.byte()? != 1 {
            return Err(Failure::NoVencrypt);
        }
        let (tls, name) = self.login.tls.as_ref().expect("a login with TLS");
        self.wire.take_up(tls.session(name.clone()))?;
        match inner {
            Inner::None => Ok(()),
            Inner::Vnc => self.challenge(),
            Inner::Plain => self.plain(),
            Inner::Sasl => self.sasl(),
        }
    }

    fn plain(&mut self) -> Result<(), Failure> {
        let Account { user, password } = &self.login.account;
        let lengths = [user, password].map(|word| (word.len() as u32).to_be_bytes());
        let words = [user.as_bytes(), password.as_bytes()].concat();
        self.wire.write_all(&[lengths.concat(), words].concat())?;
        Ok(())
    }

    fn sasl(&mut self) -> Result<(), Failure> {
        sasl::ask(&mut self.wire, &self.login.account)?.map_err(Failure::NoMechanism)
    }

    fn verdict(&mut self) -> Result<(), Failure> {
        let result = self.wire.word()?;
        if result == 0 {
            return Ok(());
        }
        let tells_why = self.login.version >= V38.to_vec();
        let reason = if tells_why { Some(self.wire.text()?) } else { None };
        Err(Failure::Refused(result, reason))
    }
}

/// Something blurted out at that moment.
pub fn blurt(moment: Moment, bytes: &[u8]) -> Faults {
    Faults { blurt: Some((moment, bytes.to_vec())), ..Faults::default() }
}
