//! Text to validated values.
#![forbid(unsafe_code)]
