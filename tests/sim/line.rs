//! What a host writes to and reads from: a socket, TLS over one, and WebSocket over either.

use std::time::Duration;

use penstock_ring::{Close, Errno, Time};

use crate::sim::frames::Frames;
use crate::sim::link::Read;
use crate::sim::manner::Manner;
use crate::sim::secure::{Ended, Secure};
use crate::sim::tally::{Fault, count};
use crate::sim::world::{End, World};

/// Most bytes of a socket that are looked at together.
const PIECE: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub struct Line {
    /// Its socket.
    pub end: End,
    host: usize,
    secure: Option<Box<Secure>>,
    frames: Option<Box<Frames>>,
    /// Of records, and of frames.
    paces: [Pace; 2],
}

/// When the next bytes are written, and the last time for which the host is woken.
#[derive(Debug, Default)]
struct Pace {
    write_at: Time,
    woken_at: Time,
}

impl Pace {
    /// Whether it is time to write; if not, the host is woken when it is.
    fn is_due(&mut self, host: usize, world: &mut World) -> bool {
        let wait = world.now < self.write_at;
        if wait && std::mem::replace(&mut self.woken_at, self.write_at) != self.write_at {
            world.wake_host(host, self.write_at.since(world.now));
        }
        !wait
    }
}

impl Line {
    /// The socket itself.
    pub fn new(end: End, host: usize) -> Line {
        Line { end, host, secure: None, frames: None, paces: Default::default() }
    }

    /// From here on TLS is spoken; `come` has come already.
    pub fn secure(&mut self, mut secure: Secure, come: &[u8], world: &mut World) {
        secure.start();
        secure.feed(come);
        self.secure = Some(Box::new(secure));
        self.flush(world);
    }

    /// Whether TLS is spoken.
    pub fn is_secure(&self) -> bool {
        self.secure.is_some()
    }

    /// Whether payload can pass.
    pub fn is_ready(&self) -> bool {
        self.secure.as_ref().is_none_or(|secure| secure.is_ready())
    }

    /// From here on frames are written; those of the other side come behind its 101.
    pub fn frame(&mut self, frames: Frames) {
        self.frames = Some(Box::new(frames));
    }

    /// Frames, if they are spoken.
    pub fn frames(&self) -> Option<&Frames> {
        self.frames.as_deref()
    }

    /// The 101 has come, and this behind it.
    pub fn open_frames(&mut self, come: &[u8]) {
        let frames = self.frames.as_mut().expect("nobody else asks for a 101");
        frames.open();
        frames.feed(come);
    }

    /// A browser asks whether we are there.
    pub fn ask(&mut self, world: &mut World) {
        self.frames.iter_mut().for_each(|frames| frames.ask());
        self.flush(world);
    }

    /// Whether the other side has said in WebSocket that nothing more comes.
    pub fn is_dismissed(&self) -> bool {
        self.frames().is_some_and(|frames| frames.told().is_some())
    }

    /// Whether it has done something against the protocol.
    pub fn is_spoiled(&self) -> bool {
        self.is_secure_spoiled() || self.frames().is_some_and(|frames| frames.spoiled)
    }

    /// The same of TLS alone.
    pub fn is_secure_spoiled(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.spoiled)
    }

    /// Whether anything has come of the other side's TLS.
    pub fn is_heard(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.is_heard())
    }

    /// What was wrong with what came.
    pub fn error(&self) -> Option<&str> {
        self.secure.as_ref().and_then(|secure| secure.error.as_deref())
    }

    /// Whether it has said something that can't be understood, after payload that can.
    pub fn is_garbled(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.is_garbled())
    }

    /// Whether it has said all but its last word, and then FIN.
    pub fn lacks_last_word_only(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.lacks_last_word_only())
    }

    /// How it behaves, if it speaks TLS.
    pub fn manner(&self) -> Option<&Manner> {
        self.secure.as_ref().map(|secure| secure.manner())
    }

    /// Whether the other side has said that this was all.
    pub fn was_closed(&self) -> bool {
        if let Some(frames) = self.frames().filter(|frames| frames.is_open()) {
            return frames.is_told_all();
        }
        self.is_secure_closed()
    }

    /// The same of TLS alone.
    pub fn is_secure_closed(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.ended == Ended::Cleanly)
    }

    /// Room in the socket.
    pub fn room(&self, world: &World) -> usize {
        world.room(self.end)
    }

    /// Reads up to `most` bytes of payload.
    pub fn read(&mut self, most: usize, into: &mut Vec<u8>, world: &mut World) -> Read {
        while let Some(frames) = self.frames.as_mut().filter(|frames| frames.is_open()) {
            if !frames.inbox.is_empty() {
                return take(&mut frames.inbox, most, into);
            }
            let mut bytes = Vec::new();
            let read = self.read_below(most, &mut bytes, world);
            if !matches!(read, Read::Bytes(_)) {
                return read;
            }
            if let Some(frames) = &mut self.frames {
                frames.feed(&bytes);
            }
            self.flush(world);
        }
        self.read_below(most, into, world)
    }

    fn read_below(&mut self, most: usize, into: &mut Vec<u8>, world: &mut World) -> Read {
        let Some(secure) = &mut self.secure else { return world.read(self.end, most, into) };
        loop {
            if !secure.inbox.is_empty() {
                return take(&mut secure.inbox, most, into);
            }
            if secure.error.is_some() {
                return Read::Failed(Errno::EPROTO);
            }
            let was_ready = secure.is_ready();
            let mut bytes = Vec::new();
            match world.read(self.end, most.min(PIECE), &mut bytes) {
                Read::Bytes(_) => secure.feed(&bytes),
                _ if secure.ended == Ended::Cleanly => return Read::Ended,
                Read::Ended => {
                    secure.ended = Ended::Cut;
                    return Read::Ended;
                }
                other => return other,
            }
            if !was_ready && secure.is_ready() {
                world.wake_host(self.host, Duration::ZERO);
            }
            flush(secure, self.end, self.host, &mut self.paces[0], world);
        }
    }

    /// Writes as much payload as is taken now.
    ///
    /// # Errors
    /// EAGAIN if it takes nothing now; what broke the socket.
    pub fn write(&mut self, bytes: &[u8], world: &mut World) -> Result<usize, Errno> {
        let Some(frames) = &mut self.frames else { return self.write_below(bytes, world) };
        if let Some(errno) = world.half(self.end).broken {
            return Err(errno);
        }
        if !frames.out.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let n = frames.write(bytes);
        self.flush(world);
        Ok(n)
    }

    fn write_below(&mut self, bytes: &[u8], world: &mut World) -> Result<usize, Errno> {
        let Some(secure) = &mut self.secure else { return world.write(self.end, bytes) };
        if let Some(errno) = world.half(self.end).broken {
            return Err(errno);
        }
        if !secure.is_ready() || !secure.out.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let n = secure.write(bytes);
        self.flush_below(world);
        Ok(n)
    }

    /// Writes what waits for the socket.
    pub fn flush(&mut self, world: &mut World) {
        self.flush_below(world);
        self.flush_frames(world);
    }

    fn flush_below(&mut self, world: &mut World) {
        if let Some(secure) = &mut self.secure {
            flush(secure, self.end, self.host, &mut self.paces[0], world);
        }
    }

    fn flush_frames(&mut self, world: &mut World) {
        if self.is_secure_spoiled() {
            self.frames.iter_mut().for_each(|frames| frames.out.clear());
        }
        while let Some(frames) = self.frames.as_mut().filter(|frames| !frames.out.is_empty()) {
            if !self.paces[1].is_due(self.host, world) {
                return;
            }
            let trickle = frames.framing().trickle;
            let most = trickle.map_or(usize::MAX, |(bytes, _)| bytes).min(frames.out.len());
            let bytes = frames.out.make_contiguous()[..most].to_vec();
            let written = self.write_below(&bytes, world);
            let spoiled = self.is_secure_spoiled();
            let Some(frames) = &mut self.frames else { return };
            match written {
                Ok(n) if !spoiled => drop(frames.out.drain(..n)),
                Err(Errno::EAGAIN) if !spoiled => return world.want_room(self.end),
                // Reading will tell.
                Ok(_) | Err(_) => frames.out.clear(),
            }
            if let Some((_, pause)) = trickle {
                count(Fault::FrameTrickle);
                self.paces[1].write_at = world.now + pause;
            }
        }
        let due = |frames: &mut Box<Frames>| std::mem::take(&mut frames.fin_due);
        if self.frames.as_mut().is_some_and(due) {
            self.finish_below(world);
        }
    }

    /// Whether nothing waits for the socket.
    pub fn is_flushed(&self) -> bool {
        self.secure.as_ref().is_none_or(|secure| secure.out.is_empty() && !secure.fin_due)
            && self.frames().is_none_or(|frames| frames.out.is_empty() && !frames.fin_due)
    }

    /// Says that nothing more follows. Whether that is an end in order.
    pub fn finish(&mut self, world: &mut World) -> bool {
        let Some(frames) = &mut self.frames else { return self.finish_below(world) };
        frames.finish();
        let in_order = !self.is_spoiled();
        self.flush(world);
        in_order
    }

    fn finish_below(&mut self, world: &mut World) -> bool {
        let Some(secure) = &mut self.secure else {
            world.finish(self.end);
            return true;
        };
        secure.finish();
        let in_order = secure.ends_cleanly();
        self.flush_below(world);
        in_order
    }

    /// close(2), or RST at once.
    pub fn close(&self, how: Close, world: &mut World) {
        world.close_end(self.end, how);
    }
}

fn flush(secure: &mut Secure, end: End, host: usize, pace: &mut Pace, world: &mut World) {
    while !secure.out.is_empty() {
        if !pace.is_due(host, world) {
            return;
        }
        let trickle = secure.manner().trickle;
        let most = trickle.map_or(usize::MAX, |(bytes, _)| bytes).min(world.room(end).max(1));
        let whole = secure.out.len();
        match world.write(end, &secure.out.make_contiguous()[..most.min(whole)]) {
            Ok(n) => drop(secure.out.drain(..n)),
            Err(Errno::EAGAIN) => return,
            // Reading will tell.
            Err(_) => secure.out.clear(),
        }
        if let Some((_, pause)) = trickle {
            count(Fault::TlsTrickle);
            pace.write_at = world.now + pause;
        } else if !secure.out.is_empty() {
            world.want_room(end);
        }
    }
    if std::mem::take(&mut secure.fin_due) {
        world.finish(end);
    }
}

/// Takes up to `most` bytes off the front.
fn take(inbox: &mut Vec<u8>, most: usize, into: &mut Vec<u8>) -> Read {
    let n = most.min(inbox.len());
    into.extend(inbox.drain(..n));
    Read::Bytes(n)
}
