//! The rig: starts the real daemon and its real peers on loopback, and says what must be true of them.
//!
//! In: what a test wants of a daemon ([`Setup`]), of a peer ([`peers`]) or of a byte stream ([`stream`]).
//! Out: addresses, metrics, log lines and exact byte counts to assert on. Every process it starts dies with the
//! test. It asserts the driver that a test claims; it never skips what is missing.

#![forbid(unsafe_code)]

pub mod access_log;
pub mod browser;
pub mod connect;
pub mod echo;
pub mod http;
pub mod lock;
pub mod loopback;
pub mod metrics;
pub mod names;
pub mod origin;
pub mod peers;
pub mod penstock;
pub mod picture;
pub mod pki;
pub mod private;
pub mod process;
pub mod procfs;
pub mod python_host;
pub mod setup;
pub mod stopwatch;
pub mod stranger;
pub mod stream;
pub mod subjects;
pub mod tls;
pub mod vnc;
pub mod wait;
pub mod web_socket;

pub use penstock::Penstock;
pub use setup::{Driver, Setup};
pub use stopwatch::Stopwatch;

/// Makes two tests of each function that takes a driver: `name::uring` and `name::epoll`.
#[macro_export]
macro_rules! both_drivers {
    ($($name:ident,)*) => {$(
        mod $name {
            #[test]
            fn uring() {
                super::$name($crate::Driver::Uring);
            }

            #[test]
            fn epoll() {
                super::$name($crate::Driver::Epoll);
            }
        }
    )*};
}
