//! A running engine: its workers, the thread that may wait for them, and how all of them come to an end.
//!
//! Threads: one for each worker that is not the host's, one for what may wait (names, certificates, the admin address), one that waits for the
//! workers, and the courier's. All of them block all signals.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use penstock_control::{Handle, access_log, recorder};
use penstock_core::config::Config;
use penstock_core::control::{Command, Mailbox};
use penstock_core::engine::{Engine, Seat};
use penstock_core::intake::Intake;
use penstock_core::metrics::Counters;
use penstock_core::ring::{Driver, Errno};
use tokio::sync::{mpsc, oneshot};

use crate::edge::Answer;
use crate::signals::without_sigpipe;
use crate::status::penstock_status::{PENSTOCK_NO_SEAT, PENSTOCK_STOPPED};

/// How long what is still to be recorded may take to be written.
const LAST_PIECES: Duration = Duration::from_secs(5);
/// How long the last lines of the access log may take.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Between two tries at a full inbox.
const SOON: Duration = Duration::from_millis(1);

/// An engine that runs, or has run.
pub(crate) struct Running {
    pub(crate) intake: Intake,
    pub(crate) config: Arc<Config>,
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) counters: Vec<Arc<Counters>>,
    pub(crate) driver: Driver,
    pub(crate) max_tunnels: usize,
    /// Where it listens, each with the index of its listener.
    pub(crate) addresses: Vec<(u16, String)>,
    /// Index of the terms of those who name none.
    pub(crate) plain_terms: u16,
    pub(crate) handle: Handle,
    pub(crate) orders: mpsc::UnboundedSender<Duration>,
    pub(crate) seats: Seats,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    /// The one on which callbacks come.
    pub(crate) host: Mutex<Option<JoinHandle<()>>>,
}

/// Workers that are left to the host's threads.
#[derive(Clone)]
pub(crate) struct Seats(Arc<Vacancies>);

struct Vacancies {
    /// None: the engine is to end, and nobody sits down any more.
    seats: Mutex<Option<Vec<Seat>>>,
    /// Those that have not come to their end.
    lives: AtomicUsize,
    /// Is told once there is none.
    ended: Mutex<Option<oneshot::Sender<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seats {
    /// And what is told once all of them have been taken and left.
    pub(crate) fn new(seats: Vec<Seat>) -> (Seats, oneshot::Receiver<()>) {
        let (ended, all_left) = oneshot::channel();
        let lives = AtomicUsize::new(seats.len());
        // Whoever drops it has told it, too.
        let ended = Mutex::new((!seats.is_empty()).then_some(ended));
        let seats = Mutex::new(Some(seats));
        (Seats(Arc::new(Vacancies { seats, lives, ended })), all_left)
    }

    /// Makes the calling thread the worker of one.
    fn take(&self) -> Answer<Result<(), Errno>> {
        let seat = match &mut *lock(&self.0.seats) {
            Some(seats) => seats.pop().ok_or(PENSTOCK_NO_SEAT)?,
            None => return Err(PENSTOCK_STOPPED.into()),
        };
        let leaving = Leaving(self);
        let Err((back, errno)) = without_sigpipe(|| seat.take()) else { return Ok(Ok(())) };
        match (back, &mut *lock(&self.0.seats)) {
            (Some(seat), Some(seats)) => {
                std::mem::forget(leaving);
                seats.push(*seat);
            }
            (Some(seat), None) => seat.abandon(),
            (None, _) => {}
        }
        Ok(Err(errno))
    }

    /// Nobody sits down any more: what was dealt to seats that nobody has taken is told of. To be called once the engine is to end.
    fn clear(&self) {
        for seat in lock(&self.0.seats).take().unwrap_or_default() {
            let _leaving = Leaving(self);
            seat.abandon();
        }
    }
}

/// Counts a seat that is left, however that comes about.
struct Leaving<'s>(&'s Seats);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.0.0.lives.fetch_sub(1, AcqRel) == 1 {
            lock(&self.0.0.ended).take();
        }
    }
}

impl Running {
    /// Makes the calling thread a worker, until the engine ends.
    pub(crate) fn take_seat(&self) -> Answer<Result<(), Errno>> {
        self.seats.take()
    }

    /// Has everything end after so long at most.
    pub(crate) fn stop(&self, drain: Duration) {
        if self.orders.send(drain).is_err() {
            // The thread that steers is gone, which only a fault of ours can bring about.
            order_to_stop(&self.mailboxes);
        }
        self.seats.clear();
    }

    /// Waits until nothing is carried any more.
    pub(crate) fn join(&self) {
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // A panic was told of where it came about.
            let _ = thread.join();
        }
    }

    /// Waits until no callback comes any more.
    pub(crate) fn join_host(&self) {
        let _ = lock(&self.host).take().map(JoinHandle::join);
    }
}

/// A thread that waits for all workers. It is there before they are: whoever has workers can wait for them.
pub(crate) struct Joiner {
    thread: JoinHandle<()>,
    workers: oneshot::Sender<(Engine, oneshot::Receiver<()>)>,
    ended: oneshot::Receiver<()>,
}

impl Joiner {
    pub(crate) fn start() -> std::io::Result<Joiner> {
        let (said, ended) = oneshot::channel::<()>();
        let (workers, come) = oneshot::channel::<(Engine, oneshot::Receiver<()>)>();
        let body = move || {
            // Dropped is told.
            let _said = said;
            let Ok((engine, all_left)) = come.blocking_recv() else { return };
            let _ = all_left.blocking_recv();
            if catch_unwind(AssertUnwindSafe(|| engine.join())).is_err() {
                tracing::error!(
                    "a worker has come to a halt by a bug in penstock; please report it"
                );
            }
        };
        let thread = thread::Builder::new().name("penstock-join".to_owned()).spawn(body)?;
        Ok(Joiner { thread, workers, ended })
    }

    /// Waits for these, and those on threads of the host's, of which the receiver learns. Its own learns of the end of all.
    pub(crate) fn wait_for(
        self,
        engine: Engine,
        all_left: oneshot::Receiver<()>,
    ) -> (JoinHandle<()>, oneshot::Receiver<()>) {
        let Joiner { thread, workers, ended } = self;
        // It waits for nothing else.
        let _ = workers.send((engine, all_left));
        (thread, ended)
    }

    /// There are no workers.
    pub(crate) fn dismiss(self) {
        drop(self.workers);
        let _ = self.thread.join();
    }
}

/// Ends workers that nobody else steers yet.
pub(crate) fn end_at_once(mailboxes: &[Mailbox], seats: &Seats) {
    order_to_stop(mailboxes);
    seats.clear();
}

fn order_to_stop(mailboxes: &[Mailbox]) {
    for mailbox in mailboxes {
        while !mailbox.is_closed() && mailbox.post(Command::Stop).is_err() {
            thread::sleep(SOON);
        }
    }
}

/// Obeys orders until the workers have ended: zero is at once.
pub(crate) async fn steer(
    handle: Handle,
    tell: std::sync::mpsc::SyncSender<Handle>,
    mut orders: mpsc::UnboundedReceiver<Duration>,
    mut ended: oneshot::Receiver<()>,
) {
    let _ = tell.send(handle.clone());
    loop {
        tokio::select! {
            _ = &mut ended => return,
            order = orders.recv() => match order {
                Some(drain) if !drain.is_zero() => handle.drain(drain),
                Some(_) => handle.stop(),
                None => return,
            },
        }
    }
}

/// Those who write files, each on a thread of its own.
#[derive(Clone)]
pub(crate) struct Writers {
    pub(crate) access_log: access_log::Sender,
    pub(crate) recorder: Option<recorder::Sender>,
}

impl Writers {
    /// Has what is still to be written be written, and their threads end.
    pub(crate) fn end(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.end(LAST_PIECES);
        }
        self.access_log.end(LAST_LINES);
    }
}
