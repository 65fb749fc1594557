//! From HTTP to WebSocket (RFC 6455, section 4).

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

/// The RFC's own example, and what proves that it was read. Browsers make a new one each time, which costs a server nothing more.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The sub-protocol that console clients ask for.
const PROTOCOL: &str = "binary";

/// As a browser asks, with no Origin.
pub(crate) fn request(host: SocketAddr) -> Vec<u8> {
    format!(
        "GET /websockify HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
    )
    .into_bytes()
}

/// What a server says that was asked by [`request`].
pub(crate) const REPLY: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: binary\r\n\r\n";

/// That a head (all of it, without the empty line) agrees to [`request`].
pub(crate) fn check_reply(head: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let agrees = status.starts_with("HTTP/1.1 101");
    ensure!(agrees, "the request for a WebSocket was answered with {status}");
    let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    for (name, meant) in [("Sec-WebSocket-Accept", ACCEPT), ("Sec-WebSocket-Protocol", PROTOCOL)] {
        let told = fields.iter().find(|(told, _)| told.eq_ignore_ascii_case(name));
        let (_, value) = told.with_context(|| format!("the answer has no {name}"))?;
        ensure!(value.trim() == meant, "the answer's {name} is {}", value.trim());
    }
    let extended = fields.iter().find(|f| f.0.eq_ignore_ascii_case("Sec-WebSocket-Extensions"));
    ensure!(extended.is_none(), "the answer has extensions that nobody asked for");
    Ok(())
}
