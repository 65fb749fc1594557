//! Bytes of a peer that wait: kept as they are, and shown to nobody. Passwords and tokens may be among them, and whatever holds them may be
//! written down for who looks for a fault.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// See the module.
#[derive(Default)]
pub(crate) struct Opaque(Vec<u8>);

impl From<Vec<u8>> for Opaque {
    fn from(bytes: Vec<u8>) -> Opaque {
        Opaque(bytes)
    }
}

impl From<Opaque> for Vec<u8> {
    fn from(Opaque(bytes): Opaque) -> Vec<u8> {
        bytes
    }
}

impl Deref for Opaque {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Opaque {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}
