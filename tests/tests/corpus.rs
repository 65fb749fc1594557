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

#[test]
fn logins_at_vnc_servers() {
    replay("rfb_gateway", bodies::rfb_gateway);
}

#[test]
fn who_may_only_look() {
    replay("rfb_view_only", bodies::rfb_view_only);
}

/// A corpus that no longer reaches every ending shows nothing.
fn replay(target: &str, body: fn(&[u8]) -> Ending) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let (mut files, mut endings) = (Vec::new(), Vec::new());
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
        files.push(data);
    }
    mutate(&files, body);
    for ending in [Accepted, Refused, Waiting] {
        let count = endings.iter().filter(|seen| **seen == ending).count();
        assert!(count >= 3, "only {count} files of {} end in {ending:?}", folder.display());
    }
}

/// What a fuzzer would do, without one: files with something changed, left out, put in or taken from another one.
fn mutate(files: &[Vec<u8>], body: fn(&[u8]) -> Ending) {
    let count = std::env::var("PENSTOCK_FUZZ").ok().and_then(|text| text.parse().ok());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % limit.max(1)
    };
    for _ in 0..count.unwrap_or(2_000) {
        let mut data = files[below(files.len())].clone();
        for _ in 0..1 + below(4) {
            let at = below(data.len() + 1);
            let end = at + below((data.len() - at).min(8) + 1);
            match below(6) {
                0 => drop(data.drain(at..end)),
                1 => data.insert(at, [0, 1, 2, 19, 0x7f, 0x80, 0xff][below(7)]),
                2 => data.truncate(at.max(1)),
                3 => data[at..end].iter_mut().for_each(|byte| *byte = below(256) as u8),
                4 if at < data.len() => data[at] ^= 1 << below(8),
                _ => {
                    let other = &files[below(files.len())];
                    data.splice(at.., other[below(other.len() + 1)..].iter().copied());
                }
            }
        }
        let result = std::panic::catch_unwind(|| body(&data));
        assert!(result.is_ok(), "broken by {}", data.escape_ascii());
    }
}
