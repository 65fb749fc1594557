//! What must be true of a run that has ended: every byte where it belongs, every end explained by something that happened,
//! one record for each connection, and nothing left behind.

use std::collections::HashMap;
use std::time::Duration;

use penstock_core::close::{Cause, Phase, Side};
use penstock_core::config::{HalfClose, Listener};
use penstock_core::control::Record;
use penstock_ring::Errno;

use crate::sim::client::{Client, Stage};
use crate::sim::origin::Origin;
use crate::sim::scenario::Run;
use crate::sim::talker::Talker;
use crate::sim::wish::number_of;
use crate::sim::world::World;

/// One connection, seen from all sides.
struct Case<'r> {
    client: &'r Client,
    origin: &'r Origin,
    record: &'r Record,
    listener: &'r Listener,
    world: &'r World,
}

/// Checks a run.
pub fn check(run: &mut Run) {
    check_leaks(run);
    let by_client = by_client(&run.records);
    let records = run.records.clone();
    let config = run.choices.config.clone();
    let (temper, tight) = (run.choices.temper.clone(), run.choices.max_tunnels < 100);
    let drained = run.choices.drain.is_some();
    let kernel = run.worker.kernel();
    let exhausted = kernel.was_exhausted();
    let lacking = temper.descriptors < usize::MAX
        || temper.connect_fails > 0
        || kernel.world.descriptors_failed;
    for (number, client) in kernel.hosts.clients.iter().enumerate() {
        let mine = by_client.get(&number).map_or(&[][..], Vec::as_slice);
        let reached = client.end.is_some_and(|end| kernel.world.links[end.link as usize].accepted);
        assert_eq!(mine.len(), usize::from(reached), "records of client {number}");
        let Some(index) = mine.first() else {
            let in_vain = client.talker.as_ref().is_some_and(|talker| talker.gave_up);
            assert!(!in_vain, "nobody took the connection of client {number}");
            continue;
        };
        let record = &records[*index];
        let listener = &config.listeners[usize::from(record.listener)];
        let origin = &kernel.hosts.origins[number];
        let case = Case { client, origin, record, listener, world: &kernel.world };
        case.check_bytes();
        let excused = match record.reason.cause {
            Cause::Overloaded => tight || kernel.hosts.resolver.busy > 0,
            Cause::Exhausted => lacking,
            // The best of several addresses may have met the lack, and the last one tells its own story.
            Cause::ConnectRefused | Cause::Unreachable => lacking,
            // Who was gone when the run was stopped may have left a connection behind.
            Cause::Drained => drained || client.left.is_some(),
            Cause::PoolPinned => true,
            Cause::NameLookupFailed => kernel.hosts.resolver.lost,
            _ => false,
        };
        assert!(
            excused || case.is_explained(),
            "nothing explains the end of client {number}: {case:?}"
        );
        case.check_fairness(excused);
        if !exhausted {
            case.check_idleness();
            case.check_close();
        }
        if !drained {
            case.check_refusal();
        }
    }
}

fn check_leaks(run: &mut Run) {
    assert_eq!(run.worker.live(), (0, 0), "sessions and timers are left");
    assert_eq!(run.counters.tunnels.get(), 0, "the gauge of tunnels is wrong");
    let kernel = run.worker.kernel();
    let away = (kernel.open_legs(), kernel.buffers_away(), kernel.pipes_away());
    assert_eq!(away, (0, 0, 0), "legs, buffers and pipes are left");
}

fn by_client(records: &[Record]) -> HashMap<usize, Vec<usize>> {
    let mut by_client: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, record) in records.iter().enumerate() {
        let client = record.client.and_then(number_of).expect("every client has an address");
        by_client.entry(client).or_default().push(index);
    }
    by_client
}

impl Case<'_> {
    fn talkers(&self) -> (Option<&Talker>, Option<&Talker>) {
        (self.client.talker.as_ref(), self.origin.winner())
    }

    /// Bytes came through in order (compared when they came), none that were not sent, and to one connection only.
    fn check_bytes(&self) {
        let (client, origin) = self.talkers();
        let (sent, got) = client.map_or((0, 0), |client| (client.sent, client.got));
        let (answered, asked) = origin.map_or((0, 0), |origin| (origin.sent, origin.got));
        assert!(asked <= sent && got <= answered, "more came out than went in: {self:?}");
        let spoken_to = self.origin.talkers.iter().filter(|talker| talker.got > 0).count();
        assert!(spoken_to <= 1, "payload went to {spoken_to} connections: {self:?}");
        assert!(self.record.bytes_to_target <= sent, "counted more than was sent: {self:?}");
        // A connection that breaks keeps what it has taken to itself.
        let broken = [client, origin].into_iter().flatten().any(|talker| talker.harmed);
        let told = self.record.reason.cause == Cause::Finished && !broken;
        assert!(
            !told || self.record.bytes_to_target >= asked,
            "counted less than came through: {self:?}"
        );
    }

    /// Who was refused could read why.
    fn check_refusal(&self) {
        let walked_out = self.client.left.is_some()
            || self.client.talker.as_ref().is_none_or(|talker| talker.harmed);
        if self.record.status >= 400 && !walked_out {
            let whole =
                self.client.status == Some(self.record.status) && self.client.has_whole_refusal();
            assert!(whole, "the refusal was lost: {self:?}");
        }
    }

    /// With `close`, the end of one side is the end of the other one's speech.
    fn check_close(&self) {
        let (Some(client), Some(origin)) = self.talkers() else { return };
        let (first, second) = if self.record.reason.side == Side::Client {
            (client, origin)
        } else {
            (origin, client)
        };
        let well = [client, origin].iter().all(|talker| !talker.is_slow() && !talker.harmed);
        let finished = self.record.reason.cause == Cause::Finished && second.ended;
        if self.listener.half_close == HalfClose::Close && well && finished {
            // What was read before is still flushed.
            let late = first.got_at.since(second.ended_at);
            assert!(late < Duration::from_secs(1), "bytes {late:?} after the end: {self:?}");
        }
    }

    /// A tunnel may only be called idle when nobody had anything to say.
    fn check_idleness(&self) {
        let (Some(client), Some(origin)) = self.talkers() else { return };
        let well = client.plan.is_clean() && origin.plan.is_clean() && self.client.left.is_none();
        if self.record.reason.cause == Cause::IdleTimeout && well {
            let neglected =
                [client.end, origin.end].map(|end| self.world.half(end.peer()).neglected);
            assert!(
                neglected.iter().all(|span| *span < Duration::from_millis(500)),
                "idle with bytes unread {neglected:?}: {self:?}"
            );
        }
    }

    /// The tunnel lived until the two sides wanted it to end, and everything came through.
    fn check_fairness(&self, excused: bool) {
        let (Some(client), Some(origin)) = self.talkers() else { return };
        let clean = |talker: &Talker| talker.plan.is_clean();
        if self.record.reason.cause != Cause::Finished
            || !clean(client)
            || !clean(origin)
            || excused
            || self.client.left.is_some()
        {
            return;
        }
        let (up, down) = (origin.got == client.sent, client.got == origin.sent);
        assert!(!client.gave_up && !origin.gave_up, "stalled: {self:?}");
        match (self.listener.half_close, self.record.reason.side) {
            (HalfClose::Forward, _) => {
                assert!(
                    up && down && client.has_sent_all() && origin.has_sent_all(),
                    "lost: {self:?}"
                );
            }
            (HalfClose::Close, Side::Client) if outlasts(origin, client) => {}
            (HalfClose::Close, Side::Target) if outlasts(client, origin) => {}
            (HalfClose::Close, Side::Client) => {
                assert!(up, "lost on the way to the target: {self:?}")
            }
            (HalfClose::Close, _) => assert!(down, "lost on the way to the client: {self:?}"),
        }
    }

    fn is_explained(&self) -> bool {
        let (client, origin) = self.talkers();
        let (reason, timeouts) = (self.record.reason, &self.listener.timeouts);
        let elapsed = self.record.elapsed;
        let talker = if reason.side == Side::Client { client } else { origin };
        match reason.cause {
            Cause::Finished => {
                let left = reason.side == Side::Client && self.client.left.is_some();
                left || talker.is_some_and(|talker| talker.finished && reason.phase == Phase::Relay)
            }
            Cause::HungUp => self.client.stage == Stage::Gone && self.client_left(),
            Cause::Reset => {
                self.was_reset(reason.side) || talker.is_some_and(|talker| talker.finished)
            }
            Cause::Broken => self.timed_out(reason.side),
            // ETIMEDOUT of a connection that stood.
            Cause::ConnectTimeout if reason.phase == Phase::Relay => self.timed_out(reason.side),
            Cause::ConnectTimeout => elapsed >= timeouts.connect && self.asks_for(reason.cause),
            Cause::HandshakeTimeout => {
                elapsed >= timeouts.handshake && (self.asks_for(reason.cause) || self.is_slow())
            }
            Cause::IdleTimeout => timeouts.idle.is_some_and(|idle| elapsed >= idle),
            Cause::LifetimeEnd => timeouts.lifetime.is_some_and(|lifetime| elapsed >= lifetime),
            Cause::FlushTimeout => [client, origin]
                .into_iter()
                .flatten()
                .any(|talker| talker.harmed || talker.is_slow()),
            Cause::Overloaded | Cause::Exhausted | Cause::PoolPinned | Cause::Drained => false,
            other => self.asks_for(other),
        }
    }

    fn asks_for(&self, cause: Cause) -> bool {
        self.client.wish.explains.contains(&cause)
    }

    fn client_left(&self) -> bool {
        let talker = self.client.talker.as_ref();
        self.client.left.is_some() || talker.is_some_and(|talker| talker.finished || talker.harmed)
    }

    fn is_slow(&self) -> bool {
        let harmed = self.client.talker.as_ref().is_some_and(|talker| talker.harmed);
        harmed
            || self.client.left.is_some()
            || !self.client.wish.pieces.is_empty()
            || self.client.wish.is_slow
    }

    fn was_reset(&self, side: Side) -> bool {
        self.link(side).is_some_and(|link| link.was_reset)
    }

    fn timed_out(&self, side: Side) -> bool {
        self.link(side).is_some_and(|link| {
            link.halves.iter().any(|half| half.broken == Some(Errno::ETIMEDOUT))
        })
    }

    fn link(&self, side: Side) -> Option<&crate::sim::link::Link> {
        let end = if side == Side::Client {
            self.client.end
        } else {
            self.origin.winner().map(|talker| talker.end)
        };
        end.map(|end| &self.world.links[end.link as usize])
    }
}

/// Who goes on talking into a tunnel that ends is read from for two seconds, or a mebibyte; who has not read its own share
/// by then has lost the rest.
fn outlasts(talking: &Talker, other: &Talker) -> bool {
    talking.is_slow() || talking.sent - other.got > 1 << 20
}

impl std::fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (client, origin) = self.talkers();
        let short = |talker: &Talker| {
            let Talker { sent, got, finished, ended, failed, gave_up, harmed, .. } = talker;
            format!(
                "sent {sent} of {}, got {got}, finished {finished}, ended {ended}, failed {failed:?}, gave up {gave_up}, \
                 harmed {harmed}, {:?}",
                talker.plan.total(),
                talker.plan.ending
            )
        };
        writeln!(f, "{:?}", self.record)?;
        writeln!(f, "half_close {:?} {:?}", self.listener.half_close, self.listener.timeouts)?;
        let wish = &self.client.wish;
        let asked = (
            &self.client.stage,
            &self.client.status,
            &self.client.left,
            &wish.explains,
            &self.client.failed,
        );
        writeln!(f, "client {asked:?} {:?}", client.map(short))?;
        write!(f, "target {} connections {:?}", self.origin.talkers.len(), origin.map(short))
    }
}
