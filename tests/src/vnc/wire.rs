//! A connection that may take up TLS in the middle, and that breaks off, stutters or blurts something out where it is told to.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustls::Connection;

use crate::web_socket::{self, BINARY, CLOSE, Client, PING, PONG};

/// What lies below: bytes both ways, and an end.
pub trait Socket: Read + Write + Send {
    /// Ends it for good: by FIN, or by RST.
    fn hang_up(&self, resets: bool);

    /// Code and reason of a close frame, of who has them.
    fn parting(&self) -> Option<(Option<u16>, String)> {
        None
    }
}

impl Socket for TcpStream {
    fn hang_up(&self, resets: bool) {
        if resets {
            let _ = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO));
        } else {
            // One that has gone already need not be told.
            let _ = self.shutdown(Shutdown::Both);
        }
    }
}

impl Socket for UnixStream {
    fn hang_up(&self, _: bool) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// A WebSocket as a stream of bytes: each write is a message.
#[derive(Debug)]
pub struct Messages {
    client: Client,
    rest: Vec<u8>,
    parting: Option<(Option<u16>, String)>,
}

impl Messages {
    /// Of a client that has shaken hands.
    pub fn new(client: Client) -> Messages {
        Messages { client, rest: Vec::new(), parting: None }
    }
}

impl Read for Messages {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let Some(frame) = self.client.try_next()? else { return Ok(0) };
            match frame.first {
                BINARY => self.rest = frame.payload,
                PING => self.client.try_say(&web_socket::frame(PONG, &frame.payload))?,
                CLOSE => {
                    self.parting = Some(frame.close());
                    return Ok(0);
                }
                _ => return Err(io::Error::new(ErrorKind::InvalidData, format!("{frame:?}"))),
            }
        }
        let count = self.rest.len().min(to.len());
        to[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

impl Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.client.try_say(&web_socket::frame(BINARY, bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Messages {
    fn hang_up(&self, resets: bool) {
        self.client.socket().hang_up(resets);
    }

    fn parting(&self) -> Option<(Option<u16>, String)> {
        self.parting.clone()
    }
}

/// What is wrong with a connection. Bytes are counted below TLS.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Breaks off.
    pub stop: Option<Stop>,
    /// Sends no more than that many bytes at a time.
    pub piece: Option<usize>,
    /// Says something in the clear that has no business there.
    pub blurt: Option<(Moment, Vec<u8>)>,
}

/// Where a connection breaks off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stop {
    /// When it has sent, or else received, so many bytes.
    pub sent: bool,
    /// How many.
    pub after: u64,
    /// By RST, or else by FIN.
    pub resets: bool,
}

/// When something is blurted out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// In one breath with the last word before TLS.
    WithTheLastWord,
    /// Behind the handshake, where records should be.
    BehindTheHandshake,
    /// In one breath with a question within TLS.
    WithAQuestion,
}

/// How many bytes have passed below TLS, for who looks on.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<[AtomicU64; 2]>);

impl Counts {
    /// Bytes received and sent.
    pub fn get(&self) -> [u64; 2] {
        [0, 1].map(|way| self.0[way].load(Relaxed))
    }
}

/// What is below TLS.
struct Raw {
    socket: Box<dyn Socket>,
    faults: Faults,
    counts: Counts,
}

impl Raw {
    /// How many bytes may pass that way before it breaks off.
    fn room(&self, sends: bool) -> usize {
        match self.faults.stop {
            Some(Stop { sent, after, .. }) if sent == sends => {
                let passed = self.counts.get()[usize::from(sends)];
                usize::try_from(after - passed).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        }
    }

    /// Breaks off, if it is time.
    fn check(&self) -> io::Result<()> {
        match self.faults.stop {
            Some(stop) if self.room(stop.sent) == 0 => {
                self.socket.hang_up(stop.resets);
                Err(io::Error::new(ErrorKind::ConnectionAborted, "as it was told to"))
            }
            _ => Ok(()),
        }
    }

    fn passed(&self, sends: bool, count: usize) {
        self.counts.0[usize::from(sends)].fetch_add(count as u64, Relaxed);
    }
}

impl Read for Raw {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let length = to.len().min(self.room(false));
        let count = self.socket.read(&mut to[..length])?;
        self.passed(false, count);
        self.check()?;
        Ok(count)
    }
}

impl Write for Raw {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        let piece = self.faults.piece.unwrap_or(usize::MAX);
        let length = bytes.len().min(self.room(true)).min(piece);
        let count = self.socket.write(&bytes[..length])?;
        self.passed(true, count);
        self.check()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// See the module.
pub struct Wire {
    raw: Raw,
    tls: Option<Connection>,
}

impl Wire {
    /// Over a connection that there is.
    pub fn new(socket: impl Socket + 'static, faults: Faults) -> Wire {
        let raw = Raw { socket: Box::new(socket), faults, counts: Counts::default() };
        Wire { raw, tls: None }
    }

    /// Bytes received and sent below TLS.
    pub fn counts(&self) -> Counts {
        self.raw.counts.clone()
    }

    /// Code and reason of a close frame that has come.
    pub fn parting(&self) -> Option<(Option<u16>, String)> {
        self.raw.socket.parting()
    }

    /// The last word before TLS, and whatever may be blurted out with it.
    ///
    /// # Errors
    /// The connection's.
    pub fn say_last(&mut self, word: &[u8]) -> io::Result<()> {
        let extra = self.blurt(Moment::WithTheLastWord);
        self.write_all(&[word, &extra].concat())
    }

    /// Takes up TLS.
    ///
    /// # Errors
    /// The connection's, and the handshake's as such an error.
    pub fn take_up(&mut self, session: impl Into<Connection>) -> io::Result<()> {
        let mut session = session.into();
        while session.is_handshaking() {
            session.complete_io(&mut self.raw)?;
        }
        // A server of TLS 1.3 has tickets to send when it is done.
        while session.wants_write() {
            session.write_tls(&mut self.raw)?;
        }
        let extra = self.blurt(Moment::BehindTheHandshake);
        self.raw.write_all(&extra)?;
        self.tls = Some(session);
        Ok(())
    }

    /// What is to be answered, and whatever may be blurted out with it.
    ///
    /// # Errors
    /// The connection's.
    pub fn ask(&mut self, words: &[u8]) -> io::Result<()> {
        let extra = self.blurt(Moment::WithAQuestion);
        let Some(tls) = self.tls.as_mut().filter(|_| !extra.is_empty()) else {
            return self.write_all(words);
        };
        tls.writer().write_all(words)?;
        let mut sealed = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut sealed)?;
        }
        self.raw.write_all(&[sealed, extra].concat())
    }

    fn blurt(&self, now: Moment) -> Vec<u8> {
        match &self.raw.faults.blurt {
            Some((moment, bytes)) if *moment == now => bytes.clone(),
            _ => Vec::new(),
        }
    }

    /// The certificate that the other side showed within TLS, DER.
    pub fn shown(&self) -> Option<Vec<u8>> {
        let chain = self.tls.as_ref()?.peer_certificates()?;
        chain.first().map(|certificate| certificate.to_vec())
    }

    /// Whether TLS was taken up.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// So many bytes.
    ///
    /// # Errors
    /// The connection's; `UnexpectedEof` when there are fewer.
    pub fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// One byte.
    ///
    /// # Errors
    /// As [`Wire::array`].
    pub fn byte(&mut self) -> io::Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A number of four bytes.
    ///
    /// # Errors
    /// As [`Wire::array`].
    pub fn word(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// As many bytes as that, where there may be up to a MiB.
    ///
    /// # Errors
    /// As [`Wire::array`]; `InvalidData` when it is more.
    pub fn many(&mut self, length: u32) -> io::Result<Vec<u8>> {
        if length > 1 << 20 {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{length} bytes")));
        }
        let mut bytes = vec![0; length as usize];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A text with its length before it.
    ///
    /// # Errors
    /// As [`Wire::many`].
    pub fn text(&mut self) -> io::Result<String> {
        let length = self.word()?;
        let bytes = self.many(length)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// All that still comes, whatever ends it.
    pub fn rest(&mut self) -> Vec<u8> {
        let (mut all, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = self.read(&mut piece) {
            all.extend(&piece[..count]);
        }
        all
    }

    /// Ends it.
    pub fn hang_up(&self, resets: bool) {
        self.raw.socket.hang_up(resets);
    }
}

impl Read for Wire {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.raw.read(to),
            Some(Connection::Client(tls)) => rustls::Stream::new(tls, &mut self.raw).read(to),
            Some(Connection::Server(tls)) => rustls::Stream::new(tls, &mut self.raw).read(to),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.raw.write(bytes),
            Some(Connection::Client(tls)) => rustls::Stream::new(tls, &mut self.raw).write(bytes),
            Some(Connection::Server(tls)) => rustls::Stream::new(tls, &mut self.raw).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => self.raw.flush(),
            Some(Connection::Client(tls)) => rustls::Stream::new(tls, &mut self.raw).flush(),
            Some(Connection::Server(tls)) => rustls::Stream::new(tls, &mut self.raw).flush(),
        }
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wire {{ passed: {:?}, tls: {} }}", self.raw.counts.get(), self.has_tls())
    }
}
