//! The real programs that our users have at either end of a tunnel.

mod gatekeeper;
mod helper;
mod nginx;
mod qemu;
mod squid;
mod ssh_recorder;

pub use gatekeeper::{Gatekeeper, subject_by_libvirt};
pub use helper::{Helper, helper_program};
pub use nginx::Nginx;
pub use qemu::{Guest, screenshot};
pub use squid::Squid;
pub use ssh_recorder::{remote_arguments, ssh_arguments};
