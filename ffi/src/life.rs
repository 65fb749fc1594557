//! An engine from its creation to its end.
//!
//! ```text
//!  Created ──start──▶ Starting ──▶ Running ──stop──▶ Stopping ──▶ Stopped
//!     ▲                  │                                          ▲
//!     └──── it failed ───┘          Created ───────── stop ─────────┘
//! ```

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use penstock_config::AccessLog;
use penstock_core::config::Config;

use crate::courier::Courier;
use crate::edge::{Answer, Refusal};
use crate::engine::penstock_engine;
use crate::running::Running;
use crate::start;
use crate::status::penstock_status::*;

/// Nobody waits for longer.
const LONGEST_DRAIN: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What an engine is to be made of.
pub(crate) struct Made {
    pub(crate) config: Arc<Config>,
    /// Where the access log goes; none: nowhere.
    pub(crate) access_log: Option<AccessLog>,
    /// Where metrics are shown; none: nowhere.
    pub(crate) admin: Option<SocketAddr>,
    /// Index of the terms of those who name none.
    pub(crate) plain_terms: u16,
    /// Workers that are left to threads of the host.
    pub(crate) host_workers: usize,
    /// Listening sockets of the host's, each with the index of its listener.
    pub(crate) sockets: Vec<(u16, OwnedFd)>,
}

enum State {
    Created(Box<Made>),
    /// Somebody is at it.
    Starting,
    Running(Arc<Running>),
    Stopping(Arc<Running>),
    /// What ran can still be asked what it has counted.
    Stopped(Option<Arc<Running>>),
}

/// See the module.
pub(crate) struct Engine {
    pub(crate) courier: Arc<Courier>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Engine {
    pub(crate) fn new(number: penstock_engine, made: Made) -> Engine {
        let (courier, state) = (Courier::new(number), State::Created(Box::new(made)));
        Engine { courier: Arc::new(courier), state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Once nobody is at it any more.
    fn settled(&self) -> MutexGuard<'_, State> {
        let state = self.state();
        let is_starting = |state: &mut State| matches!(state, State::Starting);
        self.changed.wait_while(state, is_starting).unwrap_or_else(PoisonError::into_inner)
    }

    fn become_(&self, state: State) {
        *self.state() = state;
        self.changed.notify_all();
    }

    /// That it was not started.
    pub(crate) fn ensure_new(&self) -> Answer {
        match &*self.state() {
            State::Created(_) => Ok(()),
            State::Starting | State::Running(_) => Err(PENSTOCK_STARTED.into()),
            State::Stopping(_) | State::Stopped(_) => Err(PENSTOCK_STOPPED.into()),
        }
    }

    /// Changes what it is to be made of.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Made) -> Answer<T>) -> Answer<T> {
        match &mut *self.state() {
            State::Created(made) => change(made),
            State::Starting | State::Running(_) => Err(PENSTOCK_STARTED.into()),
            State::Stopping(_) | State::Stopped(_) => Err(PENSTOCK_STOPPED.into()),
        }
    }

    /// What runs.
    pub(crate) fn running(&self) -> Answer<Arc<Running>> {
        match &*self.state() {
            State::Running(running) => Ok(Arc::clone(running)),
            State::Created(_) | State::Starting => Err(PENSTOCK_NOT_STARTED.into()),
            State::Stopping(_) | State::Stopped(_) => Err(PENSTOCK_STOPPED.into()),
        }
    }

    /// What still carries tunnels, though it may be about to end.
    pub(crate) fn carrying(&self) -> Answer<Arc<Running>> {
        match &*self.state() {
            State::Running(running) | State::Stopping(running) => Ok(Arc::clone(running)),
            State::Created(_) | State::Starting => Err(PENSTOCK_NOT_STARTED.into()),
            State::Stopped(_) => Err(PENSTOCK_STOPPED.into()),
        }
    }

    /// What runs, or ran: for whoever only wants to know about it.
    pub(crate) fn known(&self) -> Answer<Arc<Running>> {
        match &*self.state() {
            State::Running(running) | State::Stopping(running) => Ok(Arc::clone(running)),
            State::Stopped(Some(running)) => Ok(Arc::clone(running)),
            State::Created(_) | State::Starting | State::Stopped(None) => {
                Err(PENSTOCK_NOT_STARTED.into())
            }
        }
    }

    pub(crate) fn start(&self) -> Answer {
        let made = {
            let mut state = self.state();
            match std::mem::replace(&mut *state, State::Starting) {
                State::Created(made) => made,
                other => {
                    *state = other;
                    drop(state);
                    return self.ensure_new();
                }
            }
        };
        match catch_unwind(AssertUnwindSafe(|| start::start(&made, &self.courier))) {
            Ok(Ok(running)) => {
                self.become_(State::Running(Arc::new(running)));
                Ok(())
            }
            Ok(Err(refusal)) => {
                self.become_(State::Created(made));
                Err(refusal)
            }
            Err(panic) => {
                // Nobody knows what there is: nothing is to wait for it.
                self.become_(State::Stopped(None));
                resume_unwind(panic)
            }
        }
    }

    /// Ends it, and waits for that.
    pub(crate) fn stop(&self, drain: Duration) -> Answer {
        if self.courier.is_this_thread() {
            return Err(PENSTOCK_IN_CALLBACK.into());
        }
        let mut state = self.settled();
        match &*state {
            State::Created(_) => *state = State::Stopped(None),
            State::Running(running) => {
                let running = Arc::clone(running);
                *state = State::Stopping(Arc::clone(&running));
                drop(state);
                let ended = catch_unwind(AssertUnwindSafe(|| self.end(&running, drain)));
                // Also then: others wait for it.
                self.become_(State::Stopped(Some(running)));
                ended.unwrap_or_else(|panic| resume_unwind(panic));
            }
            State::Stopping(running) => {
                if drain.is_zero() {
                    running.stop(drain);
                }
                let lives = |state: &mut State| matches!(state, State::Stopping(_));
                let _ended = self.changed.wait_while(state, lives);
            }
            State::Starting | State::Stopped(_) => {}
        }
        Ok(())
    }
}

impl Engine {
    fn end(&self, running: &Running, drain: Duration) {
        let tunnels = running.handle.tunnels();
        match drain >= LONGEST_DRAIN {
            true => tracing::info!(tunnels, "stopping, as soon as the last of them has ended"),
            false => tracing::info!(tunnels, ?drain, "stopping"),
        }
        running.stop(drain);
        running.join();
        tracing::info!("ended");
        // All ends are there by now.
        self.courier.close();
        running.join_host();
    }

    /// Makes the calling thread a worker.
    pub(crate) fn run(&self) -> Answer {
        if self.courier.is_this_thread() {
            return Err(PENSTOCK_IN_CALLBACK.into());
        }
        let running = self.running()?;
        running.take_seat()?.map_err(|errno| {
            Refusal::new(PENSTOCK_SYSTEM, format!("can't make the worker's driver: {errno}"))
        })
    }
}
