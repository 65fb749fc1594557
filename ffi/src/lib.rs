//! The C door to the engine: `penstock.h` over core, config and control.
//!
//! In: calls of a C host. Out: the same engine that the daemon runs, its ends told as the same close reasons. This
//! crate will hold the header, the panic border and the ownership rules of every pointer; it exports nothing yet.
#![deny(unsafe_code)]
