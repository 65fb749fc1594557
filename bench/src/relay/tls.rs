//! Speaks TLS on one of the two legs, in a loop of epoll, recv and send: what the harness' own records cost and nothing else.
//!
//! Either end ends the tunnel. Nothing is read from one leg while the other has not taken what was read before.

use std::io::{ErrorKind, Result};
use std::net::{SocketAddr, TcpListener};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use slab::Slab;

use super::{Forward, LISTENERS, dial, is_would_block, listen};
use crate::tls::{Client, Server, Stream};

/// On which leg.
pub(super) enum Side {
    FromClient(Server),
    ToOrigin(Client),
}

struct Relay {
    poll: Epoll,
    side: Side,
    listeners: Vec<(TcpListener, SocketAddr)>,
    tunnels: Slab<Tunnel>,
    scratch: Vec<u8>,
}

/// Leg 0 is the client's.
struct Tunnel {
    legs: [Stream; 2],
    interests: [EpollFlags; 2],
    connected: bool,
}

const SCRATCH: usize = 128 << 10;

pub(super) fn run(side: Side, forwards: &[Forward]) -> Result<()> {
    let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut listeners = Vec::new();
    for (index, forward) in forwards.iter().enumerate() {
        let listener = listen(forward.listen)?;
        poll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENERS + index as u64))?;
        listeners.push((listener, forward.target));
    }
    let scratch = vec![0; SCRATCH];
    Relay { poll, side, listeners, tunnels: Slab::new(), scratch }.run()
}

impl Relay {
    fn run(&mut self) -> Result<()> {
        let mut events = [EpollEvent::empty(); 512];
        loop {
            let ready = match self.poll.wait(&mut events, EpollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            // Freed only after the batch of events, which may still name them.
            let mut closing = Vec::new();
            for event in &events[..ready] {
                match event.data().checked_sub(LISTENERS) {
                    Some(index) => self.accept(index as usize)?,
                    None => {
                        let (key, leg) =
                            ((event.data() >> 1) as usize, (event.data() & 1) as usize);
                        let goes_on = self.serve(key, leg, event.events()).unwrap_or(false);
                        if !goes_on && !closing.contains(&key) {
                            closing.push(key);
                        }
                    }
                }
            }
            closing.into_iter().for_each(|key| drop(self.tunnels.remove(key)));
        }
    }

    fn accept(&mut self, index: usize) -> Result<()> {
        let (listener, target) = &self.listeners[index];
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(e) if is_would_block(&e) || e.kind() == ErrorKind::ConnectionAborted => {
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        client.set_nonblocking(true)?;
        client.set_nodelay(true)?;
        let origin = dial(*target)?;
        let legs = match &self.side {
            Side::FromClient(terms) => {
                [Stream::server(client, terms, true)?, Stream::plain(origin)]
            }
            Side::ToOrigin(terms) => [Stream::plain(client), Stream::client(origin, terms, true)?],
        };
        let slot = self.tunnels.vacant_entry();
        let key = slot.key() as u64;
        let interests = [EpollFlags::empty(), EpollFlags::EPOLLOUT];
        for leg in 0..2 {
            self.poll.add(&legs[leg], EpollEvent::new(interests[leg], key << 1 | leg as u64))?;
        }
        slot.insert(Tunnel { legs, interests, connected: false });
        Ok(())
    }

    /// False: the tunnel is over.
    fn serve(&mut self, key: usize, leg: usize, events: EpollFlags) -> Result<bool> {
        let Some(tunnel) = self.tunnels.get_mut(key) else { return Ok(true) };
        if events.contains(EpollFlags::EPOLLERR) {
            return Ok(false);
        }
        if !tunnel.connected {
            tunnel.connected = leg == 1;
            if leg == 1 {
                tunnel.legs[leg].start()?;
            }
        } else {
            if events.contains(EpollFlags::EPOLLOUT) {
                tunnel.legs[leg].flush()?;
            }
            let brings = events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP);
            if brings && tunnel.may_read(leg) && !tunnel.pump(leg, &mut self.scratch)? {
                tunnel.legs[1 - leg].finish();
                return Ok(false);
            }
        }
        tunnel.rearm(&self.poll, key as u64)?;
        Ok(true)
    }
}

impl Tunnel {
    /// A leg whose session is not made yet has only itself to talk to.
    fn may_read(&self, leg: usize) -> bool {
        let other = &self.legs[1 - leg];
        self.connected && (!self.legs[leg].is_open() || other.is_open() && !other.has_queued())
    }

    /// False: the stream has ended.
    fn pump(&mut self, leg: usize, scratch: &mut [u8]) -> Result<bool> {
        match self.legs[leg].receive(scratch) {
            Ok(0) => Ok(false),
            Ok(length) => self.legs[1 - leg].send(&scratch[..length]).map(|()| true),
            Err(e) if is_would_block(&e) => Ok(true),
            Err(e) => Err(e),
        }
    }

    fn rearm(&mut self, poll: &Epoll, key: u64) -> Result<()> {
        for leg in 0..2 {
            let mut wanted = EpollFlags::empty();
            wanted.set(EpollFlags::EPOLLIN, self.may_read(leg));
            let dials = leg == 1 && !self.connected;
            wanted.set(EpollFlags::EPOLLOUT, dials || self.legs[leg].has_queued());
            if wanted != self.interests[leg] {
                self.interests[leg] = wanted;
                let mut event = EpollEvent::new(wanted, key << 1 | leg as u64);
                poll.modify(&self.legs[leg], &mut event)?;
            }
        }
        Ok(())
    }
}
