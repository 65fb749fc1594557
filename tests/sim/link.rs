//! Virtual TCP: two sides with bounded buffers, FIN, RST, and bytes that take their time.
//!
//! What Linux does is done here: bytes that have arrived stay readable after an RST; a close with bytes unread sends
//! RST and forgets what was not delivered yet; bytes that meet a closed socket come back as RST.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use penstock_core::config::Cut;
use penstock_ring::{Close, Errno, Time};

use crate::sim::tally::{Fault, count};
use crate::sim::world::{Action, End, World};

/// Who looks after a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// It waits in a backlog, or is closed.
    Nobody,
    /// A leg, by slot.
    Leg(u32),
    /// A host.
    Host(usize),
}

/// What changed at a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Bytes, FIN or an error can be read.
    Readable,
    /// There is room again for bytes, after there was none.
    Writable,
    /// The connection is gone both ways.
    HangUp,
}

/// A change, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    /// Who looks after the socket.
    pub holder: Holder,
    /// What changed.
    pub change: Change,
}

/// One socket.
#[derive(Debug)]
pub struct Half {
    /// Who looks after it.
    pub holder: Holder,
    /// False after close(2).
    pub open: bool,
    /// The error that ended it.
    pub broken: Option<Errno>,
    /// Written, not delivered yet.
    pub outgoing: VecDeque<u8>,
    outgoing_max: usize,
    /// Delivered, not read yet.
    pub arrived: VecDeque<u8>,
    arrived_max: usize,
    /// This side has sent FIN.
    pub fin_sent: bool,
    /// The other side's FIN has arrived.
    pub fin_arrived: bool,
    /// Bytes ever accepted from the writer.
    pub written: u64,
    /// Bytes ever read.
    pub read: u64,
    /// When bytes arrived the last time.
    arrived_at: Time,
    /// How long bytes had lain there unread when it was closed.
    pub neglected: Duration,
    delivering: bool,
    wants_room: bool,
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    /// Its two sockets; the first one connected.
    pub halves: [Half; 2],
    /// Nothing is delivered any more.
    pub black_hole: bool,
    /// A RST was sent by either side.
    pub was_reset: bool,
    /// We have accepted it.
    pub accepted: bool,
    /// It is a line to a terminal: it has no end of one direction, and whoever leaves takes nothing along that he wrote.
    pub is_terminal: bool,
    /// It leads to pages, and the other end says by this whether it has ended early.
    pub web: Option<Cut>,
    /// The host at the other end.
    pub host: Option<usize>,
    /// Its address, if it called us.
    pub caller: Option<SocketAddr>,
}

/// What reading brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// So many bytes were appended.
    Bytes(usize),
    /// FIN.
    Ended,
    /// Nothing yet.
    Blocked,
    /// It is broken.
    Failed(Errno),
}

impl World {
    /// Makes a link. Neither side hears of it.
    pub fn link(&mut self, holders: [Holder; 2]) -> End {
        let sizes = self.socket_sizes;
        let halves = holders.map(|holder| Half {
            holder,
            open: true,
            broken: None,
            outgoing: VecDeque::new(),
            outgoing_max: self.random.pick(sizes),
            arrived: VecDeque::new(),
            arrived_max: self.random.pick(sizes),
            fin_sent: false,
            fin_arrived: false,
            written: 0,
            read: 0,
            arrived_at: Time(0),
            neglected: Duration::ZERO,
            delivering: false,
            wants_room: false,
        });
        self.links.push(Link {
            halves,
            black_hole: false,
            was_reset: false,
            accepted: false,
            is_terminal: false,
            web: None,
            host: None,
            caller: None,
        });
        End { link: self.links.len() as u32 - 1, side: 0 }
    }

    /// A host connects to one of our listeners; none if it is closed.
    pub fn call(&mut self, listener: usize, host: usize, from: SocketAddr) -> Option<End> {
        if !self.listening[listener].open {
            return None;
        }
        let end = self.link([Holder::Host(host), Holder::Nobody]);
        let link = &mut self.links[end.link as usize];
        (link.host, link.caller) = (Some(host), Some(from));
        self.listening[listener].backlog.push_back(end.peer());
        let holder = Holder::Leg(self.listening[listener].leg.slot);
        self.signals.push(Signal { holder, change: Change::Readable });
        Some(end)
    }

    /// A host connects to another, which is called upon.
    pub fn visit(&mut self, whom: usize, host: usize, from: Option<SocketAddr>) -> End {
        let end = self.link([Holder::Host(host), Holder::Host(whom)]);
        let link = &mut self.links[end.link as usize];
        (link.host, link.caller) = (Some(host), from);
        self.visitors.push((whom, end.peer()));
        self.wake_host(whom, Duration::ZERO);
        end
    }

    /// The socket.
    pub fn half(&self, end: End) -> &Half {
        &self.links[end.link as usize].halves[end.side as usize]
    }

    /// The socket.
    pub fn half_mut(&mut self, end: End) -> &mut Half {
        &mut self.links[end.link as usize].halves[end.side as usize]
    }

    /// Room for bytes in the socket's send buffer.
    pub fn room(&self, end: End) -> usize {
        let half = self.half(end);
        half.outgoing_max - half.outgoing.len()
    }

    /// Gives a socket to somebody else.
    pub fn hold(&mut self, end: End, holder: Holder) {
        self.half_mut(end).holder = holder;
    }

    /// Writes as much as the socket takes.
    ///
    /// # Errors
    /// EAGAIN if it takes nothing now; EPIPE or what broke the socket.
    pub fn write(&mut self, end: End, bytes: &[u8]) -> Result<usize, Errno> {
        let room = self.room(end);
        let half = self.half_mut(end);
        if let Some(errno) = half.broken {
            return Err(errno);
        }
        if half.fin_sent || !half.open {
            return Err(Errno::EPIPE);
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        let n = bytes.len().min(room);
        half.outgoing.extend(&bytes[..n]);
        half.written += n as u64;
        half.wants_room = n < bytes.len();
        self.deliver_later(end);
        if n == 0 { Err(Errno::EAGAIN) } else { Ok(n) }
    }

    /// Asks to be told when there is room again.
    pub fn want_room(&mut self, end: End) {
        self.half_mut(end).wants_room = true;
    }

    /// What reading would bring; `Bytes` tells how many there are.
    pub fn look(&self, end: End) -> Read {
        let half = self.half(end);
        match (half.arrived.len(), half.broken) {
            (1.., _) => Read::Bytes(half.arrived.len()),
            (0, Some(errno)) => Read::Failed(errno),
            (0, None) if half.fin_arrived => Read::Ended,
            (0, None) => Read::Blocked,
        }
    }

    /// Reads up to `most` bytes to the end of `into`.
    pub fn read(&mut self, end: End, most: usize, into: &mut Vec<u8>) -> Read {
        let Read::Bytes(there) = self.look(end) else { return self.look(end) };
        let n = there.min(most);
        let half = self.half_mut(end);
        let (front, back) = half.arrived.as_slices();
        into.extend_from_slice(&front[..n.min(front.len())]);
        into.extend_from_slice(&back[..n.saturating_sub(front.len())]);
        half.arrived.drain(..n);
        half.read += n as u64;
        self.deliver_later(end.peer());
        Read::Bytes(n)
    }

    /// Sends FIN after what was written.
    pub fn finish(&mut self, end: End) {
        let half = self.half_mut(end);
        if half.open && half.broken.is_none() && !half.fin_sent {
            half.fin_sent = true;
            self.deliver_later(end);
            self.hang_up_if_both_finished(end);
        }
    }

    /// close(2), or RST at once.
    pub fn close_end(&mut self, end: End, how: Close) {
        let leaves_terminal = self.links[end.link as usize].is_terminal && end.side == 0;
        let now = self.now;
        let half = self.half_mut(end);
        if !half.open {
            return;
        }
        half.open = false;
        if !half.arrived.is_empty() {
            half.neglected = now.since(half.arrived_at);
        }
        half.holder = Holder::Nobody;
        if half.broken.is_some() {
            return;
        }
        if leaves_terminal || how == Close::Normal && half.arrived.is_empty() {
            half.fin_sent = true;
            self.deliver_later(end.peer());
            return self.deliver_later(end);
        }
        if how == Close::Normal {
            count(Fault::ResetByUnread);
        }
        half.outgoing.clear();
        self.reset_peer(end);
    }

    /// Nothing is delivered on this link any more, until the transport gives it up.
    pub fn lose(&mut self, end: End, give_up: Duration) {
        count(Fault::BlackHole);
        self.links[end.link as usize].black_hole = true;
        self.time_out(end, give_up);
    }

    pub(super) fn break_end(&mut self, end: End, errno: Errno) {
        let half = self.half_mut(end);
        if half.broken.is_some() || !half.open {
            return;
        }
        half.broken = Some(errno);
        half.outgoing.clear();
        if errno == Errno::ETIMEDOUT {
            count(Fault::TimedOut);
        }
        for change in [Change::Readable, Change::Writable, Change::HangUp] {
            self.signal(end, change);
        }
    }

    pub(super) fn deliver(&mut self, end: End) {
        self.half_mut(end).delivering = false;
        if self.links[end.link as usize].black_hole || self.half(end).broken.is_some() {
            return;
        }
        if self.half(end.peer()).broken.is_some() {
            return self.half_mut(end).outgoing.clear();
        }
        if !self.half(end.peer()).open {
            return self.meet_closed_socket(end);
        }
        self.move_bytes(end);
        let half = self.half(end);
        if half.outgoing.is_empty() && half.fin_sent && !self.half(end.peer()).fin_arrived {
            self.half_mut(end.peer()).fin_arrived = true;
            self.signal(end.peer(), Change::Readable);
            self.hang_up_if_both_finished(end.peer());
        }
        self.deliver_later(end);
    }

    fn move_bytes(&mut self, end: End) {
        let waiting = self.half(end).outgoing.len();
        let room = self.receive_room(end.peer());
        if waiting.min(room) == 0 {
            return;
        }
        let n = self.random.part(waiting.min(room));
        let now = self.now;
        let halves = &mut self.links[end.link as usize].halves;
        let [first, second] = halves;
        let (from, to) = if end.side == 0 { (first, second) } else { (second, first) };
        let (front, back) = from.outgoing.as_slices();
        to.arrived.extend(&front[..n.min(front.len())]);
        to.arrived.extend(&back[..n.saturating_sub(front.len())]);
        from.outgoing.drain(..n);
        to.arrived_at = now;
        let told = std::mem::take(&mut from.wants_room);
        self.signal(end.peer(), Change::Readable);
        if told {
            self.signal(end, Change::Writable);
        }
    }

    fn meet_closed_socket(&mut self, end: End) {
        if !self.half(end).outgoing.is_empty() {
            self.half_mut(end).outgoing.clear();
            if self.links[end.link as usize].is_terminal {
                return self.signal(end, Change::Writable);
            }
            // An orphaned socket that is sent to forgets what it had still to send, its FIN included.
            let orphan = self.half_mut(end.peer());
            orphan.outgoing.clear();
            orphan.broken = Some(Errno::ECONNRESET);
            self.reset_peer(end.peer());
        }
    }

    /// The other side of `end` hears that `end` is gone.
    fn reset_peer(&mut self, end: End) {
        self.links[end.link as usize].was_reset = true;
        let span = self.random.span(self.latency);
        self.after(span, Action::Break(end.peer(), Errno::ECONNRESET as i32));
    }

    fn receive_room(&self, end: End) -> usize {
        let half = self.half(end);
        half.arrived_max.saturating_sub(half.arrived.len())
    }

    fn deliver_later(&mut self, end: End) {
        let half = self.half(end);
        let fin = half.fin_sent && !self.half(end.peer()).fin_arrived;
        let closed = !self.half(end.peer()).open;
        let bytes = !half.outgoing.is_empty() && (closed || self.receive_room(end.peer()) > 0);
        let due = bytes || fin && half.outgoing.is_empty() && !closed;
        if due && !half.delivering {
            self.half_mut(end).delivering = true;
            let span = self.random.span(self.latency);
            self.after(span, Action::Deliver(end));
        }
    }

    fn hang_up_if_both_finished(&mut self, end: End) {
        let half = self.half(end);
        if half.fin_sent && half.fin_arrived {
            self.signal(end, Change::HangUp);
        }
    }

    fn signal(&mut self, end: End, change: Change) {
        let holder = self.half(end).holder;
        self.signals.push(Signal { holder, change });
    }
}
