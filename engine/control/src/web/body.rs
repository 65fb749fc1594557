//! What is sent: bytes that are there, or a file, piece by piece.
//!
//! Files are read on threads that may wait, of which each folder has few: a file system that hangs keeps readers of its pages waiting, for a while, and
//! nobody else. A piece is read when the one before has been taken. A file that has become shorter than was promised ends the connection.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Bytes, Frame, SizeHint};

use crate::waiting::Threads;

/// How long reading may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a piece.
pub(super) const PIECE: u64 = 64 << 10;

type Reading = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

/// The body of a response.
pub(super) struct Body {
    /// Read, and not yet taken.
    piece: Option<Bytes>,
    rest: Option<Rest>,
}

struct Rest {
    file: Arc<File>,
    at: u64,
    end: u64,
    readers: Threads,
    reading: Option<Reading>,
}

impl Body {
    pub(super) fn whole(bytes: Bytes) -> Body {
        Body { piece: Some(bytes).filter(|bytes| !bytes.is_empty()), rest: None }
    }

    /// Bytes `at` to `end` of a file, of which the first piece is read at once: to be called where one may wait.
    pub(super) fn file(file: File, at: u64, end: u64, readers: &Threads) -> io::Result<Body> {
        let first = if at < end { Some(read(&file, at, end)?) } else { None };
        let at = at + first.as_ref().map_or(0, |first| first.len() as u64);
        let file = Arc::new(file);
        let rest = Rest { file, at, end, readers: readers.clone(), reading: None };
        Ok(Body { piece: first, rest: Some(rest).filter(|rest| rest.at < rest.end) })
    }
}

/// The next piece, complete.
fn read(file: &File, at: u64, end: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; (end - at).min(PIECE) as usize];
    file.read_exact_at(&mut piece, at)?;
    Ok(piece.into())
}

impl Rest {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let (at, end) = (self.at, self.end);
        let reading = self.reading.get_or_insert_with(|| {
            let (file, readers) = (self.file.clone(), self.readers.clone());
            Box::pin(async move {
                let read = readers.run_within(PATIENCE, move || read(&file, at, end)).await;
                read.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
            })
        });
        let piece = ready!(reading.as_mut().poll(context));
        self.reading = None;
        self.at += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece)
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(piece) = self.piece.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let piece = ready!(rest.poll_piece(context));
        if piece.is_err() || rest.at == rest.end {
            self.rest = None;
        }
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let piece = self.piece.as_ref().map_or(0, |piece| piece.len() as u64);
        SizeHint::with_exact(piece + self.rest.as_ref().map_or(0, |rest| rest.end - rest.at))
    }
}
