//! One turn of the simulated kernel: lets virtual time pass until there is something to tell.

use std::time::Duration;

use penstock_ring::{Arrival, Errno, Event, Interest, Leg, Outcome, Readiness, Splice, Time};

use crate::sim::kernel::{Hosts, Lane, SimKernel};
use crate::sim::link::{Change, Holder, Read};
use crate::sim::tally::{Fault, count};
use crate::sim::world::Action;

/// More turns in a row that neither bring nor await anything are a spin.
const RESTLESS: usize = 1_000;

impl<H: Hosts> SimKernel<H> {
    pub(super) fn take_turn(&mut self, until: Option<Time>, events: &mut Vec<Event>) {
        self.stats.turns.add(1);
        self.turn += 1;
        self.asleep = false;
        // What the worker did since the last turn took its time.
        let span = Duration::from_nanos(500) + self.world.random.span(self.temper.turn);
        self.world.now = self.world.now + span;
        let began = self.world.now;
        self.hosts.turn(&mut self.world);
        self.disturb();
        // Each pass tells something, or takes virtual time to the next thing that happens.
        loop {
            self.pass();
            self.tell(events);
            let rung = self.bell.rung() || std::mem::take(&mut self.starving);
            if !events.is_empty() || rung || until.is_some_and(|until| until <= self.world.now) {
                break;
            }
            if self.world.random.percent(1) {
                count(Fault::IdleTurn);
                break;
            }
            let next = self.outbox.keys().next().map(|(time, _)| *time);
            let next = [next, self.world.next_time(), until].into_iter().flatten().min();
            let Some(next) = next else {
                self.asleep = true;
                break;
            };
            self.world.now = self.world.now.max(next);
        }
        let hasty = events.is_empty() && until.is_some_and(|until| until <= began);
        self.restless = if hasty { self.restless + 1 } else { 0 };
        assert!(
            self.restless < RESTLESS,
            "the worker spins: {RESTLESS} turns without outcome or sleep"
        );
        self.count();
    }

    /// Lets everything happen whose time has come.
    fn pass(&mut self) {
        // Bounded: what an action brings about comes later, or at the same time but once.
        while let Some(action) = self.world.due() {
            self.act(action);
            self.take_up_signals();
        }
        self.take_up_signals();
        self.serve_lines();
        for slot in std::mem::take(&mut self.touched) {
            if let Some(leg) = self.legs.at(slot) {
                self.legs.get_mut(leg).expect("it is there").touched = false;
                self.serve(leg);
            }
        }
    }

    /// Chance: a wake-up or a hint that means nothing.
    fn disturb(&mut self) {
        if !self.world.random.percent(self.temper.spurious) || self.legs.len() == 0 {
            return;
        }
        if self.world.random.percent(10) {
            count(Fault::SpuriousWake);
            penstock_ring::Wake::wake(&*self.bell);
        }
        let slot = self.world.random.below(self.legs.slots());
        let Some(leg) = self.legs.at(slot as u32) else { return };
        if self.live(leg).is_some_and(|tenant| tenant.watches(Interest::Readable)) {
            self.spurious_hint(leg, Readiness { readable: true, ..Readiness::default() });
        }
        if self.live(leg).is_some_and(|tenant| tenant.watches(Interest::Writable)) {
            self.spurious_hint(leg, Readiness { writable: true, ..Readiness::default() });
        }
    }

    fn spurious_hint(&mut self, leg: Leg, readiness: Readiness) {
        count(Fault::SpuriousHint);
        let span = self.world.random.span(self.temper.delay);
        self.tell_once(leg, span, readiness);
    }

    /// A hint uses up what was asked for.
    fn tell_once(&mut self, leg: Leg, span: Duration, readiness: Readiness) {
        let told = [readiness.readable, readiness.writable, readiness.hang_up];
        if let Some(tenant) = self.live_mut(leg) {
            for (watched, told) in tenant.watched.iter_mut().zip(told) {
                *watched &= !told;
            }
        }
        self.file(leg, Lane::Other, span, Outcome::Ready(readiness));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Deliver(end) => self.world.deliver(end),
            Action::Break(end, errno) => self.world.break_end(end, Errno::from_raw(errno)),
            Action::Step(host) => self.hosts.step(host, &mut self.world),
            Action::Dialed(leg) => self.dialed(leg.into()),
            Action::Stop(leg, number) => self.stopped(leg.into(), number),
            Action::SpliceIn(leg, limit) => self.late_splice_in(leg.into(), limit),
            Action::SpliceOut(source, sink) => self.late_splice_out(source.into(), sink.into()),
            Action::Descriptors(out) => {
                self.descriptors_out = out;
                self.world.descriptors_failed = true;
            }
        }
    }

    fn take_up_signals(&mut self) {
        for signal in std::mem::take(&mut self.world.signals) {
            match signal.holder {
                Holder::Nobody => {}
                Holder::Host(host) => self.world.after(Duration::ZERO, Action::Step(host)),
                Holder::Leg(slot) => {
                    if let Some(leg) = self.legs.at(slot) {
                        self.touch(leg);
                        self.hint(leg, signal.change);
                    }
                }
            }
        }
    }

    /// An edge: tells those who watch for it.
    fn hint(&mut self, leg: Leg, change: Change) {
        let Some(tenant) = self.live(leg) else { return };
        let hang_up = change == Change::HangUp;
        let readiness = Readiness {
            readable: (hang_up || change == Change::Readable) && tenant.watches(Interest::Readable),
            writable: (hang_up || change == Change::Writable) && tenant.watches(Interest::Writable),
            hang_up: hang_up && tenant.watched != [false; 3],
        };
        if readiness == Readiness::default() {
            return;
        }
        let delayed = self.world.random.percent(self.temper.delayed_hint);
        let span =
            if delayed { self.world.random.span(self.temper.delay) } else { Default::default() };
        if delayed {
            count(Fault::DelayedHint);
        }
        self.tell_once(leg, span, readiness);
    }

    /// The hint that follows switching on: also what was ready before is told.
    pub(super) fn hint_if_ready(&mut self, leg: Leg, interest: Interest) {
        let Some(end) = self.live(leg).and_then(|tenant| tenant.end) else { return };
        let half = self.world.half(end);
        match interest {
            Interest::Readable if self.world.look(end) != Read::Blocked => {
                self.hint(leg, Change::Readable)
            }
            Interest::Writable if self.world.room(end) > 0 || half.broken.is_some() => {
                self.hint(leg, Change::Writable);
            }
            Interest::HangUp if half.broken.is_some() || half.fin_sent && half.fin_arrived => {
                self.hint(leg, Change::HangUp);
            }
            // No edge was missed: the next one is told when it comes.
            Interest::Writable => self.world.want_room(end),
            _ => {}
        }
    }

    /// A hint that was on its way when it was taken back.
    pub(super) fn hint_too_late(&mut self, leg: Leg, interest: Interest) {
        count(Fault::UnwantedHint);
        let readiness = Readiness {
            readable: interest == Interest::Readable,
            writable: interest == Interest::Writable,
            hang_up: false,
        };
        let span = self.world.random.span(self.temper.delay);
        self.file(leg, Lane::Other, span, Outcome::Ready(readiness));
    }

    /// Tells the outcomes whose time has come.
    fn tell(&mut self, events: &mut Vec<Event>) {
        let first = events.len();
        let later = self.outbox.split_off(&(Time(self.world.now.0 + 1), 0));
        for (_, (leg, outcome)) in std::mem::replace(&mut self.outbox, later) {
            let event = self.told(leg, outcome);
            events.push(event);
        }
        if self.temper.shuffled {
            self.shuffle(&mut events[first..]);
        }
    }

    fn told(&mut self, leg: Leg, outcome: Outcome) -> Event {
        let (what, number) = described(&outcome);
        self.say(leg, what, number);
        let turn = self.turn;
        let tenant = self.legs.get_mut(leg).expect("it has outcomes");
        tenant.in_flight -= 1;
        match &outcome {
            Outcome::Received(buffer) => {
                self.pool.hand_over(buffer);
                (tenant.arriving, tenant.told) = (tenant.arriving - 1, turn);
            }
            Outcome::ReceiveEnded(arrival) => {
                tenant.told = turn;
                tenant.ending &= *arrival == Arrival::Stopped;
            }
            // What was accepted while it was handed over has left the queue already.
            Outcome::Sent(_) if tenant.out.early > 0 => tenant.out.early = 0,
            Outcome::Sent(n) => {
                tenant.out.sending = false;
                tenant.out.advance(*n, &mut self.pool);
            }
            Outcome::Accepted(accepted) => {
                let end = self
                    .legs
                    .get(*accepted)
                    .and_then(|tenant| tenant.end)
                    .expect("it is connected");
                self.world.links[end.link as usize].accepted = true;
            }
            _ => {}
        }
        let tenant = self.legs.get(leg).expect("it has outcomes");
        if tenant.closed {
            count(stale(&outcome));
        }
        let owner = tenant.owner;
        self.touch(leg);
        self.bury(leg);
        Event { owner, leg, outcome }
    }

    /// Shuffles outcomes of different legs; those of one leg keep their order.
    fn shuffle(&mut self, events: &mut [Event]) {
        for _ in 0..events.len() {
            let at = self.world.random.below(events.len());
            if at + 1 < events.len() && events[at].leg != events[at + 1].leg {
                events.swap(at, at + 1);
            }
        }
    }
}

fn stale(outcome: &Outcome) -> Fault {
    match outcome {
        Outcome::Received(_) => Fault::StaleBuffer,
        Outcome::Connected(_) => Fault::StaleConnect,
        Outcome::SplicedIn(_) | Outcome::SplicedOut(_) => Fault::StaleSplice,
        _ => Fault::StaleOutcome,
    }
}

/// An outcome, for the trace.
fn described(outcome: &Outcome) -> (&'static str, usize) {
    let moved = |splice: &Splice| if let Splice::Moved(n) = splice { *n } else { 0 };
    match outcome {
        Outcome::Accepted(leg) => ("told: accepted", leg.slot as usize),
        Outcome::AcceptFailed(_) => ("told: accept failed", 0),
        Outcome::Connected(result) => ("told: connected", usize::from(result.is_ok())),
        Outcome::Received(buffer) => ("told: received", buffer.len()),
        Outcome::ReceiveEnded(Arrival::Ended) => ("told: ended", 0),
        Outcome::ReceiveEnded(Arrival::Stopped) => ("told: receiving stopped", 0),
        Outcome::ReceiveEnded(Arrival::Short) => ("told: no buffer", 0),
        Outcome::ReceiveEnded(Arrival::Failed(_)) => ("told: receiving failed", 0),
        Outcome::Sent(n) => ("told: sent", *n),
        Outcome::SendFailed(_) => ("told: sending failed", 0),
        Outcome::Ready(_) => ("told: hint", 0),
        Outcome::SplicedIn(splice) => ("told: spliced in", moved(splice)),
        Outcome::SplicedOut(splice) => ("told: spliced out", moved(splice)),
    }
}
