//! When a server ends without a signal: after a time, when nobody has used it for a time, or after its first console. Then nobody else is
//! let in, and consoles that live go on for as long as they like.

use std::future::pending;
use std::time::Duration;

use penstock_config::websockify::Ending;
use penstock_control::Handle;
use tokio::time::{Instant, interval, sleep};

/// As good as no limit.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);
/// How soon the first console is noticed.
const SOON: Duration = Duration::from_millis(10);
/// How soon it is noticed that nobody is there.
const NOW_AND_THEN: Duration = Duration::from_millis(250);
/// How long after the last console those may take who are no console yet, or only look at pages.
const LAST: Duration = Duration::from_secs(11);

/// Waits for it to come; never if there is nothing to end it.
pub(crate) async fn reached(ending: Ending, handle: &Handle) -> &'static str {
    tokio::select! {
        () = after(ending.timeout) => "the time of --timeout is over",
        () = unused_for(ending.idle, handle) => "nobody was connected for as long as --idle-timeout says",
        () = after_the_first(ending.once, handle) => "--run-once: the first console is there",
    }
}

/// Lets in nobody any more, and returns when there is nobody left to wait for.
pub(crate) async fn wind_up(handle: &Handle) {
    handle.drain(FOR_EVER);
    let mut busy_at = Instant::now();
    while busy_at.elapsed() < LAST {
        sleep(NOW_AND_THEN).await;
        if handle.tunnels() > 0 {
            busy_at = Instant::now();
        }
    }
}

async fn after(span: Option<Duration>) {
    match span {
        Some(span) => sleep(span).await,
        None => pending().await,
    }
}

async fn unused_for(span: Option<Duration>, handle: &Handle) {
    let Some(span) = span else { return pending().await };
    let mut used_at = Instant::now();
    while used_at.elapsed() < span {
        sleep(NOW_AND_THEN.min(span)).await;
        if handle.sessions() > 0 {
            used_at = Instant::now();
        }
    }
}

async fn after_the_first(once: bool, handle: &Handle) {
    if !once {
        return pending().await;
    }
    let mut looks = interval(SOON);
    while handle.consoles() == 0 {
        looks.tick().await;
    }
}
