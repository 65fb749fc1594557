//! A handshake, driven record by record by rustls, until its secrets can be taken over.
//!
//! In: whole records, one at a time, so that no byte behind the handshake is ever rustls'. Out: bytes for the peer; in the end
//! ciphers for both directions, and what was agreed.

use rustls::client::UnbufferedClientConnection;
use rustls::kernel::KernelConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{CommonState, HandshakeKind, ProtocolVersion, client, server};

use crate::aead::Cipher;
use crate::error::Error;
use crate::provider::Implementation;

/// Bytes that wait for the rest of their handshake message, at most: a message and a record.
const PENDING_MAX: usize = 0x1_0000 + (1 << 14) + 2048;

pub(crate) enum Handshake {
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
    /// The peer's own certificate, DER.
    pub certificate: Option<Vec<u8>>,
}

/// Ciphers to receive and to send, and what else remains of a handshake.
pub(crate) struct Outcome {
    pub(crate) opener: Cipher,
    pub(crate) sealer: Cipher,
    pub(crate) keeper: Keeper,
    pub(crate) limit: u64,
    pub(crate) agreed: Agreed,
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

impl Handshake {
    /// Takes whole records off `pending`, as many as make up whole messages, and says what is to be sent. True once all is
    /// agreed. After an error, `output` ends with the alert.
    pub(crate) fn advance(
        &mut self,
        pending: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let result = self.drive(pending, output);
        if let Err(error) = result {
            // The alert comes with the next step.
            let _ = self.drive(pending, output);
            return Err(error);
        }
        if pending.len() > PENDING_MAX {
            return Err(Error::alert(crate::error::Alert::DecodeError));
        }
        Ok(!self.common().is_handshaking())
    }

    fn drive(&mut self, pending: &mut Vec<u8>, output: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Handshake::Server(connection) => drive!(connection, pending, output),
            Handshake::Client(connection) => drive!(connection, pending, output),
        }
    }

    fn common(&self) -> &CommonState {
        match self {
            Handshake::Server(connection) => connection,
            Handshake::Client(connection) => connection,
        }
    }

    /// Takes the session over.
    pub(crate) fn finish(self, implementation: Implementation) -> Result<Outcome, Error> {
        let agreed = self.agreed();
        let suite = self.common().negotiated_cipher_suite();
        let suite = suite.ok_or(Error::internal("no suite"))?;
        let limit = match suite {
            rustls::SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
            rustls::SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
        };
        let (secrets, keeper) = match self {
            Handshake::Server(connection) => {
                let (secrets, keeper) = connection.dangerous_into_kernel_connection()?;
                (secrets, Keeper::Server(keeper))
            }
            Handshake::Client(connection) => {
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
        })
    }

    fn agreed(&self) -> Agreed {
        let common = self.common();
        let suite = common.negotiated_cipher_suite();
        Agreed {
            tls13: common.protocol_version() == Some(ProtocolVersion::TLSv1_3),
            suite: suite.map_or(String::new(), |suite| format!("{:?}", suite.suite())),
            alpn: common.alpn_protocol().map(<[u8]>::to_vec),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            certificate: common
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|certificate| certificate.to_vec()),
        }
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
