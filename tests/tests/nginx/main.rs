//! Real nginx with the module of ffi/hosts/nginx, between clients and targets of ours: what is carried, what is logged, what a reload
//! does, and what a configuration may say.
//!
//! `PENSTOCK_PREFIX` says where libpenstock is installed; `tests/run` installs it. `PENSTOCK_NGINX` names another nginx than the machine's,
//! and `NGINX_SOURCE` then its source.

mod bytes;
mod dns;
mod ends;
mod life;
mod module;
mod program;
mod refusals;
mod rig;
mod routes;
mod shared;
mod stand_ins;
