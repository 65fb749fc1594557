//! `penstock websockify` beside websockify: the same command lines, the same browser, and the same must come of it.

mod ending;
mod refusals;
mod rig;
mod secrets;
mod serving;
mod tls;
