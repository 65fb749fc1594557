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

use crate::mailbox::Mailbox;
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

/// A driver, on the thread that drives it.
enum Made {
    Uring(Box<Uring>),
    Epoll(Box<Epoll>),
}

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
    /// The seat, and the errno with which the driver could not be made.
    pub fn take(self) -> Result<(), (Box<Seat>, Errno)> {
        match self.make() {
            Ok(made) => {
                self.work(made);
                Ok(())
            }
            Err(errno) => Err((Box::new(self), errno)),
        }
    }

    /// Gives it a thread of its own on `core`. Nobody begins before the gate is open; who finds it gone ends.
    pub(crate) fn spawn(
        self,
        index: usize,
        core: Option<usize>,
    ) -> io::Result<(Gate, JoinHandle<()>)> {
        let (tell, made) = sync_channel(1);
        let (go, may_go) = sync_channel(1);
        let body = move || {
            pin_to(core);
            let driver = self.make();
            let _ = tell.send(driver.as_ref().map(|_| ()).map_err(|errno| *errno));
            if let (Ok(driver), Ok(())) = (driver, may_go.recv()) {
                self.work(driver);
            }
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(body)?;
        Ok((Gate { made, go }, thread))
    }

    fn make(&self) -> Result<Made, Errno> {
        Ok(match self.driver {
            Driver::Uring => Made::Uring(Box::new(Uring::new(&self.options)?)),
            Driver::Epoll => Made::Epoll(Box::new(Epoll::new(&self.options)?)),
        })
    }

    fn work(self, made: Made) {
        match made {
            Made::Uring(kernel) => drive(*self.setup, &self.bell, *kernel),
            Made::Epoll(kernel) => drive(*self.setup, &self.bell, *kernel),
        }
    }
}

/// Of a worker that a fault of ours tears out of its loop: nothing more is dealt to it, and what was is let go.
struct Abandoned(Mailbox);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
            while self.0.take().is_some() {}
        }
    }
}

fn drive<K: Kernel>(setup: Setup, bell: &LateBell, kernel: K) {
    let index = setup.index;
    let _abandoned = Abandoned(setup.mailbox.clone());
    bell.hang_up(kernel.waker());
    match Worker::new(setup, kernel) {
        Ok(mut worker) => {
            while worker.turn() {}
            worker.close();
        }
        // The descriptors were bound and listening a moment ago: only a broken kernel refuses them now.
        Err(errno) => panic!("worker {index} can't drive its listening sockets: {errno}"),
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
