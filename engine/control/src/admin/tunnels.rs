//! `/tunnels`: every live connection as JSON, asked of the workers slice by slice.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Bytes;
use penstock_core::control::{Command, Mailbox, Page, TunnelInfo};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

use crate::mailman::deliver;
use crate::state::State;

/// For one slice, whose worker's turn takes milliseconds, and for another's listing.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Listing<'s> {
    tunnels: Vec<Tunnel<'s>>,
}

#[derive(Serialize)]
struct Tunnel<'s> {
    id: String,
    listener: &'s str,
    phase: &'static str,
    client: Option<SocketAddr>,
    target: Option<Box<str>>,
    connected: Option<SocketAddr>,
    age_seconds: f64,
    idle_seconds: f64,
    client_to_target: Direction,
    target_to_client: Direction,
}

#[derive(Serialize)]
struct Direction {
    bytes: u64,
    mover: &'static str,
    switches: u32,
}

/// Why there is no listing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// Another one is still being made or read.
    Busy,
    /// A worker did not answer in time.
    Silent,
}

impl Failure {
    pub(super) fn words(self) -> &'static str {
        match self {
            Failure::Busy => "another listing is under way\n",
            Failure::Silent => "a worker does not answer\n",
        }
    }
}

/// A page that keeps others waiting until its reader has it.
struct Held {
    json: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.json
    }
}

/// All workers' connections.
pub(super) async fn page(state: &State) -> Result<Bytes, Failure> {
    // Never closed: the error is that of patience.
    let permit = timeout(PATIENCE, state.listing.clone().acquire_owned()).await;
    let Ok(Ok(permit)) = permit else { return Err(Failure::Busy) };
    let json = gather(state).await.ok_or(Failure::Silent)?;
    Ok(Bytes::from_owner(Held { json, _permit: permit }))
}

/// None if a worker does not answer.
async fn gather(state: &State) -> Option<Vec<u8>> {
    let mut tunnels = Vec::new();
    for worker in &state.parts.workers {
        let mut from = Some(0);
        while let Some(slot) = from {
            let Page { tunnels: found, next } = slice(&worker.mailbox, slot).await?;
            tunnels.extend(found.into_iter().map(|info| tunnel(state, info)));
            from = next;
        }
    }
    serde_json::to_vec(&Listing { tunnels }).ok()
}

async fn slice(mailbox: &Mailbox, from: u32) -> Option<Page> {
    let (send, receive) = oneshot::channel();
    let reply = Box::new(move |page| {
        // Nobody waits any more: the client has left.
        let _ = send.send(page);
    });
    let asked = async {
        deliver(mailbox, Command::List { from, reply }).await.then_some(())?;
        receive.await.ok()
    };
    timeout(PATIENCE, asked).await.ok()?
}

fn tunnel(state: &State, info: TunnelInfo) -> Tunnel<'_> {
    let listener = state.parts.config.listeners.get(usize::from(info.listener));
    let direction = |i: usize| Direction {
        bytes: info.bytes[i],
        mover: info.mover[i],
        switches: info.switches[i],
    };
    let (client_to_target, target_to_client) = (direction(0), direction(1));
    Tunnel {
        id: info.id.to_string(),
        listener: listener.map_or("-", |listener| &listener.name),
        phase: info.phase.label(),
        client: info.client,
        target: info.target,
        connected: info.connected,
        age_seconds: info.age.as_millis() as f64 / 1e3,
        idle_seconds: info.idle.as_millis() as f64 / 1e3,
        client_to_target,
        target_to_client,
    }
}
