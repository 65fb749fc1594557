//! What files are, by the ends of their names: what consoles in browsers are made of.

use std::path::Path;

/// For what is not known; browsers offer to save it.
const UNKNOWN: &str = "application/octet-stream";

/// The Content-Type of a file.
pub(super) fn of(path: &Path) -> &'static str {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    let end = end.to_ascii_lowercase();
    KINDS.iter().find(|(ends, _)| ends.contains(&&*end)).map_or(UNKNOWN, |(_, kind)| kind)
}

const KINDS: &[(&[&str], &str)] = &[
    (&["html", "htm"], "text/html; charset=utf-8"),
    (&["js", "mjs"], "text/javascript; charset=utf-8"),
    (&["css"], "text/css; charset=utf-8"),
    (&["txt", "log", "md"], "text/plain; charset=utf-8"),
    (&["json", "map"], "application/json"),
    (&["webmanifest"], "application/manifest+json"),
    (&["wasm"], "application/wasm"),
    (&["svg"], "image/svg+xml"),
    (&["png"], "image/png"),
    (&["jpg", "jpeg"], "image/jpeg"),
    (&["gif"], "image/gif"),
    (&["webp"], "image/webp"),
    (&["avif"], "image/avif"),
    (&["ico"], "image/vnd.microsoft.icon"),
    (&["woff"], "font/woff"),
    (&["woff2"], "font/woff2"),
    (&["ttf"], "font/ttf"),
    (&["otf"], "font/otf"),
    (&["oga", "ogg"], "audio/ogg"),
    (&["mp3"], "audio/mpeg"),
    (&["wav"], "audio/x-wav"),
    (&["mp4"], "video/mp4"),
    (&["webm"], "video/webm"),
    (&["xml", "xsl"], "text/xml; charset=utf-8"),
    (&["pdf"], "application/pdf"),
    (&["zip"], "application/zip"),
    (&["gz", "tgz"], "application/gzip"),
    (&["vv"], "application/x-virt-viewer"),
];
