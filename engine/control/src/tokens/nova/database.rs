//! nova-db: the database of a cell.
//!
//! In: tokens. Out: where the console is that a row of `console_auth_tokens` has, and on which terms, if its instance still exists. Read alone, and
//! every time anew. Connections are kept for the next question and made anew when they turn out to have ended; a database that is not there
//! is told of at once, and used again as soon as it is.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use penstock_core::config::{Database, NovaDatabase};
use penstock_core::control::TokenRefusal;
use sqlx::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::{Answer, unavailable, unknown};
use super::link::{Link, Way};
use super::row::Row;

/// Connections at a time.
const LINKS_MAX: usize = 8;
/// How long one is kept that nobody needs.
const KEPT: Duration = Duration::from_secs(60);
/// How long one that was kept may think, before it is taken for dead.
const PATIENCE: Duration = Duration::from_secs(1);
const TLS_FAILED: &str = "TLS with the database failed: see its certificate, the name in `url`, and the arguments about TLS behind it";

pub(in crate::tokens) struct NovaDb {
    nova: NovaDatabase,
    way: Way,
    idle: Mutex<Vec<(Link, Instant)>>,
    places: Semaphore,
}

impl NovaDb {
    pub(in crate::tokens) fn new(nova: &NovaDatabase) -> NovaDb {
        let (idle, places) = (Mutex::default(), Semaphore::new(LINKS_MAX));
        NovaDb { nova: nova.clone(), way: Way::to(&nova.database), idle, places }
    }

    pub(in crate::tokens) async fn look_up(&self, token: &str, page: Option<&str>) -> Answer {
        let row = self.row(&hash(token)).await.map_err(|error| told(&error))?;
        let row = row.ok_or_else(|| unknown("it has no such token"))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        row.judge(&self.nova, now, page)
    }

    async fn row(&self, hash: &str) -> Result<Option<Row>, Error> {
        // Never closed.
        let _place = self.places.acquire().await;
        if let Some(mut link) = self.kept() {
            if let Ok(Ok(row)) = timeout(PATIENCE, link.ask(hash)).await {
                self.keep(link);
                return Ok(row);
            }
            // What ended this one has most likely ended the others.
            self.lock().clear();
        }
        let mut link = self.way.connect().await?;
        let row = link.ask(hash).await?;
        self.keep(link);
        Ok(row)
    }

    fn kept(&self) -> Option<Link> {
        let mut idle = self.lock();
        idle.retain(|(_, since)| since.elapsed() < KEPT);
        idle.pop().map(|(link, _)| link)
    }

    fn keep(&self, link: Link) {
        // Another file may have its name by the next time.
        if !matches!(self.nova.database, Database::Sqlite(_)) {
            self.lock().push((link, Instant::now()));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Link, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As nova writes it: SHA-256 in lower-case hexadecimal.
fn hash(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// By numbers and names that mean the same everywhere, and nothing of what the far side wrote.
fn told(error: &Error) -> TokenRefusal {
    unavailable(match error {
        Error::Database(error) => of_database(&error.code().unwrap_or_default()),
        Error::Io(error) => of_system(error),
        Error::Tls(_) => TLS_FAILED.to_owned(),
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_) => {
            "its tables are not those of nova: is it the database of a cell?".to_owned()
        }
        _ => "the database spoke otherwise than expected: see its own log".to_owned(),
    })
}

/// SQLSTATE, and SQLite's numbers.
fn of_database(code: &str) -> String {
    let what = match code {
        "28000" | "28P01" => "it refuses our user or password: mend `url`",
        "42000" | "3D000" => "it has no such database, or not for us: mend `url`, or grant it",
        "42501" => {
            "our user may not read the tables: grant SELECT on console_auth_tokens and instances"
        }
        "42S02" | "42P01" | "1" => "it has no tables of nova: is it the database of a cell?",
        "14" => "the file can't be opened: is it there, and may we read it?",
        "5" | "6" => "the file is locked by somebody else",
        _ => "the database refuses",
    };
    format!("{what} ({code})")
}

fn of_system(error: &io::Error) -> String {
    match error.kind() {
        // rustls' own, on their way through a socket.
        io::ErrorKind::InvalidData => TLS_FAILED.to_owned(),
        kind @ (io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            format!("a socket or a file that `url` names can't be used ({kind})")
        }
        kind => format!(
            "can't reach the database ({kind}): see whether it runs, and whether a firewall is between"
        ),
    }
}

#[cfg(test)]
mod tests;
