//! A client of HTTP CONNECT that looks at every byte of the reply.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The reply that opens a tunnel: 39 bytes, whatever the client's version.
pub const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// How long a peer may be silent before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A reply to any request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// From the status line.
    pub status: u16,
    /// Everything up to and with the empty line.
    pub head: String,
    /// As long as Content-Length says; nothing behind a 200.
    pub body: String,
}

impl Reply {
    /// The value of a header, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// A connection to `proxy` that never waits longer than [`PATIENCE`].
///
/// # Errors
/// The connection's.
pub fn dial(proxy: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(proxy)?;
    be_patient(&stream)?;
    Ok(stream)
}

/// Lets a stream send at once and never wait longer than [`PATIENCE`].
///
/// # Errors
/// The socket's.
pub fn be_patient(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// The request that spice-gtk sends.
pub fn request(target: impl Display) -> String {
    format!(
        "CONNECT {target} HTTP/1.0\r\nHost: {target}\r\nProxy-Connection: keep-alive\r\nUser-Agent: GLib/2.74\r\n\r\n"
    )
}

/// An open tunnel to `target`.
///
/// # Panics
/// When the reply isn't the 39 bytes.
pub fn tunnel(proxy: SocketAddr, target: impl Display) -> TcpStream {
    try_tunnel(proxy, &target).unwrap_or_else(|e| panic!("a tunnel to {target}: {e}"))
}

/// [`tunnel`] for those who expect trouble.
///
/// # Errors
/// The connection's; `ConnectionRefused` with the head as text for any other reply.
pub fn try_tunnel(proxy: SocketAddr, target: impl Display) -> io::Result<TcpStream> {
    let mut stream = dial(proxy)?;
    stream.write_all(request(target).as_bytes())?;
    match head(&mut stream)? {
        head if head == ESTABLISHED => Ok(stream),
        head => Err(io::Error::new(io::ErrorKind::ConnectionRefused, head)),
    }
}

/// The reply to raw bytes, whatever they are.
///
/// # Errors
/// The connection's, or a reply that isn't HTTP.
pub fn ask(proxy: SocketAddr, request: &[u8]) -> io::Result<Reply> {
    let mut stream = dial(proxy)?;
    stream.write_all(request)?;
    reply(&mut stream)
}

/// Reads one reply.
///
/// # Errors
/// The connection's, or a reply that isn't HTTP.
pub fn reply(stream: &mut impl Read) -> io::Result<Reply> {
    let mut reply = reply_to_head(stream)?;
    if let Some(length) = reply.header("Content-Length").and_then(|value| value.parse().ok()) {
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        reply.body = String::from_utf8_lossy(&body).into_owned();
    }
    Ok(reply)
}

/// Reads one reply to HEAD, which has no body.
///
/// # Errors
/// The connection's, or a reply that isn't HTTP.
pub fn reply_to_head(stream: &mut impl Read) -> io::Result<Reply> {
    let head = head(stream)?;
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, head.clone()))?;
    Ok(Reply { status, head, body: String::new() })
}

/// Byte by byte, so that what follows the head stays in the stream.
fn head(stream: &mut impl Read) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
