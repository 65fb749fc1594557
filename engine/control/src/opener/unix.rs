//! UNIX sockets, connected: the first of several paths that is there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use penstock_core::control::OpenError;
use penstock_core::ring::Errno;
use penstock_core::ring::unix::connect_unix;
use tokio::time::{Instant, sleep};

use super::{Opened, Tools};

/// How long a full queue is tried. Some programs serve one client at a time and have a queue for one more.
const QUEUE_PATIENCE: Duration = Duration::from_secs(3);
/// Between two tries, at first and at last.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];

pub(super) async fn connect(paths: &[PathBuf], tools: &Tools) -> Opened {
    let end = Instant::now() + QUEUE_PATIENCE;
    let mut pause = PAUSES[0];
    let what = paths.first().map_or(String::new(), |path| path.display().to_string());
    loop {
        let paths = paths.to_vec();
        match tools.blocking(&what, move || connect_now(&paths)).await {
            Err(OpenError { errno: Errno::EAGAIN, .. }) if Instant::now() < end => {
                sleep(pause).await;
                pause = (2 * pause).min(PAUSES[1]);
            }
            opened => return opened,
        }
    }
}

fn connect_now(paths: &[PathBuf]) -> Opened {
    let there = paths.iter().find(|path| path.exists()).or(paths.first());
    let path = there.map_or(Path::new(""), PathBuf::as_path);
    connect_unix(path).map_err(|errno| {
        let detail = format!("can't connect to {} ({})", path.display(), remedy(errno));
        OpenError { errno, detail: detail.into() }
    })
}

fn remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => "start what listens there, or mend the path",
        Errno::ECONNREFUSED => "nobody listens behind it: start who should, or mend the path",
        Errno::EACCES | Errno::EPERM => {
            "let the user that Penstock runs as write to it, and enter its folders, for example by a group"
        }
        Errno::EAGAIN => {
            "the queue of who listens there is full: it is stuck, or serves somebody else"
        }
        Errno::EPROTOTYPE => "a socket for datagrams: mend the path",
        _ => "connect(2) has the reason",
    }
}
