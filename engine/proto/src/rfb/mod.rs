//! RFB, the protocol of VNC: what can be told of a console by looking at the bytes that pass.
//!
//! Nothing is changed or held back, and no screen is understood.

mod activity;
mod message;

pub use activity::{Activity, Follower};
