//! Consoles of KubeVirt's: a WebSocket of the Kubernetes API, over TLS, one end of a socketpair for the worker.
//!
//! ```text
//!  worker ── socketpair ──▶ messages ──▶ TLS ──▶ API ──▶ console
//! ```
//!
//! In: whom to ask, for what, and who asks. Out: a descriptor that carries the console's own stream, or why there is none; of the API's answer its
//! status, and never the token. Nothing is kept but a piece each way, and a message that has not come whole; ends are passed on. It refuses an API
//! that speaks another protocol, and messages above a MiB.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use penstock_core::config::KubeVirt as Wanted;
use penstock_core::control::OpenError;
use penstock_core::http::Host;
use penstock_core::ring::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::PATIENCE;
use crate::pair::{full, leave, pair};
use crate::secured::{Fault, Secured};

/// Consoles at once.
const CONSOLES_MAX: usize = 256;
/// What the console's stream is called.
const PLAIN: &str = "plain.kubevirt.io";
/// In front of a token.
const BEARER: &str = "base64url.bearer.authorization.k8s.io.";
/// Bytes passed on at a time.
const PIECE: usize = 16 << 10;
/// Of a message of the API's.
const MESSAGE_MAX: usize = 1 << 20;
/// How long an address is tried while there are others.
const TRIED: Duration = Duration::from_millis(750);
/// How long the other side has to end after one has.
const LINGERING: Duration = Duration::from_secs(2);

type Console = WebSocketStream<Secured>;

/// The consoles of this process.
pub(super) struct KubeVirt {
    places: Arc<Semaphore>,
}

impl KubeVirt {
    pub(super) fn new() -> KubeVirt {
        KubeVirt { places: Arc::new(Semaphore::new(CONSOLES_MAX)) }
    }

    /// Needs the event loop.
    pub(super) async fn open(&self, wanted: &Wanted) -> Result<OwnedFd, OpenError> {
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| full("consoles of KubeVirt", CONSOLES_MAX))?;
        let console = match timeout(PATIENCE, reach(wanted)).await {
            Ok(console) => console?,
            Err(_) => return Err(fault(Errno::ETIMEDOUT, "the Kubernetes API is too slow")),
        };
        let (theirs, ours) = pair()?;
        tokio::spawn(async move {
            let _place = place;
            carry(console, ours).await;
        });
        Ok(theirs)
    }
}

fn fault(errno: Errno, detail: impl Into<Box<str>>) -> OpenError {
    OpenError { errno, detail: detail.into() }
}

async fn reach(wanted: &Wanted) -> Result<Console, OpenError> {
    let stream = connect(&wanted.addresses).await?;
    // Keys are small, and wait for nobody.
    let _ = stream.set_nodelay(true);
    let broken = |what: &dyn std::fmt::Display| {
        fault(Errno::EPROTO, format!("TLS with the Kubernetes API {}: {what}", wanted.target))
    };
    let session = wanted.tls.session(&name_of(&wanted.target.host));
    let session = session.map_err(|error| broken(&error))?;
    let stream = Secured::new(stream, session).await.map_err(|error| match error {
        Fault::Tls(error) => broken(&error),
        Fault::Lost(error) => broken(&error),
        Fault::Ended => broken(&"it ended the connection during the handshake"),
    })?;
    let limits = WebSocketConfig::default()
        .read_buffer_size(PIECE)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * PIECE)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let console = client_async_with_config(request(wanted)?, stream, Some(limits)).await;
    console.map(|(console, _)| console).map_err(|error| refused(&error))
}

fn request(wanted: &Wanted) -> Result<ClientRequestBuilder, OpenError> {
    let uri = Uri::builder()
        .scheme("wss")
        .authority(wanted.target.to_string())
        .path_and_query(&*wanted.path)
        .build();
    let uri = uri.map_err(|_| {
        fault(Errno::EINVAL, "the ticket's path of KubeVirt can't be part of a request")
    })?;
    let token = BASE64_URL_SAFE_NO_PAD.encode(wanted.token.reveal());
    let request = ClientRequestBuilder::new(uri).with_sub_protocol(format!("{BEARER}{token}"));
    Ok(request.with_sub_protocol(PLAIN))
}

/// What the API said instead.
fn refused(error: &Error) -> OpenError {
    let said = match error {
        Error::Http(response) => match response.status().as_u16() {
            status @ (401 | 403) => {
                format!("answered {status}: the ticket's token may not open this console")
            }
            404 => "answered 404: it has no such console, or the machine does not run".to_owned(),
            status => format!("answered {status}: ask it why"),
        },
        Error::Io(error) => format!("broke the connection: {error}"),
        // Such as that it speaks no other protocol, or another one; none repeats what we have said.
        Error::Protocol(error) => format!("can't be understood: {error}"),
        _ => "answered no WebSocket".to_owned(),
    };
    fault(Errno::EPROTO, format!("the Kubernetes API {said}"))
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, OpenError> {
    let mut failed = fault(Errno::EHOSTUNREACH, "the Kubernetes API has no address");
    for (index, address) in addresses.iter().enumerate() {
        let connecting = TcpStream::connect(address);
        let connected = match index + 1 < addresses.len() {
            true => timeout(TRIED, connecting).await.unwrap_or(Err(Errno::ETIMEDOUT.into())),
            false => connecting.await,
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
                failed = fault(errno, format!("can't connect to the Kubernetes API at {address}"));
            }
        }
    }
    Err(failed)
}

/// As certificates have it: without brackets.
fn name_of(host: &Host) -> String {
    match host {
        Host::Name(name) => name.clone(),
        Host::V4(address) => address.to_string(),
        Host::V6(address) => address.to_string(),
    }
}

/// Serves a console to its end.
async fn carry(console: Console, mut ours: UnixStream) {
    let (mut to_console, mut of_console) = console.split();
    both_ways(&mut ours, &mut to_console, &mut of_console).await;
    leave(&ours).await;
    let _ = timeout(LINGERING, to_console.close()).await;
}

/// Moves bytes until either side has ended. What the console has said by then is passed on, if it is taken soon.
async fn both_ways(
    ours: &mut UnixStream,
    to_console: &mut SplitSink<Console, Message>,
    of_console: &mut SplitStream<Console>,
) {
    let (mut of_worker, mut to_worker) = ours.split();
    let there = speak(&mut of_worker, to_console);
    let here = hear(of_console, &mut to_worker);
    tokio::pin!(there, here);
    tokio::select! {
        () = &mut there => {
            let _ = timeout(LINGERING, here).await;
        }
        () = &mut here => {}
    }
}

/// What the worker says, until its end, which the API is told.
async fn speak(of_worker: &mut ReadHalf<'_>, to_console: &mut SplitSink<Console, Message>) {
    let mut piece = vec![0; PIECE];
    loop {
        let read = of_worker.read(&mut piece).await.unwrap_or(0);
        if read == 0 {
            let _ = to_console.close().await;
            return;
        }
        let message = Message::binary(piece[..read].to_vec());
        if to_console.send(message).await.is_err() {
            return;
        }
    }
}

/// What the console says, until its end. Who does not take it holds up the API.
async fn hear(of_console: &mut SplitStream<Console>, to_worker: &mut WriteHalf<'_>) {
    while let Some(Ok(message)) = of_console.next().await {
        // Behind its last word, the API waits for ours.
        if message.is_close() {
            return;
        }
        let is_data = message.is_binary() || message.is_text();
        if is_data && to_worker.write_all(&message.into_data()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use penstock_core::http::Target;
    use penstock_core::tls::{ClientFiles, Implementation};

    use super::*;

    #[tokio::test]
    async fn consoles_are_bounded_and_a_place_is_free_again_when_nothing_came_of_it() {
        // It takes connections, and never says a word.
        let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = api.local_addr().expect("bound");
        let wanted = Wanted {
            target: Target { host: Host::Name("api.example".into()), port: 6443 },
            addresses: vec![address],
            path: "/console".into(),
            token: "secret".into(),
            tls: ClientFiles::of_the_system(Implementation::Ring).load().expect("authorities"),
        };
        let all = KubeVirt { places: Arc::new(Semaphore::new(1)) };
        {
            let mut first = std::pin::pin!(all.open(&wanted));
            assert!(timeout(Duration::from_millis(50), &mut first).await.is_err(), "it answers");
            let refused = all.open(&wanted).await.expect_err("one place, and two who want it");
            assert_eq!(refused.errno, Errno::EAGAIN);
            assert!(refused.detail.contains("256"), "{}", refused.detail);
        }
        assert_eq!(all.places.available_permits(), 1);
        assert_eq!(KubeVirt::new().places.available_permits(), CONSOLES_MAX);
    }
}
