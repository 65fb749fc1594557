//! One thread's share of the engine: the only loop.
//!
//! A turn waits once, hands every outcome to the session it is for, takes commands, fires timers, and gives each direction
//! that splices a run. Sessions never see one another; nothing here is shared with another worker but what
//! [`Shared`] holds. Nothing in a turn may wait but the one `wait`.

mod accepting;
mod commands;
mod handing;
mod rest;
mod starvation;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use penstock_ring::{Errno, Event, Kernel, Time};

use crate::close::CloseReason;
use crate::control::{Mailbox, Outside};
use crate::gathering::Gathering;
use crate::intake::Tag;
use crate::metrics::Counters;
use crate::session::{Session, discard};
use crate::sessions::{Handle, Recipient, Role, Sessions};
use crate::shared::Shared;
use crate::timers::Wheel;
use crate::turn::{Step, Turn};

use accepting::Listening;
use rest::Rest;

/// Once so many bytes went into pipes in one turn, who waits for a keystroke is looked after.
const SPLICED: usize = 256 << 10;

/// What a worker is made of, besides its kernel.
pub struct Setup {
    /// Its index: part of every session's id.
    pub index: u8,
    /// What it shares with the other workers.
    pub shared: Arc<Shared>,
    /// Where it counts.
    pub counters: Arc<Counters>,
    /// Listening sockets of its own, each with the index of its configuration.
    pub listeners: Vec<(OwnedFd, u16)>,
    /// Where questions and records go.
    pub outside: Box<dyn Outside>,
    /// Where commands come from.
    pub mailbox: Mailbox,
    /// Connections that may be told at the same time that there is no room; further ones are closed at once. Their descriptors come out
    /// of what `max_tunnels` leaves.
    pub turned_away_max: usize,
    /// What it calls when it rests.
    pub at_rest: Option<fn()>,
}

fn listen<K: Kernel>(
    kernel: &mut K,
    listeners: Vec<(OwnedFd, u16)>,
) -> Result<Vec<Listening>, Errno> {
    let listening = listeners.into_iter().enumerate().map(|(index, (descriptor, config))| {
        let owner = Recipient::Listener(index as u32).owner();
        let leg = kernel.listen(descriptor, owner).map_err(|(errno, _)| errno)?;
        Ok(Listening::new(leg, config))
    });
    listening.collect()
}

/// Of a worker that a fault of ours tears out of its loop: nothing more is dealt to it, and what was is let go.
struct Abandoned(Mailbox);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
            while self.0.take().is_some() {}
        }
    }
}

/// See the module.
pub struct Worker<K: Kernel> {
    turn: Turn<K>,
    mailbox: Mailbox,
    listening: Vec<Listening>,
    sessions: Sessions<Session>,
    /// Those that were handed over.
    handed: HashMap<Tag, Handle>,
    timers: Wheel,
    events: Vec<Event>,
    due: Vec<u32>,
    /// Connections turned away that still read their answer.
    turned_away: usize,
    turned_away_max: usize,
    /// Once a stop was asked for: when what still lives is ended.
    drain_until: Option<Time>,
    /// Whoever can be told that it is over was told.
    dismissed: bool,
    /// The last time that a starved pool was looked into.
    starvation_checked: Time,
    rest: Rest,
}

impl<K: Kernel> Worker<K> {
    /// Starts listening.
    ///
    /// # Errors
    /// The errno with which a listening socket could not be driven. Whoever was handed over to the worker is told of it.
    pub fn new(mut setup: Setup, mut kernel: K) -> Result<Worker<K>, Errno> {
        let listening = match listen(&mut kernel, std::mem::take(&mut setup.listeners)) {
            Ok(listening) => listening,
            Err(errno) => {
                setup.abandon();
                return Err(errno);
            }
        };
        let Setup { index, shared, counters, outside, mailbox, turned_away_max, at_rest, .. } =
            setup;
        let now = kernel.refresh();
        let mut timers = Wheel::default();
        timers.expire(now, &mut Vec::new());
        let gathering = Gathering::new(shared.config.engine.gather);
        Ok(Worker {
            turn: Turn {
                kernel,
                counters,
                shared,
                outside,
                runnable: VecDeque::new(),
                spliced: 0,
                gathering,
                worker: index,
                now,
                number: 0,
            },
            mailbox,
            listening,
            sessions: Sessions::new(),
            handed: HashMap::new(),
            timers,
            events: Vec::new(),
            due: Vec::new(),
            turned_away: 0,
            turned_away_max,
            drain_until: None,
            dismissed: false,
            starvation_checked: now,
            rest: Rest::new(at_rest),
        })
    }

    /// Goes on until a stop was asked for and nothing lives any more.
    pub(crate) fn run(&mut self) {
        let _abandoned = Abandoned(self.mailbox.clone());
        while self.turn() {}
        self.close();
    }

    /// Waits once and does all that has come. False once a stop was asked for and nothing lives any more.
    pub fn turn(&mut self) -> bool {
        let until = self.wait_until();
        self.turn.kernel.wait(until, &mut self.events);
        self.turn.now = self.turn.kernel.now();
        self.turn.number = self.turn.number.wrapping_add(1);
        let heard = !self.events.is_empty();
        self.take_events();
        self.take_commands();
        self.fire_timers();
        self.splice();
        self.see_to_listeners();
        self.relieve_starvation();
        self.rest.turn(self.turn.now, heard);
        self.drain_until.is_none() || !self.sessions.is_empty() || !self.is_deaf()
    }

    /// The kernel, for whoever drives a simulation.
    pub fn kernel(&mut self) -> &mut K {
        &mut self.turn.kernel
    }

    /// Sessions alive, and timers set.
    pub fn live(&self) -> (usize, usize) {
        (self.sessions.len(), self.timers.len())
    }

    fn wait_until(&self) -> Option<Time> {
        // A wake-up stands for any number of commands, of which a turn takes only so many.
        if !self.turn.runnable.is_empty() || !self.mailbox.is_empty() {
            return Some(Time(0));
        }
        let drained = self.drain_until.filter(|_| !self.sessions.is_empty());
        let gathered = self.turn.gathering.due();
        let (listening, starvation) = (self.listening_at(), self.starvation_at());
        let others =
            [self.timers.next(), listening, starvation, drained, gathered, self.rest.due()];
        others.into_iter().flatten().min()
    }

    fn take_events(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            match Recipient::of(event.owner) {
                Some(Recipient::Session(handle, role)) => self.take_event(handle, role, event),
                Some(Recipient::Listener(index)) => {
                    self.take_listener_event(index as usize, event.outcome)
                }
                None => discard(event.outcome, &mut self.turn),
            }
        }
        self.events = events;
    }

    fn take_event(&mut self, handle: Handle, role: Role, event: Event) {
        match self.sessions.get_mut(handle) {
            Some(session) => {
                let step = session.step(role, event, &mut self.turn);
                self.after(handle, step);
            }
            None => {
                self.turn.counters.outcomes_stale.add(1);
                discard(event.outcome, &mut self.turn);
            }
        }
    }

    fn fire_timers(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.timers.expire(self.turn.now, &mut due);
        for slot in due.drain(..) {
            let Some(handle) = self.sessions.handle_of(slot) else { continue };
            let Some(session) = self.sessions.get_mut(handle) else { continue };
            let step = match session.deadline() {
                Some(deadline) if deadline <= self.turn.now => session.expired(&mut self.turn),
                _ => Step::Continue(()),
            };
            self.after(handle, step);
        }
        self.due = due;
    }

    /// Runs the directions that splice, in the order in which they asked, as far as this turn's budget goes; the others
    /// have theirs in the next turns, after the events of everybody else.
    fn splice(&mut self) {
        self.turn.spliced = 0;
        let before = self.turn.runnable.len();
        self.turn.runnable.extend(self.turn.gathering.take_due(self.turn.now));
        self.turn.counters.gathered.add((self.turn.runnable.len() - before) as u64);
        while self.turn.spliced < SPLICED
            && let Some((handle, way)) = self.turn.runnable.pop_front()
        {
            if let Some(session) = self.sessions.get_mut(handle) {
                let step = session.run(way, &mut self.turn);
                self.after(handle, step);
            }
        }
    }

    /// Ends the session, or sees to its next deadline.
    fn after(&mut self, handle: Handle, step: Step) {
        match step {
            Step::Break(reason) => self.finish(handle, reason),
            Step::Continue(()) => {
                let deadline = self.sessions.get_mut(handle).and_then(|session| session.deadline());
                // An entry that is too early costs one look; one that is too late would be a fault.
                if let Some(deadline) = deadline {
                    self.timers.advance(handle.slot, deadline);
                }
            }
        }
    }

    fn finish(&mut self, handle: Handle, reason: CloseReason) {
        let Some(session) = self.sessions.remove(handle) else { return };
        self.timers.clear(handle.slot);
        match session.has_entered() {
            true => self.turn.shared.leave(),
            false => self.turned_away -= 1,
        }
        let record = session.end(reason, &mut self.turn);
        if let Some(tag) = record.tag {
            self.handed.remove(&tag);
        }
        self.turn.counters.closed[reason.index()].add(1);
        self.turn.counters.sessions.sub(1);
        self.turn.outside.finished(record);
    }
}

impl<K: Kernel> fmt::Debug for Worker<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sessions, timers) = self.live();
        write!(f, "Worker {} ({sessions} sessions, {timers} timers)", self.turn.worker)
    }
}
