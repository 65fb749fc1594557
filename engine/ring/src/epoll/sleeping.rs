//! Waiting for edges: at once, after a look around, or asleep.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{EpollEvent, EpollTimeout};

use super::Epoll;
use crate::op::{Kernel, Time};

impl Epoll {
    /// Sleeps until something happens, unless something is to be done already, and notes it.
    pub(super) fn sleep(&mut self, until: Option<Time>, busy: bool) {
        let left = until.map(|until| until.since(self.refresh()));
        let sleeps = !busy && left.is_none_or(|left| !left.is_zero());
        // Who looks while we sleep sees what the last turn gave back.
        self.gauge_buffers();
        let mut edges = std::mem::take(&mut self.edges);
        let count = match sleeps && !self.busy_poll.is_zero() {
            true => self.look_for_news(&mut edges, until),
            false => 0,
        };
        // What is left after that.
        let timeout = match until.map(|until| until.since(self.now)) {
            _ if !sleeps || count > 0 => EpollTimeout::ZERO,
            None => EpollTimeout::NONE,
            Some(left) if left < SHORT => self.doze(left),
            Some(left) => milliseconds(left),
        };
        // EINTR is a wake-up like any other: the caller looks around and waits again. No other error is possible.
        let count =
            if count > 0 { count } else { self.epoll.wait(&mut edges, timeout).unwrap_or(0) };
        self.refresh();
        for edge in &edges[..count] {
            self.note(*edge);
        }
        self.edges = edges;
    }

    /// Sleeps for less than epoll_wait(2) can count, which is left with nothing to wait for.
    fn doze(&self, left: Duration) -> EpollTimeout {
        let mut edges = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        // A signal is a wake-up like any other.
        let _ = ppoll(&mut edges, Some(left.into()), None);
        EpollTimeout::ZERO
    }

    /// Looks for edges as long as the options say; how many there are.
    fn look_for_news(&mut self, edges: &mut [EpollEvent], until: Option<Time>) -> usize {
        let end = self.refresh() + self.busy_poll;
        let end = until.map_or(end, |until| until.min(end));
        while self.now < end {
            let count = self.epoll.wait(edges, EpollTimeout::ZERO).unwrap_or(0);
            if count > 0 {
                self.stats.busy_polled.add(1);
                return count;
            }
            self.refresh();
        }
        0
    }
}

/// Sleeps below this need more than milliseconds.
const SHORT: Duration = Duration::from_millis(5);

/// Rounded up, so that a deadline has passed when the sleep ends.
fn milliseconds(span: Duration) -> EpollTimeout {
    let milliseconds = span.as_nanos().div_ceil(1_000_000);
    let milliseconds = i32::try_from(milliseconds).unwrap_or(i32::MAX);
    EpollTimeout::try_from(milliseconds).expect("not negative")
}
