//! Engines by number. A number says which process it was made in, so that a forked child is told so before it touches a lock that a thread of its
//! parent may have held.
//!
//! ```text
//!  process 32 | count 32
//! ```

use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::edge::{Answer, Refusal};
use crate::engine::penstock_engine;
use crate::life::Engine;
use crate::process;
use crate::status::penstock_status::{PENSTOCK_FORKED, PENSTOCK_NO_ENGINE};

/// The engines of one process.
struct Registry {
    process: u32,
    engines: Mutex<Engines>,
}

#[derive(Default)]
struct Engines {
    /// Numbers given so far.
    count: u32,
    alive: BTreeMap<penstock_engine, Arc<Engine>>,
}

/// Of the process that was the last to look. What a parent has had stays where it is: its locks may be held for ever here.
static REGISTRY: AtomicPtr<Registry> = AtomicPtr::new(ptr::null_mut());

fn registry() -> &'static Registry {
    let process = process::current();
    let there = REGISTRY.load(Acquire);
    // SAFETY: what is stored there was leaked on purpose, and is never freed.
    if let Some(registry) = unsafe { there.as_ref() }
        && registry.process == process
    {
        return registry;
    }
    let new = Box::leak(Box::new(Registry { process, engines: Mutex::default() }));
    match REGISTRY.compare_exchange(there, new, AcqRel, Acquire) {
        Ok(_) => new,
        // SAFETY: as above. Only threads of this process can have been faster.
        Err(other) => unsafe { &*other },
    }
}

fn engines() -> MutexGuard<'static, Engines> {
    registry().engines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives an engine its number.
pub(crate) fn add(make: impl FnOnce(penstock_engine) -> Engine) -> penstock_engine {
    let mut engines = engines();
    engines.count += 1;
    let number = u64::from(process::current()) << 32 | u64::from(engines.count);
    engines.alive.insert(number, Arc::new(make(number)));
    number
}

/// The engine of a number.
pub(crate) fn find(number: penstock_engine) -> Answer<Arc<Engine>> {
    ensure_here(number)?;
    engines().alive.get(&number).cloned().ok_or_else(|| gone(number))
}

/// Forgets one.
pub(crate) fn remove(number: penstock_engine) -> Answer<Arc<Engine>> {
    ensure_here(number)?;
    engines().alive.remove(&number).ok_or_else(|| gone(number))
}

fn ensure_here(number: penstock_engine) -> Answer {
    let process = (number >> 32) as u32;
    if process == process::current() {
        return Ok(());
    }
    let id = process::forked_from(process).ok_or_else(|| gone(number))?;
    let words =
        format!("the engine is in process {id}, from which this one was forked: create one here");
    Err(Refusal::new(PENSTOCK_FORKED, words))
}

fn gone(number: penstock_engine) -> Refusal {
    let words = match number {
        0 => "0 is no engine: was penstock_create() answered by PENSTOCK_OK?".to_owned(),
        _ => format!("no engine has the number {number:#x}: it was freed, or there never was one"),
    };
    Refusal::new(PENSTOCK_NO_ENGINE, words)
}
