//! One request of HTTP/1.1 on a connection of its own, over TLS or not.
//!
//! In: a URL's template and a token, or a request and whom to ask. Out: the status and a body that is no longer than allowed; the rest of a longer one is
//! never read. Dropping the future closes the connection. It follows nothing, keeps nothing, and uses no proxy.

use std::error::Error;
use std::io;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use penstock_core::control::TokenRefusal;
use penstock_core::tls::Implementation;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::connect::connect;
use super::secure::Secure;
use super::threads::Threads;
use super::unavailable;
use super::url::{Site, Template};

/// What is read of an answer that names one place.
const BODY_MAX: usize = 64 << 10;
/// What is read of its head.
const HEAD_MAX: usize = 64 << 10;

/// What came back.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Asks one site after the other, or many at once.
pub(super) struct Http {
    pub(super) threads: Threads,
    pub(super) secure: Secure,
    /// What is read of an answer.
    pub(super) body_max: usize,
}

pub(super) struct Fetcher {
    template: Template,
    http: Http,
}

pub(super) type Asking = Request<Full<Bytes>>;

impl Fetcher {
    pub(super) fn new(
        template: Template,
        threads: Threads,
        ciphers: Option<Implementation>,
    ) -> Fetcher {
        let http = Http { threads, secure: Secure::new(ciphers), body_max: BODY_MAX };
        Fetcher { template, http }
    }

    pub(super) fn authority(&self) -> &str {
        &self.template.site.authority
    }

    /// None: there is no URL for such a token.
    pub(super) async fn fetch(
        &self,
        token: &str,
        accept: &str,
    ) -> Option<Result<Reply, TokenRefusal>> {
        let site = &self.template.site;
        let request = headed(Request::get(self.template.of(token)?), site).header(ACCEPT, accept);
        let request = request.body(Full::default()).ok()?;
        Some(self.http.ask(site, request).await)
    }
}

/// With what every request has.
pub(super) fn headed(request: Builder, site: &Site) -> Builder {
    let request = request
        .header(HOST, &*site.authority)
        .header(USER_AGENT, concat!("penstock/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    match &site.authorization {
        Some(value) => request.header(AUTHORIZATION, &**value),
        None => request,
    }
}

impl Http {
    pub(super) async fn ask(&self, site: &Site, request: Asking) -> Result<Reply, TokenRefusal> {
        let Site { is_secure, host, port, .. } = site;
        let (threads, body_max) = (&self.threads, self.body_max);
        let stream = connect(host, *port, threads).await?;
        if !is_secure {
            return exchange(stream, request, body_max).await;
        }
        exchange(self.secure.wrap(stream, host, threads).await?, request, body_max).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Asking,
    body_max: usize,
) -> Result<Reply, TokenRefusal> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| garbled(&error))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Whoever asks hears of it, too.
        let _ = connection.await;
    });
    let response = sender.send_request(request).await.map_err(|error| garbled(&error))?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = read(response, body_max).await?;
    Ok(Reply { status, headers, body })
}

async fn read(response: Response<Incoming>, body_max: usize) -> Result<Vec<u8>, TokenRefusal> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| garbled(&error))?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > body_max {
            return Err(unavailable(format!(
                "its answer is longer than {body_max} bytes: is it the right URL?"
            )));
        }
    }
    Ok(bytes)
}

/// hyper's errors say what was wrong with the form, and nothing of the content.
fn garbled(error: &hyper::Error) -> TokenRefusal {
    let behind = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    // Of an answer that does not say how long it is, TLS tells whether it is whole.
    if behind.is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
        return unavailable("its answer was cut off: the connection ended without saying so");
    }
    unavailable(format!("expected an answer in HTTP/1.1, came none: {error}"))
}
