//! What an engine has to tell its host, and to ask it: from workers, which never wait, to one thread that may.
//!
//! ```text
//!  workers ── requests ──▶ queue ──┬─▶ the host's callbacks, one at a time, on the courier's thread
//!          ── ends ──────▶ queue ──┘
//!                            └ or ──▶ a descriptor, and penstock_next_completion()
//! ```
//!
//! Ends are never lost: there is one for each connection, and a host that takes none has them in memory. Requests are bounded, and what does
//! not fit is refused by the engine as overload.

use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use penstock_control::Host;
use penstock_core::config::Config;
use penstock_core::control::{Admitted, Asked, Command, Denied, Mailbox, Record, SessionId};

use crate::completion::{completion_of, penstock_completed, penstock_completion};
use crate::edge::{Answer, Refusal};
use crate::engine::penstock_engine;
use crate::numbers;
use crate::policy::{Told, penstock_authorise, penstock_verdict};
use crate::status::penstock_status::{self, *};

/// Requests that may wait for the host to look at them.
const REQUESTS: usize = 4096;
/// Between two tries at a worker that has too much to do.
const SOON: Duration = Duration::from_millis(1);

/// A function of the host's, and what it wants to be called with.
#[derive(Clone, Copy)]
pub(crate) struct Callback<F> {
    pub(crate) function: F,
    pub(crate) context: Context,
}

/// A pointer that is only carried.
#[derive(Clone, Copy)]
pub(crate) struct Context(pub(crate) *mut c_void);

// SAFETY: it is never looked at, only handed back to the host, whose header says on which thread that is.
unsafe impl Send for Context {}

type Completed = <penstock_completed as IntoIterator>::Item;
type Authorise = <penstock_authorise as IntoIterator>::Item;

const ALLOW: u32 = penstock_verdict::Allow as u32;
const PENDING: u32 = penstock_verdict::Pending as u32;

/// How the host hears of ends.
#[derive(Default)]
enum Delivery {
    #[default]
    Nobody,
    Called(Callback<Completed>),
    Polled(EventFd),
}

/// A client whom the host was asked about.
struct Waiting {
    /// Where the decision goes; none: it was given.
    mailbox: Option<Mailbox>,
    /// The host's own number in it; 0: none.
    cookie: u64,
}

/// What the courier's thread is to tell the host.
enum Item {
    Ended(Box<penstock_completion>),
    Asked(SessionId, Box<Asked>),
}

#[derive(Default)]
struct Inbox {
    delivery: Delivery,
    authorise: Option<Callback<Authorise>>,
    ended: VecDeque<Box<penstock_completion>>,
    asked: VecDeque<(SessionId, Box<Asked>)>,
    /// Who was asked about and has not ended.
    asked_about: HashMap<SessionId, Waiting>,
    /// The engine has ended: nothing more will come.
    closed: bool,
    thread: Option<ThreadId>,
}

impl Inbox {
    /// The next thing for the thread. Who asks comes before who has ended: both may be one.
    fn take(&mut self) -> Option<Item> {
        if let Some((id, asked)) = self.asked.pop_front() {
            return Some(Item::Asked(id, asked));
        }
        match self.delivery {
            Delivery::Called(_) => self.ended.pop_front().map(Item::Ended),
            // Somebody else takes them.
            Delivery::Nobody | Delivery::Polled(_) => None,
        }
    }
}

/// See the module.
pub(crate) struct Courier {
    engine: penstock_engine,
    config: OnceLock<Arc<Config>>,
    inbox: Mutex<Inbox>,
    rung: Condvar,
}

impl Courier {
    pub(crate) fn new(engine: penstock_engine) -> Courier {
        let (config, inbox, rung) = (OnceLock::new(), Mutex::default(), Condvar::new());
        Courier { engine, config, inbox, rung }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn complete_by(&self, callback: Option<Callback<Completed>>) -> Answer {
        let mut inbox = self.inbox();
        if matches!(inbox.delivery, Delivery::Polled(_)) {
            let words = "completions wait for penstock_next_completion() already, since penstock_completion_fd() was called";
            return Err(Refusal::new(PENSTOCK_INVALID, words));
        }
        inbox.delivery = callback.map_or(Delivery::Nobody, Delivery::Called);
        Ok(())
    }

    /// The descriptor that tells of ends; made by the first call, which `may_make` it.
    pub(crate) fn descriptor(&self, may_make: bool) -> Answer<RawFd> {
        let mut inbox = self.inbox();
        match &inbox.delivery {
            Delivery::Polled(event) => return Ok(event.as_fd().as_raw_fd()),
            Delivery::Called(_) => {
                let words = "completions are told by penstock_on_completion()'s callback already";
                return Err(Refusal::new(PENSTOCK_INVALID, words));
            }
            Delivery::Nobody if !may_make => return Err(PENSTOCK_STARTED.into()),
            Delivery::Nobody => {}
        }
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| Refusal::new(PENSTOCK_SYSTEM, format!("no descriptor: {errno}")))?;
        let number = event.as_fd().as_raw_fd();
        inbox.delivery = Delivery::Polled(event);
        Ok(number)
    }

    pub(crate) fn authorise_by(&self, callback: Option<Callback<Authorise>>) {
        self.inbox().authorise = callback;
    }

    pub(crate) fn has_authority(&self) -> bool {
        self.inbox().authorise.is_some()
    }

    /// Ends that wait to be told.
    pub(crate) fn waiting(&self) -> usize {
        self.inbox().ended.len()
    }

    /// Takes the next end that waits for somebody to take it.
    pub(crate) fn next(&self) -> Answer<Box<penstock_completion>> {
        let inbox = &mut *self.inbox();
        let Delivery::Polled(event) = &inbox.delivery else {
            let words = "completions are told by a callback, or to nobody: call penstock_completion_fd() before penstock_start()";
            return Err(Refusal::new(PENSTOCK_INVALID, words));
        };
        let completion = inbox.ended.pop_front();
        if inbox.ended.is_empty() {
            // Where there was none, there is nothing to read.
            let _ = event.read();
        }
        completion.ok_or_else(|| PENSTOCK_EMPTY.into())
    }

    /// Whether this is the thread on which callbacks come.
    pub(crate) fn is_this_thread(&self) -> bool {
        self.inbox().thread == Some(thread::current().id())
    }

    /// Starts the thread, if the host has given anything to call.
    pub(crate) fn start(
        self: &Arc<Self>,
        config: &Arc<Config>,
    ) -> std::io::Result<Option<JoinHandle<()>>> {
        let _ = self.config.set(Arc::clone(config));
        let mut inbox = self.inbox();
        // A start that failed has closed it.
        inbox.closed = false;
        if !matches!(inbox.delivery, Delivery::Called(_)) && inbox.authorise.is_none() {
            return Ok(None);
        }
        drop(inbox);
        let courier = Arc::clone(self);
        let thread = thread::Builder::new().name("penstock-host".to_owned());
        thread.spawn(move || courier.call_for_ever()).map(Some)
    }

    /// Nothing more will come. The thread ends after what there is to tell; nobody has to be asked about any more.
    pub(crate) fn close(&self) {
        let mut inbox = self.inbox();
        inbox.closed = true;
        inbox.asked.clear();
        self.rung.notify_all();
    }

    fn call_for_ever(&self) {
        self.inbox().thread = Some(thread::current().id());
        while let Some(item) = self.take() {
            match item {
                Item::Ended(completion) => self.tell(&completion),
                Item::Asked(id, asked) => self.ask(id, &asked),
            }
        }
        self.inbox().thread = None;
    }

    fn take(&self) -> Option<Item> {
        let mut inbox = self.inbox();
        loop {
            match inbox.take() {
                Some(item) => return Some(item),
                None if inbox.closed => return None,
                None => {
                    inbox = self.rung.wait(inbox).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn tell(&self, completion: &penstock_completion) {
        let Delivery::Called(Callback { function, context }) = self.inbox().delivery else {
            return;
        };
        // SAFETY: the host has promised a function that can be called with this context until the engine has ended; the completion is
        // ours until it returns.
        unsafe { function(self.engine, completion, context.0) }
    }

    fn ask(&self, id: SessionId, asked: &Asked) {
        let Some(Callback { function, context }) = self.authority_for(id) else { return };
        let told = Told::new(asked, self.name_of(asked.listener));
        let request = told.request(numbers::of_session(id));
        // SAFETY: as above; the request and what it points to are ours until it returns.
        let verdict = unsafe { function(self.engine, &request, context.0) };
        let result = match verdict {
            PENDING => return,
            ALLOW => Ok(Admitted::default()),
            _ => Err(Denied::default()),
        };
        // This thread may wait; who has gone meanwhile does not care.
        let mut result = Some(result);
        while let Some(again) = result.take() {
            if let Err((PENSTOCK_BUSY, back)) = self.decide(id, again) {
                result = Some(back);
                thread::sleep(SOON);
            }
        }
    }

    /// Whom to ask; nobody, if it is decided already or the client has gone.
    fn authority_for(&self, id: SessionId) -> Option<Callback<Authorise>> {
        let inbox = self.inbox();
        let waits = inbox.asked_about.get(&id).is_some_and(|waiting| waiting.mailbox.is_some());
        inbox.authorise.filter(|_| waits)
    }

    fn name_of(&self, listener: u16) -> &str {
        let listeners = self.config.get().map(|config| &config.listeners);
        let listener = listeners.and_then(|listeners| listeners.get(usize::from(listener)));
        listener.map_or("", |listener| &listener.name)
    }

    /// Passes a decision on. What is not passed on is given back.
    #[allow(clippy::result_large_err)]
    pub(crate) fn decide(
        &self,
        id: SessionId,
        result: Result<Admitted, Denied>,
    ) -> Result<(), (penstock_status, Result<Admitted, Denied>)> {
        let mut inbox = self.inbox();
        let Some(Waiting { mailbox, cookie }) = inbox.asked_about.get_mut(&id) else {
            return Err((PENSTOCK_NO_TUNNEL, result));
        };
        let Some(way) = mailbox else { return Err((PENSTOCK_NO_TUNNEL, result)) };
        let given = match &result {
            Ok(admitted) => admitted.cookie,
            Err(denied) => denied.cookie,
        };
        match way.post(Command::Authorised { id, result }) {
            Err(Command::Authorised { result, .. }) => {
                let status = if way.is_closed() { PENSTOCK_NO_TUNNEL } else { PENSTOCK_BUSY };
                Err((status, result))
            }
            _ => {
                (*mailbox, *cookie) = (None, given);
                Ok(())
            }
        }
    }
}

impl Host for Courier {
    fn authorise(
        &self,
        id: SessionId,
        asked: Box<Asked>,
        mailbox: Mailbox,
    ) -> Result<(), Box<Asked>> {
        let mut inbox = self.inbox();
        if inbox.asked.len() >= REQUESTS {
            return Err(asked);
        }
        inbox.asked_about.insert(id, Waiting { mailbox: Some(mailbox), cookie: 0 });
        inbox.asked.push_back((id, asked));
        drop(inbox);
        self.rung.notify_one();
        Ok(())
    }

    fn finished(&self, record: &Record) {
        let mut inbox = self.inbox();
        let decided = inbox.asked_about.remove(&record.id);
        if matches!(inbox.delivery, Delivery::Nobody) {
            return;
        }
        // Other workers have ends to tell meanwhile.
        drop(inbox);
        let mut completion = completion_of(record, self.name_of(record.listener));
        // A decision that came too late has left the host's own all the same.
        if let (true, Some(Waiting { cookie, .. })) = (completion.user_data.is_null(), decided) {
            completion.user_data = cookie as usize as *mut c_void;
        }
        let completion = Box::new(completion);
        inbox = self.inbox();
        inbox.ended.push_back(completion);
        if let Delivery::Polled(event) = &inbox.delivery {
            // A full counter is readable all the same.
            let _ = event.write(1);
        }
        drop(inbox);
        self.rung.notify_one();
    }
}
