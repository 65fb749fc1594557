//! The real programs that our users have at either end of a tunnel.

mod helper;
mod nginx;
mod qemu;
mod squid;

pub use helper::{Helper, helper_program};
pub use nginx::Nginx;
pub use qemu::{Guest, screenshot};
pub use squid::Squid;
