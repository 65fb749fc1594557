//! Pure protocol machines: bytes in, bytes out, one verdict.
//!
//! All machines share one verb and one law, told at [`Progress`]. No machine has a socket, a clock,
//! randomness, or a buffer of its own: the caller owns the bytes, so backpressure and memory limits
//! are decided there. `no_std`, so that none of these can creep in.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod console;
pub mod http;
mod known;
pub mod libvirt;
pub mod percent;
pub mod proxy_protocol;
pub mod rfb;
mod secret;
pub mod spice;
pub mod target;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod websocket;

pub use secret::Secret;

/// What a machine answers to the bytes it was offered.
///
/// ```text
/// fn receive(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> Result<Progress<T>, Error>
/// ```
///
/// `receive` takes whole messages off the front of `input` and appends replies to `output`. What
/// stays in `input` after `Wait` is an unfinished message: offer it again, unchanged, followed by
/// the bytes that come next. After `Done` it belongs to whoever follows on the stream. `Done` and
/// errors are final. Any split of a stream gives the same verdict and the same output, and a byte
/// that is offered again is not scanned again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// The verdict needs more bytes.
    Wait,
    /// The machine has ended well.
    Done(T),
}
