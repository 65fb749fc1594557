//! TLS as a stream of plain bytes, each way at its own pace.
//!
//! In: a connection and our side of a session. Out: what the far end says, as it is read; what is written, sealed. Nothing is kept but a piece each way: who
//! does not read holds up the far end, and nobody who writes. An end that the far end has not announced is an error.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use penstock_core::tls::{Error, FRONT_MAX, OVERHEAD_MAX, Plain, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// Bytes read at a time, and those of a record.
const PIECE: usize = 16 << 10;

pub(crate) struct Secured {
    stream: TcpStream,
    session: Session,
    /// Plain bytes that nobody has read yet, from `taken` on.
    opened: Vec<u8>,
    taken: usize,
    /// What is to be sent.
    out: Vec<u8>,
    memory: Box<[u8]>,
}

/// Why there is no such stream.
#[derive(Debug)]
pub(crate) enum Fault {
    Tls(Error),
    Lost(io::Error),
    Ended,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Lost(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Tls(error)
    }
}

impl Secured {
    /// Shakes hands.
    pub(crate) async fn new(stream: TcpStream, session: Session) -> Result<Secured, Fault> {
        let memory = vec![0; PIECE].into();
        let (opened, out) = (Vec::new(), Vec::new());
        let mut secured = Secured { stream, session, opened, taken: 0, out, memory };
        secured.session.start(&mut secured.out)?;
        while !secured.session.is_established() {
            secured.send().await?;
            let read = secured.stream.read(&mut secured.memory).await?;
            if read == 0 {
                return Err(Fault::Ended);
            }
            if let Err(error) = secured.open(read) {
                // It may hear why; whether it does is its own affair.
                let _ = secured.send().await;
                return Err(error.into());
            }
        }
        secured.send().await?;
        Ok(secured)
    }

    async fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    /// Takes so many bytes that have come.
    fn open(&mut self, length: usize) -> Result<(), Error> {
        let received = self.session.receive(&mut self.memory, 0..length, &mut self.out);
        match received.plain {
            Plain::Within(range) => self.opened.extend_from_slice(&self.memory[range]),
            Plain::Apart(bytes) => self.opened.extend_from_slice(&bytes),
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

    /// Sends all that there is.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &self.out))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.taken < this.opened.len() {
                let length = to.remaining().min(this.opened.len() - this.taken);
                to.put_slice(&this.opened[this.taken..this.taken + length]);
                this.taken += length;
                return Poll::Ready(Ok(()));
            }
            this.opened.clear();
            this.taken = 0;
            if this.session.peer_closed() {
                return Poll::Ready(Ok(()));
            }
            let mut came = ReadBuf::new(&mut this.memory);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut came))?;
            let length = came.filled().len();
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let result = this.open(length);
            // An answer of the protocol's own. If there is no room for it now, it goes with what is written next.
            let _ = this.poll_send(context)?;
            result.map_err(io::Error::other)?;
        }
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        let length = bytes.len().min(PIECE);
        self.seal(&bytes[..length]).map_err(io::Error::other)?;
        let _ = self.poll_send(context)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        let this = &mut *self;
        this.session.close(&mut this.out);
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
