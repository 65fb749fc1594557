//! One end of a connection, as bytes in and bytes out.
//!
//! ```text
//! Shaking ── agreed ──▶ Open ── close_notify ──▶ Ended
//! ```

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::kernel::KernelConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{CommonState, HandshakeKind};

use super::keys::NAME;
use super::records::{self, ALERT, Cipher, DATA, HANDSHAKE, HEADER, OVERHEAD, PLAIN_MAX};
use super::{Client, Server};

pub(crate) struct Session {
    state: State,
    /// It took up a session of before; none: it is not known yet.
    resumed: Option<bool>,
}

enum State {
    Shaking(Handshake),
    Open(Box<Open>),
    Ended,
}

/// And bytes of messages that are not whole.
enum Handshake {
    Client(Box<UnbufferedClientConnection>, Vec<u8>),
    Server(Box<UnbufferedServerConnection>, Vec<u8>),
}

struct Open {
    opener: Cipher,
    sealer: Cipher,
    /// Takes the tickets of a server.
    tickets: Option<KernelConnection<ClientConnectionData>>,
}

/// What was taken off the front of the data that came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// All of it.
    pub(crate) bytes: usize,
    /// Plaintext, which is at the front now.
    pub(crate) plain: usize,
}

macro_rules! drive {
    ($connection:expr, $pending:expr, $output:expr) => {
        loop {
            let UnbufferedStatus { discard, state, .. } = $connection.process_tls_records($pending);
            let waits = match state? {
                ConnectionState::EncodeTlsData(mut data) => {
                    append($output, |room| data.encode(room))?;
                    false
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    false
                }
                ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => true,
                _ => bail!("the handshake brought what belongs to no handshake"),
            };
            $pending.drain(..discard);
            if waits {
                break;
            }
        }
    };
}

impl Session {
    pub(super) fn client(terms: &Client, resumes: bool) -> Result<Session> {
        let config = if resumes { &terms.resuming } else { &terms.fresh };
        let name = ServerName::try_from(NAME)?;
        let connection = UnbufferedClientConnection::new(Arc::clone(config), name)?;
        Ok(Session::new(Handshake::Client(Box::new(connection), Vec::new())))
    }

    pub(super) fn server(terms: &Server, resumes: bool) -> Result<Session> {
        let config = if resumes { &terms.resuming } else { &terms.fresh };
        let connection = UnbufferedServerConnection::new(Arc::clone(config))?;
        Ok(Session::new(Handshake::Server(Box::new(connection), Vec::new())))
    }

    fn new(handshake: Handshake) -> Session {
        Session { state: State::Shaking(handshake), resumed: None }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    pub(super) fn resumed(&self) -> Option<bool> {
        self.resumed
    }

    /// The first bytes of a client.
    pub(super) fn start(&mut self, output: &mut Vec<u8>) -> Result<()> {
        self.shake(&[], output)
    }

    /// Takes all whole records off the front of `data`, and moves their plaintext there. `output` is to be sent.
    pub(super) fn receive(&mut self, data: &mut [u8], output: &mut Vec<u8>) -> Result<Taken> {
        let mut taken = Taken::default();
        while !self.has_ended()
            && let Some(length) = records::length(&data[taken.bytes..])?
        {
            let record = taken.bytes..taken.bytes + length;
            taken.bytes = record.end;
            let State::Open(open) = &mut self.state else {
                self.shake(&data[record], output)?;
                continue;
            };
            let (kind, plain) = open.opener.open(&mut data[record.clone()])?;
            let plain = record.start + plain.start..record.start + plain.end;
            match kind {
                DATA => {
                    let length = plain.len();
                    data.copy_within(plain, taken.plain);
                    taken.plain += length;
                }
                HANDSHAKE => open.take_tickets(&data[plain])?,
                ALERT if data[plain.clone()] == CLOSE_NOTIFY => self.state = State::Ended,
                _ => bail!("the peer broke off: type {kind}, {:?}", &data[plain]),
            }
        }
        Ok(taken)
    }

    fn shake(&mut self, record: &[u8], output: &mut Vec<u8>) -> Result<()> {
        let State::Shaking(handshake) = &mut self.state else { return Ok(()) };
        match handshake {
            Handshake::Client(connection, pending) => {
                pending.extend(record);
                drive!(connection, pending, output);
            }
            Handshake::Server(connection, pending) => {
                pending.extend(record);
                drive!(connection, pending, output);
            }
        }
        if !handshake.common().is_handshaking() {
            self.resumed =
                Some(handshake.common().handshake_kind() == Some(HandshakeKind::Resumed));
            let State::Shaking(handshake) = std::mem::replace(&mut self.state, State::Ended) else {
                return Ok(());
            };
            self.state = State::Open(Box::new(handshake.finish()?));
        }
        Ok(())
    }

    /// Lets a record of so many bytes go by, if it may: nobody has to see it. What it holds of plaintext.
    pub(super) fn skip(&mut self, length: usize) -> Option<usize> {
        let State::Open(open) = &mut self.state else { return None };
        if !open.opener.may_skip(length) {
            return None;
        }
        open.opener.skip();
        Some(length - OVERHEAD)
    }

    /// Appends records of `plain`.
    pub(super) fn seal(&mut self, plain: &[u8], output: &mut Vec<u8>) -> Result<()> {
        plain.chunks(PLAIN_MAX).try_for_each(|part| self.seal_one(DATA, part, output))
    }

    /// Appends the word that nothing more comes.
    pub(super) fn seal_end(&mut self, output: &mut Vec<u8>) -> Result<()> {
        self.seal_one(ALERT, &CLOSE_NOTIFY, output)
    }

    fn seal_one(&mut self, kind: u8, plain: &[u8], output: &mut Vec<u8>) -> Result<()> {
        let State::Open(open) = &mut self.state else { bail!("there is no session to send in") };
        let start = output.len();
        output.resize(start + HEADER, 0);
        output.extend(plain);
        output.resize(start + OVERHEAD + plain.len(), 0);
        open.sealer.seal(kind, &mut output[start..])
    }

    /// Makes full records, and a last one that is not, of whatever is in `scratch`, and says how long they are: `length` bytes of
    /// plaintext which nobody looks at.
    pub(super) fn seal_anything(&mut self, length: usize, scratch: &mut [u8]) -> Result<usize> {
        let State::Open(open) = &mut self.state else { bail!("there is no session to send in") };
        let (mut sealed, mut left) = (0, length);
        while left > 0 {
            let plain = left.min(PLAIN_MAX);
            let record = sealed..sealed + OVERHEAD + plain;
            sealed = record.end;
            left -= plain;
            open.sealer.seal(DATA, &mut scratch[record])?;
        }
        Ok(sealed)
    }
}

/// A warning, and its number.
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

impl Handshake {
    fn common(&self) -> &CommonState {
        match self {
            Handshake::Client(connection, _) => connection,
            Handshake::Server(connection, _) => connection,
        }
    }

    fn finish(self) -> Result<Open> {
        let (secrets, tickets) = match self {
            Handshake::Client(connection, _) => {
                let (secrets, keeper) = connection.dangerous_into_kernel_connection()?;
                (secrets, Some(keeper))
            }
            Handshake::Server(connection, _) => {
                (connection.dangerous_into_kernel_connection()?.0, None)
            }
        };
        Ok(Open { opener: Cipher::new(secrets.rx)?, sealer: Cipher::new(secrets.tx)?, tickets })
    }
}

impl Open {
    /// Of a server's messages behind the handshake only tickets are known here.
    fn take_tickets(&mut self, mut messages: &[u8]) -> Result<()> {
        let tickets = self.tickets.as_mut().context("a client sent a message of a handshake")?;
        while let Some((&[kind, high, middle, low], rest)) = messages.split_first_chunk() {
            ensure!(kind == NEW_SESSION_TICKET, "a message of type {kind} behind the handshake");
            let length = u32::from_be_bytes([0, high, middle, low]) as usize;
            let (ticket, rest) = rest.split_at_checked(length).context("half a ticket")?;
            tickets.handle_new_session_ticket(ticket)?;
            messages = rest;
        }
        Ok(())
    }
}

const NEW_SESSION_TICKET: u8 = 4;

/// Makes room behind what is in `output` until `write` has enough of it.
fn append(
    output: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<()> {
    let end = output.len();
    let mut room = 2048;
    loop {
        output.resize(end + room, 0);
        match write(&mut output[end..]) {
            Ok(written) => break output.truncate(end + written),
            Err(EncodeError::InsufficientSize(more)) => room = more.required_size,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
