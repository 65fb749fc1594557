//! A handshake, driven record by record by rustls, until its secrets can be taken over.
//!
//! In: whole records, one at a time, so that no byte behind the handshake is ever rustls'. Out: bytes for the peer, an alert at last
//! if it fails; in the end ciphers for both directions, and what was agreed. A peer that comes to no end is refused.

use std::sync::Arc;

use std::time::SystemTime;

use rustls::client::UnbufferedClientConnection;
use rustls::kernel::KernelConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{CommonState, ContentType, HandshakeKind, ProtocolVersion, client, server};

use crate::aead::{Cipher, HEADER};
use crate::error::{Alert, Error, Peer, VersionFault};
use crate::hello::{Gathering, Hello};
use crate::identity::end_of;
use crate::provider::Implementation;
use crate::records::record_length;
use crate::remembered::Remembered;
use crate::settings::MinVersion;
use crate::subject::{common_name_of, subject_of};

/// Bytes that wait for the rest of their handshake message, at most: a message and a record.
const PENDING_MAX: usize = 0x1_0000 + (1 << 14) + 2048;
/// Bytes of a whole handshake: a long chain of large keys has a tenth of it.
const HANDSHAKE_MAX: usize = 3 << 16;

pub(crate) struct Handshake {
    connection: Connection,
    least: MinVersion,
    /// Bytes of handshake messages that are not whole.
    pending: Vec<u8>,
    /// Bytes so far.
    taken: usize,
    /// What we say is not encrypted yet.
    in_clear: bool,
    hello: Gathering,
    /// Where sessions with our target are kept, and its name.
    target: Option<(Arc<Remembered>, ServerName<'static>)>,
}

pub(crate) enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What is left of rustls once the records are ours: it knows how keys follow one another, and takes tickets.
pub(crate) enum Keeper {
    Server(KernelConnection<server::ServerConnectionData>),
    Client(KernelConnection<client::ClientConnectionData>),
}

/// What a handshake agreed on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Agreed {
    /// TLS 1.3; else 1.2.
    pub tls13: bool,
    /// The suite's IANA name.
    pub suite: String,
    /// The protocol within, if one was negotiated.
    pub alpn: Option<Vec<u8>>,
    /// A session of before was taken up again.
    pub resumed: bool,
    /// The name of the server that was asked for: by our client, if it has named one, or by us.
    pub server_name: Option<Box<str>>,
    /// The subject of the peer's certificate, as lists of subjects have it.
    pub subject: Option<Box<str>>,
    /// Its common name, if it has one and no other.
    pub common_name: Option<Box<str>>,
}

/// Ciphers to receive and to send, and what else remains of a handshake.
pub(crate) struct Outcome {
    pub(crate) opener: Cipher,
    pub(crate) sealer: Cipher,
    pub(crate) keeper: Keeper,
    pub(crate) limit: u64,
    pub(crate) agreed: Agreed,
    /// Until when the certificate holds that the peer has shown, now or in the session that was taken up again.
    pub(crate) shown_until: Option<SystemTime>,
}

macro_rules! drive {
    ($connection:expr, $pending:expr, $output:expr) => {
        loop {
            let UnbufferedStatus { discard, state, .. } = $connection.process_tls_records($pending);
            let end = match state {
                Err(error) => Some(Err(Error::from(error))),
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append($output, |space| data.encode(space));
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => {
                    Some(Ok(()))
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    Some(Err(Error::Closed))
                }
                Ok(_) => Some(Err(Error::internal("payload before its time"))),
            };
            // After an error rustls goes on counting from where it was.
            if !matches!(end, Some(Err(_))) {
                $pending.drain(..discard);
            }
            if let Some(end) = end {
                break end;
            }
        }
    };
}

/// What is still to be said after an error. rustls must not look at what came once more: it would judge it twice.
macro_rules! flush {
    ($connection:expr, $pending:expr, $output:expr) => {
        while $connection.wants_write() {
            match $connection.process_tls_records($pending).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append($output, |space| data.encode(space))
                }
                _ => break,
            }
        }
    };
}

impl Agreed {
    /// The version, as logs have it.
    pub fn version(&self) -> &'static str {
        if self.tls13 { "TLSv1.3" } else { "TLSv1.2" }
    }
}

impl Handshake {
    /// One in which nothing has been said.
    pub(crate) fn new(connection: Connection, least: MinVersion) -> Handshake {
        Handshake {
            connection,
            least,
            pending: Vec::new(),
            taken: 0,
            in_clear: true,
            hello: Gathering::Begun(Vec::new()),
            target: None,
        }
    }

    /// Has the session be kept for another time.
    pub(crate) fn remembered(
        mut self,
        store: Arc<Remembered>,
        target: ServerName<'static>,
    ) -> Handshake {
        self.target = Some((store, target));
        self
    }

    /// What our client hears from us first.
    pub(crate) fn start(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        self.drive(output)
    }

    /// Takes the first record of `data`, if it is whole: its length, and whether all is agreed now. After an error, `output` ends with
    /// an alert, if one can be told.
    pub(crate) fn take(
        &mut self,
        data: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Option<(usize, bool)>, Error> {
        let before = output.len();
        let taken = self.advance(data, output);
        if let Err(error) = &taken
            && let Some(alert) = error.due()
            && self.in_clear
            && output.len() == before
        {
            output.extend_from_slice(&[ContentType::Alert.into(), 3, 3, 0, 2, 2, alert.into()]);
        }
        taken
    }

    fn advance(
        &mut self,
        data: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Option<(usize, bool)>, Error> {
        if self.taken == 0 {
            see_that_it_is_tls(data)?;
        }
        let length = match record_length(data) {
            Ok(Some(length)) => length,
            Ok(None) => return Ok(None),
            Err(error) => {
                if !self.in_clear {
                    // Only rustls has the keys for an alert.
                    self.pending.extend_from_slice(&data[..HEADER]);
                    let _ = self.drive(output);
                }
                return Err(error);
            }
        };
        self.taken += length;
        if self.pending.len() + length > PENDING_MAX || self.taken > HANDSHAKE_MAX {
            return Err(Error::broken(Alert::DecodeError, "a handshake without end"));
        }
        self.pending.extend_from_slice(&data[..length]);
        let is_server = self.peer() == Peer::Client;
        if is_server {
            self.see_that_it_is_new_enough(&data[..length])?;
        }
        let before = output.len();
        let result = self.drive(output);
        self.in_clear &= is_server && output.len() == before;
        result?;
        Ok(Some((length, !self.common().is_handshaking())))
    }

    fn drive(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        let result = match &mut self.connection {
            Connection::Server(connection) => drive!(connection, &mut self.pending, output),
            Connection::Client(connection) => drive!(connection, &mut self.pending, output),
        };
        result.map_err(|error| {
            match &mut self.connection {
                Connection::Server(connection) => flush!(connection, &mut self.pending, output),
                Connection::Client(connection) => flush!(connection, &mut self.pending, output),
            }
            self.explained(error)
        })
    }

    /// rustls would look at extensions first, which clients of old don't have, and complain about those.
    fn see_that_it_is_new_enough(&mut self, record: &[u8]) -> Result<(), Error> {
        self.hello.take(record);
        let least = match self.least {
            MinVersion::Tls12 => 0x0303,
            MinVersion::Tls13 => 0x0304,
        };
        match self.hello() {
            // Of one that can't be read nothing is known.
            Some(&Hello { newest: newest @ 1.., .. }) if newest < least => {
                let fault = VersionFault::Offered(newest);
                Err(Error::Version { fault, least: self.least })
            }
            _ => Ok(()),
        }
    }

    /// Whom it is about, and what was asked for.
    fn explained(&self, error: Error) -> Error {
        match error {
            Error::Certificate { fault, .. } => Error::Certificate { of: self.peer(), fault },
            Error::Version { fault, .. } => Error::Version { fault, least: self.least },
            error => error,
        }
    }

    /// Whom it is with.
    pub(crate) fn peer(&self) -> Peer {
        match self.connection {
            Connection::Server(_) => Peer::Client,
            Connection::Client(_) => Peer::Server,
        }
    }

    /// Bytes of messages that are not whole.
    pub(crate) fn held(&self) -> usize {
        self.pending.len()
    }

    /// What our client said first; of a server, nothing.
    pub(crate) fn hello(&self) -> Option<&Hello> {
        self.hello.hello()
    }

    fn common(&self) -> &CommonState {
        match &self.connection {
            Connection::Server(connection) => connection,
            Connection::Client(connection) => connection,
        }
    }

    /// Takes the session over.
    pub(crate) fn finish(self, implementation: Implementation) -> Result<Outcome, Error> {
        let agreed = self.agreed();
        let shown_until = self.certificate().and_then(end_of);
        if let (Some((store, target)), Some(end), false) =
            (&self.target, shown_until, agreed.resumed)
        {
            store.judged(target, end);
        }
        let suite = self.common().negotiated_cipher_suite();
        let suite = suite.ok_or(Error::internal("no suite"))?;
        let limit = match suite {
            rustls::SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
            rustls::SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
        };
        let (secrets, keeper) = match self.connection {
            Connection::Server(connection) => {
                let (secrets, keeper) = connection.dangerous_into_kernel_connection()?;
                (secrets, Keeper::Server(keeper))
            }
            Connection::Client(connection) => {
                let (secrets, keeper) = connection.dangerous_into_kernel_connection()?;
                (secrets, Keeper::Client(keeper))
            }
        };
        Ok(Outcome {
            opener: Cipher::new(implementation, agreed.tls13, secrets.rx)?,
            sealer: Cipher::new(implementation, agreed.tls13, secrets.tx)?,
            keeper,
            limit,
            agreed,
            shown_until,
        })
    }

    fn agreed(&self) -> Agreed {
        let common = self.common();
        let suite = common.negotiated_cipher_suite();
        Agreed {
            tls13: common.protocol_version() == Some(ProtocolVersion::TLSv1_3),
            suite: suite.map_or(String::new(), |suite| {
                // rustls tells those of TLS 1.3 apart by a name that is not the registry's.
                format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
            }),
            alpn: common.alpn_protocol().map(<[u8]>::to_vec),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            server_name: match &self.target {
                Some((_, name)) => Some(name.to_str().into()),
                None => self.hello().and_then(|hello| hello.name.clone()),
            },
            subject: self.certificate().and_then(subject_of).map(Into::into),
            common_name: self.certificate().and_then(common_name_of).map(Into::into),
        }
    }

    /// The peer's own certificate, DER.
    fn certificate(&self) -> Option<&[u8]> {
        self.common().peer_certificates()?.first().map(|certificate| certificate.as_ref())
    }
}

/// Makes room behind what is in `output` until `write` has enough of it.
fn append(output: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    let end = output.len();
    let mut room = 512;
    loop {
        output.resize(end + room, 0);
        match write(&mut output[end..]) {
            Ok(written) => return output.truncate(end + written),
            Err(EncodeError::InsufficientSize(more)) => room = more.required_size,
            Err(EncodeError::AlreadyEncoded) => return output.truncate(end),
        }
    }
}

/// Whether the first bytes are those of a record; people connect to the wrong port.
fn see_that_it_is_tls(data: &[u8]) -> Result<(), Error> {
    let Some(first) = data.first() else { return Ok(()) };
    let looks = match first {
        20..=23 => return Ok(()),
        b'R' if data.starts_with(b"RFB") => "a VNC server's greeting in the clear",
        b'S' if data.starts_with(b"SSH") => "an SSH greeting",
        b'A'..=b'Z' | b'a'..=b'z' => "text in the clear, such as an HTTP request",
        0x80.. => "an SSL 2 hello, or another protocol",
        _ => "another protocol",
    };
    Err(Error::NotTls(looks))
}
