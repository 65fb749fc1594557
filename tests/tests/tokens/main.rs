//! Tokens, looked up in real sources through the door that workers use: what they lead to, and what keeps them from leading anywhere.

mod api;
mod crowd;
mod daemon;
mod files;
mod https;
mod jwt;
mod redis;
mod rig;
mod same;
mod service;
