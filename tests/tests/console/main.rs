//! Consoles for browsers through the real daemon: each behaviour of websockify's that is ours too, what differs, and what hostile pages,
//! browsers and targets get.

mod auth;
mod clocks;
mod endings;
mod floods;
mod framing;
mod handshake;
mod origins;
mod rig;
mod same;
mod secrets;
mod sizes;
mod tokens;
