//! The daemon's metrics as the tests know them: one place to change when a name changes.

/// One sample of value 1; its labels `driver`, `masked` and `missing` say what is in use, what is hidden from it, and what
/// the kernel lacks.
pub const DRIVER: &str = "penstock_driver_info";
/// Connections alive, in whatever phase.
pub const SESSIONS_OPEN: &str = "penstock_sessions_open";
/// Connections that carry bytes.
pub const TUNNELS_OPEN: &str = "penstock_tunnels_open";
/// Connections that ever carried bytes.
pub const TUNNELS: &str = "penstock_tunnels_total";
/// TLS handshakes, by `side` (client, target) and `kind` (full, resumed, failed).
pub const HANDSHAKES: &str = "penstock_tls_handshakes_total";
/// Targets whose certificate was judged by its common name, for want of any other name.
pub const BY_COMMON_NAME: &str = "penstock_tls_by_common_name_total";
/// Files of certificates that had changed and were loaded anew, by `result` (ok, failed).
pub const RELOADS: &str = "penstock_tls_reloads_total";
/// Payload that a sink accepted, in bytes, by `direction` and `mover`.
pub const BYTES: &str = "penstock_bytes_total";
/// Connections ended, by `side`, `phase` and `cause`; a reason that never occurred has no sample.
pub const CLOSED: &str = "penstock_closed_total";
/// Times that accepting paused for want of descriptors.
pub const ACCEPT_PAUSES: &str = "penstock_accept_pauses_total";
/// Lines of a log that were lost, by `log`.
pub const LOG_DROPPED: &str = "penstock_log_dropped_total";

/// Tokens looked up, by `outcome`.
pub const TOKEN_LOOKUPS: &str = "penstock_token_lookups_total";
/// Tokens whose use is remembered.
pub const TOKENS_REMEMBERED: &str = "penstock_tokens_remembered";
/// Look-ups of tokens under way.
pub const TOKENS_IN_FLIGHT: &str = "penstock_token_lookups_in_flight";

/// Legs open, listeners included.
pub const LEGS: &str = "penstock_ring_legs";
/// Pool buffers that nobody holds.
pub const BUFFERS_FREE: &str = "penstock_ring_buffers_free";
/// Pool buffers of all groups.
pub const BUFFERS_TOTAL: &str = "penstock_ring_buffers_total";
/// Times that a receive found no buffer.
pub const BUFFERS_EXHAUSTED: &str = "penstock_ring_buffers_exhausted_total";
/// Pipes made and alive, in use or not.
pub const PIPES: &str = "penstock_ring_pipes";
/// Pipes that a direction holds.
pub const PIPES_IN_USE: &str = "penstock_ring_pipes_in_use";
/// Pipes that came out too small, because the user's quota was used up.
pub const PIPE_QUOTA: &str = "penstock_ring_pipe_quota_total";
/// Splices handed to the ring.
pub const SPLICES_BY_RING: &str = "penstock_ring_splice_ring_total";
/// Multishot requests that ended by themselves and were started again.
pub const MULTISHOT_REARMED: &str = "penstock_ring_multishot_rearmed_total";
/// Programs alive that are targets.
pub const PROGRAMS_RUNNING: &str = "penstock_programs_running";
/// Processes that start programs.
pub const SPAWNERS: &str = "penstock_spawners";
/// Wake-ups of a worker by other threads.
pub const WAKES: &str = "penstock_ring_wakes_total";
/// Wake-ups sent to a worker as a message of its ring.
pub const WAKES_BY_MESSAGE: &str = "penstock_ring_wakes_by_message_total";

/// Gauges that must come back to what they were once the connections are gone.
pub const HELD: [&str; 6] =
    [SESSIONS_OPEN, TUNNELS_OPEN, LEGS, BUFFERS_FREE, BUFFERS_TOTAL, PIPES_IN_USE];
