//! The two origins behind every contestant: one echoes, and floods or discards when asked to; one floods. Nonblocking
//! sockets, stepped by the loop. The one that echoes may speak TLS, or begin as a VNC server.
//!
//! The flood goes through send(2) from one buffer, not through sendfile: the page layout of the socket buffers that a
//! relay splices is then that of a real server.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};

use super::Fate;
use crate::tls::{self, Stream};
use crate::vnc::{self, Step};

/// The listeners of both origins. Each contestant has its own pair, so that none suffers from ports which another
/// left in TIME_WAIT.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) echo: TcpListener,
    pub(crate) flood: TcpListener,
    pub(crate) speech: Speech,
}

/// What the echo origin speaks.
#[derive(Debug)]
pub(crate) enum Speech {
    Plain,
    Tls(tls::Server),
    /// VNC's opening comes first, and in it TLS if there is any.
    Vnc(Option<tls::Server>),
}

impl Origin {
    /// Binds both to free ports on 127.0.0.1.
    pub(crate) fn bind() -> Result<Origin> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Origin::bind_to(any, any)
    }

    pub(crate) fn bind_to(echo: SocketAddr, flood: SocketAddr) -> Result<Origin> {
        Ok(Origin { echo: listen(echo)?, flood: listen(flood)?, speech: Speech::Plain })
    }

    /// A connection that the echo origin has accepted.
    pub(super) fn greet(&self, socket: TcpStream, resumes: bool) -> Result<Echo> {
        let (stream, service) = match &self.speech {
            Speech::Plain => (Stream::plain(socket), Service::Echo),
            Speech::Tls(terms) => (Stream::server(socket, terms, resumes)?, Service::Echo),
            Speech::Vnc(terms) => {
                let mut stream = Stream::plain(socket);
                // Whoever has gone again is met at the next event.
                let _ = stream.send(vnc::VERSION);
                let login = Login {
                    server: vnc::Server::new(terms.is_some()),
                    terms: terms.clone(),
                    resumes,
                };
                (stream, Service::Login(Box::new(login)))
            }
        };
        Ok(Echo { stream, service, drained: 0 })
    }
}

/// A connection of the echo origin.
pub(super) struct Echo {
    pub(super) stream: Stream,
    service: Service,
    /// Bytes of a flood that were discarded.
    pub(super) drained: u64,
}

enum Service {
    /// Somebody who has yet to open a console.
    Login(Box<Login>),
    Echo,
    /// So many bytes of a burst are still to be sent.
    Flood(u64),
    Drain,
}

struct Login {
    server: vnc::Server,
    terms: Option<tls::Server>,
    resumes: bool,
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

impl Echo {
    pub(super) fn drains(&self) -> bool {
        matches!(self.service, Service::Drain)
    }

    /// One event's work.
    pub(super) fn step(&mut self, scratch: &mut [u8]) -> Result<Fate> {
        let was_open = self.stream.is_open();
        let received = match &mut self.service {
            Service::Flood(left) => {
                let fate = burst(&mut self.stream, left, scratch);
                if matches!(fate, Fate::Silent) {
                    self.service = Service::Echo;
                }
                return Ok(fate);
            }
            Service::Echo | Service::Login(_) => self.stream.receive(scratch),
            Service::Drain => self.stream.discard(scratch),
        };
        let len = match received {
            Ok(0) => {
                self.stream.finish();
                return Ok(Fate::Drop);
            }
            Ok(len) => len,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let has_opened = !was_open && self.stream.is_open();
                return Ok(if has_opened { self.secured() } else { Fate::Keep });
            }
            // A session that goes wrong is the contestant's doing; a connection that breaks off may be the end of its client's.
            Err(e) if e.kind() == ErrorKind::Other => return Err(e).context("TLS of the origin"),
            Err(_) => return Ok(Fate::Drop),
        };
        if let Service::Login(_) = self.service {
            return self.log_in(&scratch[..len]);
        }
        if self.drains() {
            self.drained += len as u64;
            return Ok(Fate::Keep);
        }
        if let Some(bytes) = asked_burst(&scratch[..len]) {
            self.service = Service::Flood(bytes);
            return Ok(Fate::Loud);
        }
        if scratch[..len] == DRAIN_REQUEST {
            self.service = Service::Drain;
        }
        match self.stream.send(&scratch[..len]) {
            Ok(()) => {
                // One message per client is in flight, far less than a socket buffer.
                let fits = !self.stream.has_queued();
                ensure!(fits, "the echo origin could not send {len} bytes at once");
                Ok(Fate::Keep)
            }
            Err(_) => Ok(Fate::Drop),
        }
    }
}

impl Echo {
    fn log_in(&mut self, came: &[u8]) -> Result<Fate> {
        let Service::Login(login) = &mut self.service else { return Ok(Fate::Keep) };
        let mut reply = Vec::new();
        let step = login.server.take(came, &mut reply).context("login at the origin")?;
        if self.stream.send(&reply).is_err() {
            return Ok(Fate::Drop);
        }
        match (step, &login.terms) {
            (Step::Tls, Some(terms)) => self.stream.secure(terms, login.resumes)?,
            (Step::Done, _) => self.service = Service::Echo,
            _ => {}
        }
        Ok(Fate::Keep)
    }

    /// TLS has been agreed on, whose handshake brings nothing else.
    fn secured(&mut self) -> Fate {
        let Service::Login(login) = &self.service else { return Fate::Keep };
        match self.stream.send(&login.server.secured()) {
            Ok(()) => Fate::Keep,
            Err(_) => Fate::Drop,
        }
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

/// Asks the echo origin to discard whatever comes behind its echo of this.
pub(super) const DRAIN_REQUEST: [u8; 16] = [0xfe; 16];

/// The same as [`flood`], of the echo origin.
fn burst(stream: &mut Stream, left: &mut u64, scratch: &mut [u8]) -> Fate {
    let chunk = usize::try_from(*left).unwrap_or(usize::MAX).min(FLOOD_CHUNK);
    let sent = match chunk {
        0 => stream.flush().map(|()| 0),
        _ => stream.send_anything(chunk, scratch),
    };
    match sent {
        Ok(sent) => {
            *left -= sent as u64;
            if *left == 0 && !stream.has_queued() { Fate::Silent } else { Fate::Keep }
        }
        Err(e) if e.kind() == ErrorKind::WouldBlock => Fate::Keep,
        Err(_) => Fate::Drop,
    }
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
