//! What needs more than one crate, or a kernel.
#![forbid(unsafe_code)]
