//! A file as an answer: which one, how much of it, and what is said about it.
//!
//! In: a request. Out: a response with the first piece of the file in it. To be called where one may wait. How long browsers may keep files: documents are
//! asked about each time; what they refer to, for five minutes, so that new pages meet old scripts no longer than that. Caches for several
//! users keep nothing of who had to say who they are.

use std::fs::{File, Metadata};
use std::io;
use std::path::PathBuf;

use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED, LOCATION, VARY,
};
use hyper::{Response, StatusCode};
use nix::errno::Errno;

use super::body::Body;
use super::conditions::{Verdict, Version};
use super::encoding::{self, Coding};
use super::root::Root;
use super::{Asked, kinds, plain};
use crate::waiting::Threads;

/// What stands for a folder, the first that is there.
const INDEXES: [&str; 2] = ["index.html", "index.htm"];
const DOCUMENTS: &str = "no-cache";
const OTHERS: &str = "max-age=300";

/// What may be read, and nothing else.
struct Regular {
    file: File,
    about: Metadata,
    path: PathBuf,
    coding: Option<Coding>,
}

pub(super) fn answer(root: &Root, asked: &Asked, readers: &Threads) -> Response<Body> {
    match find(root, asked) {
        Ok(Some(regular)) => {
            let regular = compressed(root, asked, regular);
            respond(regular, asked, readers).unwrap_or_else(|error| plain::failed(errno(&error)))
        }
        Ok(None) => redirect(&asked.wanted.as_folder),
        Err(errno) => plain::failed(errno),
    }
}

/// None: a folder, to be asked for with a slash.
fn find(root: &Root, asked: &Asked) -> Result<Option<Regular>, Errno> {
    let wanted = &asked.wanted;
    if !wanted.is_folder {
        return open(root, wanted.file.clone());
    }
    let mut refused = Errno::ENOENT;
    for name in INDEXES {
        match open(root, wanted.file.join(name)) {
            Ok(Some(index)) => return Ok(Some(index)),
            Ok(None) | Err(Errno::ENOENT) => {}
            Err(errno) => refused = errno,
        }
    }
    Err(refused)
}

fn open(root: &Root, path: PathBuf) -> Result<Option<Regular>, Errno> {
    let file = root.open(&path)?;
    let about = file.metadata().map_err(|error| errno(&error))?;
    match about.file_type() {
        kind if kind.is_dir() => Ok(None),
        kind if kind.is_file() => Ok(Some(Regular { file, about, path, coding: None })),
        _ => Err(Errno::ENOENT),
    }
}

/// The sibling that the browser likes best, unless it is older than the file.
fn compressed(root: &Root, asked: &Asked, original: Regular) -> Regular {
    let modified = original.about.modified().ok();
    let siblings = encoding::accepted(&asked.headers).filter_map(|coding| {
        let mut name = original.path.clone().into_os_string();
        name.push(coding.suffix);
        let sibling = open(root, name.into()).ok()??;
        Some(Regular { coding: Some(coding), ..sibling })
    });
    let mut fresh = siblings.filter(|sibling| sibling.about.modified().ok() >= modified);
    match fresh.next() {
        Some(sibling) => Regular { path: original.path.clone(), ..sibling },
        None => original,
    }
}

fn respond(regular: Regular, asked: &Asked, readers: &Threads) -> io::Result<Response<Body>> {
    let length = regular.about.len();
    let version = Version::of(&regular.about);
    let verdict = version.judge(&asked.headers, asked.is_get, length);
    let (status, part) = match verdict {
        Verdict::Whole => (StatusCode::OK, Some((0, length))),
        Verdict::Part(start, end) => (StatusCode::PARTIAL_CONTENT, Some((start, end))),
        Verdict::NotModified => (StatusCode::NOT_MODIFIED, None),
        Verdict::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, None),
        Verdict::NotSatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, None),
    };
    let mut headers = about(&regular, &version);
    match (status, part) {
        (StatusCode::PARTIAL_CONTENT, Some((start, end))) => {
            headers.push((CONTENT_RANGE, format!("bytes {start}-{}/{length}", end - 1)));
        }
        (StatusCode::RANGE_NOT_SATISFIABLE, _) => {
            headers.push((CONTENT_RANGE, format!("bytes */{length}")));
        }
        _ => {}
    }
    let body = match part {
        Some((start, end)) => {
            headers.push((CONTENT_LENGTH, (end - start).to_string()));
            let end = if asked.is_get { end } else { start };
            Body::file(regular.file, start, end, readers)?
        }
        None => Body::whole(Default::default()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::try_from(value).map_err(io::Error::other)?);
    }
    Ok(response)
}

/// What is true of every answer about a file.
fn about(regular: &Regular, version: &Version) -> Vec<(HeaderName, String)> {
    let kind = kinds::of(&regular.path);
    let lifetime = if kind.starts_with("text/html") { DOCUMENTS } else { OTHERS };
    let mut headers = vec![
        (CONTENT_TYPE, kind.to_owned()),
        (CACHE_CONTROL, lifetime.to_owned()),
        (ETAG, version.tag.clone()),
        (LAST_MODIFIED, version.last_modified()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (VARY, ACCEPT_ENCODING.to_string()),
    ];
    headers.extend(regular.coding.map(|coding| (CONTENT_ENCODING, coding.name.to_owned())));
    headers
}

fn redirect(to: &str) -> Response<Body> {
    let Ok(location) = HeaderValue::try_from(to) else { return plain::bad_path() };
    let mut response = Response::new(Body::whole(Default::default()));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, location);
    // The query may be a token, and a folder may become a file.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
