//! TLS as a host speaks it: a session of ours, or one of rustls' own, which knows nothing of our records and can change
//! its keys whenever it likes.
//!
//! In: whole records, and plaintext. Out: plaintext, and what is to be sent. It touches no socket.

use std::io::{Read, Write};
use std::sync::Arc;

use penstock_tls::{Plain, Session};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

/// See the module.
pub enum Crypt {
    /// A session of penstock-tls.
    Ours(Session),
    /// A connection of rustls.
    Rustls(Box<Connection>),
}

impl std::fmt::Debug for Crypt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Crypt::Ours(_) => "ours",
            Crypt::Rustls(_) => "rustls",
        })
    }
}

impl Crypt {
    /// A client of rustls' that looks for a server of this name.
    pub fn rustls_client(config: Arc<ClientConfig>, name: &str) -> Crypt {
        let name = name.to_owned().try_into().expect("it is a name");
        let mut connection = ClientConnection::new(config, name).expect("it can be made");
        connection.set_buffer_limit(None);
        Crypt::Rustls(Box::new(connection.into()))
    }

    /// A server of rustls'.
    pub fn rustls_server(config: Arc<ServerConfig>) -> Crypt {
        let mut connection = ServerConnection::new(config).expect("it can be made");
        connection.set_buffer_limit(None);
        Crypt::Rustls(Box::new(connection.into()))
    }

    /// What is said first.
    pub fn start(&mut self, output: &mut Vec<u8>) {
        match self {
            Crypt::Ours(session) => session.start(output).expect("there is something to offer"),
            Crypt::Rustls(connection) => written(connection, output),
        }
    }

    /// Takes bytes: the plaintext in them. `headroom` bytes are free in front of them.
    pub fn take(
        &mut self,
        bytes: &[u8],
        headroom: usize,
        output: &mut Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        match self {
            Crypt::Ours(session) => {
                let mut memory = vec![0xee; headroom];
                memory.extend_from_slice(bytes);
                let arrived = headroom..memory.len();
                let received = session.receive(&mut memory, arrived, output);
                match (received.broken, received.plain) {
                    (Some(error), _) => Err(error.to_string()),
                    (None, Plain::Within(range)) => Ok(memory[range].to_vec()),
                    (None, Plain::Apart(plain)) => Ok(plain),
                }
            }
            Crypt::Rustls(connection) => {
                let taken = read(connection, bytes);
                written(connection, output);
                taken.map_err(|error| error.to_string())
            }
        }
    }

    /// Seals plaintext in records of at most `slice` bytes.
    pub fn seal(&mut self, plain: &[u8], slice: usize, output: &mut Vec<u8>) {
        match self {
            Crypt::Ours(session) => {
                let (front, total) = session.room(plain.len(), slice).expect("it is established");
                let mut memory = vec![0; front];
                memory.extend_from_slice(plain);
                memory.resize(total.max(memory.len()), 0);
                let range = front..front + plain.len();
                let sealed =
                    session.seal(&mut memory, range, slice, output).expect("there is room");
                output.extend_from_slice(&memory[sealed]);
            }
            Crypt::Rustls(connection) => {
                for part in plain.chunks(slice) {
                    connection.writer().write_all(part).expect("it is established");
                }
                written(connection, output);
            }
        }
    }

    /// Changes our key, if that is possible.
    pub fn change_key(&mut self) -> bool {
        match self {
            Crypt::Ours(_) => false,
            Crypt::Rustls(connection) => connection.refresh_traffic_keys().is_ok(),
        }
    }

    /// Says that nothing more follows.
    pub fn close(&mut self, output: &mut Vec<u8>) {
        match self {
            Crypt::Ours(session) => session.close(output),
            Crypt::Rustls(connection) => {
                connection.send_close_notify();
                written(connection, output);
            }
        }
    }

    /// Whether the handshake has ended.
    pub fn is_established(&self) -> bool {
        match self {
            Crypt::Ours(session) => session.is_established(),
            Crypt::Rustls(connection) => !connection.is_handshaking(),
        }
    }

    /// Whether the peer has said that nothing more follows.
    pub fn peer_closed(&mut self) -> bool {
        match self {
            Crypt::Ours(session) => session.peer_closed(),
            Crypt::Rustls(connection) => {
                connection.process_new_packets().is_ok_and(|state| state.peer_has_closed())
            }
        }
    }
}

fn written(connection: &mut Connection, output: &mut Vec<u8>) {
    while connection.wants_write() {
        connection.write_tls(output).expect("a vector takes all");
    }
}

fn read(connection: &mut Connection, mut bytes: &[u8]) -> Result<Vec<u8>, rustls::Error> {
    let mut plain = Vec::new();
    while !bytes.is_empty() {
        connection.read_tls(&mut bytes).expect("all before was taken");
        let mut left = connection.process_new_packets()?.plaintext_bytes_to_read();
        while left > 0 {
            let start = plain.len();
            plain.resize(start + left, 0);
            left -= connection.reader().read(&mut plain[start..]).expect("so many are there");
        }
    }
    Ok(plain)
}
