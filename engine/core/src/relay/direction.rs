//! One direction of a tunnel: where it stands, and what it has carried.

use std::ops::{Index, IndexMut};
use std::time::Duration;

use penstock_ring::{Group, Time};

use super::fit::Fit;
use super::pace::Pace;

/// Without a byte for so long, a spliced direction goes back to copying, which wants less of the kernel for what is small.
pub(super) const QUIET: Duration = Duration::from_millis(250);

/// When a direction is spliced that can't be.
pub(super) const NEVER: Time = Time(u64::MAX);

/// A direction of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Way {
    /// What the client sends.
    ToTarget,
    /// What the target sends.
    ToClient,
}

impl Way {
    /// Both.
    pub(crate) const BOTH: [Way; 2] = [Way::ToTarget, Way::ToClient];

    /// The other one.
    pub(crate) fn back(self) -> Way {
        match self {
            Way::ToTarget => Way::ToClient,
            Way::ToClient => Way::ToTarget,
        }
    }
}

/// One of something for each direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerWay<T>(pub(super) [T; 2]);

impl<T> PerWay<T> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub(super) fn map<U>(&self, of: impl FnMut(&T) -> U) -> [U; 2] {
        self.0.each_ref().map(of)
    }
}

impl<T> Index<Way> for PerWay<T> {
    type Output = T;

    fn index(&self, way: Way) -> &T {
        &self.0[way as usize]
    }
}

impl<T> IndexMut<Way> for PerWay<T> {
    fn index_mut(&mut self, way: Way) -> &mut T {
        &mut self.0[way as usize]
    }
}

/// How a direction's bytes are moved.
///
/// ```text
///          bulk                  no operation in flight, nothing queued
///  Copy ─────────▶ Quiesce(Splice) ─────────────────────────────────────▶ Splice
///    ▲                                                                      │
///    └───────────── pipe empty ──── Quiesce(Copy) ◀──── quiet or thin ──────┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mover {
    /// Through pool buffers and the layers.
    Copy,
    /// Through a pipe, unseen.
    Splice,
    /// On its way from one to the other: nothing new is read, all that was read is delivered.
    Quiesce(Goal),
}

/// What follows when a direction has become quiet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Goal {
    /// Splicing; each run takes a pipe of its own.
    Splice,
    /// Copying.
    Copy,
}

impl Mover {
    /// The word for it in listings.
    pub(super) fn label(self) -> &'static str {
        match self {
            Mover::Copy => "copy",
            Mover::Splice => "splice",
            Mover::Quiesce(_) => "quiesce",
        }
    }
}

/// Whether the kernel was asked for the source's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Receiving {
    /// It was not, or it has said its last word.
    #[default]
    Off,
    /// It was.
    On,
    /// It was told to stop and has not said its last word.
    Stopping,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Direction {
    pub(super) mover: Mover,
    pub(super) receiving: Receiving,
    /// Buffers to receive into.
    pub(super) group: Group,
    /// Not reading because the sink is slow.
    pub(super) paused: bool,
    /// The source sends no more, or nobody listens to it any more.
    pub(super) ended: bool,
    /// What the source still sends is read and dropped.
    pub(super) silenced: bool,
    /// All was delivered, or given up.
    pub(super) done: bool,
    /// Nothing is missing of what the source sent, as far as that can be told: its end may be passed on as one in order.
    pub(super) whole: bool,
    /// Ring splices in flight: into the pipe, out of it.
    pub(super) in_flight: [bool; 2],
    /// Stands in the line for a run.
    pub(super) scheduled: bool,
    /// Bytes queued at the sink whose acceptance was not taken up yet. The kernel may know better already, and may know
    /// worse: what it says counts when it is heard.
    pub(super) owed: u32,
    /// Of these, what is no payload: a reply or a PROXY header of ours, before all others, and what layers add, among them.
    pub(super) overhead: u32,
    /// The sink was sent the header of what the pipe holds: nothing may come between.
    pub(super) announced: bool,
    /// Bytes that the sink has room for at least, while this direction splices.
    pub(super) room: u32,
    /// The sink had no room for a run, and will tell when it has.
    pub(super) lacks_room: bool,
    /// Changes of mover.
    pub(super) switches: u32,
    /// Payload that the sink has accepted, in bytes.
    pub(super) bytes: u64,
    /// Of these, through a pipe.
    pub(super) spliced: u64,
    /// The last time that payload moved.
    pub(super) moved_at: Time,
    /// The last time that a spliced direction was found not to be quiet.
    pub(super) checked_at: Time,
    /// No promotion is tried before.
    pub(super) splice_after: Time,
    pub(super) pace: Pace,
    pub(super) fit: Fit,
}

impl Direction {
    pub(super) fn new(now: Time) -> Direction {
        Direction {
            mover: Mover::Copy,
            receiving: Receiving::Off,
            group: Group::Small,
            paused: false,
            ended: false,
            silenced: false,
            done: false,
            whole: true,
            in_flight: [false; 2],
            scheduled: false,
            owed: 0,
            overhead: 0,
            announced: false,
            room: 0,
            lacks_room: false,
            switches: 0,
            bytes: 0,
            spliced: 0,
            moved_at: now,
            checked_at: now,
            splice_after: Time(0),
            pace: Pace::default(),
            fit: Fit::default(),
        }
    }

    /// Whether a pipe may be held.
    pub(super) fn is_spliced(&self) -> bool {
        self.mover != Mover::Copy
    }

    /// When a spliced direction without traffic goes back to copying. Who waits for room holds nothing: as a copying direction
    /// it would hold buffers.
    pub(super) fn quiet_at(&self) -> Option<Time> {
        (self.mover == Mover::Splice && !self.ended && !self.lacks_room)
            .then(|| self.moved_at.max(self.checked_at) + QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_room_is_not_called_quiet() {
        let mut direction = Direction::new(Time(7));
        assert_eq!(direction.quiet_at(), None, "copying is what quiet ones do");
        direction.mover = Mover::Splice;
        assert_eq!(direction.quiet_at(), Some(Time(7) + QUIET));
        direction.lacks_room = true;
        assert_eq!(direction.quiet_at(), None, "it would hold buffers");
    }
}
