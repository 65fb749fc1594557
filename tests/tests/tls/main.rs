//! TLS through the real daemon, on either leg, both or none: what goes in comes out, ends keep their meaning, and who breaks the
//! protocol breaks nothing else.

mod crowd;
mod end;
mod endings;
mod gateway;
mod hostile;
mod identities;
mod proxy;
mod streams;
