//! Receiving: multishot into provided buffers; one buffer at a time when they are short; lines when there are none.
//!
//! ```text
//! Off ──receive──▶ Bytes ──no buffer──▶ Buffer ──its turn──▶ Bytes ──end──▶ Off
//!                   └──receive_stop──▶ Stop ──Stopped──▶ Off, or Bytes if asked again
//! ```
//!
//! A multishot may end by itself, with bytes, without them, or for want of buffers: it is started again by the missing
//! `MORE`, whatever the result. Plain descriptors wait for readiness first: they are non-blocking, so the ring would
//! answer their read(2) with EAGAIN.

use io_uring::{opcode, squeue};
use nix::errno::Errno;

use super::Uring;
use super::provided::Provided;
use super::tag::Operation;
use super::tenant::Receive;
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
            Receive::Connection | Receive::Buffer | Receive::Bytes => return,
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
            Receive::Off | Receive::Connection | Receive::Buffer => self.stop_idle(leg),
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
        let (waited, group) = (tenant.receive == Receive::Buffer, tenant.group);
        let unread = tenant.told == turn;
        tenant.receive = if unread { Receive::NextTurn { again: None } } else { Receive::Off };
        if waited {
            self.waiting.leave(leg, group);
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

    fn tell_receiver(&mut self, leg: Leg, outcome: Outcome, events: &mut Vec<Event>) {
        let turn = self.turn;
        if let Some(tenant) = self.open_mut(leg) {
            tenant.told = turn;
        }
        self.tell(leg, outcome, events);
    }

    /// Once per turn: posts buffers, then starts as many waiting receives as there are buffers, first come, first served,
    /// one buffer each: a multishot would take what was posted for those behind it.
    pub(super) fn serve_receivers(&mut self, events: &mut Vec<Event>) {
        for group in Group::ALL {
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
        if self.free_buffers(Group::Bulk) == 0 {
            self.tell_short(events);
        }
    }

    /// Whether some stand in line although there are buffers: those who were served before them may have nothing to receive, and
    /// nothing else would bring the next turn.
    pub(super) fn may_serve_more(&self) -> bool {
        let has_both = |group: &Group| {
            !self.waiting.is_empty(*group) && self.provided[group.index()].posted() > 0
        };
        Group::ALL.iter().any(has_both)
    }

    /// Of bulk, nobody stands in line for what others may hold for long.
    fn tell_short(&mut self, events: &mut Vec<Event>) {
        while let Some((leg, _)) = self.waiting.next(Group::Bulk) {
            let tenant = self.legs.get_mut(leg).expect("closed legs leave the line");
            tenant.receive = Receive::Off;
            self.tell_receiver(leg, Outcome::ReceiveEnded(Arrival::Short), events);
        }
    }

    /// Starts the receive, or joins the line if there is one.
    pub(super) fn arm_in_turn(&mut self, leg: Leg) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
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
        tenant.receive = Receive::Bytes;
        tenant.arriving = !tenant.is_socket();
        if tenant.arriving {
            let poll = opcode::PollAdd::new(tenant.fd(), libc::POLLIN as u32).build();
            return self.start(leg, Operation::Arrival, poll);
        }
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

    /// A plain descriptor has bytes, or an end.
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
        let arrival = match (result, tenant.broken) {
            // The error of a broken connection is told once, and a send was told of it: this is no clean end.
            (Ok(0), Some(errno)) => Arrival::Failed(errno),
            (Ok(0), None) => Arrival::Ended,
            // The master side of a terminal says so when the last slave is closed.
            (Err(Errno::EIO), _) if !tenant.is_socket() => Arrival::Ended,
            (Ok(_) | Err(Errno::ENOBUFS | Errno::ECANCELED | Errno::EAGAIN | Errno::EINTR), _) => {
                return self.go_on_receiving(leg, state, result, events);
            }
            (Err(errno), _) => Arrival::Failed(errno),
        };
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
