//! Who may reach what.

/// A set of client addresses.
#[derive(Debug, Default)]
pub struct AddressSet {}

/// Access rules in the order in which they are judged.
#[derive(Debug, Default)]
pub struct Rules {}
