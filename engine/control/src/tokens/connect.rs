//! Connections to the machines that sources are on.

use std::net::SocketAddr;
use std::time::Duration;

use penstock_core::control::{ResolveError, TokenRefusal};
use penstock_core::http::Host;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::threads::Threads;
use super::unavailable;
use crate::resolver::look_up;

/// How long an address is tried while there are others.
const TRIED: Duration = Duration::from_millis(750);

/// To the first address that answers.
pub(super) async fn connect(
    host: &Host,
    port: u16,
    threads: &Threads,
) -> Result<TcpStream, TokenRefusal> {
    let addresses = match (host, host.address()) {
        (_, Some(address)) => vec![address],
        (Host::Name(name), _) => resolve(name.clone(), threads).await?,
        _ => Vec::new(),
    };
    first(addresses.into_iter().map(|ip| SocketAddr::new(ip, port))).await
}

async fn first(addresses: impl Iterator<Item = SocketAddr>) -> Result<TcpStream, TokenRefusal> {
    let (mut addresses, mut fault) = (addresses.peekable(), "no address".to_owned());
    while let Some(address) = addresses.next() {
        let connected = match addresses.peek() {
            Some(_) => timeout(TRIED, TcpStream::connect(address)).await.ok(),
            None => Some(TcpStream::connect(address).await),
        };
        match connected {
            Some(Ok(stream)) => {
                // Questions are small, and answers are waited for.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Some(Err(error)) => fault = format!("{address}: {error}"),
            None => fault = format!("{address}: no answer"),
        }
    }
    Err(unavailable(format!(
        "can't connect ({fault}): see whether it runs, and whether a firewall is between"
    )))
}

async fn resolve(name: String, threads: &Threads) -> Result<Vec<std::net::IpAddr>, TokenRefusal> {
    let resolved = move || {
        look_up(&name).map_err(|error| {
            unavailable(match error {
                ResolveError::NotFound => "no such host: mend `source`, or tell the name service",
                ResolveError::Failed => "the name service failed: see /etc/resolv.conf",
            })
        })
    };
    threads.run(resolved).await
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use nix::sys::socket::{Backlog, listen};

    use super::*;

    #[tokio::test]
    async fn an_address_that_does_not_answer_is_soon_left_for_the_next_one() {
        let stuck = TcpListener::bind("127.0.0.1:0").expect("a port");
        listen(&stuck, Backlog::new(0).expect("a number")).expect("it listens");
        let address = stuck.local_addr().expect("bound");
        // Nobody accepts these; who comes after them hears nothing.
        let mut waiting = Vec::new();
        while let Ok(Ok(stream)) = timeout(TRIED, TcpStream::connect(address)).await {
            waiting.push(stream);
        }
        let quick = TcpListener::bind("127.0.0.1:0").expect("a port");
        let next = quick.local_addr().expect("bound");
        let connected = timeout(20 * TRIED, first([address, next].into_iter())).await;
        let connected = connected.expect("in time").expect("the next one answers");
        assert_eq!(connected.peer_addr().expect("connected"), next);
        let refused = first([next].into_iter().filter(|_| false)).await.expect_err("nowhere");
        assert!(refused.detail.contains("no address"), "{}", refused.detail);
    }
}
