//! Both sides of a VNC login under libFuzzer.

#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::rfb_gateway(data);
});
