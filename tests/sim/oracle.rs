//! What must be true of a run that has ended: every byte where it belongs, every end explained by something that happened,
//! one record for each connection, and nothing left behind.

use std::collections::HashMap;
use std::time::Duration;

use penstock_core::close::{Cause, Phase, Side};
use penstock_core::config::{HalfClose, Listener, Timeouts};
use penstock_core::control::Record;
use penstock_ring::Time;

use crate::sim::around::Around;
use crate::sim::client::Client;
use crate::sim::errands::Errand;
use crate::sim::explained::Excuses;
use crate::sim::handed::own_terms;
use crate::sim::origin::Origin;
use crate::sim::places;
use crate::sim::policy::Decision;
use crate::sim::scenario::Run;
use crate::sim::talker::Talker;
use crate::sim::trust::check_counters;
use crate::sim::wish::number_of;
use crate::sim::world::World;

/// One connection, seen from all sides.
pub struct Case<'r> {
    pub client: &'r Client,
    pub origin: &'r Origin,
    pub record: &'r Record,
    pub listener: &'r Listener,
    /// Of the listener's terms, or its own.
    pub timeouts: Timeouts,
    pub half_close: HalfClose,
    /// What was planned, if it was handed over.
    pub errand: Option<&'r Errand>,
    /// What the host says of it, if it is asked.
    pub decision: Option<&'r Decision>,
    pub world: &'r World,
    /// When its record came.
    pub ended_at: Time,
    /// Somebody had to wait for a buffer.
    pub exhausted: bool,
}

/// Checks a run.
pub fn check(run: &mut Run) {
    check_leaks(run);
    places::check(run);
    check_counters(run);
    let by_client = by_client(run);
    let excuses = Excuses::of(run);
    let (records, config) = (run.records.clone(), run.choices.config.clone());
    let kernel = run.worker.kernel();
    for (number, client) in kernel.hosts.clients.iter().enumerate() {
        let mine = by_client.get(&number).map_or(&[][..], Vec::as_slice);
        let reached = client.end.is_some_and(|end| kernel.world.links[end.link as usize].accepted);
        assert_eq!(mine.len(), usize::from(reached), "records of client {number}");
        let Some(index) = mine.first() else {
            let in_vain = client.talker.as_ref().is_some_and(|talker| talker.gave_up);
            let goes_home = kernel.hosts.around.errand(number).is_some_and(Errand::is_given_up);
            assert!(!in_vain || goes_home, "nobody took the connection of client {number}");
            continue;
        };
        let (ended_at, record) = (records[*index].0, &records[*index].1);
        let listener = &config.listeners[usize::from(record.listener)];
        let origin = &kernel.hosts.origins[number];
        let world = &kernel.world;
        let exhausted = excuses.exhausted;
        let decision = kernel.hosts.policy.plans.get(&(2 * number));
        let errand = kernel.hosts.around.errand(number);
        let (timeouts, half_close) = own_terms(listener, errand);
        let case = Case {
            client,
            origin,
            record,
            listener,
            timeouts,
            half_close,
            errand,
            decision,
            world,
            ended_at,
            exhausted,
        };
        case.check(&excuses);
    }
}

fn check_leaks(run: &mut Run) {
    assert_eq!(run.worker.live(), (0, 0), "sessions and timers are left");
    assert_eq!(run.counters.tunnels.get(), 0, "the gauge of tunnels is wrong");
    let kernel = run.worker.kernel();
    let away = (kernel.open_legs(), kernel.buffers_away(), kernel.pipes_away());
    assert_eq!(away, (0, 0, 0), "legs, buffers and pipes are left");
    let left_open = kernel.hosts.doors.left_open(&mut kernel.world)
        + kernel.hosts.around.left_open(&mut kernel.world);
    assert_eq!(left_open, 0, "descriptors that nobody took are left open");
    assert_eq!(run.shared.sessions(), 0, "places are left");
}

fn by_client(run: &mut Run) -> HashMap<usize, Vec<usize>> {
    let around = &run.worker.kernel().hosts.around;
    let mut by_client: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, (_, record)) in run.records.iter().enumerate() {
        by_client.entry(client_of(record, around)).or_default().push(index);
    }
    by_client
}

/// The client that a record tells of: by its number, or by its address.
pub fn client_of(record: &Record, around: &Around) -> usize {
    let Some(tag) = record.tag else {
        return record.client.and_then(number_of).expect("every client has an address");
    };
    let errand = around.errands.iter().find(|errand| errand.tag() == Some(tag));
    errand.expect("somebody handed it over").number
}

impl Case<'_> {
    fn check(&self, excuses: &Excuses) {
        self.check_bytes();
        self.check_secrecy();
        self.check_time();
        let excused = excuses.cover(self);
        assert!(excused || self.is_explained(), "nothing explains the end: {self:?}");
        self.check_fairness(excused);
        self.check_policy();
        self.check_handed();
        self.check_console();
        self.check_login();
        if !excuses.exhausted {
            self.check_idleness();
            self.check_close();
        }
        if !excuses.drained {
            self.check_refusal();
        }
    }

    /// The tunnel, as both sides live it.
    pub fn talkers(&self) -> (Option<&Talker>, Option<&Talker>) {
        // A target that was handed over is there while pages are served, which are none of it.
        let is_apart = self.errand.is_some() && self.record.reason.phase == Phase::Page;
        (self.client.talker.as_ref(), self.origin.winner().filter(|_| !is_apart))
    }

    /// Bytes came through in order (compared when they came), none that were not sent, and to one connection only.
    fn check_bytes(&self) {
        let (client, origin) = self.talkers();
        let (sent, got) = client.map_or((0, 0), |client| (client.sent, client.got));
        let (answered, asked) = origin.map_or((0, 0), |origin| (origin.sent, origin.got));
        assert!(asked <= sent && got <= answered, "more came out than went in: {self:?}");
        let spoken_to = self.origin.talkers.iter().filter(|talker| talker.got > 0).count();
        assert!(spoken_to <= 1, "payload went to {spoken_to} connections: {self:?}");
        let sent = sent + self.login_asked();
        assert!(self.record.bytes_to_target <= sent, "counted more than was sent: {self:?}");
        let replies = self.client.answer.len() as u64 + self.login_heard();
        // A connection that breaks keeps what it has taken to itself.
        let broken = [client, origin].into_iter().flatten().any(|talker| talker.harmed);
        let told = self.record.reason.cause == Cause::Finished && !broken;
        assert!(
            !told
                || self.record.bytes_to_target >= asked + self.login_asked()
                    && self.record.bytes_to_client >= replies + got,
            "counted less than came through: {self:?}"
        );
    }

    /// With `close`, the end of one side is the end of the other one's speech.
    fn check_close(&self) {
        let (Some(client), Some(origin)) = self.talkers() else { return };
        let (first, second) = if self.record.reason.side == Side::Client {
            (client, origin)
        } else {
            (origin, client)
        };
        // Who gave up was not reading any more, and takes what lay there when it looks again.
        let reads = |talker: &&Talker| !talker.is_slow() && !talker.harmed && !talker.gave_up;
        let well = [client, origin].iter().all(reads);
        let finished = self.record.reason.cause == Cause::Finished && second.ended;
        if self.half_close == HalfClose::Close && well && finished {
            // What was read before is still flushed.
            let late = first.got_at.since(second.ended_at);
            assert!(late < Duration::from_secs(1), "bytes {late:?} after the end: {self:?}");
        }
    }

    /// A tunnel may only be called idle when nobody had anything to say.
    fn check_idleness(&self) {
        let (Some(client), Some(origin)) = self.talkers() else { return };
        let clean = Talker::is_clean;
        // Who takes nothing for as long keeps what there is for him from being read.
        let nap = client.line.frames().and_then(|frames| frames.framing().nap);
        let slept = nap.is_some_and(|(_, span)| Some(span) >= self.timeouts.idle);
        let well = clean(client) && clean(origin) && self.client.left.is_none() && !slept;
        if self.record.reason.cause == Cause::IdleTimeout && well {
            let neglected = [client, origin]
                .map(|talker| talker.line.end)
                .map(|end| self.world.half(end.peer()).neglected);
            assert!(
                neglected.iter().all(|span| *span < Duration::from_millis(500)),
                "idle with bytes unread {neglected:?}: {self:?}"
            );
        }
    }

    /// The tunnel lived until the two sides wanted it to end, and everything came through.
    fn check_fairness(&self, excused: bool) {
        let (Some(client), Some(origin)) = self.talkers() else { return };
        let clean = Talker::is_clean;
        if self.record.reason.cause != Cause::Finished
            || !clean(client)
            || !clean(origin)
            || excused
            || self.client.left.is_some()
        {
            return;
        }
        let (up, down) = (origin.got == client.passing(), client.got == origin.sent);
        assert!(!client.gave_up && !origin.gave_up, "stalled: {self:?}");
        match (self.half_close, self.record.reason.side) {
            (HalfClose::Forward, _) => {
                let all = client.has_sent_all() && origin.has_sent_all();
                assert!(up && down && all, "lost: {self:?}");
                self.check_account([true, true]);
            }
            (HalfClose::Close, Side::Client) if outlasts(origin, client) => {}
            (HalfClose::Close, Side::Target) if outlasts(client, origin) => {}
            (HalfClose::Close, Side::Client) => {
                assert!(up, "lost on the way to the target: {self:?}");
                self.check_account([true, false]);
            }
            (HalfClose::Close, _) => {
                assert!(down, "lost on the way to the client: {self:?}");
                self.check_account([false, true]);
            }
        }
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
            let Talker { sent, got, finished, ended, failed, gave_up, harmed, line, .. } = talker;
            format!(
                "sent {sent} of {}, got {got}, finished {finished}, ended {ended}, failed {failed:?}, gave up {gave_up}, \
                 harmed {harmed}, {:?}, {line:?}",
                talker.plan.total(),
                talker.plan.ending
            )
        };
        writeln!(f, "{:?}", self.record)?;
        let Listener { service, .. } = self.listener;
        let Case { half_close, timeouts, errand, .. } = self;
        writeln!(f, "{errand:?}")?;
        writeln!(f, "half_close {half_close:?} {timeouts:?} {service}")?;
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
