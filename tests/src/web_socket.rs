//! A browser's end of a console that has its hands on every bit: requests and frames are sent as they are written, right or wrong, and what
//! comes back is told frame by frame.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::connect::{self, Reply, be_patient};
use crate::tls::{self, TlsClient};

/// The first bytes of whole frames.
pub const TEXT: u8 = 0x81;
/// A message of bytes.
pub const BINARY: u8 = 0x82;
/// The last frame.
pub const CLOSE: u8 = 0x88;
/// Asks for a pong.
pub const PING: u8 = 0x89;
/// Answers a ping.
pub const PONG: u8 = 0x8a;

/// What a browser shows in its handshake; RFC 6455 §1.3 has the answer to it.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// That answer.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What frames are masked with.
const MASK: [u8; 4] = [0xa5, 0x5a, 0x3c, 0xff];

/// A connection, in the clear or with TLS.
#[derive(Debug)]
pub enum Wire {
    /// In the clear.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<tls::Stream>),
}

/// See the module.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

/// A frame of the server's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its first byte: whether it is final, reserved bits, opcode.
    pub first: u8,
    /// Whether it is masked, which no server's frame may be.
    pub masked: bool,
    /// Bytes of its header, which tell how its length was written.
    pub header: usize,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// In order, between two frames.
    InOrder,
    /// In the middle of a frame, by a reset, or without TLS's last word.
    Cut,
}

impl Frame {
    /// Code and reason of a close frame.
    ///
    /// # Panics
    /// When it is no close frame, or one that breaks the rules.
    pub fn close(&self) -> (Option<u16>, String) {
        assert_eq!(self.first, CLOSE, "{self:?}");
        match *self.payload {
            [] => (None, String::new()),
            [high, low, ref reason @ ..] => {
                let reason = String::from_utf8(reason.to_vec()).expect("UTF-8");
                (Some(u16::from_be_bytes([high, low])), reason)
            }
            [_] => panic!("half a code"),
        }
    }
}

/// A masked frame, with the shortest form of its length.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head_of(first, payload.len() as u64);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A masked close frame.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// The header of a masked frame, with its mask.
pub fn head_of(first: u8, length: u64) -> Vec<u8> {
    [header(first, length, true), MASK.to_vec()].concat()
}

/// The header of a frame up to where its mask would be.
pub fn header(first: u8, length: u64, masked: bool) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(bit | length as u8),
        126..65_536 => {
            bytes.push(bit | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(bit | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes
}

/// The handshake of a browser, with more lines of its own.
pub fn request(host: impl std::fmt::Display, path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{lines}\r\n"
    )
}

impl Client {
    /// A connection, with TLS if that is how one connects there.
    ///
    /// # Errors
    /// The connection's.
    pub fn dial(server: SocketAddr, tls: Option<&TlsClient>) -> io::Result<Client> {
        let wire = match tls {
            None => Wire::Plain(connect::dial(server)?),
            Some(tls) => Wire::Tls(Box::new(tls.connect(server)?)),
        };
        Ok(Client { wire })
    }

    /// A connection that there is already.
    ///
    /// # Panics
    /// When it has ended.
    pub fn over(stream: TcpStream) -> Client {
        be_patient(&stream).expect("a socket");
        Client { wire: Wire::Plain(stream) }
    }

    /// The same with TLS.
    pub fn over_tls(stream: tls::Stream) -> Client {
        Client { wire: Wire::Tls(Box::new(stream)) }
    }

    /// Asks with those bytes, whatever they are.
    ///
    /// # Errors
    /// The connection's, or an answer that is no HTTP.
    pub fn ask(&mut self, head: &str) -> io::Result<Reply> {
        self.wire.write_all(head.as_bytes())?;
        match head.starts_with("HEAD ") {
            true => connect::reply_to_head(&mut self.wire),
            false => self.reply(),
        }
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// The connection's, or an answer that is no HTTP.
    pub fn reply(&mut self) -> io::Result<Reply> {
        connect::reply(&mut self.wire)
    }

    /// Shakes hands.
    ///
    /// # Panics
    /// When the answer is none, or not the one that was hoped for.
    pub fn upgrade(&mut self, head: &str) -> Reply {
        let reply = self.ask(head).expect("an answer");
        assert_eq!(reply.status, 101, "{}{}", reply.head, reply.body);
        assert_eq!(reply.header("Sec-WebSocket-Accept"), Some(ACCEPT));
        reply
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// When the connection has ended.
    pub fn say(&mut self, bytes: &[u8]) {
        self.try_say(bytes).expect("an open connection");
    }

    /// The same for those who expect trouble.
    ///
    /// # Errors
    /// The connection's.
    pub fn try_say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)?;
        self.wire.flush()
    }

    /// The next frame, or how the connection ended.
    ///
    /// # Panics
    /// When nothing comes for long.
    pub fn frame(&mut self) -> Result<Frame, End> {
        match self.try_next() {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => Err(End::InOrder),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("no frame in time")
            }
            Err(_) => Err(End::Cut),
        }
    }

    /// The next frame; none at the end.
    ///
    /// # Errors
    /// The connection's.
    pub fn try_next(&mut self) -> io::Result<Option<Frame>> {
        let mut start = [0; 2];
        if self.wire.read(&mut start[..1])? == 0 {
            return Ok(None);
        }
        self.wire.read_exact(&mut start[1..])?;
        let extended = match start[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mut length = [0; 8];
        self.wire.read_exact(&mut length[8 - extended..])?;
        let masked = start[1] & 0x80 != 0;
        let length = match extended {
            0 => u64::from(start[1] & 0x7f),
            _ => u64::from_be_bytes(length),
        };
        let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.wire.read_exact(&mut payload)?;
        Ok(Some(Frame { first: start[0], masked, header: 2 + extended, payload }))
    }

    /// The payload of binary messages, until it is that many bytes.
    ///
    /// # Panics
    /// When something else comes.
    pub fn data(&mut self, length: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < length {
            let frame = self.frame().unwrap_or_else(|end| panic!("{end:?} after {}", data.len()));
            assert_eq!((frame.first, frame.masked), (BINARY, false), "after {}", data.len());
            data.extend(frame.payload);
        }
        assert_eq!(data.len(), length);
        data
    }

    /// All frames that still come, and how the connection ends.
    ///
    /// # Panics
    /// When it doesn't.
    pub fn rest(&mut self) -> (Vec<Frame>, End) {
        let mut frames = Vec::new();
        loop {
            match self.frame() {
                Ok(frame) => frames.push(frame),
                Err(end) => return (frames, end),
            }
        }
    }

    /// Code and reason of the close frame that comes next; then the connection has to end in order.
    ///
    /// # Panics
    /// When something else comes.
    pub fn closed(&mut self) -> (Option<u16>, String) {
        let frame = self.frame().expect("a close frame");
        let said = frame.close();
        assert_eq!(self.frame(), Err(End::InOrder), "after {said:?}");
        said
    }

    /// The connection, for those who look at every byte.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    /// How long it waits from now on.
    ///
    /// # Panics
    /// When that is no time.
    pub fn patience(&self, patience: Duration) {
        self.socket().set_read_timeout(Some(patience)).expect("a span");
    }

    /// Whether nothing comes for so long.
    ///
    /// # Panics
    /// When the connection has ended.
    pub fn is_silent(&mut self, span: Duration) -> bool {
        self.patience(span);
        let result = self.try_next();
        self.patience(connect::PATIENCE);
        match result {
            Ok(Some(_)) => false,
            Ok(None) => panic!("an end"),
            Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    /// Goes without a word: FIN, or RST.
    ///
    /// # Panics
    /// When the socket is none any more.
    pub fn vanish(self, resets: bool) {
        if resets {
            let socket = socket2::SockRef::from(self.socket());
            socket.set_linger(Some(Duration::ZERO)).expect("a socket");
        } else {
            let _ = self.socket().shutdown(Shutdown::Both);
        }
    }
}

impl Read for Wire {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(to),
            Wire::Tls(stream) => stream.read(to),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}
