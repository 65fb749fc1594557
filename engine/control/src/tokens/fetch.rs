//! One GET of HTTP/1.1 on a connection of its own, over TLS or not.
//!
//! In: a URL's template and a token. Out: the status and a body of at most 64 KiB; the rest of a longer one is never read. Dropping the
//! future closes the connection. It follows nothing, keeps nothing, and uses no proxy.

use std::sync::atomic::Ordering::Relaxed;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use penstock_core::control::TokenRefusal;
use penstock_core::tls::Implementation;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::connect::connect;
use super::secure::{Secure, Truncated};
use super::threads::Threads;
use super::unavailable;
use super::url::Template;

/// What is read of an answer.
const BODY_MAX: usize = 64 << 10;
/// What is read of its head.
const HEAD_MAX: usize = 64 << 10;

/// What came back.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

pub(super) struct Fetcher {
    template: Template,
    threads: Threads,
    secure: Secure,
}

type Asking = Request<Empty<Bytes>>;

impl Fetcher {
    pub(super) fn new(
        template: Template,
        threads: Threads,
        ciphers: Option<Implementation>,
    ) -> Fetcher {
        Fetcher { template, threads, secure: Secure::new(ciphers) }
    }

    pub(super) fn authority(&self) -> &str {
        &self.template.authority
    }

    /// None: there is no URL for such a token.
    pub(super) async fn fetch(
        &self,
        token: &str,
        accept: &str,
    ) -> Option<Result<Reply, TokenRefusal>> {
        let Template { authority, authorization, .. } = &self.template;
        let request = Request::get(self.template.of(token)?)
            .header(HOST, &**authority)
            .header(USER_AGENT, concat!("penstock/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, accept)
            .header(CONNECTION, "close");
        let request = match authorization {
            Some(value) => request.header(AUTHORIZATION, &**value),
            None => request,
        };
        let request = request.body(Empty::new()).ok()?;
        Some(self.ask(request).await)
    }

    async fn ask(&self, request: Asking) -> Result<Reply, TokenRefusal> {
        let Template { is_secure, host, port, .. } = &self.template;
        let stream = connect(host, *port, &self.threads).await?;
        let mut tasks = JoinSet::new();
        if !is_secure {
            return exchange(stream, request, &mut tasks, None).await;
        }
        let (stream, truncated) = self.secure.wrap(stream, host, &self.threads, &mut tasks).await?;
        exchange(stream, request, &mut tasks, Some(truncated)).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Asking,
    tasks: &mut JoinSet<()>,
    truncated: Option<Truncated>,
) -> Result<Reply, TokenRefusal> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| garbled(&error))?;
    tasks.spawn(async move {
        // Whoever asks hears of it, too.
        let _ = connection.await;
    });
    let response = sender.send_request(request).await.map_err(|error| garbled(&error))?;
    let status = response.status().as_u16();
    // Where its length is not said, the end is all that tells whether it is whole.
    let ends_by_close = response.headers().get(CONTENT_LENGTH).is_none()
        && response.body().size_hint().exact().is_none()
        && !response.headers().contains_key(hyper::header::TRANSFER_ENCODING);
    let body = read(response).await?;
    if ends_by_close && truncated.is_some_and(|truncated| truncated.load(Relaxed)) {
        return Err(unavailable("its answer was cut off: TLS ended without saying so"));
    }
    Ok(Reply { status, body })
}

async fn read(response: Response<Incoming>) -> Result<Vec<u8>, TokenRefusal> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| garbled(&error))?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > BODY_MAX {
            return Err(unavailable(format!(
                "its answer is longer than {BODY_MAX} bytes: is it the right URL?"
            )));
        }
    }
    Ok(bytes)
}

/// hyper's errors say what was wrong with the form, and nothing of the content.
fn garbled(error: &hyper::Error) -> TokenRefusal {
    unavailable(format!("expected an answer in HTTP/1.1, came none: {error}"))
}
