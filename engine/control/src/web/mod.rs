//! Pages for browsers, on the same port as their consoles.
//!
//! ```text
//!  worker ── Asked ──▶ opener ──▶ socketpair: one end to the worker, at the other HTTP/1.1
//!                                   head ─▶ path ─▶ root ─▶ conditions ─▶ file, in pieces of 64 KiB
//! ```
//!
//! In: connections of HTTP/1.1 as browsers make them, handed on head by head. Out: the files of a folder, or the page that is built in.
//! It answers GET and HEAD, shows no listings, never leaves the folder, never sends a browser to another site, and has no secrets.
//! Whoever does not read or write is left after a while; a connection holds two pieces at most. A folder whose file system hangs holds up no other.

mod body;
mod conditions;
mod connection;
mod encoding;
mod files;
mod kinds;
mod path;
mod plain;
mod root;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, SERVER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response};
use penstock_core::config::{Cut, Web};
use penstock_core::control::OpenError;
use tokio::sync::Semaphore;

use crate::demo::page::Page;
use crate::pair::{full, pair};
use crate::waiting::Threads;
use body::{Body, PATIENCE};
use path::{Refusal, Wanted};
use root::Root;

/// Connections at once, to all pages, and to those of one folder: whoever waits for one that hangs keeps others out of no other.
const CONNECTIONS_MAX: usize = 384;
const CONNECTIONS_OF_ONE: usize = 256;
/// Threads that all folders may keep waiting at the same time.
pub(crate) const THREADS: usize = 64;
/// Those of one folder: it takes many that hang to hold up one that does not.
const OF_ONE: usize = 8;

/// All that is served.
pub(crate) struct Sites {
    folders: Mutex<HashMap<PathBuf, Arc<Folder>>>,
    page: Page,
    readers: Threads,
    places: Arc<Semaphore>,
    places_of_demo: Arc<Semaphore>,
}

/// What a connection is about.
#[derive(Clone)]
enum Site {
    Folder(Arc<Folder>),
    Demo,
}

struct Folder {
    root: Root,
    readers: Threads,
    places: Arc<Semaphore>,
}

/// One request, without its body.
struct Asked {
    is_get: bool,
    wanted: Wanted,
    headers: HeaderMap,
}

impl Sites {
    /// With `page` for whoever has no pages of their own.
    pub(crate) fn new(page: Page) -> Arc<Sites> {
        Arc::new(Sites {
            folders: Mutex::default(),
            page,
            readers: Threads::new(THREADS),
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            places_of_demo: Arc::new(Semaphore::new(CONNECTIONS_OF_ONE)),
        })
    }

    /// A connection to the pages of `web`; needs the event loop. Nothing is read of any file yet.
    pub(crate) fn open(self: &Arc<Self>, web: &Web, cut: Cut) -> Result<OwnedFd, OpenError> {
        let site = self.site(web);
        let own = match &site {
            Site::Folder(folder) => &folder.places,
            Site::Demo => &self.places_of_demo,
        };
        let place = |places: &Arc<Semaphore>, most| {
            places.clone().try_acquire_owned().map_err(|_| full("pages", most))
        };
        let places = (place(own, CONNECTIONS_OF_ONE)?, place(&self.places, CONNECTIONS_MAX)?);
        let (theirs, ours) = pair()?;
        let sites = self.clone();
        tokio::spawn(async move {
            let _places = places;
            let respond = |request| respond(sites.clone(), site.clone(), request);
            connection::serve(ours, cut, respond).await;
        });
        Ok(theirs)
    }

    fn site(&self, web: &Web) -> Site {
        let Web::Directory(path) = web else { return Site::Demo };
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = folders.entry(path.clone()).or_insert_with(|| {
            let places = Arc::new(Semaphore::new(CONNECTIONS_OF_ONE));
            Arc::new(Folder { root: Root::new(path), readers: self.readers.part(OF_ONE), places })
        });
        Site::Folder(folder.clone())
    }

    async fn answer(&self, site: Site, asked: Asked) -> Response<Body> {
        match site {
            Site::Demo => self.page.answer(&asked.wanted.decoded).map(Body::from),
            Site::Folder(folder) => {
                let readers = folder.readers.clone();
                let answer = move || files::answer(&folder.root, &asked, &folder.readers);
                readers.run_within(PATIENCE, answer).await.unwrap_or_else(plain::busy)
            }
        }
    }
}

async fn respond(sites: Arc<Sites>, site: Site, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let is_read = connection::drain(&head.headers, body).await;
    let mut response = match path::parse(&head.uri) {
        _ if !matches!(head.method, Method::GET | Method::HEAD) => plain::method(),
        Err(Refusal) => plain::bad_path(),
        Ok(wanted) => {
            let is_get = head.method == Method::GET;
            sites.answer(site, Asked { is_get, wanted, headers: head.headers }).await
        }
    };
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !is_read {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Tokens are in addresses: nobody else is told them. Framing is not forbidden, since portals frame consoles.
const ALWAYS: [(HeaderName, &str); 3] =
    [(SERVER, "penstock"), (REFERRER_POLICY, "no-referrer"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body::whole(bytes)
    }
}

#[cfg(test)]
mod tests;
