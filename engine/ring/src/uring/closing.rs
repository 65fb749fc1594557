//! The end of legs, and of the driver.
//!
//! Closing a descriptor ends nothing that is pending on it, so everything in flight is cancelled first, and close(2)
//! comes after the last completion. Cancelling goes by tag: by descriptor the kernel would walk all that it has armed.

use std::time::Duration;

use io_uring::{opcode, squeue};
use nix::errno::Errno;

use super::Uring;
use super::system::Want;
use super::tag::{Operation, Tag};
use super::tenant::{Receive, Sending};
use crate::op::{Close, Leg};
use crate::sockets;

/// How long a dropped driver waits for its last completion, in all. Everything pollable ends at once when cancelled; only
/// a ring splice has to run to its end, and that never blocks.
const PATIENCE: Duration = Duration::from_secs(5);

impl Uring {
    pub(super) fn start_closing(&mut self, leg: Leg, how: Close) {
        let Some(tenant) = self.open_mut(leg) else { return };
        tenant.closing = true;
        if how == Close::Reset {
            sockets::reset_on_close(tenant.borrowed());
            // An end in order must not come before it.
            tenant.adopted = false;
        }
        let (receive, group) = (tenant.receive, tenant.group);
        if matches!(receive, Receive::Buffer | Receive::Turn | Receive::Connection) {
            tenant.receive = Receive::Off;
        }
        match receive {
            Receive::Buffer => self.waiting.leave(leg, group),
            Receive::Turn => self.leave_bulk(leg),
            _ => {}
        }
        self.close_pipe(leg);
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        if tenant.sending != Sending::Completion {
            tenant.queue.clear(&mut self.pool);
        }
        if tenant.in_flight > 0 {
            self.cancel_all(leg);
        }
        self.free_if_done(leg);
    }

    fn cancel_all(&mut self, leg: Leg) {
        for operation in Operation::ALL {
            if self.legs.get(leg).is_some_and(|tenant| tenant.awaits(operation)) {
                self.cancel(leg, operation);
            }
        }
    }

    /// A cancellation that failed: its target has ended, or is between two of its steps, where the kernel can't find it.
    pub(super) fn file_cancel(&mut self, tag: Tag, result: Result<usize, Errno>) {
        if tag.operation == Operation::Wake {
            if result == Err(Errno::ENOENT) && self.alarm_polled {
                self.cancel_alarm();
            }
            return;
        }
        let missed = result == Err(Errno::ENOENT)
            && self.legs.get(tag.leg).is_some_and(|tenant| tenant.gives_up(tag.operation));
        if missed {
            self.cancel(tag.leg, tag.operation);
        }
    }

    /// Frees a closed leg after its last completion; its descriptor is closed here.
    pub(super) fn free_if_done(&mut self, leg: Leg) {
        if self.legs.get(leg).is_none_or(|tenant| !tenant.closing || tenant.in_flight > 0) {
            return;
        }
        let mut tenant = self.legs.remove(leg).expect("seen above");
        self.plain_legs -= u32::from(!tenant.is_socket());
        tenant.queue.clear(&mut self.pool);
        if tenant.adopted && tenant.is_socket() {
            sockets::hang_up(tenant.borrowed());
        }
        debug_assert!(tenant.conduit.is_none(), "a pipe outlives its last splice");
        self.stats.legs.sub(1);
    }

    fn cancel_alarm(&mut self) {
        let wake = opcode::AsyncCancel::new(Tag::WAKE.encode()).build();
        self.ring.push(wake.flags(squeue::Flags::SKIP_SUCCESS), Tag::WAKE.cancelling());
    }

    /// Closes all legs and waits for the last completion; whether it came.
    pub(super) fn drain(&mut self) -> bool {
        self.closing = true;
        for leg in self.legs.legs().collect::<Vec<_>>() {
            self.start_closing(leg, Close::Normal);
        }
        if self.alarm_polled {
            self.cancel_alarm();
        }
        let end = self.refresh_clock() + PATIENCE;
        while self.in_flight > 0 && self.now < end {
            let at_most = Some(end.since(self.now));
            self.call(Want { completions: 1, at_most }, &mut Vec::new());
        }
        self.in_flight == 0
    }
}
