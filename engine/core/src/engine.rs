//! An engine: listeners bound for every worker, then one pinned thread per worker, until all have ended.
//!
//! Binding is all or nothing and comes before any thread, so that a start that fails leaves nothing behind. A worker's
//! driver is made on the worker's own thread, as io_uring wants it: see [`Seat`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use penstock_ring::sockets::{bind_listener, ensure_free, local, take_listener};
use penstock_ring::unix::{SocketFile, bind_unix};
use penstock_ring::{Driver, Errno, Mask, Options, PoolSizes, Stats};

use crate::config::{Address, Config, UnixSocket};
use crate::control::{Mailbox, Outside};
use crate::intake::Intake;
use crate::metrics::Counters;
pub use crate::seat::Seat;
use crate::seat::{Gate, LateBell};
use crate::shared::Shared;
use crate::worker::Setup;

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
    /// Clients that each worker may be telling at the same time that there is no room; further ones are closed at once.
    pub turned_away_per_worker: usize,
    /// Each thread of ours stays on a core, in turn. For who has the machine for himself: all engines begin with the same one.
    pub pinned: bool,
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
    /// Where else it accepts, on sockets that somebody else has bound.
    others: Vec<SocketAddr>,
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
    /// Of the UNIX sockets that they listen on.
    _files: Vec<SocketFile>,
}

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
    Ok(Bound { plan, addresses, others: Vec::new(), listeners, files })
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

    /// Has all workers accept on a socket that somebody else has bound: another one of that listener's. Where that is.
    ///
    /// # Errors
    /// EINVAL: it is no listening socket. Others: no descriptors.
    pub fn accept_on(
        &mut self,
        listener: u16,
        socket: BorrowedFd<'_>,
    ) -> io::Result<Option<SocketAddr>> {
        let socket = take_listener(socket)?;
        let clones = self.listeners.iter().map(|_| socket.try_clone());
        let clones = clones.collect::<io::Result<Vec<_>>>()?;
        for (sockets, clone) in self.listeners.iter_mut().zip(clones) {
            sockets.push((clone, listener));
        }
        let address = local(socket.as_fd());
        self.others.extend(address);
        Ok(address)
    }

    /// Starts a thread per worker. `outside` makes each one's way to what may wait.
    ///
    /// # Errors
    /// The first worker that could not start; those before it have ended again.
    pub fn start(
        self,
        outside: &mut dyn FnMut(usize, Mailbox) -> Box<dyn Outside>,
    ) -> Result<Engine, StartError> {
        self.start_but(0, outside).map(|(engine, _)| engine)
    }

    /// The same, but leaves the last workers, so many of them, to threads of somebody else's. Each seat has to be taken, also to come to an
    /// end: what was dealt to it is told of only then.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_but(
        self,
        left: usize,
        outside: &mut dyn FnMut(usize, Mailbox) -> Box<dyn Outside>,
    ) -> Result<(Engine, Vec<Seat>), StartError> {
        let Bound { plan, addresses, others, listeners, files } = self;
        let own = addresses.iter().filter_map(Address::tcp).chain(others).collect();
        let shared = Arc::new(Shared::new(Arc::clone(&plan.config), own, plan.max_tunnels));
        let epoch = Instant::now();
        let mut engine = Engine {
            shared,
            mailboxes: Vec::new(),
            counters: Vec::new(),
            stats: Vec::new(),
            threads: Vec::new(),
            _files: files,
        };
        let seats = listeners.into_iter().enumerate();
        let seats = seats.map(|(index, own)| engine.seat(index, &plan, own, epoch, outside));
        let mut ours: Vec<Seat> = seats.collect();
        let theirs = ours.split_off(ours.len().saturating_sub(left));
        engine.spawn(ours, plan.pinned)?;
        Ok((engine, theirs))
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

    fn seat(
        &mut self,
        index: usize,
        plan: &Plan,
        listeners: Vec<(OwnedFd, u16)>,
        epoch: Instant,
        outside: &mut dyn FnMut(usize, Mailbox) -> Box<dyn Outside>,
    ) -> Seat {
        let bell = Arc::new(LateBell::default());
        let mailbox = Mailbox::new(MAILBOX, bell.clone());
        let (counters, options) = (Arc::<Counters>::default(), options(plan, epoch));
        self.mailboxes.push(mailbox.clone());
        self.counters.push(Arc::clone(&counters));
        self.stats.push(Arc::clone(&options.stats));
        let setup = Setup {
            index: index as u8,
            shared: Arc::clone(&self.shared),
            counters,
            listeners,
            outside: outside(index, mailbox.clone()),
            mailbox,
            turned_away_max: plan.turned_away_per_worker,
            at_rest: plan.at_rest,
        };
        Seat::new(plan.driver, options, setup, bell)
    }

    /// Gives workers threads of their own, and lets them begin once all of their drivers stand.
    fn spawn(&mut self, seats: Vec<Seat>, pinned: bool) -> Result<(), StartError> {
        let cores = if pinned { allowed_cores() } else { Vec::new() };
        let mut gates = Vec::with_capacity(seats.len());
        let stand = seats.into_iter().enumerate().try_for_each(|(index, seat)| {
            let core = cores.get(index % cores.len().max(1)).copied();
            let (gate, thread) = seat.spawn(index, core)?;
            self.threads.push(thread);
            gates.push(gate);
            Ok(())
        });
        let stand = stand.and_then(|()| gates.iter().try_for_each(Gate::wait));
        if let Err(error) = stand {
            drop(gates);
            for thread in std::mem::take(&mut self.threads) {
                // Nobody has begun anything.
                let _ = thread.join();
            }
            return Err(StartError::Worker(error));
        }
        gates.into_iter().for_each(Gate::open);
        Ok(())
    }

    /// Waits until every worker has ended, which they do after a drain or a stop.
    pub fn join(self) {
        let ends: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        // Only now: whoever hears of it may take it for the end of all.
        for end in ends {
            if let Err(panic) = end {
                std::panic::resume_unwind(panic);
            }
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
