//! What one run of the harness found out: every round of every contestant, and what is needed to repeat it.
//!
//! This is the file that `run --json` writes and `report` reads. It holds what was measured and the bars as they were stated; verdicts,
//! medians and plots are made from it, so that they can be checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Raised when a field comes, goes or changes its meaning.
pub(crate) const FORMAT: u32 = 3;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) format: u32,
    pub(crate) machine: Machine,
    /// The harness's own command line.
    pub(crate) command: Vec<String>,
    /// Of Penstock: version, and commit where it is known.
    pub(crate) version: String,
    pub(crate) rounds: usize,
    pub(crate) window_ms: u64,
    /// How long the whole run took.
    pub(crate) seconds: f64,
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) absent: Vec<Absent>,
    pub(crate) scenarios: Vec<Scenario>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) load_average: f64,
    /// RFC 3339, UTC.
    pub(crate) date: String,
    pub(crate) network: Network,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Network {
    /// Why the run took place in the machine's network; none: it had a namespace of its own.
    pub(crate) machines: Option<String>,
    /// Of TCP, for every connection.
    pub(crate) congestion_control: String,
    /// Names below net in sysctl(8), and their values.
    pub(crate) settings: BTreeMap<String, String>,
}

/// The contestant that is Penstock as its users get it.
pub(crate) const DEFAULT: &str = "penstock-uring";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) family: Family,
    pub(crate) version: String,
    /// One line: what makes it what it is.
    pub(crate) setting: String,
    pub(crate) command: Vec<String>,
    /// The text of its configuration file.
    pub(crate) configuration: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Family {
    Penstock,
    /// A program that users run.
    Peer,
    /// A relay that does nothing else: a plain loop of system calls, or what a programmer would write first.
    Plain,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Absent {
    pub(crate) name: String,
    pub(crate) reason: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// What happens, exactly.
    pub(crate) title: String,
    /// What a user learns from it, in plain words.
    pub(crate) question: String,
    pub(crate) unit: Unit,
    /// The one of ours that the scenario is about.
    pub(crate) lead: String,
    /// The contestant whose figure is 1.
    pub(crate) reference: String,
    /// Number of tunnels, where the scenario is one of a series that differs in nothing else; the series' name.
    pub(crate) series: Option<(String, u32)>,
    /// Several clients send as fast as they are answered: what waits then is a queue.
    pub(crate) flat_out: bool,
    /// Bytes per second that the streams bring, all together; none: as much as goes through.
    pub(crate) offered: Option<f64>,
    /// How long each measurement ran before it counted, and how long it counted.
    pub(crate) warm_up_ms: u64,
    pub(crate) window_ms: u64,
    /// Programs of the run that did not take part, and why.
    pub(crate) absent: Vec<Absent>,
    pub(crate) rows: Vec<Row>,
    pub(crate) bars: Vec<Bar>,
}

/// What a round's figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// CPU, microseconds per connection.
    Connection,
    /// CPU, microseconds per round trip.
    RoundTrip,
    /// CPU, milliseconds per 10^9 bytes.
    Gigabyte,
    /// Growth of private memory, bytes per tunnel.
    BytesPerTunnel,
    /// The median latency, microseconds.
    Latency,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) contestant: String,
    /// Why the row does not count.
    pub(crate) failure: Option<String>,
    /// In the order of the run; round n of all contestants belongs together.
    pub(crate) rounds: Vec<Round>,
    /// All rounds' latencies: quantile (0..1) and nanoseconds; empty where nothing is timed.
    pub(crate) latencies: Vec<(f64, u64)>,
    /// Growth of Penstock's path counters in the last round.
    pub(crate) paths: Option<BTreeMap<String, f64>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    /// The figure, in the scenario's unit.
    pub(crate) figure: f64,
    pub(crate) cpu_ns: u64,
    pub(crate) elapsed_ns: u64,
    pub(crate) bytes: u64,
    /// Round trips, or whole connections.
    pub(crate) operations: u64,
    /// Latencies taken.
    pub(crate) timed: u64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    /// Resident memory of all its processes at the end.
    pub(crate) resident_bytes: u64,
    /// Voluntary context switches of all its threads.
    pub(crate) switches: u64,
    /// CPU of the load generator and the origins, which are one thread: near `elapsed_ns`, they were the limit.
    pub(crate) load_ns: u64,
    /// What anybody else, interrupts among them, took of the contestants' core; in steps of 10 ms.
    pub(crate) disturbed_ns: u64,
}

/// What one of ours must reach: at most `limit` times what the hardest of the rivals needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bar {
    pub(crate) ours: String,
    pub(crate) measure: Measure,
    pub(crate) rivals: Vec<Rival>,
    pub(crate) limit: f64,
}

/// A contestant, here or in another scenario of the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rival {
    pub(crate) contestant: String,
    /// None: this one.
    pub(crate) scenario: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    Figure,
    /// The figure, to the mean of all the rivals'.
    FigureToMean,
    P50,
    P99,
    /// The figure itself, not a ratio: `rivals` is empty, `limit` in the scenario's unit.
    Absolute,
    /// CPU over wall clock, the share of a core: no ratio either.
    CoreShare,
}
