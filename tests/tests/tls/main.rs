//! TLS through the real daemon, on either leg, both or none: what goes in comes out, ends keep their meaning, and who breaks the
//! protocol breaks nothing else.

#![allow(missing_docs, unreachable_pub, reason = "a test program has no public items")]

mod crowd;
mod end;
mod endings;
mod gateway;
mod hostile;
mod identities;
mod proxy;
mod streams;
