//! Splices: from a leg into its pipe and out of it to another leg, at once or as the ring would.

use std::time::Duration;

use penstock_ring::{Errno, Leg, Outcome, Splice};

use crate::sim::kernel::{Hosts, Lane, SimKernel};
use crate::sim::link::Read;
use crate::sim::tally::{Fault, count};

impl<H: Hosts> SimKernel<H> {
    /// Moves bytes from a leg into its pipe.
    pub(super) fn move_in(&mut self, source: Leg, limit: usize) -> Splice {
        let tenant = self.legs.get_mut(source).expect("looked up by the caller");
        let end = tenant.end.expect("only connected legs are spliced");
        let there = match self.world.look(end) {
            Read::Bytes(there) => there.min(limit),
            Read::Blocked => return Splice::Blocked,
            Read::Ended => return Splice::Ended,
            Read::Failed(errno) => return Splice::Failed(errno),
        };
        let pipe = tenant.pipe.as_mut().expect("looked at by the caller");
        if pipe.is_full() {
            return Splice::Blocked;
        }
        let half = self.world.half_mut(end);
        let bytes = half.arrived.make_contiguous()[..there].to_vec();
        let moved = pipe.fill(&bytes, &mut self.world.random);
        let mut taken = Vec::new();
        self.world.read(end, moved, &mut taken);
        Splice::Moved(moved)
    }

    /// Moves bytes from the pipe of a leg to another leg.
    pub(super) fn move_out(&mut self, source: Leg, sink: Leg) -> Splice {
        let Some(end) = self.live(sink).and_then(|tenant| tenant.end) else {
            return Splice::Failed(Errno::EBADF);
        };
        let level = self.pipe_bytes(source);
        if level == 0 {
            return Splice::Blocked;
        }
        let most = self.short(level);
        let pipe =
            self.legs.get_mut(source).and_then(|tenant| tenant.pipe.as_mut()).expect("just looked");
        match self.world.write(end, &pipe.contents()[..most]) {
            Ok(n) => {
                pipe.drain(n);
                if n < level {
                    count(Fault::ShortWrite);
                }
                Splice::Moved(n)
            }
            Err(Errno::EAGAIN) => Splice::Blocked,
            Err(errno) => Splice::Failed(errno),
        }
    }

    fn pipe_bytes(&self, source: Leg) -> usize {
        self.legs.get(source).and_then(|tenant| tenant.pipe.as_ref()).map_or(0, |pipe| pipe.level())
    }

    pub(super) fn late_splice_in(&mut self, source: Leg, limit: usize) {
        count(Fault::SpliceLater);
        let span = self.delay();
        let tenant = self.legs.get_mut(source).expect("a splice was under way");
        tenant.in_flight -= 1;
        let result = match &mut tenant.pipe {
            Some(pipe) => {
                pipe.filling = false;
                self.move_in(source, limit)
            }
            None => Splice::Failed(Errno::ECANCELED),
        };
        self.file_splice(source, span, Outcome::SplicedIn(result));
    }

    pub(super) fn late_splice_out(&mut self, source: Leg, sink: Leg) {
        count(Fault::SpliceLater);
        let span = self.delay();
        let tenant = self.legs.get_mut(source).expect("a splice was under way");
        tenant.in_flight -= 1;
        let result = match &mut tenant.pipe {
            Some(pipe) => {
                pipe.draining = false;
                self.move_out(source, sink)
            }
            None => Splice::Failed(Errno::ECANCELED),
        };
        self.file_splice(source, span, Outcome::SplicedOut(result));
    }

    fn file_splice(&mut self, source: Leg, span: Duration, outcome: Outcome) {
        let closed = self.live(source).is_none();
        if closed && !self.world.random.percent(self.temper.stale) {
            return self.bury(source);
        }
        self.file(source, Lane::Other, span, outcome);
    }
}
