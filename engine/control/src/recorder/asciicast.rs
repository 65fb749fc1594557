//! asciicast v2: a line of JSON about the terminal, then one for each piece of text, for `asciinema play` and its like.
//!
//! Terminals speak UTF-8: a character that comes in pieces is put together first, and what is none is replaced.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

/// The beginnings of characters that were cut: of the target, and of the user.
#[derive(Debug, Default)]
pub(super) struct Texts([Vec<u8>; 2]);

/// A serial line says nothing of its terminal's size.
const SIZE: (u16, u16) = (80, 24);
const CODES: [&str; 2] = ["o", "i"];

pub(super) fn begin(to: &mut Vec<u8>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = json!({ "version": 2, "width": SIZE.0, "height": SIZE.1, "timestamp": now });
    line(to, &header);
}

impl Texts {
    pub(super) fn write(
        &mut self,
        to: &mut Vec<u8>,
        from_client: bool,
        at: Duration,
        bytes: &[u8],
    ) {
        let held = &mut self.0[usize::from(from_client)];
        held.extend_from_slice(bytes);
        let whole = whole_characters(held);
        text(to, from_client, at, &held[..whole]);
        held.drain(..whole);
    }

    /// Something is missing here; what was begun will have no end.
    pub(super) fn gap(&mut self, to: &mut Vec<u8>, at: Duration) {
        self.end(to, at);
        event(to, "m", at, "bytes are missing here");
    }

    pub(super) fn end(&mut self, to: &mut Vec<u8>, at: Duration) {
        for (from_client, held) in [false, true].into_iter().zip(&mut self.0) {
            text(to, from_client, at, &std::mem::take(held));
        }
    }
}

fn text(to: &mut Vec<u8>, from_client: bool, at: Duration, bytes: &[u8]) {
    if !bytes.is_empty() {
        event(to, CODES[usize::from(from_client)], at, &String::from_utf8_lossy(bytes));
    }
}

fn event(to: &mut Vec<u8>, code: &str, at: Duration, text: &str) {
    line(to, &json!([at.as_micros() as f64 / 1e6, code, text]));
}

fn line(to: &mut Vec<u8>, json: &serde_json::Value) {
    // Writing into a Vec can't fail.
    let _ = writeln!(to, "{json}");
}

/// How many bytes there are before a character at the end that is cut.
fn whole_characters(bytes: &[u8]) -> usize {
    let mut valid = 0;
    while let Err(error) = std::str::from_utf8(&bytes[valid..]) {
        valid += error.valid_up_to();
        match error.error_len() {
            Some(bad) => valid += bad,
            None => return valid,
        }
    }
    bytes.len()
}
