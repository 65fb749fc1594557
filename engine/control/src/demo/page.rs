//! The page that is built in: a terminal on the demo console, and what is served.
//!
//! Everything is in the binary: no network is needed but the way to here. Scripts and styles are files of their own, and no others may run.

use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use penstock_core::config::Config;

use super::served;

/// Browsers did not always count WebSocket as of the same origin: hence its schemes.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'";

const HTML: &str = "text/html; charset=utf-8";

/// The page of one configuration.
pub(crate) struct Page {
    html: Bytes,
}

impl Page {
    pub(crate) fn new(config: &Config) -> Page {
        let html =
            include_str!("page/index.html").replace("<!-- served -->", &served::rows(config));
        Page { html: html.into() }
    }

    /// What is at `path`, decoded, whatever the query.
    pub(crate) fn answer(&self, path: &str) -> Response<Bytes> {
        let (status, kind, bytes) = match path {
            "/" | "/index.html" => (StatusCode::OK, HTML, self.html.clone()),
            "/terminal.js" => {
                let script = include_bytes!("page/terminal.js");
                (StatusCode::OK, "text/javascript; charset=utf-8", Bytes::from_static(script))
            }
            "/style.css" => {
                let style = include_bytes!("page/style.css");
                (StatusCode::OK, "text/css; charset=utf-8", Bytes::from_static(style))
            }
            "/icon.svg" => {
                let icon = include_bytes!("page/icon.svg");
                (StatusCode::OK, "image/svg+xml", Bytes::from_static(icon))
            }
            _ => {
                let missing = include_bytes!("page/missing.html");
                (StatusCode::NOT_FOUND, HTML, Bytes::from_static(missing))
            }
        };
        let mut response = Response::new(bytes);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        // Another version of Penstock has another page.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
