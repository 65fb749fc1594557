//! websockify's format: a script that makes an array of strings, which noVNC's player reads.
//!
//! One string for each piece: `{` and the milliseconds for what the target sent, `}` for what the browser did, and the bytes as Latin-1
//! with the escapes of Python's `unicode_escape`.

use std::io::{self, Write};
use std::time::Duration;

pub(super) fn begin(to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"var VNC_frame_data = [\n")
}

pub(super) fn write(
    to: &mut impl Write,
    from_client: bool,
    at: Duration,
    bytes: &[u8],
) -> io::Result<()> {
    let mark = if from_client { '}' } else { '{' };
    write!(to, "'{mark}{}{mark}", at.as_millis())?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let plain = rest.iter().take_while(|byte| is_plain(**byte)).count();
        let (literal, others) = rest.split_at(plain);
        to.write_all(literal)?;
        rest = others;
        if let Some((special, others)) = rest.split_first() {
            match special {
                b'\t' => to.write_all(b"\\t")?,
                b'\n' => to.write_all(b"\\n")?,
                b'\r' => to.write_all(b"\\r")?,
                b'\\' => to.write_all(b"\\\\")?,
                b'\'' => to.write_all(b"\\'")?,
                other => write!(to, "\\x{other:02x}")?,
            }
            rest = others;
        }
    }
    to.write_all(b"',\n")
}

/// Something is missing here.
pub(super) fn gap(to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"/* bytes are missing here */\n")
}

pub(super) fn end(to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"'EOF'];\n")
}

fn is_plain(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) && byte != b'\\' && byte != b'\''
}
