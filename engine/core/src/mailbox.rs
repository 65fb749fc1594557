//! A worker's inbox: bounded, and writable from any thread.
//!
//! In: commands. Out: the same, in their order, on the worker; what does not fit, or comes too late and must not get lost, is given back.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_queue::ArrayQueue;
use penstock_ring::Waker;

use crate::control::Command;

/// A worker's bounded inbox, writable from any thread.
#[derive(Clone)]
pub struct Mailbox {
    queue: Arc<ArrayQueue<Command>>,
    waker: Waker,
    /// Its worker looks into it no more. Whatever must not get lost is posted under this lock, so that the last look finds it.
    closed: Arc<Mutex<bool>>,
}

impl Mailbox {
    /// An inbox for `capacity` commands whose worker is woken by `waker`.
    pub fn new(capacity: usize, waker: Waker) -> Mailbox {
        Mailbox { queue: Arc::new(ArrayQueue::new(capacity)), waker, closed: Arc::default() }
    }

    /// The same as [`post`](Self::post), of what must not get lost: its worker takes it, now or at its end.
    ///
    /// # Errors
    /// Gives the command back if the inbox is full, or the worker has come to its end.
    pub(crate) fn post_surely(&self, command: Command) -> Result<(), Command> {
        let closed = self.lock();
        if *closed { Err(command) } else { self.post(command) }
    }

    /// Takes no more of what must not get lost; for the worker, before its last look.
    pub(crate) fn close(&self) {
        *self.lock() = true;
    }

    /// Whether the worker has come to its end.
    pub fn is_closed(&self) -> bool {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts a command and wakes the worker.
    ///
    /// # Errors
    /// Gives the command back if the inbox is full.
    pub fn post(&self, command: Command) -> Result<(), Command> {
        let posted = self.queue.push(command);
        self.waker.wake();
        posted
    }

    /// Whether no command waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next command; for the worker.
    pub fn take(&self) -> Option<Command> {
        self.queue.pop()
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({} waiting)", self.queue.len())
    }
}
