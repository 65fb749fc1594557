//! `penstock ovirt-websocket-proxy` beside oVirt's own reader of tickets: tickets that OpenSSL has signed, right and wrong in one chosen way, and
//! the consoles that they lead to.

mod consoles;
mod kube_virt;
mod rig;
mod secrets;
mod spice;
mod tickets;
