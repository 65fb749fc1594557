//! From settings to a running engine and to its end, in an order that leaves nothing half-started:
//! the spawner, limits, driver, all addresses, logs, workers; then ready.

use std::io::{self, IsTerminal, Write};
use std::net::TcpListener;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use penstock_config::limits::{Descriptors, Held};
use penstock_config::websockify::Ending;
use penstock_config::{AccessFormat, AccessLog, Level, Settings};
use penstock_control::messages::LevelFilter;
use penstock_control::spawner::{self, Spawner};
use penstock_control::{
    Control, DriverFacts, Parts, Worker, access_log, admin, messages, recorder,
};
use penstock_core::config::{Address, Config};
use penstock_core::engine::{Bound, Engine, Plan, StartError, bind};
use penstock_core::ring::Mask;
use penstock_core::ring::probe::{Facts, probe};
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::pid_file::PidFile;
use crate::{heap, limits, supervise};

/// How long what is still to be recorded may take to be written.
const LAST_PIECES: Duration = Duration::from_secs(5);
/// How long the last lines of the logs may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What is said, to whom, and when it ends.
pub(crate) struct Manner {
    /// Printed once everything runs.
    pub(crate) greeting: Option<String>,
    /// Where messages go, one by one.
    pub(crate) messages: Box<dyn Write + Send>,
    /// Is told when the files of logs have been moved away.
    pub(crate) moved: Arc<AtomicBool>,
    /// Somebody looks at them.
    pub(crate) coloured: bool,
    /// In the background, once nothing can be wrong any more with what was asked for.
    pub(crate) daemon: bool,
    /// Where the number of the process is written.
    pub(crate) pid_file: Option<PathBuf>,
    /// What is served, in other words.
    pub(crate) shown: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) ending: Ending,
}

impl Manner {
    /// In the foreground, until a signal comes.
    pub(crate) fn usual(greeting: Option<String>) -> Manner {
        Manner {
            greeting,
            messages: Box::new(io::stderr()),
            moved: Arc::default(),
            coloured: io::stderr().is_terminal(),
            daemon: false,
            pid_file: None,
            shown: Vec::new(),
            warnings: Vec::new(),
            ending: Ending::default(),
        }
    }
}

/// Serves until its end.
pub(crate) fn serve(settings: Settings, mask: Mask, manner: Manner) -> Result<(), Failure> {
    // While there is nothing yet that a program could inherit.
    let spawner = spawner::is_needed(&settings.config).then(Spawner::start).transpose();
    let spawner =
        spawner.map_err(|e| Failure::System("can't start the process that starts programs", e))?;
    supervise::block_signals().map_err(|e| Failure::System("can't hold back signals", e))?;
    let Settings { config, log, admin, needs_host: _ } = settings;
    let config = Arc::new(config);
    let descriptors = descriptors(&config)?;
    let max_tunnels =
        descriptors.max_tunnels(config.engine.max_tunnels).map_err(Failure::Limits)?;
    let facts = probe(config.engine.driver, mask).map_err(Failure::Driver)?;
    let plan = Plan {
        config: config.clone(),
        driver: facts.driver,
        mask,
        workers: descriptors.workers,
        max_tunnels,
        pipes_per_worker: descriptors.pipes_per_worker,
        turned_away_per_worker: descriptors.turned_away_per_worker,
        pinned: true,
        at_rest: Some(heap::settle),
    };
    let bound = bind(plan)?;
    let admin_listener = admin.map(bind_admin).transpose()?;
    let _pid_file = settle(manner.daemon, manner.pid_file)?;
    let (guard, messages_dropped) =
        messages::start(level(log.level), manner.messages, manner.coloured);
    let access_log = start_access_log(log.access.as_ref(), &config)?;
    describe(&facts, &descriptors, max_tunnels, &bound, &config, admin_listener.as_ref());
    manner.shown.iter().for_each(|line| tracing::info!("{line}"));
    manner.warnings.iter().for_each(|line| tracing::warn!("{line}"));
    let recorder =
        recorder::start(&config).map_err(|e| Failure::System("can't start a thread", e))?;
    let control = Control::new(&config, access_log.clone(), recorder.clone(), spawner)
        .map_err(|e| Failure::System("can't make an event loop", e))?;
    let engine = bound.start(&mut |_, mailbox| control.outside(mailbox))?;
    let parts = Parts {
        config: config.clone(),
        workers: Worker::all(&engine),
        driver: DriverFacts::of(&facts),
        max_tunnels,
        messages_dropped,
    };
    let ended = join_elsewhere(engine)?;
    if let Some(greeting) = manner.greeting {
        // Nobody may be reading.
        let _ = io::stdout().write_all(greeting.as_bytes());
    }
    let drain_timeout = config.engine.drain_timeout;
    control
        .run(parts, admin_listener, |handle| {
            supervise::until_ended(handle, drain_timeout, manner.ending, manner.moved, ended)
        })
        .map_err(|e| Failure::System("can't serve the admin address", e))?
        .map_err(|e| Failure::System("can't watch for signals", e))?;
    if let Some(recorder) = recorder {
        recorder.flush(LAST_PIECES);
    }
    let is_complete = access_log.flush(LAST_LINES);
    let lost = access_log.dropped();
    if lost > 0 || !is_complete {
        tracing::warn!(lost, is_complete, "the access log lacks lines of connections that ended");
    }
    drop(guard);
    Ok(())
}

/// Goes to the background, if that is wanted, and says there which process it is.
fn settle(daemon: bool, pid_file: Option<PathBuf>) -> Result<Option<PidFile>, Failure> {
    let unwritten = |e| Failure::System("can't write the file with the process's number", e);
    // From where it was started: the background is elsewhere.
    let path = pid_file.map(std::path::absolute).transpose().map_err(unwritten)?;
    let mut pid_file = path.map(PidFile::create).transpose().map_err(unwritten)?;
    if daemon {
        // No thread would live on in the background.
        nix::unistd::daemon(false, false)
            .map_err(|e| Failure::System("can't go to the background", e.into()))?;
    }
    pid_file.as_mut().map_or(Ok(()), PidFile::write).map_err(unwritten)?;
    Ok(pid_file)
}

fn descriptors(config: &Config) -> Result<Descriptors, Failure> {
    let limit = limits::raise_descriptors()
        .map_err(|e| Failure::System("can't read the descriptor limit", e))?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(256);
    let workers = config.engine.workers.unwrap_or_else(|| Descriptors::workers(limit, cores));
    Ok(Descriptors::divide(limit, workers, Held::of(config)))
}

fn bind_admin(address: std::net::SocketAddr) -> Result<TcpListener, StartError> {
    admin::bind(address).map_err(|error| StartError::Bind {
        listener: "admin".into(),
        address: Address::Tcp(address),
        error,
    })
}

fn start_access_log(
    log: Option<&AccessLog>,
    config: &Config,
) -> Result<access_log::Sender, Failure> {
    let format = match log.map(|log| log.format) {
        Some(AccessFormat::Json) => access_log::Format::Json(
            config.listeners.iter().map(|listener| listener.name.clone()).collect(),
        ),
        Some(AccessFormat::Squid) | None => access_log::Format::Squid,
    };
    let path = log.map(|log| log.path.as_path());
    access_log::start(path, format)
        .map_err(|error| Failure::AccessLog(path.unwrap_or("-".as_ref()).to_owned(), error))
}

fn describe(
    facts: &Facts,
    descriptors: &Descriptors,
    max_tunnels: usize,
    bound: &Bound,
    config: &Config,
    admin: Option<&TcpListener>,
) {
    let workers = descriptors.workers;
    tracing::info!("penstock {}: {facts}", env!("CARGO_PKG_VERSION"));
    tracing::info!(workers, max_tunnels, "limits: {descriptors} = {}", descriptors.tunnels());
    let mut addresses = bound.addresses().iter();
    for listener in &config.listeners {
        for address in addresses.by_ref().take(listener.addresses.len()) {
            let (tls, service) = (listener.tls.is_some(), &listener.service);
            tracing::info!(%address, tls, %service, "listener `{}`", listener.name);
        }
    }
    if let Some(Ok(address)) = admin.map(TcpListener::local_addr) {
        tracing::info!(%address, "admin");
    }
}

/// Waits for the workers on a thread of its own; the receiver learns of their end.
fn join_elsewhere(engine: Engine) -> Result<oneshot::Receiver<()>, Failure> {
    let (said, ended) = oneshot::channel();
    thread::Builder::new()
        .name("penstock-join".to_owned())
        .spawn(move || {
            engine.join();
            let _ = said.send(());
        })
        .map_err(|e| Failure::System("can't start a thread", e))?;
    Ok(ended)
}

fn level(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}
