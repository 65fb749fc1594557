//! TLS with services that know tokens: the machine's own authorities say who they are, or those that are named.
//!
//! In: a connection and a host's name. Out: a stream of plain bytes.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use penstock_core::control::TokenRefusal;
use penstock_core::http::Host;
use penstock_core::tls::{Ca, Client, ClientFiles, Error, Implementation};
use tokio::net::TcpStream;

use super::threads::Threads;
use super::unavailable;
use crate::secured::{Fault, Secured};

/// How long authorities are used before they are read anew.
const FRESH: Duration = Duration::from_secs(60);

pub(super) struct Secure {
    /// None: whichever is faster here.
    ciphers: Option<Implementation>,
    /// None: the system's.
    ca: Option<PathBuf>,
    /// Authorities, once they were needed.
    kept: Mutex<Option<(Client, Instant)>>,
}

impl Secure {
    pub(super) fn new(ciphers: Option<Implementation>) -> Secure {
        Secure::of(ciphers, None)
    }

    /// With services that these authorities know.
    pub(super) fn of(ciphers: Option<Implementation>, ca: Option<PathBuf>) -> Secure {
        Secure { ciphers, ca, kept: Mutex::default() }
    }

    /// Shakes hands.
    pub(super) async fn wrap(
        &self,
        stream: TcpStream,
        host: &Host,
        threads: &Threads,
    ) -> Result<Secured, TokenRefusal> {
        let client = self.client(threads).await?;
        let name = match host {
            Host::Name(name) => name.clone(),
            Host::V4(address) => address.to_string(),
            Host::V6(address) => address.to_string(),
        };
        let session = client.session(&name).map_err(|error| broken(&error))?;
        Secured::new(stream, session).await.map_err(refused)
    }

    async fn client(&self, threads: &Threads) -> Result<Client, TokenRefusal> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((client, _)) = kept.filter(|(_, at)| at.elapsed() < FRESH) {
            return Ok(client);
        }
        let (ciphers, ca) = (self.ciphers, self.ca.clone());
        let load = move || {
            let ciphers = ciphers.unwrap_or_else(Implementation::fastest);
            let whose = if ca.is_some() { "`ca`" } else { "the system's certificate authorities" };
            let of_the_system = ClientFiles::of_the_system(ciphers);
            let ca = ca.map(Ca::File).or(of_the_system.ca.clone());
            ClientFiles { ca, ..of_the_system }
                .load()
                .map_err(|error| unavailable(format!("{whose} can't be used: {error}")))
        };
        let client = threads.run(load).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((client.clone(), Instant::now()));
        Ok(client)
    }
}

fn refused(fault: Fault) -> TokenRefusal {
    match fault {
        Fault::Tls(error) => broken(&error),
        Fault::Lost(error) => {
            unavailable(format!("the connection to it broke during the TLS handshake: {error}"))
        }
        Fault::Ended => unavailable("it ended the connection during the TLS handshake"),
    }
}

fn broken(error: &Error) -> TokenRefusal {
    unavailable(format!("TLS with it failed: {error}"))
}
