//! asciicast v2: a line of JSON about the terminal, then one for each piece of text, for `asciinema play` and its like.
//!
//! Terminals speak UTF-8: a character that comes in pieces is put together first, and what is none is replaced.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

/// The beginnings of characters that were cut: of the target, and of the user.
#[derive(Debug, Default)]
pub(super) struct Texts([Vec<u8>; 2]);

/// A serial line says nothing of its terminal's size.
const SIZE: (u16, u16) = (80, 24);
const CODES: [&str; 2] = ["o", "i"];

pub(super) fn begin(to: &mut impl Write) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = json!({ "version": 2, "width": SIZE.0, "height": SIZE.1, "timestamp": now });
    writeln!(to, "{header}")
}

/// Something is missing here.
pub(super) fn gap(to: &mut impl Write, at: Duration) -> io::Result<()> {
    writeln!(to, "{}", json!([at.as_secs_f64(), "m", "bytes are missing here"]))
}

impl Texts {
    pub(super) fn write(
        &mut self,
        to: &mut impl Write,
        from_client: bool,
        at: Duration,
        bytes: &[u8],
    ) -> io::Result<()> {
        let held = &mut self.0[usize::from(from_client)];
        held.extend_from_slice(bytes);
        let whole = whole_characters(held);
        let text = String::from_utf8_lossy(&held[..whole]).into_owned();
        held.drain(..whole);
        event(to, from_client, at, &text)
    }

    pub(super) fn end(&mut self, to: &mut impl Write, at: Duration) -> io::Result<()> {
        for (from_client, held) in [false, true].into_iter().zip(&self.0) {
            event(to, from_client, at, &String::from_utf8_lossy(held))?;
        }
        Ok(())
    }
}

fn event(to: &mut impl Write, from_client: bool, at: Duration, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let code = CODES[usize::from(from_client)];
    writeln!(to, "{}", json!([at.as_micros() as f64 / 1e6, code, text]))
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
