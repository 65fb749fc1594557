//! RFB, the protocol of VNC: what can be told of a console by looking at the bytes that pass.
//!
//! Nothing is changed or held back, and no screen is understood.

mod activity;
mod message;
mod vencrypt;

pub use activity::{Activity, Follower};
pub use vencrypt::Subtype;
