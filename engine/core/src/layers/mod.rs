//! What stands between a leg's descriptor and the plain bytes of its stream.
//!
//! ```text
//!  descriptor ◀──▶ TLS ◀──▶ WebSocket ◀──▶ plain bytes              each of them may be left out
//! ```
//!
//! In: what a leg received, and plain bytes to be sent. Out: plain bytes, and what is sent for them, changed where they
//! lie as long as there is room around them; and now and then bytes of a layer's own. Splicing is possible only where nothing
//! needs to be done, or nothing but to send a header first.

mod presence;
mod tls;
mod told;
mod web_socket;

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use penstock_proto::rfb::ViewOnly;
use penstock_proto::websocket::{self, Header, Opcode, header};
use penstock_ring::{Buffer, Chunk, Group, Kernel, Time};
use penstock_tls::{Error, Plain, Session};

use crate::metrics::Counters;
pub(crate) use presence::{Presence, User};
use tls::Tls;
pub(crate) use told::{Broken, Fault, Opened, Parting};
pub(crate) use web_socket::WebSocket;

/// The layers of one leg.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    tls: Option<Box<Tls>>,
    above: Option<Box<Above>>,
}

/// What few legs have above TLS.
#[derive(Debug, Default)]
struct Above {
    web_socket: Option<WebSocket>,
    /// Of a client that may look at a console and no more.
    view_only: Option<ViewOnly>,
}

impl Layers {
    /// A TLS session whose records carry at most `max_record` bytes and, with a peer of libvirt's, of one message each.
    pub(crate) fn tls(session: Session, max_record: usize, libvirt: bool) -> Layers {
        let tls = Tls::new(session, max_record, libvirt);
        Layers { tls: Some(Box::new(tls)), ..Layers::default() }
    }

    /// From now on, WebSocket is spoken above what there is.
    pub(crate) fn upgrade(&mut self, browser: WebSocket) {
        self.above.get_or_insert_default().web_socket = Some(browser);
    }

    /// From now on, only such messages come through as change nothing.
    pub(crate) fn let_look(&mut self, view_only: ViewOnly) {
        self.above.get_or_insert_default().view_only = Some(view_only);
    }

    /// Whether what is sent and what is payload are the same.
    pub(crate) fn is_bare(&self) -> bool {
        self.tls.is_none() && self.web_socket().is_none()
    }

    /// Whether bytes may pass without being looked at.
    pub(crate) fn is_plain(&self) -> bool {
        self.above.is_none() && self.tls.is_none()
    }

    /// Whether what is sent needs nothing but a header in front.
    pub(crate) fn takes_bytes(&self) -> bool {
        self.tls.is_none() && self.web_socket().is_none_or(WebSocket::carries_bytes)
    }

    /// Whether TLS is spoken.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// What is known of a peer that speaks WebSocket.
    pub(crate) fn web_socket(&self) -> Option<&WebSocket> {
        self.above.as_ref()?.web_socket.as_ref()
    }

    pub(crate) fn web_socket_mut(&mut self) -> Option<&mut WebSocket> {
        self.above.as_mut()?.web_socket.as_mut()
    }

    /// What is said first, before anything has come.
    pub(crate) fn start(&mut self) -> Result<Bytes, Broken> {
        let Some(tls) = &mut self.tls else { return Ok(Bytes::new()) };
        let mut output = Vec::new();
        match tls.session.start(&mut output) {
            Ok(()) => Ok(output.into()),
            Err(error) => Err(Broken { fault: Fault::Tls(error), reply: output.into() }),
        }
    }

    /// Turns what was received into plain bytes.
    pub(crate) fn open<K: Kernel>(
        &mut self,
        mut buffer: Buffer,
        kernel: &mut K,
        counters: &Counters,
        now: Time,
    ) -> Opened<Option<Chunk>> {
        if self.is_plain() {
            return Opened { plain: Some(Chunk::Pool(buffer)), ..Opened::default() };
        }
        let arrived = buffer.start()..buffer.start() + buffer.len();
        self.receive(kernel.memory(&buffer), arrived, now).map(|plain| match plain {
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
    pub(crate) fn open_apart(&mut self, mut bytes: Vec<u8>, now: Time) -> Opened<Vec<u8>> {
        let arrived = 0..bytes.len();
        self.receive(&mut bytes, arrived, now).map(|plain| of_vector(plain, bytes))
    }

    /// The same of bytes that came through TLS before WebSocket was spoken.
    pub(crate) fn open_early(&mut self, mut bytes: Vec<u8>, now: Time) -> Opened<Vec<u8>> {
        let opened = Opened::of(Plain::Within(0..bytes.len()));
        self.read_frames(opened, &mut bytes, now).map(|plain| of_vector(plain, bytes))
    }

    fn receive(&mut self, memory: &mut [u8], arrived: Range<usize>, now: Time) -> Opened<Plain> {
        let opened = match &mut self.tls {
            Some(tls) => tls.receive(memory, arrived),
            None => Opened::of(Plain::Within(arrived)),
        };
        let opened = self.read_frames(opened, memory, now);
        self.let_pass(opened, memory)
    }

    /// The last word for who has made that fault, if it speaks WebSocket.
    pub(crate) fn blame(&mut self, fault: &Fault) -> Bytes {
        if self.web_socket().is_none() {
            return Bytes::new();
        }
        let (code, words) = fault.close();
        self.close(Parting::Dismissed(code, &words))
    }

    /// What may pass of who only looks.
    fn let_pass(&mut self, mut opened: Opened<Plain>, memory: &mut [u8]) -> Opened<Plain> {
        let above = self.above.as_mut();
        let Some(view_only) = above.and_then(|above| above.view_only.as_mut()) else {
            return opened;
        };
        let verdict = match &mut opened.plain {
            Plain::Within(range) => {
                let (kept, verdict) = view_only.filter(&mut memory[range.clone()]);
                range.end = range.start + kept;
                verdict
            }
            Plain::Apart(bytes) => {
                let (kept, verdict) = view_only.filter(bytes);
                bytes.truncate(kept);
                verdict
            }
        };
        if let Err(kind) = verdict
            && opened.broken.is_none()
        {
            let fault = Fault::UnknownMessage(kind);
            opened.reply = joined(opened.reply, self.blame(&fault));
            opened.broken = Some(fault);
        }
        opened
    }

    /// What WebSocket makes of what TLS has left, if there is any.
    fn read_frames(
        &mut self,
        mut opened: Opened<Plain>,
        memory: &mut [u8],
        now: Time,
    ) -> Opened<Plain> {
        let Some(layer) = self.web_socket_mut() else { return opened };
        let heard = match &mut opened.plain {
            Plain::Within(range) => {
                let heard = layer.receive(memory, range.clone(), now);
                *range = heard.plain.clone();
                heard
            }
            Plain::Apart(bytes) => {
                let all = 0..bytes.len();
                let heard = layer.receive(bytes, all, now);
                bytes.truncate(heard.plain.end);
                bytes.drain(..heard.plain.start);
                heard
            }
        };
        opened.ended |= heard.ended;
        opened.broken = opened.broken.or(heard.broken);
        if !heard.reply.is_empty() {
            opened.reply = joined(opened.reply, self.say_below(heard.reply.into()));
        }
        opened
    }

    /// Turns plain bytes into what is sent. The first part, often empty, goes before the other.
    pub(crate) fn seal<K: Kernel>(
        &mut self,
        chunk: Chunk,
        kernel: &mut K,
        counters: &Counters,
    ) -> Result<(Bytes, Chunk), Error> {
        if let Some(presence) = self.presence_mut().filter(|presence| presence.wants_server()) {
            presence.server(bytes_of(&chunk, kernel));
        }
        let (header, chunk) = match self.web_socket() {
            Some(layer) => layer.frame(chunk, kernel, counters),
            None => (Bytes::new(), chunk),
        };
        let Some(tls) = &mut self.tls else { return Ok((header, chunk)) };
        if header.is_empty() {
            return tls.seal(chunk, kernel, counters);
        }
        let before = tls.seal_bytes(&header)?;
        let (more, chunk) = tls.seal(chunk, kernel, counters)?;
        Ok((joined(before, more), chunk))
    }

    /// Whether what fills a buffer of that group is sealed where it lies. Elsewhere it would take memory that nobody counted on.
    pub(crate) fn seals_within(&self, group: Group) -> bool {
        let header = if self.web_socket().is_some() { websocket::HEADER_LIMIT } else { 0 };
        let plain = group.headroom() - header..group.headroom() + group.capacity();
        self.tls.as_ref().is_none_or(|tls| tls.fits(plain, group))
    }

    /// Turns bytes of our own, that come before WebSocket is spoken, into what is sent.
    pub(crate) fn seal_bytes(&mut self, bytes: Bytes) -> Result<Bytes, Error> {
        debug_assert!(self.web_socket().is_none() || bytes.is_empty(), "no frame has them");
        self.seal_below(bytes)
    }

    /// What goes in front of so many bytes of payload that are sent unseen.
    pub(crate) fn header(&self, length: usize) -> Header {
        header(length as u64, Opcode::Binary)
    }

    /// The last word, unless it was said. Of TLS alone it says that nothing is missing; above it, WebSocket's does.
    pub(crate) fn close(&mut self, parting: Parting<'_>) -> Bytes {
        let words = match self.web_socket_mut() {
            Some(layer) => layer.close(parting).into(),
            None => Bytes::new(),
        };
        let sealed = self.say_below(words);
        let says_more = self.web_socket().is_some() || matches!(parting, Parting::Done);
        match &mut self.tls {
            Some(tls) if says_more => {
                let mut output = Vec::new();
                tls.session.close(&mut output);
                joined(sealed, output.into())
            }
            _ => sealed,
        }
    }

    /// Asks whether the peer is still there, unless our last word is said.
    pub(crate) fn ping(&mut self) -> Bytes {
        if self.web_socket().is_none_or(WebSocket::has_parted) {
            return Bytes::new();
        }
        let mut ping = Vec::new();
        websocket::ping(&mut ping);
        self.say_below(ping.into())
    }

    /// Takes note of payload that the peer has sent.
    pub(crate) fn follow<K: Kernel>(&mut self, chunk: &Chunk, kernel: &K, now: Time) {
        let bytes = bytes_of(chunk, kernel);
        if let Some(tls) = &mut self.tls {
            tls.follow(bytes);
        }
        if let Some(presence) = self.presence_mut() {
            presence.client(bytes, now);
        }
    }

    fn presence_mut(&mut self) -> Option<&mut Presence> {
        self.web_socket_mut()?.presence.as_deref_mut()
    }

    /// Whether an end of the stream now comes without the word that ends it.
    pub(crate) fn is_truncated(&self) -> bool {
        match (self.web_socket(), &self.tls) {
            (Some(layer), _) => !layer.has_left(),
            (None, Some(tls)) => !tls.session.peer_closed(),
            (None, None) => false,
        }
    }

    /// The same, unless that is how the peer's program always leaves, and no message of it is cut.
    pub(crate) fn is_cut(&self) -> bool {
        let between = self.tls.as_ref().is_some_and(|tls| tls.is_between_messages());
        self.is_truncated() && !between
    }

    /// Whether the peer has left by WebSocket's last word, and TLS's is still to come.
    pub(crate) fn is_leaving(&self) -> bool {
        let left = self.web_socket().is_some_and(WebSocket::has_left);
        left && self.tls.as_ref().is_some_and(|tls| !tls.session.peer_closed())
    }

    /// Turns bytes as WebSocket has them into what is sent.
    fn seal_below(&mut self, words: Bytes) -> Result<Bytes, Error> {
        match &mut self.tls {
            Some(tls) if !words.is_empty() => tls.seal_bytes(&words),
            _ => Ok(words),
        }
    }

    /// The same of what WebSocket says itself. If nothing can be sealed any more, nothing can be said.
    fn say_below(&mut self, words: Bytes) -> Bytes {
        self.seal_below(words).unwrap_or_default()
    }
}

fn bytes_of<'k, K: Kernel>(chunk: &'k Chunk, kernel: &'k K) -> &'k [u8] {
    match chunk {
        Chunk::Pool(buffer) => kernel.bytes(buffer),
        Chunk::Bytes(bytes) => bytes,
    }
}

fn of_vector(plain: Plain, bytes: Vec<u8>) -> Vec<u8> {
    match plain {
        Plain::Apart(apart) => apart,
        Plain::Within(range) if range == (0..bytes.len()) => bytes,
        Plain::Within(range) => bytes[range].to_vec(),
    }
}

fn joined(first: Bytes, second: Bytes) -> Bytes {
    match (first.is_empty(), second.is_empty()) {
        (true, _) => second,
        (_, true) => first,
        (false, false) => {
            let mut both = BytesMut::with_capacity(first.len() + second.len());
            both.extend_from_slice(&first);
            both.extend_from_slice(&second);
            both.freeze()
        }
    }
}
