//! Places of listeners: none has more sessions than it may have, and nobody is refused while there is room.

use penstock_core::close::{Cause, CloseReason, Phase};
use penstock_ring::Time;

use crate::sim::consoles;
use crate::sim::oracle::client_of;
use crate::sim::scenario::Run;

/// A connection: from when to when, and whether it had a place.
struct Stay {
    /// It may have had one since then, and had one since the other time, if it had one.
    may_from: Time,
    from: Time,
    to: Time,
    inside: Option<bool>,
}

impl Stay {
    fn is_surely_inside(&self, at: Time) -> bool {
        self.inside == Some(true) && self.from <= at && at < self.to
    }

    fn may_be_inside(&self, since: Time, until: Time) -> bool {
        self.inside != Some(false) && self.may_from <= until && since <= self.to
    }
}

/// Checks all listeners of a run.
pub fn check(run: &mut Run) {
    let config = run.choices.config.clone();
    for (index, listener) in config.listeners.iter().enumerate() {
        let Some(max) = listener.max_sessions else { continue };
        let is_console = consoles::of(listener).is_some();
        let stays = stays(run, index, is_console);
        for at in stays.iter().map(|stay| stay.from) {
            let others = stays.iter().filter(|stay| stay.is_surely_inside(at)).count();
            assert!(others <= max, "{others} sessions of listener {index}, which may have {max}");
        }
        for refused in stays.iter().filter(|stay| stay.inside == Some(false)) {
            // Who asks for a console is refused when it has asked; others, when they come.
            let until = if is_console { refused.to } else { refused.may_from };
            let may_be = |stay: &&Stay| stay.may_be_inside(refused.may_from, until);
            let others = stays.iter().filter(may_be).count();
            assert!(others >= max, "refused although listener {index} had room");
        }
    }
}

fn stays(run: &mut Run, listener: usize, is_console: bool) -> Vec<Stay> {
    let hosts = &run.worker.kernel().hosts;
    let records = run.records.iter().filter(|(_, record)| usize::from(record.listener) == listener);
    let stay = |(to, record): &(Time, _)| {
        let record: &penstock_core::control::Record = record;
        let (to, may_from) = (*to, *to - record.elapsed);
        if !is_console {
            return Stay { may_from, from: may_from, to, inside: was_inside(record.reason) };
        }
        // Of consoles, those that are opened have places: that is sure of what was relayed, since its target was there.
        let number = client_of(record, &hosts.around);
        let began = hosts.origins[number].winner().map(|talker| talker.started);
        let inside = match record.reason.phase {
            Phase::Relay => began.map(|_| true),
            _ => was_inside(record.reason).filter(|inside| !inside),
        };
        // A target that is handed over is there before there is a place.
        let began = began.map(|began| if record.tag.is_some() { to } else { began });
        Stay { may_from, from: began.unwrap_or(may_from), to, inside }
    };
    records.map(stay).collect()
}

/// Whether a connection had a place; unknown if it was ended before anything else could be.
fn was_inside(reason: CloseReason) -> Option<bool> {
    match (reason.phase, reason.cause) {
        (Phase::Request, Cause::InUse) => Some(false),
        (Phase::Request, Cause::Overloaded | Cause::Drained | Cause::PoolPinned) => None,
        _ => Some(true),
    }
}
