//! One connection: HTTP/1.1 on our end of a socketpair.
//!
//! ```text
//!  first head (5 s) ─▶ answer ─▶ next head (15 s) ─▶ … ─▶ their end ─▶ answers due ─▶ our end ─▶ theirs is read out (2 s)
//! ```
//!
//! It ends when the peer has ended and every answer was written, or when one side of the peer stands still for too long.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{EXPECT, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep, timeout};

use super::body::Body;
use crate::pair::leave;
use penstock_core::config::Cut;

/// For the first head, which the worker has already.
const FIRST_HEAD: Duration = Duration::from_secs(5);
/// For every other one.
pub(super) const IDLE: Duration = Duration::from_secs(15);
/// How long a peer may take nothing of what is written.
const STALLED: Duration = Duration::from_secs(30);
/// How long a body may take that nobody wants, and how long it may be.
const UNWANTED_TIME: Duration = Duration::from_secs(5);
const UNWANTED_MAX: u64 = 64 << 10;
/// Bytes of a request head, as workers allow it. As many that wait to be written keep the next piece of a file from being read.
const HEAD_MAX: usize = 64 << 10;

/// Answers requests with `respond` until the connection is over. `cut` is raised if an answer may not be whole.
pub(super) async fn serve<F>(stream: UnixStream, cut: Cut, respond: impl Fn(Request<Incoming>) -> F)
where
    F: Future<Output = Response<Body>>,
{
    let stream = Arc::new(stream);
    let first = Notify::new();
    let service = service_fn(|request| {
        first.notify_one();
        let response = respond(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .half_close(true)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(OurEnd::new(stream.clone())), service);
    let late = async {
        if timeout(FIRST_HEAD, first.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    let is_whole = tokio::select! { end = connection => end.is_ok(), () = late => false };
    if !is_whole {
        cut.raise();
    }
    leave(&stream).await;
}

/// Reads a body that nobody wants, so that the next request can be found. False: it is too long, or too slow.
pub(super) async fn drain(headers: &HeaderMap, mut body: Incoming) -> bool {
    if body.is_end_stream() {
        return true;
    }
    if headers.contains_key(EXPECT) || body.size_hint().lower() > UNWANTED_MAX {
        return false;
    }
    let mut left = UNWANTED_MAX;
    let all = async {
        while let Some(frame) = body.frame().await {
            let length = frame.ok()?.data_ref().map_or(0, |data| data.len());
            left = left.checked_sub(length as u64)?;
        }
        Some(())
    };
    timeout(UNWANTED_TIME, all).await.ok().flatten().is_some()
}

/// Our end, which gives up a peer that does not read.
struct OurEnd {
    stream: Arc<UnixStream>,
    /// Some while nothing could be written.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl OurEnd {
    fn new(stream: Arc<UnixStream>) -> OurEnd {
        OurEnd { stream, stalled: None }
    }

    fn poll_write_with(
        &mut self,
        context: &mut Context<'_>,
        write: impl Fn(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        while let Poll::Ready(ready) = self.stream.poll_write_ready(context) {
            ready?;
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.stalled = None;
                    return Poll::Ready(written);
                }
            }
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for OurEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for OurEnd {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The end is told when the connection is left, after answers that hyper gave up, too.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
