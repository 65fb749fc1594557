//! The daemon's metrics as the tests know them: one place to change when a name changes.

/// Tunnels that are open now.
pub const TUNNELS_OPEN: &str = "penstock_tunnels_open";
/// Bytes that a sink accepted, by `direction` and `mover`.
pub const BYTES: &str = "penstock_bytes_total";
/// One sample of value 1, whose label `driver` says which is in use.
pub const DRIVER: &str = "penstock_driver_info";
/// Pool buffers that nobody holds.
pub const BUFFERS_FREE: &str = "penstock_buffers_free";
/// Pool buffers of all groups.
pub const BUFFERS_TOTAL: &str = "penstock_buffers_total";
/// Pipes made and alive, in use or not.
pub const PIPES: &str = "penstock_pipes";
/// Pipes that a direction holds.
pub const PIPES_IN_USE: &str = "penstock_pipes_in_use";
/// Legs open, listeners included.
pub const LEGS: &str = "penstock_legs";
