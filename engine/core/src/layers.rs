//! What stands between a leg's descriptor and the plain bytes of its stream.
//!
//! In: what a leg received, and plain bytes to be sent. Out: plain bytes, and what is sent for them, changed where they
//! lie as long as there is room around them; and now and then bytes of a layer's own. Splicing is possible only where nothing
//! needs to be done.

use std::ops::Range;

use bytes::Bytes;
use penstock_proto::libvirt::Messages;
use penstock_ring::{Buffer, Chunk, Group, Kernel};
use penstock_tls::{Agreed, Error, Plain, Received, Session};

use crate::metrics::Counters;

/// The layers of one leg, from the descriptor outwards.
#[derive(Debug, Default)]
pub(crate) enum Layers {
    /// None: the descriptor carries the bytes as they are.
    #[default]
    Plain,
    /// TLS.
    Tls(Box<Tls>),
}

/// See [`Layers::Tls`].
#[derive(Debug)]
pub(crate) struct Tls {
    session: Session,
    /// Plaintext bytes of a record at most.
    max_record: usize,
    /// libvirt's peers don't notice what is left within their TLS library when they have read a message: no record may
    /// reach from one message into the next.
    messages: Option<Messages>,
    /// Those of the peer: it leaves between two of them without another word.
    heard: Option<Messages>,
}

/// What came of bytes that were received.
#[derive(Debug, Default)]
pub(crate) struct Opened<P> {
    /// Plain bytes.
    pub plain: P,
    /// To be sent on the same leg, as it is.
    pub reply: Bytes,
    /// Something was agreed on just now.
    pub agreed: Option<Box<Agreed>>,
    /// The peer said that it sends no more.
    pub ended: bool,
    /// Nothing more comes, for that reason; the reply is the peer's last word from us. The plain bytes came before it.
    pub broken: Option<Error>,
}

/// Why nothing more comes of a leg.
#[derive(Debug)]
pub(crate) struct Broken {
    /// What is wrong.
    pub error: Error,
    /// The peer's last words from us, to be sent as they are.
    pub reply: Bytes,
}

impl Layers {
    /// A TLS session whose records carry at most `max_record` bytes and, with a peer of libvirt's, of one message each.
    pub(crate) fn tls(session: Session, max_record: usize, libvirt: bool) -> Layers {
        let messages = libvirt.then(Messages::default);
        let heard = messages.clone();
        Layers::Tls(Box::new(Tls { session, max_record, messages, heard }))
    }

    /// Whether bytes may pass without being looked at.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Layers::Plain)
    }

    /// What is said first, before anything has come.
    pub(crate) fn start(&mut self) -> Result<Bytes, Broken> {
        let Layers::Tls(tls) = self else { return Ok(Bytes::new()) };
        let mut output = Vec::new();
        match tls.session.start(&mut output) {
            Ok(()) => Ok(output.into()),
            Err(error) => Err(Broken { error, reply: output.into() }),
        }
    }

    /// Turns what was received into plain bytes.
    pub(crate) fn open<K: Kernel>(
        &mut self,
        mut buffer: Buffer,
        kernel: &mut K,
        counters: &Counters,
    ) -> Opened<Option<Chunk>> {
        let Layers::Tls(tls) = self else {
            return Opened { plain: Some(Chunk::Pool(buffer)), ..Opened::default() };
        };
        let arrived = buffer.start()..buffer.start() + buffer.len();
        tls.receive(kernel.memory(&buffer), arrived).map(|plain| match plain {
            Plain::Within(range) if !range.is_empty() => {
                buffer.set(range);
                Some(Chunk::Pool(buffer))
            }
            Plain::Apart(bytes) if !bytes.is_empty() => {
                kernel.release(buffer);
                counters.tls_apart[0].add(1);
                Some(Chunk::Bytes(bytes.into()))
            }
            Plain::Apart(_) | Plain::Within(_) => {
                kernel.release(buffer);
                None
            }
        })
    }

    /// The same, of bytes that are in no buffer.
    pub(crate) fn open_apart(&mut self, mut bytes: Vec<u8>) -> Opened<Vec<u8>> {
        let Layers::Tls(tls) = self else {
            return Opened { plain: bytes, ..Opened::default() };
        };
        let arrived = 0..bytes.len();
        tls.receive(&mut bytes, arrived).map(|plain| match plain {
            Plain::Apart(apart) => apart,
            Plain::Within(range) => bytes[range].to_vec(),
        })
    }

    /// Turns plain bytes into what is sent. The first part, often empty, goes before the other.
    pub(crate) fn seal<K: Kernel>(
        &mut self,
        chunk: Chunk,
        kernel: &mut K,
        counters: &Counters,
    ) -> Result<(Bytes, Chunk), Error> {
        let Layers::Tls(tls) = self else { return Ok((Bytes::new(), chunk)) };
        let mut output = Vec::new();
        let sealed = match chunk {
            Chunk::Pool(buffer) => match tls.ends_within(kernel.bytes(&buffer)) {
                ends if ends.is_empty() => {
                    tls.seal_buffer(buffer, kernel, counters, &mut output)?
                }
                ends => {
                    counters.tls_apart[1].add(1);
                    let sealed = tls.seal_messages(kernel.bytes(&buffer), &ends);
                    kernel.release(buffer);
                    Chunk::Bytes(sealed?)
                }
            },
            Chunk::Bytes(bytes) => match tls.ends_within(&bytes) {
                ends if ends.is_empty() => Chunk::Bytes(tls.seal_apart(&bytes, &mut output)?),
                ends => Chunk::Bytes(tls.seal_messages(&bytes, &ends)?),
            },
        };
        Ok((output.into(), sealed))
    }

    /// Whether what fills a buffer of that group is sealed where it lies. Elsewhere it would take memory that nobody counted on.
    pub(crate) fn seals_within(&self, group: Group) -> bool {
        let Layers::Tls(tls) = self else { return true };
        tls.fits(group.headroom()..group.headroom() + group.capacity(), group)
    }

    /// The same for bytes of our own.
    pub(crate) fn seal_bytes(&mut self, bytes: Bytes) -> Result<Bytes, Error> {
        let Layers::Tls(tls) = self else { return Ok(bytes) };
        let mut output = Vec::new();
        let sealed = tls.seal_apart(&bytes, &mut output)?;
        output.extend_from_slice(&sealed);
        Ok(output.into())
    }

    /// What says that we send no more, unless it was said.
    pub(crate) fn close(&mut self) -> Bytes {
        let Layers::Tls(tls) = self else { return Bytes::new() };
        let mut output = Vec::new();
        tls.session.close(&mut output);
        output.into()
    }

    /// Takes note of payload that the peer has sent.
    pub(crate) fn follow<K: Kernel>(&mut self, chunk: &Chunk, kernel: &K) {
        let Layers::Tls(tls) = self else { return };
        if let Some(heard) = &mut tls.heard {
            match chunk {
                Chunk::Pool(buffer) => heard.follow(kernel.bytes(buffer)),
                Chunk::Bytes(bytes) => heard.follow(bytes),
            }
        }
    }

    /// Whether an end of the stream now comes without the word that ends it.
    pub(crate) fn is_truncated(&self) -> bool {
        matches!(self, Layers::Tls(tls) if !tls.session.peer_closed())
    }

    /// The same, unless that is how the peer's program always leaves, and no message of it is cut.
    pub(crate) fn is_cut(&self) -> bool {
        let between = |tls: &Tls| {
            let heard = tls.heard.as_ref().is_some_and(Messages::is_between);
            heard && !tls.session.is_within_record()
        };
        self.is_truncated() && !matches!(self, Layers::Tls(tls) if between(tls))
    }
}

impl<P> Opened<P> {
    fn map<Q>(self, change: impl FnOnce(P) -> Q) -> Opened<Q> {
        let Opened { plain, reply, agreed, ended, broken } = self;
        Opened { plain: change(plain), reply, agreed, ended, broken }
    }
}

impl Tls {
    fn receive(&mut self, memory: &mut [u8], arrived: Range<usize>) -> Opened<Plain> {
        let mut output = Vec::new();
        let Received { plain, agreed, broken } = self.session.receive(memory, arrived, &mut output);
        let ended = self.session.peer_closed();
        Opened { plain, reply: output.into(), agreed, ended, broken }
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

    /// Whether there is room around `plain` in a place of that group.
    fn fits(&self, plain: Range<usize>, group: Group) -> bool {
        self.session.room(plain.len(), self.max_record).is_some_and(|(front, total)| {
            plain.start >= front && plain.start - front + total <= group.stride()
        })
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
