//! The splicing mover: socket to pipe to socket, the bytes never seen.
//!
//! A hint leads to one run: what is left in the pipe goes out, then as much comes in as the sink has room for, and goes out
//! too. So a pipe is empty between two runs, unless its sink has less room than it said; an empty one goes back to the
//! worker, and a few pipes serve all. While quiescing, a run only empties the pipe.
//!
//! After a run that brought all there was, nobody asks for the next hint: the direction gathers, and has another run soon.
//! Bulk costs no hints and wakes nobody then, while conversations wake the worker as ever. A run that finds nothing, or
//! little, asks, and one after which a pause would stop the sender.
//!
//! ```text
//!             ┌─ hint ◀────── nothing, little, no ──┐
//!             │               room, a small window  │
//!             ▼                                     │
//! promoted ─▶ run ──────────────────────────────────┤
//!             ▲                                     │
//!             ├─ in line ◀──── more than was taken ─┤
//!             └─ gathered ◀─── all there was ───────┘
//! ```

use std::ops::ControlFlow;

use bytes::Bytes;
use penstock_ring::{Errno, Intake, Interest, Kernel, Splice};

use super::direction::NEVER;
use super::pace::THIN;
use super::{Goal, Mover, Relay, Way};
use crate::close::CloseReason;
use crate::layers::WebSocket;
use crate::turn::{Step, Turn};

/// Bytes that go into a pipe at once, its nominal size.
const FILL: usize = 1 << 20;
/// Less known room than this is asked for again.
const ROOM_MIN: u32 = 256 << 10;

/// When a direction has its next run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// When that side is ready.
    Hint(Interest),
    /// Once what comes meanwhile is worth one.
    Gathered,
    /// Once all others in line had theirs.
    Turn,
    /// Once what is queued at the sink was accepted.
    Sent,
}

/// What follows a run that brought so many bytes, seemingly all there were.
fn after_all_of(bytes: usize, Intake { unread, window }: Intake) -> Next {
    // A pipe is full of small pieces long before it is full of bytes.
    if unread as usize > bytes / 4 {
        return Next::Turn;
    }
    // A sender that has to stop for want of a window would be slowed by each pause, and the kernel would never learn to
    // give it more.
    if bytes > window as usize / 2 {
        return Next::Hint(Interest::Readable);
    }
    Next::Gathered
}

/// Whether it pays to wait, after all there was came as so many bytes.
pub(super) fn gathers(bytes: usize, intake: Intake) -> bool {
    after_all_of(bytes, intake) == Next::Gathered
}

const IN: usize = 0;
const OUT: usize = 1;

impl Relay {
    /// Has a run in this turn, or a later one if others were first.
    pub(super) fn run_later<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) {
        if self.ways[way].is_spliced() && !self.ways[way].scheduled {
            self.ways[way].scheduled = true;
            turn.runnable.push_back((self.handle, way));
        }
    }

    /// Splices what is possible and fair now.
    pub(crate) fn run<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        (self.ways[way].scheduled, self.ways[way].lacks_room) = (false, false);
        let promoting = self.ways[way].mover == Mover::Quiesce(Goal::Splice);
        if self.ways[way].mover == Mover::Copy {
            self.listen(way, turn);
            return Step::Continue(());
        }
        if promoting || self.is_in_flight(way) {
            return Step::Continue(());
        }
        self.drain(way, turn)?;
        let next = self.fill(way, turn)?;
        self.drain(way, turn)?;
        self.rest(way, next, turn)
    }

    /// A ring splice into the pipe has ended.
    pub(crate) fn spliced_in<K: Kernel>(
        &mut self,
        way: Way,
        result: Splice,
        turn: &mut Turn<K>,
    ) -> Step {
        self.ways[way].in_flight[IN] = false;
        self.took(way, false, result, turn)?;
        self.drain(way, turn)?;
        self.rest(way, Next::Hint(Interest::Readable), turn)
    }

    /// A ring splice out of the pipe has ended.
    pub(crate) fn spliced_out<K: Kernel>(
        &mut self,
        way: Way,
        result: Splice,
        turn: &mut Turn<K>,
    ) -> Step {
        self.ways[way].in_flight[OUT] = false;
        self.took(way, true, result, turn)?;
        self.rest(way, Next::Hint(Interest::Readable), turn)
    }

    /// Into an empty pipe, as much as the sink has room for.
    fn fill<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> ControlFlow<CloseReason, Next> {
        const BYTES: ControlFlow<CloseReason, Next> =
            ControlFlow::Continue(Next::Hint(Interest::Readable));
        let source = self.source(way);
        if self.is_draining(way) || self.is_in_flight(way) || turn.kernel.pipe_level(source) > 0 {
            return BYTES;
        }
        if self.is_framed(way) && self.ways[way].owed > 0 {
            return ControlFlow::Continue(Next::Sent);
        }
        let Some(room) = self.room(way, turn) else {
            return ControlFlow::Continue(Next::Hint(Interest::Writable));
        };
        if !self.take_pipe(way, turn) {
            self.quiesce(way, Goal::Copy, turn)?;
            return BYTES;
        }
        let result = turn.kernel.splice_in(source, room);
        self.took(way, false, result, turn)?;
        ControlFlow::Continue(self.after(way, result, room, turn))
    }

    /// When a run that could have brought `room` bytes is followed by the next.
    fn after<K: Kernel>(&self, way: Way, result: Splice, room: usize, turn: &Turn<K>) -> Next {
        let Splice::Moved(bytes) = result else { return Next::Hint(Interest::Readable) };
        if bytes == room {
            return Next::Turn;
        }
        // What is no bulk any more is on its way back to conversation.
        if bytes < THIN || !turn.gathering.is_on() {
            return Next::Hint(Interest::Readable);
        }
        after_all_of(bytes, turn.kernel.intake(self.source(way)))
    }

    /// What the sink has room for, up to a pipe's content. It is asked now and then: meanwhile its room only grows, but for
    /// what this direction sends.
    fn room<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Option<usize> {
        if self.ways[way].room < ROOM_MIN {
            let room = turn.kernel.room(self.sink(way))?.get();
            self.ways[way].room = u32::try_from(room).unwrap_or(u32::MAX);
        }
        Some(FILL.min(self.ways[way].room as usize))
    }

    /// Out of the pipe, as much as the sink takes.
    fn drain<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        let source = self.source(way);
        let level = turn.kernel.pipe_level(source);
        if self.ways[way].done || self.is_in_flight(way) || level == 0 {
            return Step::Continue(());
        }
        if self.is_framed(way) {
            self.send_header(way, level, turn)?;
            if self.ways[way].done || self.ways[way].owed > 0 {
                return Step::Continue(());
            }
        }
        let result = turn.kernel.splice_out(source, self.sink(way));
        self.took(way, true, result, turn)
    }

    /// Sends the header of the frame that the pipe holds, unless it was sent.
    fn send_header<K: Kernel>(&mut self, way: Way, level: usize, turn: &mut Turn<K>) -> Step {
        if std::mem::replace(&mut self.ways[way].announced, true) {
            return Step::Continue(());
        }
        let header = self.layers[way.back() as usize].header(level);
        let sent = turn.kernel.send_ahead(self.sink(way), Bytes::copy_from_slice(&header));
        self.note_sent(way, sent, header.len(), 0, turn)
    }

    /// Bytes have left the pipe. Behind a whole frame, what waited for its end may follow.
    pub(super) fn went_out<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        let left = turn.kernel.pipe_level(self.source(way)) > 0;
        if !self.ways[way].announced || left || self.ways[way].done {
            return Step::Continue(());
        }
        self.ways[way].announced = false;
        let sink = self.layers[way.back() as usize].web_socket_mut();
        let held = sink.map(WebSocket::take_held).unwrap_or_default();
        self.send_overhead(way, held, turn)
    }

    /// Whether what is spliced needs a header in front.
    pub(super) fn is_framed(&self, way: Way) -> bool {
        self.ways[way].is_spliced() && self.layers[way.back() as usize].web_socket().is_some()
    }

    /// Takes up one splice's result.
    fn took<K: Kernel>(
        &mut self,
        way: Way,
        out: bool,
        result: Splice,
        turn: &mut Turn<K>,
    ) -> ControlFlow<CloseReason> {
        if self.ways[way].done {
            return Step::Continue(());
        }
        match result {
            Splice::Moved(bytes) if out => {
                let direction = &mut self.ways[way];
                direction.room = direction.room.saturating_sub(bytes as u32);
                self.account(way, bytes, turn);
                self.went_out(way, turn)?;
            }
            Splice::Moved(bytes) => {
                self.ways[way].moved_at = turn.now;
                self.ways[way].pace.spliced(bytes);
                self.ways[way.back()].pace.answered(turn.number);
                turn.spliced += bytes;
                turn.gathering.brought(bytes);
            }
            Splice::Blocked => {}
            Splice::Later => self.ways[way].in_flight[usize::from(out)] = true,
            Splice::Ended => self.source_ended(way, turn)?,
            Splice::Failed(errno) if out => self.sink_failed(way, errno, turn)?,
            Splice::Failed(Errno::EINVAL) => self.cannot_splice(way, turn)?,
            Splice::Failed(errno) => self.source_failed(way, errno, turn)?,
        }
        Step::Continue(())
    }

    /// After a run: waits for the next one.
    fn rest<K: Kernel>(&mut self, way: Way, next: Next, turn: &mut Turn<K>) -> Step {
        let direction = &self.ways[way];
        if direction.done || !direction.is_spliced() || self.is_in_flight(way) {
            return Step::Continue(());
        }
        if direction.mover == Mover::Splice && !direction.ended && direction.pace.is_thin() {
            return self.quiesce(way, Goal::Copy, turn);
        }
        let (source, sink) = (self.source(way), self.sink(way));
        if turn.kernel.pipe_level(source) > 0 {
            // What is queued is heard of by itself.
            if self.ways[way].owed == 0 {
                turn.kernel.watch(sink, Interest::Writable, true);
            }
        } else if !self.is_draining(way) {
            turn.kernel.pipe_close(source);
            self.ways[way].lacks_room = next == Next::Hint(Interest::Writable);
            match next {
                Next::Hint(Interest::Writable) => {
                    turn.kernel.watch(sink, Interest::Writable, true);
                }
                Next::Gathered => {
                    self.ways[way].scheduled = true;
                    turn.gathering.push((self.handle, way), turn.now);
                }
                Next::Hint(_) => {
                    turn.kernel.watch(source, Interest::Readable, true);
                }
                Next::Turn => self.run_later(way, turn),
                Next::Sent => {}
            }
        }
        self.settle(way, turn)
    }

    /// Nothing new is read: the source has ended, or the direction is on its way to another mover.
    fn is_draining(&self, way: Way) -> bool {
        self.ways[way].ended || self.ways[way].mover != Mover::Splice
    }

    fn is_in_flight(&self, way: Way) -> bool {
        self.ways[way].in_flight != [false; 2]
    }

    /// This source can't be spliced from after all; nothing has left it, so copying goes on where it stands.
    fn cannot_splice<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        turn.counters.splice_refused.add(1);
        self.ways[way].splice_after = NEVER;
        self.quiesce(way, Goal::Copy, turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_for_who_left_nothing_behind_and_stops_no_sender() {
        let after = |bytes, unread, window| after_all_of(bytes, Intake { unread, window });
        assert_eq!(after(65_536, 0, 1 << 20), Next::Gathered);
        assert_eq!(after(65_536, 16_384, 1 << 20), Next::Gathered);
        assert_eq!(after(65_536, 16_385, 1 << 20), Next::Turn, "the pipe was full of small pieces");
        assert_eq!(after(65_536, 0, 131_072), Next::Gathered);
        assert_eq!(after(65_537, 0, 131_072), Next::Hint(Interest::Readable), "a small window");
        assert_eq!(after(4096, 0, 0), Next::Hint(Interest::Readable), "no TCP, no window");
    }
}
