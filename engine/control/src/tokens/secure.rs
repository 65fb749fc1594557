//! TLS with services that know tokens: the machine's own authorities say who they are, or those that are named.
//!
//! In: a connection and a host's name. Out: a stream of plain bytes, moved by a task of its own, and whether the far end cut it off.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use penstock_core::control::TokenRefusal;
use penstock_core::http::Host;
use penstock_core::tls::{
    Ca, Client, ClientFiles, Error, FRONT_MAX, Implementation, OVERHEAD_MAX, Plain, Session,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::threads::Threads;
use super::unavailable;

/// Bytes read at a time, and those of a record.
const PIECE: usize = 16 << 10;
/// How long authorities are used before they are read anew.
const FRESH: Duration = Duration::from_secs(60);

/// Set once the far end has ended without saying so.
pub(super) type Truncated = Arc<AtomicBool>;

pub(super) struct Secure {
    /// None: whichever is faster here.
    ciphers: Option<Implementation>,
    /// None: the system's.
    ca: Option<PathBuf>,
    /// Authorities, once they were needed.
    kept: Mutex<Option<(Client, Instant)>>,
}

impl Secure {
    pub(super) fn new(ciphers: Option<Implementation>) -> Secure {
        Secure::of(ciphers, None)
    }

    /// With services that these authorities know.
    pub(super) fn of(ciphers: Option<Implementation>, ca: Option<PathBuf>) -> Secure {
        Secure { ciphers, ca, kept: Mutex::default() }
    }

    /// Shakes hands, and has the bytes moved by one of `tasks`.
    pub(super) async fn wrap(
        &self,
        mut stream: TcpStream,
        host: &Host,
        threads: &Threads,
        tasks: &mut JoinSet<()>,
    ) -> Result<(DuplexStream, Truncated), TokenRefusal> {
        let client = self.client(threads).await?;
        let name = match host {
            Host::Name(name) => name.clone(),
            Host::V4(address) => address.to_string(),
            Host::V6(address) => address.to_string(),
        };
        let session = client.session(&name).map_err(|error| broken(&error))?;
        let mut tunnel = Tunnel { session, out: Vec::new() };
        let early = tunnel.shake_hands(&mut stream).await?;
        let (ours, theirs) = duplex(PIECE);
        let truncated = Truncated::default();
        let flag = truncated.clone();
        tasks.spawn(async move {
            let ended = tunnel.carry(&mut stream, theirs, early, &flag).await;
            if ended.is_err() {
                flag.store(true, Relaxed);
            }
        });
        Ok((ours, truncated))
    }

    async fn client(&self, threads: &Threads) -> Result<Client, TokenRefusal> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((client, _)) = kept.filter(|(_, at)| at.elapsed() < FRESH) {
            return Ok(client);
        }
        let (ciphers, ca) = (self.ciphers, self.ca.clone());
        let load = move || {
            let ciphers = ciphers.unwrap_or_else(Implementation::fastest);
            let whose = if ca.is_some() { "`ca`" } else { "the system's certificate authorities" };
            let of_the_system = ClientFiles::of_the_system(ciphers);
            let ca = ca.map(Ca::File).or(of_the_system.ca.clone());
            ClientFiles { ca, ..of_the_system }
                .load()
                .map_err(|error| unavailable(format!("{whose} can't be used: {error}")))
        };
        let client = threads.run(load).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((client.clone(), Instant::now()));
        Ok(client)
    }
}

fn broken(error: &Error) -> TokenRefusal {
    unavailable(format!("TLS with it failed: {error}"))
}

fn lost(error: &std::io::Error) -> TokenRefusal {
    unavailable(format!("the connection to it broke during the TLS handshake: {error}"))
}

/// A session, and what it has to send.
struct Tunnel {
    session: Session,
    out: Vec<u8>,
}

impl Tunnel {
    /// What came behind the handshake.
    async fn shake_hands(&mut self, stream: &mut TcpStream) -> Result<Vec<u8>, TokenRefusal> {
        self.session.start(&mut self.out).map_err(|error| broken(&error))?;
        let (mut early, mut bytes) = (Vec::new(), vec![0; PIECE]);
        while !self.session.is_established() {
            self.flush(stream).await.map_err(|error| lost(&error))?;
            let read = stream.read(&mut bytes).await.map_err(|error| lost(&error))?;
            if read == 0 {
                return Err(unavailable("it ended the connection during the TLS handshake"));
            }
            if let Err(error) = self.open(&mut bytes[..read], &mut early) {
                // It may hear why; whether it does is its own affair.
                let _ = self.flush(stream).await;
                return Err(broken(&error));
            }
        }
        Ok(early)
    }

    async fn flush(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    fn open(&mut self, bytes: &mut [u8], to: &mut Vec<u8>) -> Result<(), Error> {
        let length = bytes.len();
        let received = self.session.receive(bytes, 0..length, &mut self.out);
        match received.plain {
            Plain::Within(range) => to.extend_from_slice(&bytes[range]),
            Plain::Apart(bytes) => to.extend_from_slice(&bytes),
        }
        received.broken.map_or(Ok(()), Err)
    }

    fn seal(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut memory = vec![0; FRONT_MAX + bytes.len() + OVERHEAD_MAX];
        let plain = FRONT_MAX..FRONT_MAX + bytes.len();
        memory[plain.clone()].copy_from_slice(bytes);
        let sealed = self.session.seal(&mut memory, plain, PIECE, &mut self.out)?;
        self.out.extend_from_slice(&memory[sealed]);
        Ok(())
    }

    /// Moves bytes both ways until either side has ended.
    async fn carry(
        mut self,
        stream: &mut TcpStream,
        mut plain: DuplexStream,
        early: Vec<u8>,
        truncated: &Truncated,
    ) -> std::io::Result<()> {
        let (mut there, mut here) = (vec![0; PIECE], vec![0; PIECE]);
        let mut opened = early;
        loop {
            self.flush(stream).await?;
            plain.write_all(&opened).await?;
            opened.clear();
            if self.session.peer_closed() {
                return Ok(());
            }
            tokio::select! {
                read = stream.read(&mut there) => match read? {
                    0 => {
                        truncated.store(true, Relaxed);
                        return Ok(());
                    }
                    read => {
                        let result = self.open(&mut there[..read], &mut opened);
                        result.map_err(std::io::Error::other)?;
                    }
                },
                read = plain.read(&mut here) => match read? {
                    0 => {
                        self.session.close(&mut self.out);
                        return self.flush(stream).await;
                    }
                    read => self.seal(&here[..read]).map_err(std::io::Error::other)?,
                },
            }
        }
    }
}
