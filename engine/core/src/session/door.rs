//! Targets behind a door: a UNIX socket, a terminal, a program. Somebody opens it who may wait, and hands the descriptor over.

use std::os::fd::OwnedFd;

use penstock_ring::{Errno, Kernel};

use super::opening::Stage;
use super::{Session, State};
use crate::close::{Cause, Side};
use crate::config::Door;
use crate::control::{OpenError, Question};
use crate::sessions::{Recipient, Role};
use crate::turn::{Step, Turn};

impl Session {
    pub(super) fn ask_for_door<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitTarget(opening) = &mut self.state else { return Step::Continue(()) };
        opening.stage = Stage::Door;
        let Some(door) = opening.door.clone() else {
            return match self.holds_target() {
                true => Step::Continue(()),
                false => self.refuse(Side::Penstock, Cause::Unreachable, None, turn),
            };
        };
        let question = Question::Open { id: self.handle.id(turn.worker), door };
        if turn.outside.ask(question).is_err() {
            turn.counters.questions_refused.add(1);
            return self.refuse(Side::Penstock, Cause::Overloaded, None, turn);
        }
        Step::Continue(())
    }

    /// The answer of control.
    pub(super) fn door_opened<K: Kernel>(
        &mut self,
        result: Result<OwnedFd, OpenError>,
        turn: &mut Turn<K>,
    ) -> Step {
        let owner = Recipient::Session(self.handle, Role::Target).owner();
        let adopted = result.and_then(|descriptor| {
            turn.kernel.adopt(descriptor, owner).map_err(|(errno, _)| OpenError {
                errno,
                detail: "what was opened is no stream".into(),
            })
        });
        match adopted {
            Ok(leg) if self.wants_pages() => self.serve_pages(leg, turn),
            Ok(leg) => self.target_connected(leg, turn),
            Err(OpenError { errno, detail }) => {
                self.facts.detail = Some(format!("{detail}: {}", errno.desc()).into());
                let cause = of_opening(errno);
                let side = match cause {
                    Cause::Exhausted => Side::Penstock,
                    _ => Side::Target,
                };
                self.refuse(side, cause, None, turn)
            }
        }
    }
}

impl Session {
    fn wants_pages(&self) -> bool {
        let State::AwaitTarget(opening) = &self.state else { return false };
        matches!(opening.door.as_deref(), Some(Door::Web { .. }))
    }
}

/// What the system says of doors, and what it means.
fn of_opening(errno: Errno) -> Cause {
    match errno {
        Errno::EBUSY => Cause::InUse,
        Errno::EAGAIN => Cause::Overloaded,
        errno => Cause::of_connecting(errno),
    }
}
