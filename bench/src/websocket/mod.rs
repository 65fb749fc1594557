//! WebSocket for the load generator and the bare relays: a browser's end, and as much of a server's as a relay needs.
//!
//! It shares no code with the engine, as [`crate::tls`] shares none: a mistake of the engine's would not be one of its measurement, too.
//! Binary messages alone, no extensions. Of what comes every header is checked, so that payload which is lost or doubled shows where the next
//! header should be.

mod frame;
mod stream;
#[cfg(test)]
mod tests;
mod upgrade;

pub(crate) use frame::{HEADER_MAX, Piece, Reader, put_header};
pub(crate) use stream::Stream;
pub(crate) use upgrade::{REPLY, check_reply, request};
