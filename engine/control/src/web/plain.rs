//! Short pages for what is not answered with a file. Nothing of a request is repeated in them.

use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use nix::errno::Errno;

use super::body::Body;

pub(super) fn method() -> Response<Body> {
    let mut page = page(StatusCode::METHOD_NOT_ALLOWED, "Pages can be read, and nothing else.");
    page.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    page
}

pub(super) fn bad_path() -> Response<Body> {
    page(StatusCode::BAD_REQUEST, "This address has characters in it that no page here has.")
}

/// A file that could not be opened or read.
pub(super) fn failed(errno: Errno) -> Response<Body> {
    match errno {
        Errno::EACCES | Errno::EPERM => {
            let words = "There is something here, but the server is not allowed to read it.";
            page(StatusCode::FORBIDDEN, words)
        }
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM => busy(),
        Errno::EIO | Errno::ESTALE | Errno::EBADF => {
            let words =
                "The page is here, but it could not be read. Its server's disk may be broken.";
            page(StatusCode::INTERNAL_SERVER_ERROR, words)
        }
        _ => page(
            StatusCode::NOT_FOUND,
            "There is no page at this address. Was it typed in full, with the slash at its end?",
        ),
    }
}

pub(super) fn busy() -> Response<Body> {
    let words = "The server can't read its pages in time. Try again in a few seconds.";
    let mut page = page(StatusCode::SERVICE_UNAVAILABLE, words);
    page.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    page
}

fn page(status: StatusCode, words: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or_default();
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{title}</title>\n<h1>{title}</h1>\n<p>{words}</p>\n"
    );
    let mut response = Response::new(Body::whole(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
