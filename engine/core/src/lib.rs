//! What a connection means: workers, sessions, movers, policy.
#![forbid(unsafe_code)]
