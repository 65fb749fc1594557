//! Receiving: multishot into provided buffers; one buffer at a time when they are short; lines when there are none. Of bulk, see
//! `bulk`.
//!
//! ```text
//! Off ──receive──▶ Bytes ──no buffer──▶ Buffer ──its turn──▶ Bytes ──end──▶ Off
//!                   └──receive_stop──▶ Stop ──Stopped──▶ Off, or Bytes if asked again
//! ```
//!
//! A multishot may end by itself, with bytes, without them, or for want of buffers: it is started again by the missing
//! `MORE`, whatever the result. Plain descriptors wait for readiness first, whatever the group: they are non-blocking, so
//! the ring would answer their read(2) with EAGAIN.

use io_uring::{opcode, squeue};
use nix::errno::Errno;

use super::provided::Provided;
use super::tag::Operation;
use super::tenant::Receive;
use super::{PROVIDED, Uring};
use crate::buffers::Group;
use crate::op::{Arrival, Event, Leg, Outcome, Stop};
use crate::options::Feature;
use crate::sockets::Kind;

/// How many buffers a receive may take before it is started again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shots {
    One,
    Many,
}

impl Uring {
    pub(super) fn start_receiving(&mut self, leg: Leg, group: Group) {
        let Some(tenant) = self.open_mut(leg) else { return };
        match tenant.receive {
            Receive::Off => {}
            Receive::Stop { .. } => {
                tenant.receive = Receive::Stop { again: Some(group) };
                return;
            }
            Receive::NextTurn { .. } => {
                tenant.receive = Receive::NextTurn { again: Some(group) };
                return;
            }
            Receive::Connection | Receive::Buffer | Receive::Turn | Receive::Bytes => return,
        }
        tenant.group = group;
        if tenant.connecting {
            tenant.receive = Receive::Connection;
        } else {
            self.arm_in_turn(leg);
        }
    }

    pub(super) fn stop_receiving(&mut self, leg: Leg) -> Stop {
        let Some(tenant) = self.open_mut(leg) else { return Stop::Done };
        match tenant.receive {
            Receive::Off | Receive::Connection | Receive::Buffer | Receive::Turn => {
                self.stop_idle(leg)
            }
            Receive::Bytes => {
                tenant.receive = Receive::Stop { again: None };
                let arriving = tenant.arriving;
                self.cancel(leg, if arriving { Operation::Arrival } else { Operation::Receive });
                Stop::Later
            }
            Receive::Stop { .. } => {
                tenant.receive = Receive::Stop { again: None };
                Stop::Later
            }
            Receive::NextTurn { .. } => {
                tenant.receive = Receive::NextTurn { again: None };
                Stop::Later
            }
        }
    }

    /// Nothing is in flight; but what the last turn told may be unread.
    fn stop_idle(&mut self, leg: Leg) -> Stop {
        let turn = self.turn;
        let Some(tenant) = self.legs.get_mut(leg) else { return Stop::Done };
        let (waited, group) = (tenant.receive, tenant.group);
        let unread = tenant.told == turn;
        tenant.receive = if unread { Receive::NextTurn { again: None } } else { Receive::Off };
        match waited {
            Receive::Buffer => self.waiting.leave(leg, group),
            Receive::Turn => self.leave_bulk(leg),
            _ => {}
        }
        if unread {
            self.stopped.push(leg);
            return Stop::Later;
        }
        Stop::Done
    }

    /// The last word to those who stopped while their outcomes lay unread.
    pub(super) fn tell_stopped(&mut self, events: &mut Vec<Event>) {
        let mut stopped = std::mem::take(&mut self.stopped);
        for leg in stopped.drain(..) {
            let Some(tenant) = self.open_mut(leg) else { continue };
            let Receive::NextTurn { again } = tenant.receive else { continue };
            tenant.receive = Receive::Off;
            self.tell_receiver(leg, Outcome::ReceiveEnded(Arrival::Stopped), events);
            if let Some(group) = again {
                self.start_receiving(leg, group);
            }
        }
        self.stopped = stopped;
    }

    pub(super) fn tell_receiver(&mut self, leg: Leg, outcome: Outcome, events: &mut Vec<Event>) {
        let turn = self.turn;
        if let Some(tenant) = self.open_mut(leg) {
            tenant.told = turn;
        }
        self.tell(leg, outcome, events);
    }

    /// Once per turn: posts buffers, then starts as many waiting receives as there are buffers, first come, first served,
    /// one buffer each: a multishot would take what was posted for those behind it.
    pub(super) fn serve_receivers(&mut self) {
        for group in PROVIDED {
            let provided = &mut self.provided[group.index()];
            provided.refill(&mut self.pool);
            for _ in 0..provided.posted() {
                let Some((leg, place)) = self.waiting.next(group) else { break };
                let turn = self.turn;
                let tenant = self.legs.get_mut(leg).expect("closed legs leave the line");
                tenant.served = (place, turn);
                self.arm(leg, Shots::One);
            }
        }
    }

    /// Whether some stand in line although there are buffers: those who were served before them may have nothing to receive, and
    /// nothing else would bring the next turn.
    pub(super) fn may_serve_more(&self) -> bool {
        let has_both = |group: &Group| {
            !self.waiting.is_empty(*group) && self.provided[group.index()].posted() > 0
        };
        PROVIDED.iter().any(has_both)
    }

    /// Starts the receive, or joins the line if there is one.
    pub(super) fn arm_in_turn(&mut self, leg: Leg) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        if tenant.group == Group::Bulk && tenant.is_socket() {
            return self.join_bulk(leg);
        }
        if self.waiting.is_empty(tenant.group) {
            return self.arm(leg, Shots::Many);
        }
        tenant.receive = Receive::Buffer;
        self.waiting.join(leg, tenant.group, self.now);
    }

    /// Whether a leg gets one buffer per request. A multishot takes sixteen before anybody can stop it, so legs that get
    /// stuck together would empty a pool that is small, or half used, beyond what each of them is allowed.
    pub(super) fn receives_once(&self, group: Group) -> bool {
        let (free, total) = (self.free_buffers(group), self.pool.total(group) as usize);
        let hidden = self.options.mask.hides(Feature::MultishotReceive);
        hidden || group.is_single() || total < self.small_pool || free < total / 2
    }

    fn arm(&mut self, leg: Leg, shots: Shots) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        if !tenant.is_socket() {
            return self.poll_arrival(leg);
        }
        (tenant.receive, tenant.arriving) = (Receive::Bytes, false);
        let (fd, group) = (tenant.fd(), tenant.group);
        // On a UNIX socket a multishot misses, one time in a million, a FIN that comes right behind the bytes: seen on 6.18
        // as a receive left in the kernel with the end readable. TCP hints at the end when it hands out the bytes.
        let misses_ends = tenant.kind == Kind::Socket;
        let once = shots == Shots::One || misses_ends || self.receives_once(group);
        let group = Provided::id(group);
        let entry = if once {
            let receive = opcode::Recv::new(fd, std::ptr::null_mut(), 0).buf_group(group).build();
            receive.flags(squeue::Flags::BUFFER_SELECT)
        } else {
            opcode::RecvMulti::new(fd, group).build()
        };
        self.legs.get_mut(leg).expect("found above").multishot = !once;
        self.start(leg, Operation::Receive, entry);
    }

    /// Waits for bytes, or an end.
    pub(super) fn poll_arrival(&mut self, leg: Leg) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        (tenant.receive, tenant.arriving) = (Receive::Bytes, true);
        let poll = opcode::PollAdd::new(tenant.fd(), libc::POLLIN as u32).build();
        self.start(leg, Operation::Arrival, poll);
    }

    /// There are bytes, or an end.
    pub(super) fn file_arrival(
        &mut self,
        leg: Leg,
        result: Result<usize, Errno>,
        events: &mut Vec<Event>,
    ) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        if result.is_err() || tenant.closing || tenant.receive != Receive::Bytes {
            return self.end_receive(leg, Err(Errno::ECANCELED), events);
        }
        tenant.arriving = false;
        tenant.multishot = false;
        if tenant.group == Group::Bulk {
            return self.join_bulk(leg);
        }
        let group = Provided::id(tenant.group);
        let length = tenant.group.capacity() as u32;
        let read = opcode::Read::new(tenant.fd(), std::ptr::null_mut(), length);
        let read = read.offset(u64::MAX).buf_group(group).build();
        self.start(leg, Operation::Receive, read.flags(squeue::Flags::BUFFER_SELECT));
    }

    /// A receive has completed, or one of many.
    pub(super) fn file_receive(
        &mut self,
        leg: Leg,
        result: Result<usize, Errno>,
        buffer: Option<u16>,
        more: bool,
        events: &mut Vec<Event>,
    ) {
        if let Some(index) = buffer {
            self.file_buffer(leg, u32::from(index), result.unwrap_or(0), events);
        }
        if !more {
            self.end_receive(leg, result, events);
        }
    }

    fn file_buffer(&mut self, leg: Leg, index: u32, len: usize, events: &mut Vec<Event>) {
        let Some(tenant) = self.legs.get(leg) else { return };
        let group = tenant.group;
        self.provided[group.index()].taken();
        if len == 0 || tenant.closing {
            return self.pool.put(group, index);
        }
        self.received += 1;
        self.stats.received_bytes.add(len as u64);
        let buffer = self.pool.hand_out(group, index, len);
        self.tell_receiver(leg, Outcome::Received(buffer), events);
    }

    /// The receive is over; the result says why.
    fn end_receive(&mut self, leg: Leg, result: Result<usize, Errno>, events: &mut Vec<Event>) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        let state = std::mem::replace(&mut tenant.receive, Receive::Off);
        if tenant.closing {
            return;
        }
        if matches!(
            result,
            Ok(1..) | Err(Errno::ENOBUFS | Errno::ECANCELED | Errno::EAGAIN | Errno::EINTR)
        ) {
            return self.go_on_receiving(leg, state, result, events);
        }
        let arrival = tenant.end_of(result);
        self.tell_receiver(leg, Outcome::ReceiveEnded(arrival), events);
    }

    /// The receive is over, the stream isn't.
    fn go_on_receiving(
        &mut self,
        leg: Leg,
        state: Receive,
        result: Result<usize, Errno>,
        events: &mut Vec<Event>,
    ) {
        match state {
            Receive::Stop { again } => {
                self.tell_receiver(leg, Outcome::ReceiveEnded(Arrival::Stopped), events);
                if let Some(group) = again {
                    self.start_receiving(leg, group);
                }
            }
            _ if result == Err(Errno::ENOBUFS) => self.wait_for_buffer(leg),
            // One buffer at a time: receiving stays off until it is asked for again.
            _ if result.is_ok() && self.legs.get(leg).is_some_and(|t| t.group.is_single()) => {}
            _ => {
                if self.legs.get(leg).is_some_and(|tenant| tenant.multishot) {
                    self.stats.multishot_rearmed.add(1);
                }
                self.arm_in_turn(leg);
            }
        }
    }

    /// Who was served in this very turn, and came too late all the same, has waited without a break.
    fn wait_for_buffer(&mut self, leg: Leg) {
        let turn = self.turn;
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        tenant.receive = Receive::Buffer;
        let (group, (place, served)) = (tenant.group, tenant.served);
        self.provided[group.index()].missed();
        if served == turn {
            self.waiting.rejoin(leg, group, place);
        } else {
            self.waiting.join(leg, group, self.now);
        }
    }
}
