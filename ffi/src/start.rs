//! From settings to a running engine. What fails leaves nothing behind: no thread, no open port.

use std::fmt::Display;
use std::net::TcpListener;
use std::num::NonZero;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{UnixAddr, getsockname};
use penstock_config::limits::{Descriptors, Held, TooMany};
use penstock_config::{AccessFormat, AccessLog};
use penstock_control::messages::Dropped;
use penstock_control::{
    Control, DriverFacts, Handle, Parts, Worker, access_log, admin, recorder, spawner,
};
use penstock_core::config::{Address, Config};
use penstock_core::engine::{Bound, Plan, bind};
use penstock_core::ring::probe::{Facts, probe};
use penstock_core::ring::{Driver, Mask};
use tokio::sync::{mpsc, oneshot};

use crate::courier::Courier;
use crate::edge::{Answer, Refusal};
use crate::life::Made;
use crate::running::{Joiner, Running, Seats, end_at_once, flush, steer};
use crate::signals::HeldBack;
use crate::status::penstock_status::{PENSTOCK_CONFIG, PENSTOCK_SYSTEM};

/// What the system refuses.
fn system(what: &'static str) -> impl Fn(std::io::Error) -> Refusal {
    move |error| Refusal::new(PENSTOCK_SYSTEM, format!("{what}: {error}"))
}

fn of_config(error: impl Display) -> Refusal {
    Refusal::new(PENSTOCK_CONFIG, error.to_string())
}

/// Starts it.
pub(crate) fn start(made: &Made, courier: &Arc<Courier>) -> Answer<Running> {
    ensure_possible(&made.config, courier)?;
    // Threads have the signals of whoever starts them.
    let _held_back = HeldBack::all();
    let (plan, facts) = plan(made)?;
    let max_tunnels = plan.max_tunnels;
    let mut bound = bind(plan).map_err(|error| Refusal::new(PENSTOCK_SYSTEM, error.to_string()))?;
    let addresses = addresses(made, &mut bound)?;
    let admin = made.admin.map(admin::bind).transpose();
    let admin = admin.map_err(system("can't listen on the admin address"))?;
    let thread = courier.start(&made.config).map_err(system("can't start a thread"))?;
    let launched = launch(made, courier, bound, &facts, max_tunnels, admin);
    match launched {
        Ok(running) => {
            let running = Running { addresses, host: Mutex::new(thread), ..running };
            describe(&running, &facts);
            Ok(running)
        }
        Err(refusal) => {
            courier.close();
            thread.map(JoinHandle::join);
            Err(refusal)
        }
    }
}

fn describe(running: &Running, facts: &Facts) {
    let (workers, max_tunnels) = (running.mailboxes.len(), running.max_tunnels);
    tracing::info!(workers, max_tunnels, "penstock {}: {facts}", env!("CARGO_PKG_VERSION"));
    for (listener, address) in &running.addresses {
        let name = running.config.listeners.get(usize::from(*listener)).map(|one| &*one.name);
        tracing::info!(%address, "listener `{}`", name.unwrap_or_default());
    }
}

/// What would end badly only later.
fn ensure_possible(config: &Config, courier: &Courier) -> Answer {
    if spawner::is_needed(config) {
        return Err(of_config(
            "a target is a program (`exec:`, ssh): only the daemon starts programs",
        ));
    }
    let asks = config.listeners.iter().find(|listener| listener.asks_host.is_some());
    match asks {
        Some(listener) if !courier.has_authority() => Err(of_config(format!(
            "listener `{}` asks the host (`policy = \"host\"`): call penstock_on_authorise() before penstock_start()",
            listener.name
        ))),
        _ => Ok(()),
    }
}

/// The limit is the host's own to raise.
fn too_many(error: TooMany) -> Refusal {
    let TooMany { requested, possible, descriptors } = error;
    let what = match requested {
        Some(number) => format!("{number} tunnels at a time (max_tunnels) can't be carried"),
        None => "no tunnel can be carried".to_owned(),
    };
    of_config(format!(
        "{what}: {descriptors} = {possible}. Raise the limit of descriptors (RLIMIT_NOFILE, `ulimit -n`) before the start, or ask for fewer workers or tunnels"
    ))
}

fn plan(made: &Made) -> Answer<(Plan, Facts)> {
    let config = &made.config;
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|errno| system("can't read the descriptor limit")(errno.into()))?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(256);
    let workers = config.engine.workers.unwrap_or_else(|| Descriptors::workers(limit, cores));
    let mut held = Held::of(config);
    held.addresses += made.sockets.len();
    let descriptors = Descriptors::divide(limit, workers, held);
    let max_tunnels = descriptors.max_tunnels(config.engine.max_tunnels).map_err(too_many)?;
    let mask = Mask::default();
    let facts = probe_elsewhere(config.engine.driver, mask)
        .map_err(|error| Refusal::new(PENSTOCK_SYSTEM, error))?;
    let plan = Plan {
        config: Arc::clone(config),
        driver: facts.driver,
        mask,
        workers,
        max_tunnels,
        pipes_per_worker: descriptors.pipes_per_worker,
        turned_away_per_worker: descriptors.turned_away_per_worker,
        pinned: false,
        at_rest: None,
    };
    Ok((plan, facts))
}

/// Finds out what the kernel lets us use, on a thread of its own: what is tried out there and let go interrupts the next wait of whoever has
/// tried it, and a host's poll(2) would end by EINTR without any signal.
pub(crate) fn probe_elsewhere(driver: Option<Driver>, mask: Mask) -> Result<Facts, String> {
    let thread = thread::Builder::new().name("penstock-probe".to_owned());
    let probed = thread.spawn(move || probe(driver, mask));
    let probed = probed.map_err(|error| format!("can't start a thread: {error}"))?;
    let facts = probed.join().map_err(|_| "the probe came to a halt".to_owned())?;
    facts.map_err(|error| error.to_string())
}

/// Where it listens, the host's own sockets among that.
fn addresses(made: &Made, bound: &mut Bound) -> Answer<Vec<(u16, String)>> {
    let listeners = made.config.listeners.iter().enumerate();
    let indices = listeners.flat_map(|(index, one)| one.addresses.iter().map(move |_| index));
    let shown = bound.addresses().iter().map(Address::to_string);
    let mut all: Vec<_> = indices.map(|index| index as u16).zip(shown).collect();
    for (listener, socket) in &made.sockets {
        let address = bound
            .accept_on(*listener, socket.as_fd())
            .map_err(system("can't accept on the host's socket"))?;
        let shown = address.map(|address| address.to_string());
        all.push((*listener, shown.unwrap_or_else(|| unix_address(socket))));
    }
    Ok(all)
}

/// `unix:/path`; of a socket without a path, no more than `unix:`.
fn unix_address(socket: &OwnedFd) -> String {
    let address = getsockname::<UnixAddr>(socket.as_raw_fd());
    let path = address.as_ref().ok().and_then(UnixAddr::path);
    format!("unix:{}", path.unwrap_or(Path::new("")).display())
}

/// Everything that has threads.
fn launch(
    made: &Made,
    courier: &Arc<Courier>,
    bound: Bound,
    facts: &Facts,
    max_tunnels: usize,
    admin: Option<TcpListener>,
) -> Answer<Running> {
    let config = &made.config;
    let access_log = access_log(made.access_log.as_ref(), config)?;
    let recorder = recorder::start(config).map_err(system("can't start a thread"))?;
    let control = Control::new(config, access_log.clone(), recorder.clone(), None)
        .map_err(system("can't make an event loop"))?
        .with_host(courier.clone());
    let joiner = Joiner::start().map_err(system("can't start a thread"))?;
    let started = bound.start_but(made.host_workers, &mut |_, mailbox| control.outside(mailbox));
    let (engine, seats) = match started {
        Ok(started) => started,
        Err(error) => {
            joiner.dismiss();
            return Err(Refusal::new(PENSTOCK_SYSTEM, error.to_string()));
        }
    };
    let (seats, all_left) = Seats::new(seats);
    let parts = Parts {
        config: Arc::clone(config),
        workers: Worker::all(&engine),
        driver: DriverFacts::of(facts),
        max_tunnels,
        messages_dropped: Dropped::none(),
    };
    let (intake, counters) = (engine.intake(), engine.counters().to_vec());
    let mailboxes = engine.mailboxes().to_vec();
    let (joiner, ended) = joiner.wait_for(engine, all_left);
    let flush = move || flush(&access_log, recorder.as_ref());
    let begun = steered(control, parts, admin, ended, flush);
    let (handle, orders, control) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            end_at_once(&mailboxes, &seats);
            let _ = joiner.join();
            return Err(system("can't start a thread")(error));
        }
    };
    Ok(Running {
        intake,
        config: Arc::clone(config),
        mailboxes,
        counters,
        driver: facts.driver,
        max_tunnels,
        addresses: Vec::new(),
        plain_terms: made.plain_terms,
        handle,
        orders,
        seats,
        threads: Mutex::new(vec![control, joiner]),
        host: Mutex::default(),
    })
}

/// The thread that may wait, what it can be asked for, and how it is given orders. `last` is what it does when the workers have ended.
fn steered(
    control: Control,
    parts: Parts,
    admin: Option<TcpListener>,
    ended: oneshot::Receiver<()>,
    last: impl FnOnce() + Send + 'static,
) -> std::io::Result<(Handle, mpsc::UnboundedSender<Duration>, JoinHandle<()>)> {
    let ((tell, told), (orders, taken)) = (sync_channel(1), mpsc::unbounded_channel());
    let body = move || {
        let _ = control.run(parts, admin, |handle| steer(handle, tell, taken, ended));
        last();
    };
    let thread = thread::Builder::new().name("penstock-control".to_owned()).spawn(body)?;
    match told.recv() {
        Ok(handle) => Ok((handle, orders, thread)),
        Err(_) => Err(std::io::Error::other("the event loop did not begin")),
    }
}

fn access_log(log: Option<&AccessLog>, config: &Config) -> Answer<access_log::Sender> {
    let Some(AccessLog { path, format }) = log else {
        return Ok(access_log::Sender::to_nobody());
    };
    let names = || config.listeners.iter().map(|listener| listener.name.clone()).collect();
    let format = match format {
        AccessFormat::Json => access_log::Format::Json(names()),
        AccessFormat::Squid => access_log::Format::Squid,
    };
    access_log::start(Some(path), format).map_err(system("can't open the access log"))
}
