//! UNIX sockets, connected: the first of several paths that is there, or one within a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use penstock_core::console::Token;
use penstock_core::control::OpenError;
use penstock_core::ring::Errno;
use penstock_core::ring::unix::connect_unix;
use tokio::time::{Instant, sleep};

use super::{Opened, Tools};
use crate::within;

/// How long a full queue is tried. Some programs serve one client at a time and have a queue for one more.
const QUEUE_PATIENCE: Duration = Duration::from_secs(3);
/// Between two tries, at first and at last.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];

pub(super) async fn connect(paths: &[PathBuf], tools: &Tools) -> Opened {
    let what = paths.first().map_or(String::new(), |path| path.display().to_string());
    let paths = paths.to_vec();
    patiently(&what, move || connect_now(&paths), tools).await
}

pub(super) async fn connect_within(folder: &Path, name: &Token, tools: &Tools) -> Opened {
    let (folder, name) = (folder.to_owned(), name.clone());
    // No log may show the name.
    let what = format!("a socket in {}", folder.display());
    let text = what.clone();
    let connect = move || {
        within::connect(&folder, Path::new(name.secret())).map_err(|errno| refused(&text, errno))
    };
    patiently(&what, connect, tools).await
}

async fn patiently(
    what: &str,
    connect: impl Fn() -> Opened + Clone + Send + 'static,
    tools: &Tools,
) -> Opened {
    let end = Instant::now() + QUEUE_PATIENCE;
    let mut pause = PAUSES[0];
    loop {
        match tools.blocking(what, connect.clone()).await {
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
    connect_unix(path).map_err(|errno| refused(&path.display().to_string(), errno))
}

fn refused(what: &str, errno: Errno) -> OpenError {
    let detail = format!("can't connect to {what} ({})", remedy(errno));
    OpenError { errno, detail: detail.into() }
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
        Errno::EXDEV | Errno::ELOOP | Errno::ENOTSOCK => {
            "no socket in that folder, or a way out of it: symbolic links are not followed there"
        }
        Errno::EPROTOTYPE => "a socket for datagrams: mend the path",
        _ => "connect(2) has the reason",
    }
}
