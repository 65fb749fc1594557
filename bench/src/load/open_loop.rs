//! A load at a fixed rate: operations begin when the schedule says so, or as soon after that as they can.
//!
//! Messages go to the tunnels in turn; one whose tunnel still waits for an echo waits behind it. Connections wait only
//! when too many are under way. What is due in the measured window is waited for, so that the slowest are not lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::client::State;
use super::schedule::Schedule;
use super::{Load, Pace, Socket, Task};

pub(super) struct OpenLoop {
    schedule: Schedule,
    /// The tunnels that take turns; none: each operation is a connection of its own.
    tunnels: Vec<usize>,
    /// Connections that should have begun.
    waiting: VecDeque<Instant>,
    under_way: usize,
    /// What was due before does not count.
    count_from: Option<Instant>,
    /// Operations due since then.
    due: u64,
}

impl OpenLoop {
    /// When the next operation is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.schedule.next()
    }

    pub(super) fn counts(&self, began: Instant) -> bool {
        self.count_from.is_some_and(|from| began >= from)
    }

    pub(super) fn start_counting(&mut self, now: Instant, end: Instant) {
        self.count_from = Some(now);
        self.schedule.end_at(end);
    }
}

impl Load<'_> {
    pub(super) fn start_schedule(&mut self) {
        let Pace::Rate(rate) = self.pattern.pace else { return };
        let is_tunnel = |s: &Socket| matches!(s, Socket::Client(c) if c.converses());
        let tunnels = self.sockets.iter().filter(|(_, s)| is_tunnel(s)).map(|(key, _)| key);
        self.open_loop = Some(OpenLoop {
            schedule: Schedule::new(Instant::now(), rate),
            tunnels: tunnels.collect(),
            waiting: VecDeque::new(),
            under_way: 0,
            count_from: None,
            due: 0,
        });
    }

    /// Begins what is due.
    pub(super) fn start_due(&mut self) -> Result<()> {
        while let Some(open_loop) = &mut self.open_loop
            && let Some((number, due)) = open_loop.schedule.take(Instant::now())
        {
            open_loop.due += u64::from(open_loop.counts(due));
            match open_loop.tunnels.len() {
                0 => {
                    open_loop.waiting.push_back(due);
                    self.dial_waiting()?;
                }
                count => {
                    let key = open_loop.tunnels[(number % count as u64) as usize];
                    let Socket::Client(client) = &mut self.sockets[key] else { continue };
                    client.waiting.push_back(due);
                    if matches!(client.state, State::Rest) {
                        self.next_waiting(key)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The next message of a tunnel, if one waits.
    pub(super) fn next_waiting(&mut self, key: usize) -> Result<()> {
        let Socket::Client(client) = &mut self.sockets[key] else { return Ok(()) };
        match client.waiting.pop_front() {
            Some(due) => self.next_round(key, due),
            None => Ok(()),
        }
    }

    pub(super) fn set_up_ended(&mut self) -> Result<()> {
        if let Some(open_loop) = &mut self.open_loop {
            open_loop.under_way -= 1;
        }
        self.dial_waiting()
    }

    fn dial_waiting(&mut self) -> Result<()> {
        let under_way_max = self.pattern.setups;
        while let Some(open_loop) = &mut self.open_loop
            && open_loop.under_way < under_way_max
            && let Some(due) = open_loop.waiting.pop_front()
        {
            open_loop.under_way += 1;
            self.dial(Task::SetUp, due, true)?;
        }
        Ok(())
    }

    /// Waits for everything that was due in the window.
    pub(super) fn finish_schedule(&mut self) -> Result<()> {
        let deadline = Instant::now() + FINISH_LIMIT;
        while let Some(open_loop) = &self.open_loop {
            let missing = open_loop.due - self.operations;
            if missing == 0 && open_loop.next().is_none() {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "{missing} of {} operations had not ended {FINISH_LIMIT:?} after the window",
                open_loop.due
            );
            self.step(deadline)?;
        }
        Ok(())
    }
}

const FINISH_LIMIT: Duration = Duration::from_secs(2);
