//! Certificates, keys and lists are followed while the daemon runs: what changes on disk is loaded, and becomes what new sessions get.
//!
//! In: the files that a configuration names, looked at once before there are clients and then twice a second. Out: settings for new handshakes; counts of what was loaded and what
//! could not be, a line in the log for each; a warning a day when a certificate or a list is about to expire. Sessions that live are never touched, and
//! what can't be loaded changes nothing: half-written files and pairs that do not belong together are met every time somebody renews one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use penstock_core::config::{Config, Listener};
use penstock_core::tls::{FileError, Implementation};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::stamp::Stamp;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// When files that could not be loaded are tried again although they look the same: a folder may have been opened to us meanwhile.
const RETRY: Duration = Duration::from_secs(60);
/// From how many days on a certificate's end is worth a warning, and how often.
const DAYS_WARNED: f64 = 14.0;
/// The same of a revocation list: many are made for a week.
const LIST_DAYS_WARNED: f64 = 1.0;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The files of one side of a listener.
#[derive(Debug)]
pub(crate) struct Watched {
    config: Arc<Config>,
    listener: usize,
    side: Side,
    /// How often they were loaded anew, and how often that failed.
    pub(crate) reloads: [AtomicU64; 2],
}

/// Whom certificates are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// Clients: `tls`.
    Client,
    /// The target: `upstream_tls`.
    Target,
}

impl Side {
    /// The word for it in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Target => "target",
        }
    }

    /// The key in the configuration.
    fn key(self) -> &'static str {
        match self {
            Side::Client => "tls",
            Side::Target => "upstream_tls",
        }
    }
}

/// Whatever may be watched.
pub(crate) fn of(config: &Arc<Config>) -> Arc<[Watched]> {
    let sides = config.listeners.iter().enumerate().flat_map(|(index, listener)| {
        let client = listener.tls.as_ref().map(|_| (index, Side::Client));
        let target = listener.upstream_tls.as_ref().map(|_| (index, Side::Target));
        client.into_iter().chain(target)
    });
    let watched = sides.map(|(listener, side)| Watched {
        config: config.clone(),
        listener,
        side,
        reloads: Default::default(),
    });
    watched.collect()
}

impl Watched {
    fn config(&self) -> &Listener {
        &self.config.listeners[self.listener]
    }

    pub(crate) fn listener(&self) -> &str {
        &self.config().name
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    fn files(&self) -> Vec<&Path> {
        let Listener { tls, upstream_tls, .. } = self.config();
        match self.side {
            Side::Client => tls.as_ref().map(|tls| tls.files.files()),
            Side::Target => upstream_tls.as_ref().map(|tls| tls.files.files()),
        }
        .unwrap_or_default()
    }

    /// Makes what is on disk what new sessions get.
    fn load(&self) -> Result<(), FileError> {
        let Listener { tls, upstream_tls, .. } = self.config();
        match (self.side, tls, upstream_tls) {
            (Side::Client, Some(tls), _) => tls.server.put(tls.files.load()?),
            (Side::Target, _, Some(tls)) => tls.client.put(tls.files.load()?),
            _ => {}
        }
        Ok(())
    }

    /// Days until the certificate that we show ceases to be valid; less than none if it has. None: we show none.
    pub(crate) fn days_left(&self, now: SystemTime) -> Option<f64> {
        let Listener { tls, upstream_tls, .. } = self.config();
        let expires = match self.side {
            Side::Client => tls.as_ref().map(|tls| tls.server.get().expires()),
            Side::Target => upstream_tls.as_ref().and_then(|tls| tls.client.get().expires()),
        };
        expires.map(|end| days_until(end, now))
    }

    /// The same of the first revocation list that will be out of date.
    pub(crate) fn days_left_of_lists(&self, now: SystemTime) -> Option<f64> {
        let Listener { tls, upstream_tls, .. } = self.config();
        let expires = match self.side {
            Side::Client => tls.as_ref().and_then(|tls| tls.server.get().lists_expire()),
            Side::Target => upstream_tls.as_ref().and_then(|tls| tls.client.get().lists_expire()),
        };
        expires.map(|end| days_until(end, now))
    }

    pub(crate) fn implementation(&self) -> Option<Implementation> {
        let Listener { tls, upstream_tls, .. } = self.config();
        match self.side {
            Side::Client => tls.as_ref().map(|tls| tls.files.implementation),
            Side::Target => upstream_tls.as_ref().map(|tls| tls.files.implementation),
        }
    }

    /// Targets that were judged by their common name, since their certificates say no other.
    pub(crate) fn by_common_name(&self) -> Option<u64> {
        let target = self.config().upstream_tls.as_ref().filter(|_| self.side == Side::Target);
        target.map(|tls| tls.files.by_common_name.load(Relaxed))
    }
}

/// Follows the files, for ever.
pub(crate) async fn keep(mut watch: Watch) {
    if watch.all.iter().all(|watched| watched.files().is_empty()) {
        return;
    }
    loop {
        sleep(PAUSE).await;
        let look = spawn_blocking(move || {
            watch.look(Instant::now(), SystemTime::now());
            watch
        });
        match look.await {
            Ok(back) => watch = back,
            Err(_) => return,
        }
    }
}

/// What is watched, and what is known of it.
pub(crate) struct Watch {
    pub(crate) all: Arc<[Watched]>,
    seen: Vec<Seen>,
}

/// What is known of the files of one side.
#[derive(Default)]
struct Seen {
    /// None before the first look.
    stamps: Option<Vec<Option<Stamp>>>,
    /// When they could not be loaded, if the last try ended so.
    failed: Option<Instant>,
    /// When its end was last warned of.
    warned: Option<Instant>,
}

impl Watch {
    /// Takes the first look at once. It loads whatever there is, and new settings take no session up that was begun under others:
    /// nobody may have begun one before it.
    pub(crate) fn new(all: Arc<[Watched]>, now: Instant, time: SystemTime) -> Watch {
        let seen = all.iter().map(|_| Seen::default()).collect();
        let mut watch = Watch { all, seen };
        watch.look(now, time);
        watch
    }

    fn look(&mut self, now: Instant, time: SystemTime) {
        for (watched, seen) in self.all.iter().zip(&mut self.seen) {
            seen.look(watched, now);
            seen.warn(watched, now, time);
        }
    }
}

impl Seen {
    fn look(&mut self, watched: &Watched, now: Instant) {
        // Before they are read: what changes while they are is seen next time.
        let stamps: Vec<_> = watched.files().into_iter().map(Stamp::of).collect();
        if stamps.is_empty() {
            return;
        }
        // They may have changed since the configuration was read. That there is nothing new is not worth a word.
        let is_first = self.stamps.is_none();
        let has_changed = self.stamps.as_ref() != Some(&stamps);
        let retries = self.failed.is_some_and(|at| now.duration_since(at) >= RETRY);
        if !has_changed && !retries {
            return;
        }
        self.stamps = Some(stamps);
        let (listener, key) = (watched.listener(), watched.side.key());
        match watched.load() {
            Ok(()) => {
                (self.failed, self.warned) = (None, None);
                if !is_first {
                    watched.reloads[0].fetch_add(1, Relaxed);
                    tracing::info!("listener `{listener}`: {key}: loaded anew");
                }
            }
            Err(error) => {
                self.failed = Some(now);
                if has_changed {
                    watched.reloads[1].fetch_add(1, Relaxed);
                    tracing::warn!(
                        "listener `{listener}`: {key}: what was loaded before stays in use: {error}"
                    );
                }
            }
        }
    }

    fn warn(&mut self, watched: &Watched, now: Instant, time: SystemTime) {
        let soon = |days: Option<f64>, warned: f64| days.filter(|days| *days < warned);
        let certificate = soon(watched.days_left(time), DAYS_WARNED);
        let lists = soon(watched.days_left_of_lists(time), LIST_DAYS_WARNED);
        let is_due = self.warned.is_none_or(|at| now.duration_since(at) >= DAY);
        if certificate.is_none() && lists.is_none() || !is_due {
            return;
        }
        self.warned = Some(now);
        let (listener, key) = (watched.listener(), watched.side.key());
        match certificate {
            Some(days) if days < 0.0 => tracing::warn!(
                "listener `{listener}`: {key}: the certificate has expired {:.1} days ago: renew it",
                -days
            ),
            Some(days) => tracing::warn!(
                "listener `{listener}`: {key}: the certificate expires in {days:.1} days: renew it"
            ),
            None => {}
        }
        match lists {
            Some(days) if days < 0.0 => tracing::warn!(
                "listener `{listener}`: {key}: a list of `crl` is out of date since {:.1} days: nobody whom its CA has signed passes until it is renewed",
                -days
            ),
            Some(days) => tracing::warn!(
                "listener `{listener}`: {key}: a list of `crl` is out of date in {days:.1} days: renew it"
            ),
            None => {}
        }
    }
}

fn days_until(end: SystemTime, now: SystemTime) -> f64 {
    let seconds = match end.duration_since(now) {
        Ok(left) => left.as_secs_f64(),
        Err(gone) => -gone.duration().as_secs_f64(),
    };
    seconds / DAY.as_secs_f64()
}

#[cfg(test)]
pub(crate) mod tests;
