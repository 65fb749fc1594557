//! A worker before it has a thread: its inbox, sockets and counters are there already.
//!
//! In: a thread, the engine's own or somebody else's. Out: a running worker; of a driver that can't be made, the seat itself, for another try.

use std::fmt;
use std::io;
use std::sync::atomic::{Ordering::SeqCst, fence};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use penstock_ring::epoll::Epoll;
use penstock_ring::uring::Uring;
use penstock_ring::{Driver, Errno, Kernel, Options, Wake, Waker};

use crate::worker::{Setup, Worker};

/// See the module.
pub struct Seat {
    driver: Driver,
    options: Options,
    setup: Box<Setup>,
    bell: Arc<LateBell>,
}

/// Wakes a worker, as soon as there is one. Before that it rings in vain: whoever takes the seat looks into the inbox first.
#[derive(Default)]
pub(crate) struct LateBell(OnceLock<Waker>);

impl Wake for LateBell {
    fn wake(&self) {
        // What was posted before is seen by whoever hangs the bell up after this look.
        fence(SeqCst);
        if let Some(waker) = self.0.get() {
            waker.wake();
        }
    }
}

impl LateBell {
    fn hang_up(&self, waker: Waker) {
        // A seat is taken once.
        let _ = self.0.set(waker);
        fence(SeqCst);
    }
}

/// A worker, on the thread that drives it.
enum Made {
    Uring(Box<Worker<Uring>>),
    Epoll(Box<Worker<Epoll>>),
}

/// Why there is none, and the seat if it can still be taken.
type Failed = (Option<Box<Seat>>, Errno);

/// Before a worker that has its driver, and waits for the others to have theirs.
pub(crate) struct Gate {
    made: Receiver<Result<(), Errno>>,
    go: SyncSender<()>,
}

impl Gate {
    /// Waits until the driver stands.
    pub(crate) fn wait(&self) -> io::Result<()> {
        Ok(self.made.recv().unwrap_or(Err(Errno::EIO))?)
    }

    /// Lets the worker begin. One that has died meanwhile is noticed by who joins it.
    pub(crate) fn open(self) {
        let _ = self.go.send(());
    }
}

impl Seat {
    pub(crate) fn new(driver: Driver, options: Options, setup: Setup, bell: Arc<LateBell>) -> Seat {
        Seat { driver, options, setup: Box::new(setup), bell }
    }

    /// Makes the calling thread the worker, until the engine ends.
    ///
    /// # Errors
    /// The errno with which the driver could not be made, and the seat, so that somebody may try again. Without a seat: the listening sockets
    /// could not be driven, and it was [abandoned](Self::abandon).
    pub fn take(self) -> Result<(), Failed> {
        self.make()?.drive();
        Ok(())
    }

    /// Nobody will take it: what was dealt to it is told of, and nothing more is.
    pub fn abandon(self) {
        self.setup.abandon();
    }

    /// Gives it a thread of its own, on `core` if there is one. Nobody begins before the gate is open; who finds it gone ends.
    pub(crate) fn spawn(
        self,
        index: usize,
        core: Option<usize>,
    ) -> io::Result<(Gate, JoinHandle<()>)> {
        let (tell, made) = sync_channel(1);
        let (go, may_go) = sync_channel(1);
        let body = move || {
            pin_to(core);
            let worker = self.make();
            let _ = tell.send(worker.as_ref().map(|_| ()).map_err(|(_, errno)| *errno));
            if let (Ok(worker), Ok(())) = (worker, may_go.recv()) {
                worker.drive();
            }
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(body)?;
        Ok((Gate { made, go }, thread))
    }

    fn make(self) -> Result<Made, Failed> {
        match self.driver {
            Driver::Uring => match Uring::new(&self.options) {
                Ok(kernel) => self.furnish(kernel).map(Made::Uring),
                Err(errno) => Err((Some(Box::new(self)), errno)),
            },
            Driver::Epoll => match Epoll::new(&self.options) {
                Ok(kernel) => self.furnish(kernel).map(Made::Epoll),
                Err(errno) => Err((Some(Box::new(self)), errno)),
            },
        }
    }

    fn furnish<K: Kernel>(self, kernel: K) -> Result<Box<Worker<K>>, Failed> {
        self.bell.hang_up(kernel.waker());
        let worker = Worker::new(*self.setup, kernel).map_err(|errno| (None, errno))?;
        Ok(Box::new(worker))
    }
}

impl Made {
    fn drive(self) {
        match self {
            Made::Uring(mut worker) => worker.run(),
            Made::Epoll(mut worker) => worker.run(),
        }
    }
}

/// A worker that can't be pinned runs all the same, where the scheduler puts it.
fn pin_to(core: Option<usize>) {
    let mut set = CpuSet::new();
    if core.is_some_and(|core| set.set(core).is_ok()) {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seat({} on {:?})", self.setup.index, self.driver)
    }
}
