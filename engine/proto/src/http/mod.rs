//! HTTP/1 as a forward proxy meets it: the CONNECT head that comes in, the replies that go out.
//!
//! Speaks no other method, and forwards no head: what is read here ends here.

mod error;
mod head;
mod line;
pub mod reply;
mod target;

pub use error::Error;
pub use head::{Credentials, HEAD_LIMIT, HEADER_LIMIT, Head, Options, Request, Seen};
pub use line::TARGET_LIMIT;
pub use target::{Host, Target, TargetError};
