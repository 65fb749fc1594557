//! A connection, with or without TLS: what is received and sent is plaintext either way.
//!
//! Nonblocking. What the socket does not take of sealed records waits here, and nothing more is sealed before it has gone.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::{MsgFlags, recv};

use super::records::{self, HEADER};
use super::{Client, Server, Session};

pub(crate) struct Stream {
    socket: TcpStream,
    layer: Option<Box<Layer>>,
    /// What waits for room in the socket.
    queue: Vec<u8>,
}

struct Layer {
    session: Session,
    /// The beginning of a record.
    partial: Vec<u8>,
    /// A record that goes by unopened.
    passing: Option<Passing>,
}

struct Passing {
    /// Bytes of it that are still to come.
    left: usize,
    /// What it holds.
    plain: usize,
}

/// Ciphertext that is received at once: it should stay in a core's cache.
const READ_MAX: usize = 256 << 10;

impl Stream {
    pub(crate) fn plain(socket: TcpStream) -> Stream {
        Stream { socket, layer: None, queue: Vec::new() }
    }

    /// Speaks first, at [`Stream::start`].
    pub(crate) fn client(socket: TcpStream, terms: &Client, resumes: bool) -> Result<Stream> {
        let layer = Layer::new(Session::client(terms, resumes).map_err(told)?);
        Ok(Stream { layer: Some(layer), ..Stream::plain(socket) })
    }

    pub(crate) fn server(socket: TcpStream, terms: &Server, resumes: bool) -> Result<Stream> {
        let mut stream = Stream::plain(socket);
        stream.secure(terms, resumes)?;
        Ok(stream)
    }

    /// What comes from now on is a client of TLS.
    pub(crate) fn secure(&mut self, terms: &Server, resumes: bool) -> Result<()> {
        self.layer = Some(Layer::new(Session::server(terms, resumes).map_err(told)?));
        Ok(())
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// TLS is spoken here, or will be.
    pub(crate) fn has_session(&self) -> bool {
        self.layer.is_some()
    }

    /// Plaintext can be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.layer.as_ref().is_none_or(|layer| layer.session.is_open())
    }

    /// It took up a session of before; none: it has no session, or not yet.
    pub(crate) fn resumed(&self) -> Option<bool> {
        self.layer.as_ref()?.session.resumed()
    }

    /// Not all that was taken has gone.
    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Once the socket is connected.
    pub(crate) fn start(&mut self) -> Result<()> {
        let Some(layer) = &mut self.layer else { return Ok(()) };
        layer.session.start(&mut self.queue).map_err(told)?;
        self.flush()
    }

    /// As read(2) does, to the front of `scratch`. `WouldBlock` also where nothing came but what is TLS' own.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<usize> {
        let Some(layer) = &mut self.layer else { return self.socket.read(scratch) };
        let received = layer.receive(&self.socket, scratch, &mut self.queue);
        self.flush()?;
        received
    }

    /// The same, of bytes that nobody wants to see: most of them are not even copied (tcp(7), MSG_TRUNC).
    pub(crate) fn discard(&mut self, scratch: &mut [u8]) -> Result<usize> {
        let Some(layer) = &mut self.layer else { return drop_bytes(&self.socket, scratch) };
        if !layer.session.is_open() {
            return self.receive(scratch);
        }
        layer.discard(&self.socket, scratch)
    }

    /// All is taken, or nothing: `WouldBlock` while what was taken before has not gone.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.make_room()?;
        match &mut self.layer {
            None => {
                let sent = write(&self.socket, bytes)?;
                self.queue.extend(&bytes[sent..]);
                Ok(())
            }
            Some(layer) => {
                layer.session.seal(bytes, &mut self.queue).map_err(told)?;
                self.flush()
            }
        }
    }

    /// Sends so many bytes which nobody will look at, or fewer: those in `scratch`, which is overwritten. How many were taken.
    pub(crate) fn send_anything(&mut self, length: usize, scratch: &mut [u8]) -> Result<usize> {
        self.make_room()?;
        let Some(layer) = &mut self.layer else { return self.socket.write(&scratch[..length]) };
        let sealed = layer.session.seal_anything(length, scratch).map_err(told)?;
        let sent = write(&self.socket, &scratch[..sealed])?;
        self.queue.extend(&scratch[sent..sealed]);
        Ok(length)
    }

    fn make_room(&mut self) -> Result<()> {
        self.flush()?;
        match self.queue.is_empty() {
            true => Ok(()),
            false => Err(ErrorKind::WouldBlock.into()),
        }
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        if !self.queue.is_empty() {
            let sent = write(&self.socket, &self.queue)?;
            self.queue.drain(..sent);
        }
        Ok(())
    }

    /// Says that nothing more comes, if there is a session to say it in. Whether that arrives is the peer's concern.
    pub(crate) fn finish(&mut self) {
        let Some(layer) = &mut self.layer else { return };
        if layer.session.is_open() && layer.session.seal_end(&mut self.queue).is_ok() {
            let _ = self.flush();
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Layer {
    fn new(session: Session) -> Box<Layer> {
        Box::new(Layer { session, partial: Vec::new(), passing: None })
    }

    /// `output` is to be sent.
    fn receive(
        &mut self,
        mut socket: &TcpStream,
        scratch: &mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<usize> {
        if self.passing.is_some() {
            return self.discard(socket, scratch);
        }
        let start = self.partial.len();
        let room = scratch.len().min(start + READ_MAX);
        scratch[..start].copy_from_slice(&self.partial);
        let length = socket.read(&mut scratch[start..room])?;
        if length == 0 {
            return Ok(0);
        }
        let data = &mut scratch[..start + length];
        let taken = self.session.receive(data, output).map_err(told)?;
        self.partial.clear();
        self.partial.extend(&data[taken.bytes..]);
        match taken.plain {
            0 if self.session.has_ended() => Ok(0),
            0 => Err(ErrorKind::WouldBlock.into()),
            plain => Ok(plain),
        }
    }

    /// Reads headers, and whole records only where they have to be opened.
    fn discard(&mut self, mut socket: &TcpStream, scratch: &mut [u8]) -> Result<usize> {
        let (mut plain, mut moved) = (0, 0);
        while moved < READ_MAX && !self.session.has_ended() {
            let result = match &self.passing {
                Some(passing) => drop_bytes(socket, &mut scratch[..passing.left]),
                None => {
                    let known = records::announced(&self.partial).map_err(told)?;
                    let missing = known.unwrap_or(HEADER) - self.partial.len();
                    socket.read(&mut scratch[..missing])
                }
            };
            let length = match result {
                Ok(0) => return Ok(plain),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock && plain > 0 => break,
                Err(error) => return Err(error),
            };
            moved += length;
            plain += match &mut self.passing {
                Some(passing) => passing.take(length),
                None => self.look(&scratch[..length])?,
            };
            self.passing.take_if(|passing| passing.left == 0);
        }
        match plain {
            0 if !self.session.has_ended() => Err(ErrorKind::WouldBlock.into()),
            plain => Ok(plain),
        }
    }

    /// More of a record: lets it pass once its length is known, or opens it once it is whole. What plaintext that brought.
    fn look(&mut self, bytes: &[u8]) -> Result<usize> {
        self.partial.extend(bytes);
        let Some(length) = records::announced(&self.partial).map_err(told)? else { return Ok(0) };
        let mut plain = 0;
        if self.partial.len() == length {
            // What a session says by itself belongs to its handshake, which is over.
            let taken = self.session.receive(&mut self.partial, &mut Vec::new());
            plain = taken.map_err(told)?.plain;
        } else if self.partial.len() == HEADER
            && let Some(plain) = self.session.skip(length)
        {
            self.passing = Some(Passing { left: length - HEADER, plain });
        } else {
            return Ok(0);
        }
        self.partial.clear();
        Ok(plain)
    }
}

impl Passing {
    /// More of it has gone by: its plaintext counts once it has gone by whole.
    fn take(&mut self, length: usize) -> usize {
        self.left -= length;
        if self.left == 0 { self.plain } else { 0 }
    }
}

/// What came, at most as much as `scratch` has room for (tcp(7), MSG_TRUNC).
fn drop_bytes(socket: &TcpStream, scratch: &mut [u8]) -> Result<usize> {
    Ok(recv(socket.as_raw_fd(), scratch, MsgFlags::MSG_TRUNC)?)
}

/// What the socket takes now.
fn write(mut socket: &TcpStream, bytes: &[u8]) -> Result<usize> {
    match socket.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

fn told(error: anyhow::Error) -> Error {
    Error::other(format!("{error:#}"))
}
