//! The admin server: `/metrics`, `/health`, `/ready`, `/tunnels`.
//!
//! In: HTTP/1 requests on an address of its own, for operators and their tools. Out: what the engine counts and
//! carries. It changes nothing, takes no bodies, and knows no users: whom it may serve is a matter of where it listens.

mod tunnels;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::metrics;
use crate::state::State;

/// Requests served at once; others wait in the listener's queue.
const AT_ONCE: usize = 16;
/// For the request head, and for all of one exchange.
const HEAD_TIME: Duration = Duration::from_secs(5);
const EXCHANGE_TIME: Duration = Duration::from_secs(30);
/// Bytes of a request head.
const HEAD_MAX: usize = 16 << 10;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Binds the admin address. Nothing is served before [`Control::run`](crate::Control::run).
///
/// # Errors
/// The system's, as of bind(2) and listen(2).
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind(address)
}

/// The same listener for the event loop.
pub(crate) fn listener(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serves until the event loop ends.
pub(crate) async fn serve(listener: TcpListener, state: Arc<State>) {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        // Never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let state = state.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    exchange(stream, state).await;
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: they come back, and spinning would not help.
                tracing::warn!(%error, "the admin server can't accept");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(respond(&request, &state).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Ends of either kind concern the one client alone.
    let _ = timeout(EXCHANGE_TIME, connection).await;
}

async fn respond<B>(request: &Request<B>, state: &Arc<State>) -> Response<Full<Bytes>> {
    let page = match request.uri().path() {
        "/metrics" | "/health" | "/ready" | "/tunnels" => request.uri().path(),
        _ => return answer(StatusCode::NOT_FOUND, TEXT, "try /metrics /health /ready /tunnels\n"),
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match page {
        "/metrics" => answer(StatusCode::OK, metrics::CONTENT_TYPE, metrics::page(state)),
        "/health" => answer(StatusCode::OK, TEXT, "ok\n"),
        "/ready" if state.draining.load(Relaxed) => {
            answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n")
        }
        "/ready" => answer(StatusCode::OK, TEXT, "ready\n"),
        _ => match tunnels::page(state).await {
            Ok(json) => answer(StatusCode::OK, JSON, json),
            Err(failure) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, failure.words()),
        },
    }
}

fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
