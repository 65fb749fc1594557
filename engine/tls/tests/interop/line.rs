//! A session of ours over a socket: the least that a user of this crate has to do.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use penstock_tls::{Agreed, Error, Plain, Session};

/// Nobody here needs longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Of each buffer, so that a record that has begun before can often be put in front.
const HEADROOM: usize = 4096;

pub(crate) struct Line {
    stream: TcpStream,
    session: Session,
    received: Vec<u8>,
}

/// How a line ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer said that it sends no more.
    Closed,
    /// The stream just ended.
    Cut,
    Refused(Error),
}

impl Line {
    /// Shakes hands.
    pub(crate) fn new(stream: TcpStream, mut session: Session) -> Result<(Line, Agreed), End> {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut output = Vec::new();
        session.start(&mut output).unwrap();
        let mut line = Line { stream, session, received: Vec::new() };
        line.send(&output).unwrap();
        loop {
            if let Some(agreed) = line.step()? {
                return Ok((line, agreed));
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Takes what comes next.
    fn step(&mut self) -> Result<Option<Agreed>, End> {
        let mut memory = [0; HEADROOM + 16_384];
        let length = match self.stream.read(&mut memory[HEADROOM..]) {
            Ok(0) | Err(_) => return Err(End::Cut),
            Ok(length) => length,
        };
        let mut output = Vec::new();
        let received = self.session.receive(&mut memory, HEADROOM..HEADROOM + length, &mut output);
        let sent = self.send(&output);
        match received.plain {
            Plain::Within(range) => self.received.extend_from_slice(&memory[range]),
            Plain::Apart(bytes) => self.received.extend_from_slice(&bytes),
        }
        if let Some(error) = received.broken {
            return Err(End::Refused(error));
        }
        sent.map_err(|_| End::Cut)?;
        match self.session.peer_closed() {
            true => Err(End::Closed),
            false => Ok(received.agreed.map(|agreed| *agreed)),
        }
    }

    /// Reads until `length` bytes have come, or the end.
    pub(crate) fn read(&mut self, length: usize) -> Result<Vec<u8>, End> {
        while self.received.len() < length {
            self.step()?;
        }
        Ok(self.received.drain(..length).collect())
    }

    /// Reads on until the end.
    pub(crate) fn end(&mut self) -> (Vec<u8>, End) {
        loop {
            if let Err(end) = self.step() {
                return (std::mem::take(&mut self.received), end);
            }
        }
    }

    /// Sends plaintext in records of at most `slice` bytes.
    pub(crate) fn write(&mut self, plain: &[u8], slice: usize) -> io::Result<()> {
        for part in plain.chunks(16_384) {
            let (front, total) = self.session.room(part.len(), slice).expect("a session");
            let mut memory = vec![0; front];
            memory.extend_from_slice(part);
            memory.resize(total, 0);
            let mut output = Vec::new();
            let place = front..front + part.len();
            let range = self.session.seal(&mut memory, place, slice, &mut output).expect("room");
            output.extend_from_slice(&memory[range]);
            self.send(&output)?;
        }
        Ok(())
    }

    /// Says that we send no more, and means it.
    pub(crate) fn close(&mut self) {
        let mut output = Vec::new();
        self.session.close(&mut output);
        let _ = self.send(&output);
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        self.session.server_name()
    }
}
