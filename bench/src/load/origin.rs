//! The two origins behind every contestant: one echoes, and floods so many bytes when asked to; one floods. Nonblocking
//! sockets, stepped by the loop.
//!
//! The flood goes through send(2) from one buffer, not through sendfile: the page layout of the socket buffers that a
//! relay splices is then that of a real server.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};

use super::Fate;

/// The listeners of both origins. Each contestant has its own pair, so that none suffers from ports which another
/// left in TIME_WAIT.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) echo: TcpListener,
    pub(crate) flood: TcpListener,
}

impl Origin {
    /// Binds both to free ports on 127.0.0.1.
    pub(crate) fn bind() -> Result<Origin> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Origin::bind_to(any, any)
    }

    pub(crate) fn bind_to(echo: SocketAddr, flood: SocketAddr) -> Result<Origin> {
        Ok(Origin { echo: listen(echo)?, flood: listen(flood)? })
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into()).with_context(|| format!("origin on {address}"))?;
    socket.listen(4096)?;
    Ok(socket.into())
}

pub(super) fn accept(listener: &TcpListener) -> Result<Option<TcpStream>> {
    let stream = match listener.accept() {
        Ok((stream, _)) => stream,
        Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
        // A connection that died in the queue: nothing to serve.
        Err(e) if e.kind() == ErrorKind::ConnectionAborted => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(Some(stream))
}

/// `left` is what is still to be sent of a burst that was asked for.
pub(super) fn echo(stream: &mut TcpStream, left: &mut u64, scratch: &mut [u8]) -> Result<Fate> {
    if *left > 0 {
        return Ok(flood(stream, left, scratch));
    }
    let len = match stream.read(scratch) {
        Ok(0) => return Ok(Fate::Drop),
        Ok(len) => len,
        Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Fate::Keep),
        Err(_) => return Ok(Fate::Drop),
    };
    if let Some(bytes) = asked_burst(&scratch[..len]) {
        *left = bytes;
        return Ok(Fate::Loud);
    }
    match stream.write(&scratch[..len]) {
        Ok(sent) => {
            // One message per client is in flight, far less than a socket buffer.
            ensure!(sent == len, "the echo origin sent {sent} of {len} bytes");
            Ok(Fate::Keep)
        }
        Err(_) => Ok(Fate::Drop),
    }
}

/// Asks the echo origin to flood so many bytes instead.
pub(super) fn burst_request(bytes: u64) -> [u8; 16] {
    let mut request = [BURST; 16];
    request[8..].copy_from_slice(&bytes.to_ne_bytes());
    request
}

fn asked_burst(message: &[u8]) -> Option<u64> {
    let bytes = message.strip_prefix(&[BURST; 8])?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

/// One chunk per turn, so that ping-pongs beside the flood do not wait for the generator itself. `left` is what is still
/// to be sent.
pub(super) fn flood(stream: &mut TcpStream, left: &mut u64, scratch: &mut [u8]) -> Fate {
    if *left == 0 {
        return match stream.read(scratch) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => Fate::Keep,
            _ => Fate::Drop,
        };
    }
    let chunk = usize::try_from(*left).unwrap_or(usize::MAX).min(FLOOD_CHUNK);
    match stream.write(&scratch[..chunk]) {
        Ok(sent) => {
            *left -= sent as u64;
            if *left == 0 { Fate::Silent } else { Fate::Keep }
        }
        Err(e) if e.kind() == ErrorKind::WouldBlock => Fate::Keep,
        Err(_) => Fate::Drop,
    }
}

/// Eight of these are the number of no message.
const BURST: u8 = 0xff;
pub(super) const FLOOD_CHUNK: usize = 128 * 1024;
