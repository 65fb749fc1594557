//! The TLS layer: records opened and sealed in the buffer where they lie, or apart where there is no room.

use std::ops::Range;

use bytes::Bytes;
use penstock_proto::libvirt::Messages;
use penstock_ring::{Buffer, Chunk, Group, Kernel};
use penstock_tls::{Error, Plain, Received, Session};

use super::{Fault, Opened};
use crate::metrics::Counters;

/// See the module.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(super) session: Session,
    /// Plaintext bytes of a record at most.
    max_record: usize,
    /// libvirt's peers don't notice what is left within their TLS library when they have read a message: no record may
    /// reach from one message into the next.
    messages: Option<Messages>,
    /// Those of the peer: it leaves between two of them without another word.
    heard: Option<Messages>,
}

impl Tls {
    pub(super) fn new(session: Session, max_record: usize, libvirt: bool) -> Tls {
        let messages = libvirt.then(Messages::default);
        let heard = messages.clone();
        Tls { session, max_record, messages, heard }
    }

    pub(super) fn receive(&mut self, memory: &mut [u8], arrived: Range<usize>) -> Opened<Plain> {
        let mut output = Vec::new();
        let Received { plain, agreed, broken } = self.session.receive(memory, arrived, &mut output);
        let ended = self.session.peer_closed();
        Opened { plain, reply: output.into(), agreed, ended, broken: broken.map(Fault::Tls) }
    }

    /// Turns plain bytes into records. The first part, often empty, goes before the other.
    pub(super) fn seal<K: Kernel>(
        &mut self,
        chunk: Chunk,
        kernel: &mut K,
        counters: &Counters,
    ) -> Result<(Bytes, Chunk), Error> {
        let mut output = Vec::new();
        let sealed = match chunk {
            Chunk::Pool(buffer) => match self.ends_within(kernel.bytes(&buffer)) {
                ends if ends.is_empty() => {
                    self.seal_buffer(buffer, kernel, counters, &mut output)?
                }
                ends => {
                    counters.tls_apart[1].add(1);
                    let sealed = self.seal_messages(kernel.bytes(&buffer), &ends);
                    kernel.release(buffer);
                    Chunk::Bytes(sealed?)
                }
            },
            Chunk::Bytes(bytes) => match self.ends_within(&bytes) {
                ends if ends.is_empty() => Chunk::Bytes(self.seal_apart(&bytes, &mut output)?),
                ends => Chunk::Bytes(self.seal_messages(&bytes, &ends)?),
            },
        };
        Ok((output.into(), sealed))
    }

    /// The same of bytes of our own.
    pub(super) fn seal_bytes(&mut self, bytes: &[u8]) -> Result<Bytes, Error> {
        let mut output = Vec::new();
        let sealed = self.seal_apart(bytes, &mut output)?;
        output.extend_from_slice(&sealed);
        Ok(output.into())
    }

    /// Whether there is room around `plain` in a place of that group.
    pub(super) fn fits(&self, plain: Range<usize>, group: Group) -> bool {
        self.session.room(plain.len(), self.max_record).is_some_and(|(front, total)| {
            plain.start >= front && plain.start - front + total <= group.stride()
        })
    }

    /// Takes note of payload that the peer has sent.
    pub(super) fn follow(&mut self, payload: &[u8]) {
        if let Some(heard) = &mut self.heard {
            heard.follow(payload);
        }
    }

    /// Whether the peer's program always leaves without a word, and no message of it is cut.
    pub(super) fn is_between_messages(&self) -> bool {
        let heard = self.heard.as_ref().is_some_and(Messages::is_between);
        heard && !self.session.is_within_record()
    }

    /// Where a record has to end although bytes follow.
    fn ends_within(&mut self, plain: &[u8]) -> Vec<usize> {
        self.messages.as_mut().map(|messages| messages.ends_within(plain)).unwrap_or_default()
    }

    /// Seals what has messages' ends within: each stretch in records of its own.
    fn seal_messages(&mut self, plain: &[u8], ends: &[usize]) -> Result<Bytes, Error> {
        let (mut sealed, mut from) = (Vec::with_capacity(plain.len() + 64 * ends.len()), 0);
        for to in ends.iter().copied().chain([plain.len()]) {
            let mut before = Vec::new();
            let records = self.seal_apart(&plain[from..to], &mut before)?;
            sealed.extend_from_slice(&before);
            sealed.extend_from_slice(&records);
            from = to;
        }
        Ok(sealed.into())
    }

    fn seal_buffer<K: Kernel>(
        &mut self,
        mut buffer: Buffer,
        kernel: &mut K,
        counters: &Counters,
        output: &mut Vec<u8>,
    ) -> Result<Chunk, Error> {
        let plain = buffer.start()..buffer.start() + buffer.len();
        if !self.fits(plain.clone(), buffer.group()) {
            counters.tls_apart[1].add(1);
            let apart = self.seal_apart(kernel.bytes(&buffer), output);
            kernel.release(buffer);
            return apart.map(Chunk::Bytes);
        }
        match self.session.seal(kernel.memory(&buffer), plain, self.max_record, output) {
            Ok(sealed) => {
                buffer.set(sealed);
                Ok(Chunk::Pool(buffer))
            }
            Err(error) => {
                kernel.release(buffer);
                Err(error)
            }
        }
    }

    fn seal_apart(&mut self, plain: &[u8], output: &mut Vec<u8>) -> Result<Bytes, Error> {
        let (front, total) = self.session.room(plain.len(), self.max_record).unwrap_or_default();
        let mut memory = vec![0; front];
        memory.extend_from_slice(plain);
        memory.resize(total.max(memory.len()), 0);
        let range = front..front + plain.len();
        let sealed = self.session.seal(&mut memory, range, self.max_record, output)?;
        Ok(Bytes::from(memory).slice(sealed))
    }
}
