//! A client's WebSocket frames under libFuzzer.

#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::websocket(data);
});
