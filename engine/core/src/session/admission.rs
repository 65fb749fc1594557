//! Allow, Deny or Pending: who may reach what, judged on the address really connected to.
//!
//! A literal address is judged at once. A name is judged before it is resolved where a rule decides without the address,
//! and each of its addresses again afterwards, so that no answer of a name server opens what the rules close.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use penstock_proto::http::Host;
use penstock_ring::Kernel;

use super::opening::{Opening, Stage};
use super::{Session, State};
use crate::close::{Cause, Side};
use crate::config::{ConsoleTarget, Service};
use crate::control::{Question, ResolveError};
use crate::policy::{Query, Verdict, Why};
use crate::turn::{Step, Turn};

/// No address is connected to behind a door, and a rule that names some has nothing to say of it: nobody has this one (RFC 6666).
const BEHIND_A_DOOR: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0));

impl Session {
    pub(super) fn admit<K: Kernel>(&mut self, opening: Box<Opening>, turn: &mut Turn<K>) -> Step {
        let host = opening.target.as_ref().map(|target| target.host.clone());
        let verdict = self.judge(&opening, host.as_ref().and_then(Host::address), turn);
        self.state = State::AwaitTarget(opening);
        match (verdict, host) {
            (Err(cause), _) => self.refuse(Side::Penstock, cause, None, turn),
            (Ok(()), _) if self.lacks_secrets() => self.ask_for_secrets(turn),
            (Ok(()), None) => {
                self.upgrade(turn)?;
                self.ask_for_door(turn)
            }
            (Ok(()), Some(Host::Name(name))) => self.ask_for(name.into(), turn),
            (Ok(()), Some(Host::V4(ip))) => self.take_addresses(Ok(vec![ip.into()]), turn),
            (Ok(()), Some(Host::V6(ip))) => self.take_addresses(Ok(vec![ip.into()]), turn),
        }
    }

    fn ask_for<K: Kernel>(&mut self, name: Box<str>, turn: &mut Turn<K>) -> Step {
        let question = Question::Resolve { id: self.handle.id(turn.worker), name };
        if turn.outside.ask(question).is_err() {
            turn.counters.questions_refused.add(1);
            return self.refuse(Side::Penstock, Cause::Overloaded, None, turn);
        }
        Step::Continue(())
    }

    /// The answer of control.
    pub(super) fn name_resolved<K: Kernel>(
        &mut self,
        result: Result<Vec<IpAddr>, ResolveError>,
        turn: &mut Turn<K>,
    ) -> Step {
        if let State::AwaitTarget(opening) = &self.state {
            turn.counters.setup[1].record(turn.now.since(opening.requested_at));
        }
        self.take_addresses(result, turn)
    }

    /// The target's addresses are known: those that the rules allow are dialled.
    fn take_addresses<K: Kernel>(
        &mut self,
        result: Result<Vec<IpAddr>, ResolveError>,
        turn: &mut Turn<K>,
    ) -> Step {
        let State::AwaitTarget(mut opening) = std::mem::replace(&mut self.state, State::Between)
        else {
            return Step::Continue(());
        };
        let mut denied = None;
        let mut allow = |address: &IpAddr| {
            self.judge(&opening, Some(*address), turn)
                .map_err(|cause| denied.get_or_insert(cause))
                .is_ok()
        };
        let outcome =
            result.map(|addresses| addresses.into_iter().filter(|a| allow(a)).collect::<Vec<_>>());
        let port = opening.target.as_ref().map_or(0, |target| target.port);
        match outcome {
            Ok(addresses) if !addresses.is_empty() => {
                opening.candidates =
                    interleave(addresses).map(|ip| SocketAddr::new(ip, port)).collect();
                opening.dial_at = turn.now;
                opening.stage = Stage::Connection;
                self.state = State::AwaitTarget(opening);
                self.upgrade(turn)?;
                if self.is_kube_virt() { self.ask_kube_virt(turn) } else { self.dial(turn) }
            }
            other => {
                self.state = State::AwaitTarget(opening);
                let (side, cause) = match (other, denied) {
                    (Err(ResolveError::Failed), _) => (Side::Target, Cause::NameLookupFailed),
                    (Ok(_), Some(cause)) => (Side::Penstock, cause),
                    (Err(ResolveError::NotFound) | Ok(_), _) => (Side::Target, Cause::NameNotFound),
                };
                self.refuse(side, cause, None, turn)
            }
        }
    }

    /// What the rules say of the target, or of one of its addresses. The target of a listener that forwards is the operator's own
    /// word: it may be local.
    pub(super) fn judge<K: Kernel>(
        &self,
        opening: &Opening,
        address: Option<IpAddr>,
        turn: &Turn<K>,
    ) -> Result<(), Cause> {
        if self.facts.unusual.as_ref().is_some_and(|unusual| unusual.is_judged) {
            return Ok(());
        }
        let port = opening.target.as_ref().map_or(0, |target| target.port);
        if address.is_some_and(|ip| turn.shared.is_own(SocketAddr::new(ip, port))) {
            return Err(Cause::Loop);
        }
        let rules = &self.listener().rules;
        let name = match opening.target.as_ref().map(|target| &target.host) {
            Some(Host::Name(name)) => Some(name.as_str()),
            _ => None,
        };
        let address = match opening.target {
            Some(_) => address,
            None => Some(BEHIND_A_DOOR),
        };
        let wall = if rules.need_time() { turn.outside.wall_time() } else { Default::default() };
        let query = Query {
            client: self.facts.client.map(|client| client.ip()),
            local: opening.local,
            method: if self.listener().service == Service::Connect { "CONNECT" } else { "" },
            host: name,
            address,
            port,
            time: (wall.weekday, wall.minute),
        };
        match rules.evaluate(&query) {
            Verdict::Allow { .. } | Verdict::NeedAddress => Ok(()),
            Verdict::Deny { why: Why::LocalTarget, .. } if self.may_be_local(address) => Ok(()),
            Verdict::Deny { why: Why::LocalTarget, .. } => Err(Cause::LocalTarget),
            Verdict::Deny { .. } => Err(Cause::AccessDenied),
        }
    }
}

impl Session {
    /// Whether a target on this host is meant: it is the operator's own word, that of the program around us, or what a token names. That one is no neighbour
    /// without a router between, such as those who tell a cloud's machines their secrets.
    fn may_be_local(&self, address: Option<IpAddr>) -> bool {
        if self.facts.unusual.as_ref().is_some_and(|unusual| unusual.host_says_where) {
            return true;
        }
        match &self.listener().service {
            Service::Connect => false,
            Service::Forward(_) => true,
            Service::Console(console) => match console.to {
                ConsoleTarget::Fixed(_) => true,
                ConsoleTarget::Tokens(_) => {
                    address.is_some_and(|ip| ip.to_canonical().is_loopback())
                }
            },
        }
    }
}

/// The order in which addresses are tried: families in turn, the first one's first (RFC 8305 §4).
fn interleave(addresses: Vec<IpAddr>) -> impl Iterator<Item = IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|ip| ip.is_ipv6() == first_is_v6);
    first.reverse();
    second.reverse();
    let mut turn = false;
    std::iter::from_fn(move || {
        turn = !turn;
        if turn {
            first.pop().or_else(|| second.pop())
        } else {
            second.pop().or_else(|| first.pop())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let v4 = |n: u8| IpAddr::from([10, 0, 0, n]);
        let v6 = |n: u16| IpAddr::from([0xfc00, 0, 0, 0, 0, 0, 0, n]);
        let order: Vec<_> = interleave(vec![v6(1), v6(2), v6(3), v4(1)]).collect();
        assert_eq!(order, [v6(1), v4(1), v6(2), v6(3)]);
        assert_eq!(interleave(vec![v4(1), v4(2)]).collect::<Vec<_>>(), [v4(1), v4(2)]);
    }
}
