//! A client of VNC that may only look, under libFuzzer.

#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::rfb_view_only(data);
});
