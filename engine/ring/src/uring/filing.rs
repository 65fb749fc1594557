//! One turn of the ring: what was asked goes in, completions come out, and each is filed with the operation it ends or
//! continues. Completions are filed in the order of the kernel; work of the caller happens afterwards.

use std::os::fd::AsRawFd;

use io_uring::{cqueue, opcode, types};
use nix::errno::Errno;

use super::Uring;
use super::system::Want;
use super::tag::{Operation, Tag};
use crate::op::{Event, Interest};

impl Uring {
    /// One system call, and what came of it.
    pub(super) fn call(&mut self, want: Want, events: &mut Vec<Event>) {
        self.ring.enter(want);
        self.refresh_clock();
        self.received = 0;
        let mut batch = std::mem::take(&mut self.batch);
        self.ring.reap(&mut batch);
        for completion in batch.drain(..) {
            self.file(&completion, events);
        }
        self.batch = batch;
    }

    /// Files one completion.
    fn file(&mut self, completion: &cqueue::Entry, events: &mut Vec<Event>) {
        let tag = Tag::decode(completion.user_data()).expect("all tags are ours");
        let (result, more) = (completion.result(), cqueue::more(completion.flags()));
        let result = usize::try_from(result).map_err(|_| Errno::from_raw(-result));
        if tag.cancel {
            return self.file_cancel(tag, result);
        }
        if tag.operation == Operation::Wake {
            return self.file_wake(result, more);
        }
        let buffer = cqueue::buffer_select(completion.flags());
        let Some(tenant) = self.legs.get_mut(tag.leg) else {
            debug_assert!(false, "a leg outlives its operations: {tag:?}");
            self.stats.stale.add(1);
            return;
        };
        if !more {
            tenant.in_flight -= 1;
            self.count_ended();
        }
        let leg = tag.leg;
        match tag.operation {
            Operation::Accept => self.file_accept(leg, result, more, events),
            Operation::Connect => self.file_connect(leg, result.map(drop), events),
            Operation::Receive => self.file_receive(leg, result, buffer, more, events),
            Operation::Arrival => self.file_arrival(leg, result, events),
            Operation::Send => self.file_send(leg, result, events),
            Operation::WatchReadable => {
                self.file_watch(leg, Interest::Readable, result, more, events)
            }
            Operation::WatchWritable => {
                self.file_watch(leg, Interest::Writable, result, more, events)
            }
            Operation::WatchHangUp => self.file_watch(leg, Interest::HangUp, result, more, events),
            Operation::SpliceIn => self.file_splice_in(leg, result, events),
            Operation::SpliceOut => self.file_splice_out(leg, result, events),
            Operation::Wake => unreachable!("filed above"),
        }
        self.free_if_done(leg);
    }

    fn file_wake(&mut self, result: Result<usize, Errno>, more: bool) {
        let polled = self.alarm.descriptor().is_some();
        if polled && !more {
            self.alarm_polled = false;
            self.count_ended();
        }
        if result == Err(Errno::ECANCELED) {
            return;
        }
        self.alarm.heard();
        self.stats.wakes.add(1);
        if !polled {
            self.stats.wakes_by_message.add(1);
        } else if !more && !self.closing {
            self.listen_for_alarm();
        }
    }

    /// Polls the alarm, if it doesn't come as a message.
    pub(super) fn listen_for_alarm(&mut self) {
        if let Some(event) = self.alarm.descriptor() {
            let events = libc::POLLIN as u32;
            let entry = opcode::PollAdd::new(types::Fd(event.as_raw_fd()), events).build();
            self.alarm_polled = true;
            self.count_started();
            self.ring.push(entry, Tag::WAKE);
        }
    }
}
