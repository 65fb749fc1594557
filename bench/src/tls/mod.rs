//! TLS for the load generator, its origins and the bare relays: rustls makes the handshakes, what follows is sealed and opened here, in
//! place, so that the load is not the limit.
//!
//! It shares no code with the engine: a mistake of the engine's would not be one of its measurement, too. It speaks TLS 1.3 only, one
//! suite and one group, which thus everybody speaks who is measured; no early data, no change of keys.

mod keys;
mod records;
mod session;
mod stream;
mod terms;
#[cfg(test)]
mod tests;

pub(crate) use keys::{KeyFiles, Keys};
pub(crate) use session::Session;
pub(crate) use stream::Stream;
pub(crate) use terms::{Client, Server};
