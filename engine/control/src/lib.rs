//! What may wait: names, admin pages, logs.
#![forbid(unsafe_code)]
