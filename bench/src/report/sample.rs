//! A record made up for tests: wins, losses, what is unclear, failed, absent, a series, memory, and text that looks like markup.

use std::collections::BTreeMap;

use crate::record::{
    Absent, Bar, Contestant, FORMAT, Family, Machine, Measure, Network, Record, Rival, Round, Row,
    Scenario, Unit,
};

/// Text that must reach the reader as it is.
pub(super) const HOSTILE: &str = "a < b && c | <script>alert(1)</script> *d* `e`";

/// Steady rounds.
const STEADY: [f64; 5] = [0.99, 1.0, 1.0, 1.0, 1.01];
/// Rounds of which nothing can be concluded.
const WILD: [f64; 5] = [0.5, 0.8, 1.0, 1.4, 1.9];

pub(super) fn record() -> Record {
    Record {
        format: FORMAT,
        machine: machine(),
        command: ["penstock-bench", "run", "--json", "here.json", "--only", "a b"]
            .map(str::to_owned)
            .to_vec(),
        version: "0.1.0".into(),
        rounds: 5,
        window_ms: 400,
        seconds: 312.0,
        contestants: vec![
            contestant("penstock-uring", Family::Penstock),
            contestant("penstock-epoll", Family::Penstock),
            contestant("squid", Family::Peer),
            contestant("nginx", Family::Peer),
            contestant("my<proxy>", Family::Peer),
            contestant("bare-copy", Family::Plain),
        ],
        absent: [("tinyproxy", "not installed & <not> found"), ("nginx", "idle: too many")]
            .map(|(name, reason)| Absent { name: name.into(), reason: reason.into() })
            .into(),
        scenarios: vec![
            pingpong("pingpong-64", 64, 10.0),
            pingpong("pingpong-1000", 1000, 12.0),
            setup(),
            mixed(),
            idle(),
            failed(),
        ],
    }
}

fn machine() -> Machine {
    Machine {
        kernel: "6.18.44".into(),
        processor: "Processor <of> Tests".into(),
        cores: 2,
        memory_bytes: 8 << 30,
        load_average: 0.25,
        date: "2026-11-22T05:00:00Z".into(),
        network: Network {
            machines: None,
            congestion_control: "cubic".into(),
            settings: BTreeMap::from([("core.somaxconn".into(), "4096".into())]),
        },
    }
}

fn contestant(name: &str, family: Family) -> Contestant {
    Contestant {
        name: name.into(),
        family,
        version: "1.2".into(),
        setting: HOSTILE.into(),
        command: vec!["program".into(), "two words".into()],
        configuration: (name == "squid").then(|| format!("http_port 1\n```\n{HOSTILE}\n")),
    }
}

/// Won, and half of it measured badly.
fn pingpong(name: &str, tunnels: u32, figure: f64) -> Scenario {
    let mut paths = row("penstock-uring", figure * 0.8, STEADY);
    paths.paths = Some(BTreeMap::from([
        ("copied bytes".to_owned(), 1e3),
        ("spliced bytes".into(), 999e3),
        ("pipe quota".into(), 0.0),
        ("what|<ever>".into(), 123_456.0),
    ]));
    Scenario {
        series: Some(("tunnels".into(), tunnels)),
        question: "What does a key press cost?".into(),
        flat_out: true,
        rows: vec![
            paths,
            row("penstock-epoll", figure * 0.92, STEADY),
            row("squid", figure * 2.0, STEADY),
            row("nginx", figure, STEADY),
            row("my<proxy>", figure * 1.1, WILD),
            row("bare-copy", figure * 1.05, STEADY),
        ],
        bars: vec![
            bar("penstock-uring", Measure::Figure, &["squid", "nginx", "my<proxy>"], 0.9),
            bar("penstock-epoll", Measure::Figure, &["penstock-uring"], 1.0),
            Bar {
                rivals: vec![Rival {
                    contestant: "penstock-uring".into(),
                    scenario: Some("pingpong-64".into()),
                }],
                ..bar("penstock-uring", Measure::Figure, &[], 1.35)
            },
        ],
        ..scenario(name, Unit::RoundTrip)
    }
}

/// Lost.
fn setup() -> Scenario {
    let rows = vec![
        row("penstock-uring", 200.0, STEADY),
        row("nginx", 100.0, STEADY),
        row("squid", 400.0, STEADY),
        row("bare-copy", 90.0, STEADY),
    ];
    let bars = vec![bar("penstock-uring", Measure::Figure, &["nginx"], 0.95)];
    Scenario {
        question: "What does a new console cost?".into(),
        flat_out: true,
        rows,
        bars,
        ..scenario("setup", Unit::Connection)
    }
}

/// Unclear, and one whose rival failed.
fn mixed() -> Scenario {
    let failure = Some(format!("wrong path: {HOSTILE}"));
    let rows = vec![
        row("penstock-uring", 500.0, WILD),
        row("nginx", 510.0, STEADY),
        Row { failure, ..row("squid", 1.0, STEADY) },
        row("bare-copy", 400.0, STEADY),
    ];
    let bars = vec![
        bar("penstock-uring", Measure::Figure, &["nginx"], 1.0),
        bar("penstock-uring", Measure::Figure, &["squid"], 1.0),
    ];
    Scenario {
        question: "And while films play?".into(),
        rows,
        bars,
        ..scenario("mixed", Unit::Gigabyte)
    }
}

fn idle() -> Scenario {
    let rows = vec![
        row("penstock-uring", 701.0, STEADY),
        row("nginx", 9_100.0, STEADY),
        row("squid", 300_000.0, STEADY),
        row("bare-copy", 91_000.0, STEADY),
    ];
    let rows = rows.into_iter().map(|row| Row { latencies: Vec::new(), ..without_waits(row) });
    let bars = vec![
        bar("penstock-uring", Measure::Absolute, &[], 1024.0),
        bar("penstock-uring", Measure::CoreShare, &[], 0.005),
    ];
    Scenario {
        question: "What does a quiet one cost?".into(),
        absent: [
            ("tinyproxy", "too slow"),
            ("haproxy-copy", "not <now>"),
            ("nginx-default", "not <now>"),
        ]
        .map(|(name, reason)| Absent { name: name.into(), reason: reason.into() })
        .into(),
        rows: rows.collect(),
        bars,
        ..scenario("idle", Unit::BytesPerTunnel)
    }
}

/// Ours failed, and the reference is not there.
fn failed() -> Scenario {
    let failure = Some("it ended at once\n  for a reason\n".to_owned());
    let rows = vec![
        Row { failure, rounds: Vec::new(), ..row("penstock-uring", 1.0, STEADY) },
        row("nginx", 50.0, STEADY),
    ];
    let bars = vec![bar("penstock-uring", Measure::P50, &["nginx"], 0.5)];
    Scenario {
        question: "How long does one alone wait?".into(),
        rows,
        bars,
        ..scenario("lone", Unit::Latency)
    }
}

fn scenario(name: &str, unit: Unit) -> Scenario {
    Scenario {
        name: name.into(),
        title: format!("what happens in {name} <exactly>"),
        question: String::new(),
        unit,
        lead: "penstock-uring".into(),
        reference: "bare-copy".into(),
        series: None,
        flat_out: false,
        offered: None,
        warm_up_ms: 100,
        window_ms: 400,
        absent: Vec::new(),
        rows: Vec::new(),
        bars: Vec::new(),
    }
}

fn bar(ours: &str, measure: Measure, rivals: &[&str], limit: f64) -> Bar {
    let rival = |name: &&str| Rival { contestant: (*name).to_owned(), scenario: None };
    Bar { ours: ours.into(), measure, rivals: rivals.iter().map(rival).collect(), limit }
}

fn row(contestant: &str, figure: f64, factors: [f64; 5]) -> Row {
    let round = |factor: f64| Round {
        figure: figure * factor,
        cpu_ns: (figure * factor * 1e6) as u64,
        elapsed_ns: 400_000_000,
        bytes: 800_000_000,
        operations: 1000,
        timed: 5_000,
        p50_ns: (figure * 5e3) as u64,
        p99_ns: (figure * 2e4 * factor) as u64,
        resident_bytes: 12 << 20,
        switches: 320,
        load_ns: 200_000_000,
        disturbed_ns: 0,
    };
    let latencies = [(0.5, 5e3), (0.9, 8e3), (0.99, 2e4), (0.999, 6e4), (1.0, 9e4)];
    Row {
        contestant: contestant.into(),
        failure: None,
        rounds: factors.map(round).to_vec(),
        latencies: latencies.map(|(q, ns)| (q, (ns * figure) as u64)).to_vec(),
        paths: None,
    }
}

fn without_waits(mut row: Row) -> Row {
    for round in &mut row.rounds {
        (round.p50_ns, round.p99_ns) = (0, 0);
    }
    row
}
