//! HTTP/1 as a proxy and as a console gateway meet it: the heads that come in, the replies that go out.
//!
//! Forwards no head and reads no body.

mod error;
pub mod fields;
mod head;
mod headers;
mod line;
mod lines;
pub mod page;
mod passage;
pub mod reply;
pub mod request;
mod target;

pub use error::Error;
pub use head::{Credentials, Head, Options, Request, Seen};
pub use headers::HEADER_LIMIT;
pub use line::TARGET_LIMIT;
pub use lines::HEAD_LIMIT;
pub use passage::{PathAnswer, PathError};
pub use target::{Host, Target, TargetError};
