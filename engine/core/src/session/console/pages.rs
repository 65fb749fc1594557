//! Pages: requests go on to the web server behind a door, one head after the other; what comes back is passed on unseen.
//!
//! A request that is none for a page, or that not everybody may make, ends this: the web server is told that there are no more, all its
//! answers are passed on, and then the request is taken as if it were the first.
//!
//! In: what the browser sends, and what the web server answers. Out: the same, and in the end a request for the session. Bodies are not
//! forwarded: nothing that is served takes any.

use std::time::Duration;

use bytes::Bytes;
use penstock_proto::Progress::{Done, Wait};
use penstock_proto::http::request::{Request, RequestHead};
use penstock_proto::websocket::Upgrade;
use penstock_ring::{
    Arrival, Buffer, Chunk, Close, Group, Interest, Kernel, Leg, Outcome, Readiness, Sent, Stop,
    Time,
};

use crate::close::{Cause, CloseReason, Phase, Side};
use crate::config::{Cut, Door};
use crate::layers::{Broken, Opened};
use crate::opaque::Opaque;
use crate::relay::Receiving;
use crate::session::{Session, State, discard};
use crate::sessions::Role;
use crate::turn::{Step, Turn};

/// How long nothing may move: neither of us waits for a browser that does not read.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that may be queued for the browser; then nothing more is read for it.
const QUEUED: usize = 64 << 10;

/// A browser that is served pages.
#[derive(Debug)]
pub(in crate::session) struct Pages {
    /// The web server.
    leg: Leg,
    /// What the browser sent and was not understood yet.
    input: Opaque,
    head: RequestHead,
    /// The request that ends this.
    last: Option<Request>,
    /// What was asked for before pages was not taken back yet: what is asked for now would outlive it.
    stopping: bool,
    /// No more requests are read.
    deaf: bool,
    /// The web server was told so.
    shut: bool,
    cut: Cut,
    receiving: Receiving,
    moved_at: Time,
}

impl Pages {
    pub(in crate::session) fn deadline(&self) -> Time {
        self.moved_at + PATIENCE
    }

    pub(in crate::session) fn leg(&self) -> Leg {
        self.leg
    }
}

impl Session {
    /// The door to the web server is open.
    pub(in crate::session) fn serve_pages<K: Kernel>(
        &mut self,
        leg: Leg,
        turn: &mut Turn<K>,
    ) -> Step {
        let State::AwaitTarget(opening) = std::mem::replace(&mut self.state, State::Between) else {
            return Step::Continue(());
        };
        // From now on one buffer at a time, as in a prelude.
        let stopping = opening.receiving == Receiving::On
            && turn.kernel.receive_stop(self.client) == Stop::Later
            || opening.receiving == Receiving::Stopping;
        let cut = match opening.door.as_deref() {
            Some(Door::Web { cut, .. }) => cut.clone(),
            _ => Cut::default(),
        };
        let pages = Pages {
            leg,
            input: opening.early,
            head: RequestHead::new(),
            last: None,
            stopping,
            deaf: opening.client_ended,
            shut: false,
            cut,
            receiving: Receiving::On,
            moved_at: turn.now,
        };
        turn.kernel.receive(leg, Group::Record);
        turn.kernel.watch(self.client, Interest::HangUp, true);
        self.state = State::ServePages(Box::new(pages));
        self.forward_requests(turn)
    }

    pub(in crate::session) fn step_pages<K: Kernel>(
        &mut self,
        role: Role,
        outcome: Outcome,
        turn: &mut Turn<K>,
    ) -> Step {
        match (role, outcome) {
            (Role::Client, Outcome::Received(buffer)) => {
                let bytes = turn.kernel.bytes(&buffer).to_vec();
                turn.kernel.release(buffer);
                self.take_requests(bytes, turn)
            }
            (Role::Client, Outcome::ReceiveEnded(Arrival::Ended)) => self.no_more_requests(turn),
            (Role::Client, Outcome::ReceiveEnded(Arrival::Stopped)) => {
                if let State::ServePages(pages) = &mut self.state {
                    pages.stopping = false;
                }
                self.hear_requests(turn)
            }
            (Role::Client, Outcome::ReceiveEnded(Arrival::Failed(_)) | Outcome::SendFailed(_))
            | (Role::Client, Outcome::Ready(Readiness { hang_up: true, .. })) => {
                self.client_left(Cause::Reset)
            }
            (Role::Client, Outcome::Sent(_)) => self.goes_on(turn),
            (Role::Target, Outcome::Received(buffer)) => self.answered(buffer, turn),
            (Role::Target, Outcome::Sent(_)) => self.hear_requests(turn),
            (Role::Target, Outcome::ReceiveEnded(Arrival::Stopped)) => {
                if let State::ServePages(pages) = &mut self.state {
                    pages.receiving = Receiving::Off;
                }
                self.goes_on(turn)
            }
            (Role::Target, Outcome::ReceiveEnded(end)) => self.all_answered(end, turn),
            (Role::Target, Outcome::SendFailed(_)) => {
                self.nobody_asks();
                Step::Continue(())
            }
            (_, other) => {
                discard(other, turn);
                Step::Continue(())
            }
        }
    }

    fn take_requests<K: Kernel>(&mut self, bytes: Vec<u8>, turn: &mut Turn<K>) -> Step {
        let Opened { plain, reply, ended, broken, .. } = self.layers.open_apart(bytes, turn.now);
        if let Some(fault) = broken {
            return self.client_broke(Broken { fault, reply }, turn);
        }
        self.send_to_client(reply, turn)?;
        if let State::ServePages(pages) = &mut self.state {
            pages.input.extend_from_slice(&plain);
            pages.moved_at = turn.now;
        }
        self.forward_requests(turn)?;
        if ended { self.no_more_requests(turn) } else { Step::Continue(()) }
    }

    /// Passes on whole heads, up to one that is for somebody else.
    fn forward_requests<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        loop {
            let State::ServePages(pages) = &mut self.state else { return Step::Continue(()) };
            if pages.deaf || pages.input.is_empty() {
                break;
            }
            let mut rest = pages.input.as_slice();
            match pages.head.receive(&mut rest, &mut Vec::new()) {
                Ok(Wait) => {
                    let taken = pages.input.len() - rest.len();
                    pages.input.drain(..taken);
                    break;
                }
                Ok(Done(request)) => {
                    pages.input = rest.to_vec().into();
                    pages.head = RequestHead::new();
                    self.forward_request(request, turn)?;
                }
                // The web server says what is wrong with it, and closes.
                Err(_) => {
                    let leg = pages.leg;
                    let input = std::mem::take(&mut pages.input);
                    pages.deaf = true;
                    self.say(Role::Target, leg, Vec::from(input).into(), turn);
                }
            }
        }
        self.hear_requests(turn)
    }

    fn forward_request<K: Kernel>(&mut self, request: Request, turn: &mut Turn<K>) -> Step {
        let allowed = !Upgrade::is_asked_for(&request) && self.judge_browser(&request).is_ok();
        let State::ServePages(pages) = &mut self.state else { return Step::Continue(()) };
        pages.deaf = !allowed || request.has_body();
        if !allowed {
            pages.last = Some(request);
            return Step::Continue(());
        }
        let leg = pages.leg;
        turn.counters.page_requests.add(1);
        self.say(Role::Target, leg, Bytes::copy_from_slice(request.bytes()), turn);
        Step::Continue(())
    }

    /// Asks for the next requests, once the web server has taken those before; tells it when there are no more.
    fn hear_requests<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::ServePages(pages) = &mut self.state else { return Step::Continue(()) };
        if turn.kernel.queued(pages.leg).bytes > 0 {
            return Step::Continue(());
        }
        if !pages.deaf && !pages.stopping {
            turn.kernel.receive(self.client, Group::Reserve);
        }
        if pages.deaf && !std::mem::replace(&mut pages.shut, true) {
            turn.kernel.shutdown(pages.leg);
        }
        Step::Continue(())
    }

    fn no_more_requests<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        if let State::ServePages(pages) = &mut self.state {
            pages.deaf = true;
        }
        self.hear_requests(turn)
    }

    /// A part of an answer.
    fn answered<K: Kernel>(&mut self, buffer: Buffer, turn: &mut Turn<K>) -> Step {
        let State::ServePages(pages) = &mut self.state else {
            turn.kernel.release(buffer);
            return Step::Continue(());
        };
        pages.moved_at = turn.now;
        if self.facts.status == 0 {
            self.facts.status = status_in(turn.kernel.bytes(&buffer));
        }
        self.facts.reply_bytes = self.facts.reply_bytes.saturating_add(buffer.len() as u32);
        let (before, chunk) =
            match self.layers.seal(Chunk::Pool(buffer), &mut turn.kernel, &turn.counters) {
                Ok(sealed) => sealed,
                Err(error) => return self.client_broke(Broken::silent(error), turn),
            };
        self.send_to_client(before, turn)?;
        let length = penstock_ring::queue::chunk_len(&chunk);
        match turn.kernel.send(self.client, chunk) {
            Sent::Done => {}
            Sent::Queued => self.owed[Role::Client as usize] += length as u32,
            Sent::Failed(_) => return self.client_left(Cause::Reset),
        }
        self.wait_if_full(turn);
        Step::Continue(())
    }

    /// A browser that does not read is not read for.
    fn wait_if_full<K: Kernel>(&mut self, turn: &mut Turn<K>) {
        let State::ServePages(pages) = &mut self.state else { return };
        let full = turn.kernel.queued(self.client).bytes >= QUEUED;
        if full && pages.receiving == Receiving::On {
            turn.counters.backpressure.add(1);
            pages.receiving = match turn.kernel.receive_stop(pages.leg) {
                Stop::Done => Receiving::Off,
                Stop::Later => Receiving::Stopping,
            };
        }
    }

    /// The browser has read some.
    fn goes_on<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::ServePages(pages) = &mut self.state else { return Step::Continue(()) };
        pages.moved_at = turn.now;
        let drained = turn.kernel.queued(self.client).bytes <= QUEUED / 2;
        if drained && pages.receiving == Receiving::Off {
            pages.receiving = Receiving::On;
            turn.kernel.receive(pages.leg, Group::Record);
        }
        Step::Continue(())
    }

    /// The web server takes no more requests; what it said to those before is still to come.
    fn nobody_asks(&mut self) {
        if let State::ServePages(pages) = &mut self.state {
            (pages.deaf, pages.shut, pages.last) = (true, true, None);
        }
    }

    /// The web server has said all that it had to say. The last request is taken up if nothing is missing before it: a browser would
    /// read the 101 as a piece of the page.
    fn all_answered<K: Kernel>(&mut self, end: Arrival, turn: &mut Turn<K>) -> Step {
        let State::ServePages(pages) = std::mem::replace(&mut self.state, State::Between) else {
            return Step::Continue(());
        };
        turn.kernel.close(pages.leg, Close::Normal);
        turn.kernel.watch(self.client, Interest::HangUp, false);
        let whole = pages.shut && !pages.cut.is_raised() && matches!(end, Arrival::Ended);
        match pages.last.filter(|_| whole) {
            Some(request) => {
                self.facts.status = 0;
                self.facts.follows_pages = true;
                self.take_request(&request, pages.input.into(), turn)?;
                self.join_target(turn)
            }
            None => {
                let reason = CloseReason::new(Side::Client, Phase::Page, Cause::Finished);
                let heard = if pages.deaf { Receiving::Off } else { Receiving::On };
                self.say_goodbye(reason, Bytes::new(), heard, false, turn)
            }
        }
    }

    pub(in crate::session) fn pages_expired(&self, now: Time) -> Step {
        match &self.state {
            State::ServePages(pages) if pages.deadline() <= now => {
                Step::Break(CloseReason::new(Side::Client, Phase::Page, Cause::IdleTimeout))
            }
            _ => Step::Continue(()),
        }
    }
}

/// The status of the answer that begins with these bytes; 0 if it is none.
fn status_in(answer: &[u8]) -> u16 {
    let digits = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
}
