//! Moves with recv and send through one buffer of 64 KiB; only what a sink would not take is kept per direction.

use std::io::{Read, Result, Write};
use std::net::TcpStream;

use super::{Flow, Mover, is_would_block};

pub(super) struct Copy {
    buffer: Vec<u8>,
}

impl Copy {
    pub(super) fn new() -> Self {
        Copy { buffer: vec![0; 64 * 1024] }
    }
}

impl Mover for Copy {
    /// What the sink has not taken yet.
    type Lane = Vec<u8>;

    fn lane(&mut self, _: usize) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn pump(&mut self, rest: &mut Vec<u8>, mut from: &TcpStream, to: &TcpStream) -> Result<Flow> {
        if !rest.is_empty() {
            let sent = send(to, rest)?;
            rest.drain(..sent);
            return Ok(if rest.is_empty() { Flow::Source } else { Flow::Sink });
        }
        let len = match from.read(&mut self.buffer) {
            Ok(0) => return Ok(Flow::Ended),
            Ok(len) => len,
            Err(e) if is_would_block(&e) => return Ok(Flow::Source),
            Err(e) => return Err(e),
        };
        let sent = send(to, &self.buffer[..len])?;
        if sent == len {
            return Ok(Flow::Source);
        }
        rest.extend(&self.buffer[sent..len]);
        Ok(Flow::Sink)
    }

    fn retire(&mut self, _: Vec<u8>) {}
}

pub(super) fn send(mut to: &TcpStream, bytes: &[u8]) -> Result<usize> {
    match to.write(bytes) {
        Err(e) if is_would_block(&e) => Ok(0),
        other => other,
    }
}
