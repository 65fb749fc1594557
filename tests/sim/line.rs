//! What a host writes to and reads from: a socket, or TLS over one.

use std::time::Duration;

use penstock_ring::{Close, Errno, Time};

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
    pace: Pace,
}

/// When the next bytes are written, and the last time for which the host is woken.
#[derive(Debug, Default)]
struct Pace {
    write_at: Time,
    woken_at: Time,
}

impl Line {
    /// The socket itself.
    pub fn new(end: End, host: usize) -> Line {
        Line { end, host, secure: None, pace: Pace::default() }
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

    /// Whether it has done something against the protocol.
    pub fn is_spoiled(&self) -> bool {
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

    /// Whether the other side has said its last word.
    pub fn was_closed(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.ended == Ended::Cleanly)
    }

    /// Room in the socket.
    pub fn room(&self, world: &World) -> usize {
        world.room(self.end)
    }

    /// Reads up to `most` bytes of payload.
    pub fn read(&mut self, most: usize, into: &mut Vec<u8>, world: &mut World) -> Read {
        let Some(secure) = &mut self.secure else { return world.read(self.end, most, into) };
        loop {
            if !secure.inbox.is_empty() {
                let n = most.min(secure.inbox.len());
                into.extend_from_slice(&secure.inbox[..n]);
                secure.inbox.drain(..n);
                return Read::Bytes(n);
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
            flush(secure, self.end, self.host, &mut self.pace, world);
        }
    }

    /// Writes as much payload as is taken now.
    ///
    /// # Errors
    /// EAGAIN if it takes nothing now; what broke the socket.
    pub fn write(&mut self, bytes: &[u8], world: &mut World) -> Result<usize, Errno> {
        let Some(secure) = &mut self.secure else { return world.write(self.end, bytes) };
        if let Some(errno) = world.half(self.end).broken {
            return Err(errno);
        }
        if !secure.is_ready() || !secure.out.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let n = secure.write(bytes);
        self.flush(world);
        Ok(n)
    }

    /// Writes what waits for the socket.
    pub fn flush(&mut self, world: &mut World) {
        if let Some(secure) = &mut self.secure {
            flush(secure, self.end, self.host, &mut self.pace, world);
        }
    }

    /// Whether nothing waits for the socket.
    pub fn is_flushed(&self) -> bool {
        self.secure.as_ref().is_none_or(|secure| secure.out.is_empty() && !secure.fin_due)
    }

    /// Says that nothing more follows. Whether that is an end in order.
    pub fn finish(&mut self, world: &mut World) -> bool {
        let Some(secure) = &mut self.secure else {
            world.finish(self.end);
            return true;
        };
        secure.finish();
        let in_order = secure.ends_cleanly();
        self.flush(world);
        in_order
    }

    /// close(2), or RST at once.
    pub fn close(&self, how: Close, world: &mut World) {
        world.close_end(self.end, how);
    }
}

fn flush(secure: &mut Secure, end: End, host: usize, pace: &mut Pace, world: &mut World) {
    while !secure.out.is_empty() {
        if world.now < pace.write_at {
            if std::mem::replace(&mut pace.woken_at, pace.write_at) != pace.write_at {
                world.wake_host(host, pace.write_at.since(world.now));
            }
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
