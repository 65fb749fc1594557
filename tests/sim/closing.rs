//! The end of a leg: what is under way is cancelled, told too late, or never told; then the slot is let again.

use penstock_ring::{Arrival, Close, Errno, Leg, Outcome};

use crate::sim::kernel::{Hosts, Lane, SimKernel};
use crate::sim::leg::{Kind, Receive, Tenant};
use crate::sim::pipes::Pipe;
use crate::sim::tally::{Fault, count};

impl<H: Hosts> SimKernel<H> {
    /// Brings a leg to its end: nothing is asked of it any more, and its slot is let when the last outcome was told.
    pub(super) fn end_leg(&mut self, leg: Leg, how: Close) {
        let tenant = self.legs.get_mut(leg).expect("looked up by the caller");
        tenant.closed = true;
        tenant.accepting = false;
        for (under_way, fault) in [
            (tenant.out.sending, Fault::SendCancelled),
            (tenant.receive != Receive::Off, Fault::ReceiveCancelled),
            (tenant.connecting, Fault::ConnectCancelled),
        ] {
            if under_way {
                count(fault);
            }
        }
        let (kind, end, pipe) = (tenant.kind, tenant.end, tenant.pipe.take());
        self.pool.leave_line(leg);
        if let Some(pipe) = pipe {
            self.close_pipe(pipe);
        }
        match (kind, end) {
            (Kind::Listener(index), _) => self.close_listener(index),
            (Kind::Stream, Some(end)) => self.world.close_end(end, how),
            (Kind::Stream, None) => {}
        }
        self.thin_out(leg);
        self.bury(leg);
    }

    pub(super) fn close_pipe(&mut self, pipe: Pipe) {
        if pipe.filling || pipe.draining {
            count(Fault::SpliceCancelled);
        }
        self.pipes.close(pipe, &self.stats);
    }

    fn close_listener(&mut self, index: usize) {
        self.world.listening[index].open = false;
        for end in std::mem::take(&mut self.world.listening[index].backlog) {
            self.world.close_end(end, Close::Reset);
        }
    }

    /// Of what was going to be told to a closed leg, some is never told; some that was only asked for is.
    fn thin_out(&mut self, leg: Leg) {
        let keys: Vec<_> =
            self.outbox.iter().filter(|(_, filed)| filed.0 == leg).map(|(key, _)| *key).collect();
        for key in keys {
            let (_, outcome) = &self.outbox[&key];
            let accepted = matches!(outcome, Outcome::Accepted(_));
            if accepted || !self.world.random.percent(self.temper.stale) {
                let (_, outcome) = self.outbox.remove(&key).expect("it was just there");
                self.withdraw(leg, outcome);
            }
        }
        if self.world.random.percent(self.temper.stale / 4) {
            self.cancel(leg);
        }
    }

    fn cancel(&mut self, leg: Leg) {
        let span = self.world.random.span(self.temper.delay);
        let tenant = self.legs.get(leg).expect("looked up by the caller");
        let receiving = tenant.receive != Receive::Off;
        let (sending, connecting) = (tenant.out.queued().bytes > 0, tenant.connecting);
        if receiving {
            self.file(
                leg,
                Lane::Arrival,
                span,
                Outcome::ReceiveEnded(Arrival::Failed(Errno::ECANCELED)),
            );
        }
        if sending {
            self.file(leg, Lane::Other, span, Outcome::SendFailed(Errno::ECANCELED));
        }
        if connecting {
            self.file(leg, Lane::Other, span, Outcome::Connected(Err(Errno::ECANCELED)));
        }
    }

    fn withdraw(&mut self, leg: Leg, outcome: Outcome) {
        self.legs.get_mut(leg).expect("it has outcomes").in_flight -= 1;
        match outcome {
            Outcome::Received(buffer) => self.pool.withdraw(buffer),
            Outcome::Accepted(accepted) => self.end_leg(accepted, Close::Normal),
            _ => {}
        }
    }

    /// Lets the slot of a closed leg that has nothing more to tell.
    pub(super) fn bury(&mut self, leg: Leg) {
        let done = |tenant: &Tenant| tenant.closed && tenant.in_flight == 0;
        if self.legs.get(leg).is_some_and(done) {
            let mut tenant = self.legs.remove(leg).expect("it is there");
            tenant.out.clear(&mut self.pool);
        }
    }
}
