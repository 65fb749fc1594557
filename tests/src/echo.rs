//! Peers that give back what they get: all of it has to come back, and nothing else.

use std::io::{Read, Write};
use std::thread;

use crate::stream::Pattern;

/// Sends that many bytes, and at the same time compares what comes back.
///
/// # Panics
/// When something else comes back, or an end or a time-out of the streams comes before all has.
pub fn echo(mut from: impl Read, mut to: impl Write + Send, seed: u64, len: u64) {
    let mut sink = Pattern::new(seed);
    thread::scope(|scope| {
        scope.spawn(move || Pattern::new(seed).send(&mut to, len).expect("an open stream"));
        let result = sink.receive(&mut from, len);
        result.unwrap_or_else(|e| panic!("after {} of {len} bytes: {e}", sink.bytes()));
    });
}

/// The same over one stream that can't do both at once: in pieces, each written byte by byte.
///
/// # Panics
/// As [`echo`].
pub fn echo_in_turns(stream: &mut (impl Read + Write), seed: u64, len: u64, piece: u64) {
    let (mut source, mut sink) = (Pattern::new(seed), Pattern::new(seed));
    while sink.bytes() < len {
        for _ in 0..piece.min(len - sink.bytes()) {
            source.send(stream, 1).expect("an open stream");
            stream.flush().expect("an open stream");
        }
        let missing = source.bytes() - sink.bytes();
        let result = sink.receive(stream, missing);
        result.unwrap_or_else(|e| panic!("after {} of {len} bytes: {e}", sink.bytes()));
    }
}
