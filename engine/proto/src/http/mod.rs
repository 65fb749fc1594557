//! HTTP/1 as a proxy and as a console gateway meet it: the heads that come in, the replies that go out.
//!
//! Forwards no head and reads no body.

mod error;
mod head;
mod line;
mod lines;
pub mod page;
pub mod reply;
pub mod request;
mod target;

pub use error::Error;
pub use head::{Credentials, HEADER_LIMIT, Head, Options, Request, Seen};
pub use line::TARGET_LIMIT;
pub use lines::HEAD_LIMIT;
pub use target::{Host, Target, TargetError};
