//! Replays the fuzz corpus, so that what fuzzing once found stays found without a fuzzer.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use bodies::Ending::{self, Accepted, Refused, Waiting};
use std::fs;
use std::path::Path;

#[test]
fn http_heads() {
    replay("http_head", bodies::http_head);
}

#[test]
fn proxy_headers() {
    replay("proxy_header", bodies::proxy_header);
}

#[test]
fn request_heads() {
    replay("request_head", bodies::request_head);
}

#[test]
fn websocket_frames() {
    replay("websocket", bodies::websocket);
}

/// A corpus that no longer reaches every ending shows nothing.
fn replay(target: &str, body: fn(&[u8]) -> Ending) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut endings = Vec::new();
    for entry in fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let path = entry.expect("a readable folder").path();
        let data = fs::read(&path).expect("a readable file");
        let ending = body(&data);
        // Files say by their name what they are for.
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let expected = match name.split('-').next() {
            Some("accept") => Accepted,
            Some("refuse") => Refused,
            Some("wait") => Waiting,
            _ => ending,
        };
        assert_eq!(ending, expected, "{name}");
        endings.push(ending);
    }
    for ending in [Accepted, Refused, Waiting] {
        let count = endings.iter().filter(|seen| **seen == ending).count();
        assert!(count >= 3, "only {count} files of {} end in {ending:?}", folder.display());
    }
}
