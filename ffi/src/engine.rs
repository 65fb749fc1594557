//! An engine's life: created, started, stopped, freed.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::time::Duration;

use penstock_config::Settings;
use penstock_core::config::{Config, HalfClose, Listener, Reach, Service, Timeouts};
use penstock_core::policy::{AccessLists, Rules};
use penstock_core::ring::Driver;
use penstock_core::ring::sockets::ensure_listening;

use crate::descriptors::{claim, release};
use crate::edge::{self, Answer, Refusal, Structure, guard};
use crate::life::{Engine, Made};
use crate::registry::{self, find};
use crate::status::penstock_status::{self, *};
use crate::wanted::index_of;

/// An engine, by a number. 0 is none. The number of an engine that was freed names nothing, and is never given to another one.
pub type penstock_engine = u64;

/// What carries the bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum penstock_driver {
    /// io_uring where the kernel allows it, otherwise epoll.
    Auto = 0,
    /// io_uring, or no start.
    Uring = 1,
    /// epoll.
    Epoll = 2,
}

/// What an engine is made of, where it is not made of a text. All zero: one worker for each core, and limits that suit most hosts.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct penstock_values {
    /// sizeof(penstock_values), as PENSTOCK_INIT() sets it.
    pub size: u32,
    /// Threads that carry bytes, 256 at most; 0: one for each core that this process may use, but not more than one for each 64 descriptors
    /// that it may have open.
    pub workers: u32,
    /// How many of them are threads of the host, which call penstock_run().
    pub host_workers: u32,
    /// One of penstock_driver.
    pub driver: u32,
    /// Tunnels at a time; 0: as many as the process's limit of descriptors (RLIMIT_NOFILE, which is left as it is) gives room for. A host
    /// that needs many descriptors of its own says fewer.
    pub max_tunnels: u32,
    /// Reserved: 0.
    pub reserved: u32,
    /// Bytes of buffers of each worker, a hard limit; 0: 64 MiB. Only what is used is ever touched.
    pub memory_per_worker: u64,
}

// SAFETY: numbers, in C's layout, the size first.
unsafe impl Structure for penstock_values {}

/// A worker's number in a connection's has 8 bits.
const WORKERS: u32 = 256;
const AUTO: u32 = penstock_driver::Auto as u32;
const URING: u32 = penstock_driver::Uring as u32;
const EPOLL: u32 = penstock_driver::Epoll as u32;
/// A pool that is smaller has no room for a buffer of each kind.
const MEMORY: u64 = 32 << 10;
/// What those terms are called that an engine has by itself.
const PLAIN: &str = "handed-over";

/// Puts in what is not 0.
fn apply(values: &penstock_values, config: &mut Config) -> Answer<usize> {
    let penstock_values { workers, host_workers, driver, max_tunnels, memory_per_worker, .. } =
        *values;
    let invalid = |words: String| Err(Refusal::new(PENSTOCK_INVALID, words));
    edge::ensure_reserved(values.reserved, "values")?;
    let engine = &mut config.engine;
    match driver {
        AUTO => {}
        URING => engine.driver = Some(Driver::Uring),
        EPOLL => engine.driver = Some(Driver::Epoll),
        other => {
            return invalid(format!(
                "`values->driver` is {other}: expected one of penstock_driver"
            ));
        }
    }
    if workers > WORKERS {
        return invalid(format!("`values->workers` is {workers}: expected {WORKERS} at most"));
    }
    if workers > 0 {
        engine.workers = Some(workers as usize);
    }
    let known = engine.workers.is_some_and(|workers| host_workers as usize <= workers);
    if host_workers > 0 && !known {
        return invalid(format!(
            "`values->host_workers` is {host_workers}: expected as many `workers` beside it, or more"
        ));
    }
    if max_tunnels > 0 {
        engine.max_tunnels = Some(max_tunnels as usize);
    }
    match memory_per_worker {
        0 => {}
        memory if memory >= MEMORY => {
            engine.memory = memory as usize;
            engine.per_direction = engine.per_direction.min(engine.memory);
        }
        memory => {
            return invalid(format!(
                "`values->memory_per_worker` is {memory}: expected {MEMORY} bytes or more"
            ));
        }
    }
    Ok(host_workers as usize)
}

/// The terms of tunnels that name none: plain streams, each until its end, no timers.
fn plain(config: &Config) -> Listener {
    let mut name = PLAIN.to_owned();
    while index_of(config, &name).is_ok() {
        name.push('-');
    }
    let everybody = Rules::parse(&["allow all"], &AccessLists::new()).unwrap_or_default();
    let mut terms = Listener::new(&name, Vec::new(), Service::handed_over(), everybody);
    terms.half_close = HalfClose::Forward;
    terms.timeouts = Timeouts { idle: None, lifetime: None, ..Timeouts::default() };
    terms
}

/// That clients who connect get somewhere.
fn ensure_accepts(listener: &Listener) -> Answer {
    let reach = listener.service.destination().map(|destination| &destination.reach);
    match reach {
        Some(Reach::HandedOver) if listener.asks_host.is_none() => Err(Refusal::new(
            PENSTOCK_NO_LISTENER,
            format!(
                "listener `{}` only takes what is handed over: nobody who connects gets anywhere",
                listener.name
            ),
        )),
        _ => Ok(()),
    }
}

/// # Safety
/// `values` and `engine` are what penstock_create() is promised.
unsafe fn create(
    settings: Settings,
    values: *const penstock_values,
    engine: *mut penstock_engine,
) -> Answer {
    if engine.is_null() {
        return Err(Refusal::new(PENSTOCK_NULL, "`engine` is NULL"));
    }
    // SAFETY: the caller's promise.
    let values = unsafe { edge::read_or_none(values, "values") }?;
    let Settings { mut config, log, admin, needs_host: _ } = settings;
    let host_workers = values.map_or(Ok(0), |values| apply(&values, &mut config))?;
    let plain_terms = config.listeners.len() as u16;
    config.listeners.push(plain(&config));
    let made = Made {
        config: Arc::new(config),
        access_log: log.access,
        admin,
        plain_terms,
        host_workers,
        sockets: Vec::new(),
    };
    let number = registry::add(|number| Engine::new(number, made));
    // SAFETY: the caller's promise.
    unsafe { edge::put(engine, "engine", number) }
}

/// Creates an engine without listeners, for tunnels that are handed over. It has neither threads nor descriptors before it is started.
///
/// `values` may be NULL: as if all were 0.
///
/// Ownership: `*engine` is the host's to free. Threads: any. Errors: PENSTOCK_INVALID: a value is wrong.
///
/// # Safety
/// `values` is NULL or points to a structure with its own size; `engine` is NULL or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_create(
    values: *const penstock_values,
    engine: *mut penstock_engine,
) -> penstock_status {
    guard(|| {
        let config = Config { engine: Default::default(), listeners: Vec::new() };
        let settings = Settings { config, log: Default::default(), admin: None, needs_host: None };
        // SAFETY: what the caller promises.
        unsafe { create(settings, values, engine) }
    })
}

/// Creates an engine of a configuration: the text of a file as the daemon reads it (docs/OPERATIONS.md), `length` bytes, in which NUL is
/// no end. What listeners it has are accepted on by the engine. `[log]` says where the access log goes; its level is penstock_on_log()'s.
/// Targets that are programs (`exec:`, ssh) need the daemon.
///
/// `values` may be NULL. What is not 0 in there holds instead of what the text says.
///
/// Ownership: `*engine` is the host's to free. Threads: any; reads the files that the text names. Errors: PENSTOCK_CONFIG: the text is wrong, and
/// penstock_last_error() says where; PENSTOCK_INVALID: a value is wrong.
///
/// # Safety
/// `text` is NULL or points to `length` bytes; the others as with penstock_create().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_create_from_toml(
    text: *const c_char,
    length: usize,
    values: *const penstock_values,
    engine: *mut penstock_engine,
) -> penstock_status {
    guard(|| {
        if text.is_null() {
            return Err(Refusal::new(PENSTOCK_NULL, "`text` is NULL"));
        }
        // SAFETY: what the caller promises of `text`.
        let text = unsafe { edge::bytes(text.cast::<c_void>(), length, usize::MAX, "text") }?;
        let text = String::from_utf8(text).map_err(|error| {
            Refusal::new(PENSTOCK_CONFIG, format!("the text is no UTF-8: {error}"))
        })?;
        let settings = penstock_config::parse("configuration", &text)
            .map_err(|error| Refusal::new(PENSTOCK_CONFIG, error.to_string()))?;
        // SAFETY: what the caller promises of the others.
        unsafe { create(settings, values, engine) }
    })
}

/// Has the engine accept on a socket that the host has made: bound and listening, TCP or UNIX. `listener` is the name of one of the configuration's listeners,
/// which may have `address` of its own beside it, or none. All workers accept on it.
///
/// Ownership: passes to the engine with PENSTOCK_OK, and only then; it closes with penstock_stop(). A duplicate in the host's hands keeps the port
/// open, and whoever connects then waits for the host. Threads: any. Errors: PENSTOCK_NO_LISTENER; PENSTOCK_NO_STREAM: it is no listening
/// socket; PENSTOCK_STARTED.
///
/// # Safety
/// `listener` is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_listen(
    engine: penstock_engine,
    listener: *const c_char,
    socket: c_int,
) -> penstock_status {
    guard(|| {
        let engine = find(engine)?;
        // SAFETY: what the caller promises of `listener`.
        let name = unsafe { edge::needed_text(listener, "listener") }?;
        engine.change(|made| {
            let index = index_of(&made.config, &name)?;
            ensure_accepts(&made.config.listeners[usize::from(index)])?;
            let socket = claim(socket, "socket")?;
            if let Err(errno) = ensure_listening(&socket) {
                release(socket);
                let words =
                    format!("`socket` does not listen ({errno}): expected one after listen(2)");
                return Err(Refusal::new(PENSTOCK_NO_STREAM, words));
            }
            made.sockets.push((index, socket));
            Ok(())
        })
    })
}

/// Starts the workers. Nothing is half started: if an address can't be had, there is no thread and no open port.
///
/// Threads: any; waits until all workers stand. Errors: PENSTOCK_STARTED; PENSTOCK_STOPPED; PENSTOCK_CONFIG: a listener asks the host, and there is no
/// penstock_on_authorise(), or the limit of descriptors is too low for that many workers or tunnels; PENSTOCK_SYSTEM: penstock_last_error() says what.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_start(engine: penstock_engine) -> penstock_status {
    guard(|| find(engine)?.start())
}

/// Makes the calling thread one of the workers that penstock_values.host_workers leaves to the host. Waits until the engine has been stopped. What is
/// dealt to such a worker before waits for it. The thread is left where it may run; SIGPIPE is blocked for it meanwhile.
///
/// Threads: any but the engine's own. Errors: PENSTOCK_NOT_STARTED; PENSTOCK_STOPPED; PENSTOCK_NO_SEAT; PENSTOCK_SYSTEM: the driver could not be
/// made, and somebody may try again; PENSTOCK_IN_CALLBACK.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_run(engine: penstock_engine) -> penstock_status {
    guard(|| find(engine)?.run())
}

/// The address of a listener, such as `127.0.0.1:5900` or `unix:/run/x.sock`: the index-th of those that the configuration gives it, then those of
/// penstock_listen().
///
/// Ownership: `buffer` is filled with at most `length` bytes, the NUL among them, and stays the host's. Threads: any. Errors: PENSTOCK_NOT_STARTED;
/// PENSTOCK_NO_LISTENER: no such name, or no such index; PENSTOCK_TRUNCATED.
///
/// # Safety
/// `listener` is NULL or a text; `buffer` is NULL or has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_listener_address(
    engine: penstock_engine,
    listener: *const c_char,
    index: usize,
    buffer: *mut c_char,
    length: usize,
) -> penstock_status {
    guard(|| {
        let running = find(engine)?.known()?;
        // SAFETY: what the caller promises of `listener`.
        let name = unsafe { edge::needed_text(listener, "listener") }?;
        let listener = index_of(&running.config, &name)?;
        let mut own = running.addresses.iter().filter(|(of, _)| *of == listener);
        let (_, address) = own.nth(index).ok_or_else(|| {
            let words = format!("listener `{name}` has no address of index {index}");
            Refusal::new(PENSTOCK_NO_LISTENER, words)
        })?;
        // SAFETY: what the caller promises of `buffer`.
        match unsafe { edge::put_text(address, buffer, length) }? {
            needed if needed > length => Err(PENSTOCK_TRUNCATED.into()),
            _ => Ok(()),
        }
    })
}

/// Stops the engine: listeners close at once, tunnels may end by themselves for `drain_ms` milliseconds, and what still lives then is ended.
/// When it answers, no thread of the engine is left, every completion was told or waits to be taken, and no callback will come. A second call waits for the same
/// end, and makes it come at once if its `drain_ms` is 0. An engine that was not started is stopped at once. A stopped engine can't be started again.
///
/// Threads: any but a callback and one in penstock_run(); waits. Errors: PENSTOCK_IN_CALLBACK.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_stop(engine: penstock_engine, drain_ms: u64) -> penstock_status {
    guard(|| find(engine)?.stop(Duration::from_millis(drain_ms)))
}

/// Frees an engine, and stops it first as by penstock_stop(engine, 0) if it runs. Its number names nothing from now on: a second call answers
/// PENSTOCK_NO_ENGINE. In a forked child it answers PENSTOCK_FORKED, and frees nothing.
///
/// Threads: any but a callback and one in penstock_run(); waits. Calls of other threads that are under way come to their end, and later ones answer
/// PENSTOCK_NO_ENGINE. Errors: PENSTOCK_IN_CALLBACK.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_free(engine: penstock_engine) -> penstock_status {
    guard(|| {
        find(engine)?.stop(Duration::ZERO)?;
        registry::remove(engine).map(|_| ())
    })
}
