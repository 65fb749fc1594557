//! Sending: chunks handed over between two waits leave in one operation, one operation per leg at a time.
//!
//! In a small turn a lone chunk is sent on the worker instead: its completion would be the only reason for one more turn. So is
//! bulk, while the core's cache holds it.
//! The queue keeps a chunk until the kernel has accepted its last byte, also on a leg that was closed meanwhile. Plain
//! descriptors are written to on the worker, and polled when they are full.

use std::io::IoSlice;
use std::os::fd::AsRawFd;

use io_uring::{opcode, squeue};
use nix::errno::Errno;
use nix::sys::socket::send;
use nix::sys::uio::writev;

use super::Uring;
use super::scratch::{PARTS, Scratch};
use super::tag::Operation;
use super::tenant::{Sending, Tenant};
use crate::buffers::{Group, Pool};
use crate::op::{Chunk, Event, Leg, Outcome, Sent};
use crate::queue::{Queue, chunk_len, release};
use crate::sockets::send_flags;

/// The most that one operation takes.
const ONCE_MAX: usize = 256 << 10;

/// A broken connection is an errno, not a signal. Never `MSG_WAITALL`: it tells nothing of a slow reader's progress until
/// all is accepted, and who watches over stalled senders would take the reader for a dead one.
const FLAGS: i32 = libc::MSG_NOSIGNAL;

/// Up to so many receives in a turn, sending at once is cheaper than a turn for the completions.
pub(super) const AT_ONCE_MAX: u32 = 8;

impl Uring {
    pub(super) fn enqueue(&mut self, leg: Leg, chunk: Chunk, ahead: bool) -> Sent {
        let broken = self.open(leg).map_or(Some(Errno::EBADF), |tenant| tenant.broken);
        if let Some(errno) = broken {
            release(chunk, &mut self.pool);
            return Sent::Failed(errno);
        }
        if chunk_len(&chunk) == 0 {
            release(chunk, &mut self.pool);
            return Sent::Done;
        }
        let early = match self.send_at_once(leg, &chunk, ahead) {
            Ok(n) if n == chunk_len(&chunk) => {
                release(chunk, &mut self.pool);
                return Sent::Done;
            }
            Ok(n) => n,
            Err(errno) => {
                release(chunk, &mut self.pool);
                return Sent::Failed(errno);
            }
        };
        let tenant = self.legs.get_mut(leg).expect("found open above");
        tenant.queue.push(chunk, &mut self.pool);
        tenant.early += early;
        self.queue_turn(leg);
        Sent::Queued
    }

    /// Sends on the worker if that is cheaper, or what follows is spliced there; the number of bytes accepted.
    fn send_at_once(&mut self, leg: Leg, chunk: &Chunk, ahead: bool) -> Result<usize, Errno> {
        let small_turn = self.received <= AT_ONCE_MAX;
        let is_bulk = matches!(chunk, Chunk::Pool(buffer) if buffer.group() == Group::Bulk);
        let tenant = self.legs.get_mut(leg).expect("found open by the caller");
        let bytes = match chunk {
            // More of the same stream follows a full buffer, and together they cost one operation.
            Chunk::Pool(buffer) if !is_bulk && buffer.len() == buffer.group().capacity() => {
                return Ok(0);
            }
            Chunk::Pool(buffer) => self.pool.bytes(buffer),
            Chunk::Bytes(bytes) => bytes,
        };
        if !(small_turn || is_bulk || ahead) || !tenant.sends_nothing() {
            return Ok(0);
        }
        match send(tenant.descriptor.as_raw_fd(), bytes, send_flags(ahead)) {
            Ok(n) => Ok(n),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(errno) => {
                tenant.broken = Some(errno);
                Err(errno)
            }
        }
    }

    /// Puts a leg on the list of those to be served before the next sleep.
    pub(super) fn queue_turn(&mut self, leg: Leg) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        if tenant.sending == Sending::Idle && !tenant.connecting && !tenant.queue.is_empty() {
            tenant.sending = Sending::Turn;
            self.turns.push(leg);
        }
    }

    /// Makes one operation of each waiting queue.
    pub(super) fn hand_over_sends(&mut self, events: &mut Vec<Event>) {
        let mut turns = std::mem::take(&mut self.turns);
        for leg in turns.drain(..) {
            // A leg closed since then has lost its queue.
            let Some(tenant) = self.open_mut(leg) else { continue };
            tenant.sending = Sending::Idle;
            let early = std::mem::take(&mut tenant.early);
            if early > 0 {
                self.accepted(leg, Ok(early), events);
            }
            let Some(tenant) = self.legs.get(leg) else { continue };
            if tenant.is_socket() {
                self.start_send(leg);
            } else {
                self.write(leg, events);
            }
        }
        debug_assert!(self.turns.is_empty(), "nothing is queued while turns are served");
        self.turns = turns;
    }

    fn start_send(&mut self, leg: Leg) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        tenant.sending = Sending::Completion;
        let entry = send_entry(tenant, &self.pool, &mut self.ring.scratch);
        self.start(leg, Operation::Send, entry);
    }

    /// A send has completed; on a plain descriptor, the wait for writability.
    pub(super) fn file_send(
        &mut self,
        leg: Leg,
        result: Result<usize, Errno>,
        events: &mut Vec<Event>,
    ) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        tenant.sending = Sending::Idle;
        if tenant.closing {
            tenant.queue.clear(&mut self.pool);
            return;
        }
        if tenant.is_socket() {
            self.accepted(leg, result, events);
        }
        self.queue_turn(leg);
    }

    fn accepted(&mut self, leg: Leg, result: Result<usize, Errno>, events: &mut Vec<Event>) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        match result {
            Ok(n) => {
                tenant.queue.advance(n, &mut self.pool);
                self.tell(leg, Outcome::Sent(n), events);
            }
            // Nothing was accepted, nothing is wrong: the queue gets its next turn.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECANCELED) => {}
            Err(errno) => {
                tenant.queue.clear(&mut self.pool);
                tenant.broken = Some(errno);
                self.tell(leg, Outcome::SendFailed(errno), events);
            }
        }
    }

    /// One write to a plain descriptor. What is left has its turn when the descriptor accepts bytes again.
    fn write(&mut self, leg: Leg, events: &mut Vec<Event>) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        let parts: Vec<IoSlice<'_>> = front(&tenant.queue, &self.pool).map(IoSlice::new).collect();
        let result = writev(tenant.borrowed(), &parts);
        self.accepted(leg, result, events);
        let Some(tenant) = self.legs.get_mut(leg).filter(|tenant| !tenant.queue.is_empty()) else {
            return;
        };
        tenant.sending = Sending::Completion;
        let poll = opcode::PollAdd::new(tenant.fd(), libc::POLLOUT as u32).build();
        self.start(leg, Operation::Send, poll);
    }
}

fn send_entry(tenant: &Tenant, pool: &Pool, scratch: &mut Scratch) -> squeue::Entry {
    let fd = tenant.fd();
    let mut parts = front(&tenant.queue, pool).peekable();
    match parts.next_if(|_| tenant.queue.len() == 1) {
        Some(part) => opcode::Send::new(fd, part.as_ptr(), part.len() as u32).flags(FLAGS).build(),
        None => opcode::SendMsg::new(fd, scratch.message(parts)).flags(FLAGS as u32).build(),
    }
}

/// What leaves together of the front of a queue: at most [`PARTS`] parts and [`ONCE_MAX`] bytes.
fn front<'q>(queue: &'q Queue, pool: &'q Pool) -> impl Iterator<Item = &'q [u8]> {
    let mut left = ONCE_MAX;
    queue.parts(pool).take(PARTS).map_while(move |part| {
        let part = &part[..part.len().min(left)];
        left -= part.len();
        (!part.is_empty()).then_some(part)
    })
}
