//! websockify's format: a script that makes an array of strings, which noVNC's player reads.
//!
//! One string for each piece: `{` and the milliseconds for what the target sent, `}` for what the browser did, and the bytes as Latin-1
//! with the escapes of Python's `unicode_escape`.

use std::io::Write;
use std::time::Duration;

pub(super) fn begin(to: &mut Vec<u8>) {
    to.extend_from_slice(b"var VNC_frame_data = [\n");
}

pub(super) fn write(to: &mut Vec<u8>, from_client: bool, at: Duration, bytes: &[u8]) {
    let mark = if from_client { '}' } else { '{' };
    to.reserve(bytes.len() + bytes.len() / 2);
    // Writing into a Vec can't fail.
    let _ = write!(to, "'{mark}{}{mark}", at.as_millis());
    for byte in bytes {
        match byte {
            b'\t' => to.extend_from_slice(b"\\t"),
            b'\n' => to.extend_from_slice(b"\\n"),
            b'\r' => to.extend_from_slice(b"\\r"),
            b'\\' => to.extend_from_slice(b"\\\\"),
            b'\'' => to.extend_from_slice(b"\\'"),
            b' '..=b'~' => to.push(*byte),
            other => {
                let digit = |four: u8| DIGITS[usize::from(four)];
                to.extend_from_slice(&[b'\\', b'x', digit(other >> 4), digit(other & 15)]);
            }
        }
    }
    to.extend_from_slice(b"',\n");
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Something is missing here.
pub(super) fn gap(to: &mut Vec<u8>) {
    to.extend_from_slice(b"/* bytes are missing here */\n");
}

pub(super) fn end(to: &mut Vec<u8>) {
    to.extend_from_slice(b"'EOF'];\n");
}
