//! The daemon `penstock`.
#![forbid(unsafe_code)]

fn main() {}
