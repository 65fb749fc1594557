//! The real programs that our users have at either end of a tunnel.

mod errands;
mod gatekeeper;
mod gvnc;
mod helper;
mod libvirtd;
mod nginx;
mod qemu;
mod spicy;
mod squid;
mod ssh_recorder;
mod virsh;
mod vnc_guest;
mod websockify;
mod xvnc;

pub use errands::{CONNECTIONS, READONLY_REFUSAL, VOLUME, run_errands};
pub use gatekeeper::{Gatekeeper, subject_by_libvirt};
pub use gvnc::Gvnc;
pub use helper::{Helper, helper_program};
pub use libvirtd::{Libvirtd, LibvirtdSetup};
pub use nginx::Nginx;
pub use qemu::{Guest, Line, SerialGuest};
pub use spicy::{Spicy, screenshot};
pub use squid::Squid;
pub use ssh_recorder::{remote_arguments, ssh_arguments};
pub use virsh::{Console, Follower, Virsh};
pub use vnc_guest::{SASL_PASSWORD, SASL_USER, VncGuest, VncSetup};
pub use websockify::Websockify;
pub use xvnc::Xvnc;
