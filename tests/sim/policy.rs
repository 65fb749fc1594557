//! The program around the engine, where it decides who may have what: in time, late, never, or about somebody who never asked.

use std::collections::HashMap;
use std::time::Duration;

use penstock_core::close::{Cause, CloseReason, Phase, Side};
use penstock_core::config::{Listener, Service};
use penstock_core::control::{Admitted, Asked, Command, Connected, Denied, SessionId, To};

use crate::sim::answers::{Answers, Manner};
use crate::sim::doors::Doors;
use crate::sim::listeners::{is_program, is_terminal};
use crate::sim::oracle::Case;
use crate::sim::outside::Desk;
use crate::sim::population::Population;
use crate::sim::random::Random;
use crate::sim::tally::{Fault, count};
use crate::sim::wish::number_of;
use crate::sim::world::World;

/// What it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// What was asked for.
    Allow,
    /// What it has connected itself.
    Bring,
    /// Nothing, by that status.
    Deny(u16),
}

/// What becomes of a question.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    pub verdict: Verdict,
    /// How it comes.
    pub manner: Manner,
    /// The client makes a request.
    has_head: bool,
}

/// See the module.
pub struct Policy {
    /// By the host of the client.
    pub plans: HashMap<usize, Decision>,
    /// What it says, and of which client.
    pub answers: Answers<(Verdict, usize)>,
    desk: Desk,
}

/// Why, whatever it is.
const WORDS: &str = "the simulation says no";

/// What it calls a client.
pub fn cookie(number: usize) -> u64 {
    number as u64 + 1
}

/// What will be said of a client, if its listener asks; what that explains.
pub fn decide(
    number: usize,
    listener: &Listener,
    population: &mut Population,
    random: &mut Random,
) -> Vec<Cause> {
    if listener.asks_host.is_none() {
        return Vec::new();
    }
    // Of a program or a terminal, more is known than of a connection.
    let is_special = is_program(&listener.service) || is_terminal(&listener.service);
    let verdict = match random.below(10) {
        0 | 1 => Verdict::Deny(random.pick(&[0, 401, 407, 503])),
        2..=4 if !is_special => Verdict::Bring,
        _ => Verdict::Allow,
    };
    let delay = Duration::from_micros(random.pick(&[10, 10, 2_000, 400_000, 2_000_000, 9_000_000]));
    let manner = Manner { delay, lost: random.percent(5) };
    let has_head = !matches!(listener.service, Service::Forward(_));
    population.policy.plans.insert(2 * number, Decision { verdict, manner, has_head });
    let denied = matches!(verdict, Verdict::Deny(_)).then_some(Cause::AccessDenied);
    let late = manner.is_slow().then_some(Cause::TokenLookupFailed);
    denied.into_iter().chain(late).collect()
}

impl Policy {
    /// One at a desk.
    pub fn new(host: usize, desk: Desk) -> Policy {
        Policy { plans: HashMap::new(), answers: Answers::new(host), desk }
    }

    /// Looks at what was asked since the last turn.
    pub fn turn(&mut self, world: &mut World) {
        for (id, asked) in self.desk.take_asked() {
            let client = world.callers[&handle(id)];
            let Decision { verdict, manner, has_head } = self.plans[&client];
            check_question(&asked, has_head);
            let missed = [Fault::DecisionLost, Fault::DecisionLate];
            self.answers.give(id, (verdict, client), manner, missed, world);
        }
    }

    /// Posts the answers whose time has come.
    pub fn step(&mut self, doors: &mut Doors, world: &mut World) {
        for (id, (verdict, client)) in self.answers.due(world.now) {
            let cookie = cookie(client / 2);
            let admitted = |to| Ok(Admitted { to, cookie });
            let result = match verdict {
                Verdict::Allow => {
                    count(Fault::HostAllowed);
                    admitted(None)
                }
                Verdict::Bring => {
                    count(Fault::HostBrought);
                    let descriptor = doors.bring(client + 1, world);
                    let connected = Connected::new(descriptor, Vec::new(), None);
                    admitted(Some(To::Connected(connected.expect("it is a socket"))))
                }
                Verdict::Deny(status) => {
                    count(Fault::HostDenied);
                    let denied = Denied::new(status, "X-Sim: no", Some(WORDS), cookie);
                    Err(denied.expect("it can be sent"))
                }
            };
            self.answers.post(Command::Authorised { id, result });
        }
    }
}

/// It is whole, and all of it is the client's.
fn check_question(asked: &Asked, has_head: bool) {
    let head = &asked.head;
    let ends = head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n");
    assert!(if has_head { ends } else { head.is_empty() }, "{asked:?}");
    assert_eq!(asked.method.is_some(), has_head, "{asked:?}");
    let begins = asked.method.as_ref().is_none_or(|method| head.starts_with(method.as_bytes()));
    assert!(begins && asked.target.is_some() && asked.client.is_some(), "{asked:?}");
}

fn handle(id: SessionId) -> u64 {
    u64::from(id.generation) << 32 | u64::from(id.slot)
}

impl Case<'_> {
    /// Nobody gets anywhere without the host, and who is denied hears it in its words.
    pub fn check_policy(&self) {
        let Some(Decision { verdict, has_head, .. }) = self.decision else {
            let is_named = self.errand.is_some() || self.record.cookie == 0;
            return assert!(is_named, "nobody was asked: {self:?}");
        };
        let record = self.record;
        let number = record.client.and_then(number_of).expect("every client has an address");
        let is_decided = record.cookie == cookie(number);
        assert!(is_decided || record.cookie == 0, "somebody else's: {self:?}");
        let reached = matches!(record.reason.phase, Phase::Connect | Phase::Login | Phase::Relay);
        let has_pages = self.client.wish.browser.as_ref().is_some_and(|(b, _)| b.pages > 0);
        assert!(is_decided || !reached || has_pages, "nobody has decided that: {self:?}");
        let is_denied = matches!(verdict, Verdict::Deny(_));
        assert!(!(is_denied && record.reason.phase == Phase::Relay), "it was denied: {self:?}");
        if let Some(status) = self.denied_by_host() {
            assert!(is_decided, "{self:?}");
            assert_eq!(record.detail.as_deref(), Some(WORDS), "{self:?}");
            assert_eq!(record.status, if *has_head { status } else { 0 }, "{self:?}");
        }
    }

    /// By which status, if the host is why it got nowhere.
    pub fn denied_by_host(&self) -> Option<u16> {
        let denied = CloseReason::new(Side::Client, Phase::Admission, Cause::AccessDenied);
        match self.decision?.verdict {
            Verdict::Deny(0) if self.record.reason == denied => Some(403),
            Verdict::Deny(status) if self.record.reason == denied => Some(status),
            _ => None,
        }
    }
}
