//! RFB, the protocol of VNC: how its two sides come together, and what can be told of a console by looking at the bytes that pass.
//!
//! ```text
//!  server ──▶ Approach ──▶ (TLS) ──▶ Proof ─────────┐           Welcome ──▶ Offer ──▶ (TLS) ◀── client
//!                            └─────▶ Passage ◀──────┼──────────────────────────┘
//!                                                   └─▶ Introduction
//! ```
//!
//! Each machine speaks with one side; `Passage` and [`Introduction`] stand between both, and [`Gateway`] leads them all. No screen is
//! understood. After RFC 6143, rfbproto and, where they differ, QEMU.

mod activity;
mod approach;
mod challenge;
mod error;
mod gateway;
mod introduction;
mod message;
mod outcome;
mod passage;
mod proof;
mod sasl;
mod security;
mod vencrypt;
mod version;
mod view_only;
mod welcome;
mod wire;

pub use activity::{Activity, Follower};
pub use approach::Allowed;
pub use error::{Error, SaslError};
pub use gateway::{Both, Failure, Gateway, Keys, Mode, Next, Plan};
pub use introduction::Introduction;
pub use sasl::Prover;
pub use security::{Scheme, SchemeOrder};
pub use vencrypt::Subtype;
pub use version::Version;
pub use view_only::ViewOnly;
