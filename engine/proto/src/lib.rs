//! Pure protocol machines: bytes in, bytes out, one verdict.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
