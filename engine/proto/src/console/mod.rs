//! Who asks for which console: a request's head in; its token, its origin and its credentials, or what is wrong with them, out.
//!
//! After websockify, and nova for cookies and origins. Looks nothing up; what a token stands for is known elsewhere.

mod basic;
mod host;
mod origin;
mod token;

pub use basic::{Basic, BasicError};
pub use origin::{ListError, OriginError, Origins, page_protocol};
pub use token::{Choice, Token, host_token, path_token, token_of};
