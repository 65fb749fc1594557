//! An engine's life: created, started, stopped, freed.

use std::ffi::{c_char, c_int};

use crate::status::penstock_status;

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
    /// Threads that carry bytes, 256 at most; 0: one for each core that this process may use.
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
    todo!()
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
    todo!()
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
    todo!()
}

/// Starts the workers. Nothing is half started: if an address can't be had, there is no thread and no open port.
///
/// Threads: any; waits until all workers stand. Errors: PENSTOCK_STARTED; PENSTOCK_STOPPED; PENSTOCK_CONFIG: a listener asks the host, and there is no
/// penstock_on_authorise(); PENSTOCK_SYSTEM: penstock_last_error() says what.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_start(engine: penstock_engine) -> penstock_status {
    todo!()
}

/// Makes the calling thread one of the workers that penstock_values.host_workers leaves to the host. Waits until the engine has been stopped. What is
/// dealt to such a worker before waits for it. The thread is left where it may run; SIGPIPE is blocked for it meanwhile.
///
/// Threads: any but the engine's own. Errors: PENSTOCK_NOT_STARTED; PENSTOCK_STOPPED; PENSTOCK_NO_SEAT; PENSTOCK_SYSTEM: the driver could not be
/// made, and somebody may try again; PENSTOCK_IN_CALLBACK.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_run(engine: penstock_engine) -> penstock_status {
    todo!()
}

/// The address of a listener, such as `127.0.0.1:5900` or `/run/x.sock`: the index-th of those that the configuration gives it, where a port 0
/// is replaced by the one that was chosen, then those of penstock_listen().
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
    todo!()
}

/// Stops the engine: listeners close at once, tunnels may end by themselves for `drain_ms` milliseconds, and what still lives then is ended.
/// When it answers, no thread of the engine is left, every completion was told or waits to be taken, and no callback will come. A second call waits for the same
/// end, and makes it come at once if its `drain_ms` is 0. An engine that was not started is stopped at once. A stopped engine can't be started again.
///
/// Threads: any but a callback and one in penstock_run(); waits. Errors: PENSTOCK_IN_CALLBACK.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_stop(engine: penstock_engine, drain_ms: u64) -> penstock_status {
    todo!()
}

/// Frees an engine, and stops it first as by penstock_stop(engine, 0) if it runs. Its number names nothing from now on: a second call answers
/// PENSTOCK_NO_ENGINE. In a forked child it answers PENSTOCK_FORKED, and frees nothing.
///
/// Threads: any but a callback and one in penstock_run(); waits. Calls of other threads that are under way come to their end, and later ones answer
/// PENSTOCK_NO_ENGINE. Errors: PENSTOCK_IN_CALLBACK.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_free(engine: penstock_engine) -> penstock_status {
    todo!()
}
