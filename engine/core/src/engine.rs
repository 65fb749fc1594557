//! An engine: listeners bound for every worker, then one pinned thread per worker, until all have ended.
//!
//! Binding is all or nothing and comes before any thread, so that a start that fails leaves nothing behind. A worker's
//! driver is made on the worker's own thread, as io_uring wants it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use penstock_ring::epoll::Epoll;
use penstock_ring::sockets::{bind_listener, ensure_free, local, take_listener};
use penstock_ring::unix::{SocketFile, bind_unix};
use penstock_ring::uring::Uring;
use penstock_ring::{Driver, Errno, Kernel, Mask, Options, PoolSizes, Stats, Waker};

use crate::config::{Address, Config, UnixSocket};
use crate::control::{Mailbox, Outside};
use crate::intake::Intake;
use crate::metrics::Counters;
use crate::shared::Shared;
use crate::worker::{Setup, Worker};

/// Connections that may wait to be accepted, per listening socket.
const BACKLOG: u32 = 4096;
/// Commands that may wait for a worker.
const MAILBOX: usize = 4096;

/// What is to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it shall do.
    pub config: Arc<Config>,
    /// As the start-up probe chose.
    pub driver: Driver,
    /// Features hidden from the driver.
    pub mask: Mask,
    /// Threads; at least one, at most 256.
    pub workers: usize,
    /// Sessions of the whole process.
    pub max_tunnels: usize,
    /// Bound of each worker's pipe pool.
    pub pipes_per_worker: usize,
    /// Each worker calls this, on its own thread, when it rests: to give back what its busiest moment took of the heap.
    pub at_rest: Option<fn()>,
}

/// Why nothing was started.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be bound.
    Bind {
        /// Name of the listener.
        listener: Box<str>,
        /// What it should have listened on.
        address: Address,
        /// EADDRINUSE, EACCES, EADDRNOTAVAIL …
        error: io::Error,
    },
    /// A worker's thread or driver could not be made.
    Worker(io::Error),
}

/// Listening sockets of all workers.
#[derive(Debug)]
pub struct Bound {
    plan: Plan,
    addresses: Vec<Address>,
    /// For each worker.
    listeners: Vec<Vec<(OwnedFd, u16)>>,
    files: Vec<SocketFile>,
}

/// Running workers.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    mailboxes: Vec<Mailbox>,
    counters: Vec<Arc<Counters>>,
    stats: Vec<Arc<Stats>>,
    threads: Vec<JoinHandle<()>>,
    /// From when on all workers count their time.
    epoch: Instant,
    /// Of the UNIX sockets that they listen on.
    _files: Vec<SocketFile>,
}

/// What a worker's thread tells when its driver stands.
type Made = Result<(Waker, Arc<Stats>), Errno>;
/// What it needs then to go on.
type Rest = (Mailbox, Box<dyn Outside>);

/// Binds all addresses for all workers.
///
/// # Errors
/// The first address that can't be bound; nothing stays bound.
pub fn bind(plan: Plan) -> Result<Bound, StartError> {
    let mut listeners: Vec<Vec<(OwnedFd, u16)>> = (0..plan.workers).map(|_| Vec::new()).collect();
    let (mut addresses, mut files) = (Vec::new(), Vec::new());
    for (index, listener) in plan.config.listeners.iter().enumerate() {
        for address in &listener.addresses {
            let bound = match address {
                Address::Tcp(tcp) => {
                    bind_for_all(*tcp, index as u16, &mut listeners).map(Address::Tcp)
                }
                Address::Unix(socket) => share(socket, index as u16, &mut listeners).map(|file| {
                    files.push(file);
                    address.clone()
                }),
                Address::StandardInput => inherit(index as u16, &mut listeners),
            };
            let failed = |error| StartError::Bind {
                listener: listener.name.clone(),
                address: address.clone(),
                error,
            };
            addresses.push(bound.map_err(failed)?);
        }
    }
    Ok(Bound { plan, addresses, listeners, files })
}

/// Gives all workers one UNIX socket: there can't be several on a path.
fn share(
    socket: &UnixSocket,
    listener: u16,
    workers: &mut [Vec<(OwnedFd, u16)>],
) -> io::Result<SocketFile> {
    let UnixSocket { path, mode, owner, group } = socket;
    let (descriptor, file) = bind_unix(path, *mode, (*owner, *group), BACKLOG)?;
    for sockets in workers {
        sockets.push((descriptor.try_clone()?, listener));
    }
    Ok(file)
}

/// Gives all workers the socket that we were started with.
fn inherit(listener: u16, workers: &mut [Vec<(OwnedFd, u16)>]) -> io::Result<Address> {
    let descriptor = take_listener(io::stdin().as_fd())?;
    let address = local(descriptor.as_fd()).map_or(Address::StandardInput, Address::Tcp);
    for sockets in workers {
        sockets.push((descriptor.try_clone()?, listener));
    }
    Ok(address)
}

/// Gives each worker a socket of its own on `address`. A port 0 is chosen once, for all of them.
fn bind_for_all(
    mut address: SocketAddr,
    listener: u16,
    workers: &mut [Vec<(OwnedFd, u16)>],
) -> io::Result<SocketAddr> {
    ensure_free(address)?;
    for sockets in workers {
        let socket = bind_listener(address, BACKLOG)?;
        address = local(socket.as_fd()).unwrap_or(address);
        sockets.push((socket, listener));
    }
    Ok(address)
}

impl Bound {
    /// Where it listens; a port 0 is replaced by the one that was chosen.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Starts a thread per worker. `outside` makes each one's way to what may wait.
    ///
    /// # Errors
    /// The first worker that could not start; those before it have ended again.
    pub fn start(
        self,
        outside: &mut dyn FnMut(usize, Mailbox) -> Box<dyn Outside>,
    ) -> Result<Engine, StartError> {
        let Bound { plan, addresses, listeners, files } = self;
        let own = addresses.iter().filter_map(Address::tcp).collect();
        let shared = Arc::new(Shared::new(Arc::clone(&plan.config), own, plan.max_tunnels));
        let cores = allowed_cores();
        let mut engine = Engine {
            shared,
            mailboxes: Vec::new(),
            counters: Vec::new(),
            stats: Vec::new(),
            threads: Vec::new(),
            epoch: Instant::now(),
            _files: files,
        };
        let mut waiting = Vec::new();
        for (index, own) in listeners.into_iter().enumerate() {
            let core = cores.get(index % cores.len().max(1)).copied();
            let rest = match engine.spawn(index, &plan, own, core) {
                Ok(rest) => rest,
                Err(error) => {
                    drop(waiting);
                    engine.join();
                    return Err(error);
                }
            };
            let mailbox = engine.mailboxes[index].clone();
            waiting.push((rest, mailbox.clone(), outside(index, mailbox)));
        }
        for (rest, mailbox, outside) in waiting {
            // A worker that has died meanwhile is noticed by `join`.
            let _ = rest.send((mailbox, outside));
        }
        Ok(engine)
    }
}

impl Engine {
    /// The workers' inboxes, by index.
    pub fn mailboxes(&self) -> &[Mailbox] {
        &self.mailboxes
    }

    /// The workers' counters, by index.
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// What the workers' drivers count, by index.
    pub fn stats(&self) -> &[Arc<Stats>] {
        &self.stats
    }

    /// What the workers share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where tunnels are handed over.
    pub fn intake(&self) -> Intake {
        Intake::new(Arc::clone(&self.shared), self.mailboxes.as_slice().into())
    }

    /// Waits until every worker has ended, which they do after a drain or a stop.
    pub fn join(self) {
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }

    /// Starts one worker's thread and waits until its driver stands.
    fn spawn(
        &mut self,
        index: usize,
        plan: &Plan,
        listeners: Vec<(OwnedFd, u16)>,
        core: Option<usize>,
    ) -> Result<SyncSender<Rest>, StartError> {
        let counters = Arc::new(Counters::default());
        let (shared, own_counters, options) =
            (Arc::clone(&self.shared), Arc::clone(&counters), options(plan, self.epoch));
        let (made, is_made) = sync_channel(1);
        let (rest, wait_for_rest) = sync_channel(1);
        let (driver, at_rest) = (plan.driver, plan.at_rest);
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        let body = move || {
            pin_to(core);
            let own =
                Own { index: index as u8, shared, counters: own_counters, listeners, at_rest };
            match driver {
                Driver::Uring => own.run(Uring::new(&options), &made, &wait_for_rest),
                Driver::Epoll => own.run(Epoll::new(&options), &made, &wait_for_rest),
            }
        };
        self.threads.push(thread.spawn(body).map_err(StartError::Worker)?);
        let (waker, stats) = is_made
            .recv()
            .unwrap_or(Err(Errno::EIO))
            .map_err(|errno| StartError::Worker(errno.into()))?;
        self.mailboxes.push(Mailbox::new(MAILBOX, waker));
        self.counters.push(counters);
        self.stats.push(stats);
        Ok(rest)
    }
}

/// What a worker's thread starts with.
struct Own {
    index: u8,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    listeners: Vec<(OwnedFd, u16)>,
    at_rest: Option<fn()>,
}

impl Own {
    fn run<K: Kernel>(
        self,
        kernel: Result<K, Errno>,
        made: &SyncSender<Made>,
        rest: &Receiver<Rest>,
    ) {
        let kernel = match kernel {
            Ok(kernel) => kernel,
            Err(errno) => {
                let _ = made.send(Err(errno));
                return;
            }
        };
        let _ = made.send(Ok((kernel.waker(), Arc::clone(kernel.stats()))));
        // Nobody sends if another worker could not start.
        let Ok((mailbox, outside)) = rest.recv() else { return };
        let Own { index, shared, counters, listeners, at_rest } = self;
        let setup = Setup { index, shared, counters, listeners, outside, mailbox, at_rest };
        match Worker::new(setup, kernel) {
            Ok(mut worker) => {
                while worker.turn() {}
                worker.close();
            }
            // The descriptors were bound and listening a moment ago: only a broken kernel refuses them now.
            Err(errno) => panic!("worker {index} can't drive its listening sockets: {errno}"),
        }
    }
}

fn options(plan: &Plan, epoch: Instant) -> Options {
    let engine = &plan.config.engine;
    Options {
        buffers: PoolSizes::of_memory(engine.memory),
        pipes: plan.pipes_per_worker,
        splice: engine.splice,
        socket: engine.socket,
        busy_poll: engine.busy_poll,
        mask: plan.mask,
        epoch,
        ..Options::default()
    }
}

/// The cores that this process may use.
fn allowed_cores() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0));
    let is_set =
        |core: &usize| allowed.as_ref().is_ok_and(|set| set.is_set(*core).unwrap_or(false));
    (0..CpuSet::count()).filter(is_set).collect()
}

/// A worker that can't be pinned runs all the same, where the scheduler puts it.
fn pin_to(core: Option<usize>) {
    let mut set = CpuSet::new();
    if core.is_some_and(|core| set.set(core).is_ok()) {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (listener, address, error) = match self {
            StartError::Worker(error) => return write!(f, "a worker could not start: {error}"),
            StartError::Bind { listener, address, error } => (listener, address, error),
        };
        write!(f, "listener \"{listener}\" can't listen on {address}: {error}; ")?;
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EADDRINUSE) => write!(
                f,
                "another program (see `ss -lxtnp`) listens there: stop it or choose another address"
            ),
            Some(Errno::ENOTSOCK | Errno::EINVAL) if *address == Address::StandardInput => {
                write!(f, "expected a listening socket, as inetd with `wait` hands it over")
            }
            Some(Errno::EACCES) if address.tcp().is_none() => {
                write!(f, "we may not write to its folder, or not give it that owner or group")
            }
            Some(Errno::EEXIST) => {
                write!(f, "something that is no socket is there: choose another path")
            }
            Some(Errno::EACCES) => write!(f, "ports below 1024 need CAP_NET_BIND_SERVICE or root"),
            Some(Errno::EADDRNOTAVAIL) => {
                write!(f, "no interface has this address: check `address` and `ip addr`")
            }
            _ => write!(f, "check `address`"),
        }
    }
}

impl std::error::Error for StartError {}
