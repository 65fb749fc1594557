//! How it was measured, on what, and how to measure it again.

use crate::record::Record;
use crate::report::document::{Block, Line, Table};
use crate::report::words;

pub(super) fn compose(record: &Record) -> Vec<Block> {
    let mut blocks = vec![Block::heading(2, "How it was measured"), Block::Table(machine(record))];
    blocks.push(Block::List(terms()));
    blocks.push(Block::paragraph(
        "Absolute figures belong to this machine and this hour. Ratios travel further. To repeat the measurement, on the machine that you care for, in a fresh clone:",
    ));
    blocks.push(Block::Code(commands(record)));
    blocks.push(Block::Paragraph(
        Line::default()
            .text("The first of these lines installs the other programs (Debian, as root) and starts none of them. This page is the last line's work: ")
            .code("run.json")
            .text(" holds every round."),
    ));
    blocks
}

fn terms() -> Vec<Line> {
    [
        ("CPU", "what the kernel counted for all threads of all processes of a program, and for nothing else, divided by the work that it did."),
        ("Rounds", "every program had its turn in every round, and ratios are made of figures of one round. Scenarios that are compared with each other took turns, too."),
        ("Brackets", "the median over the rounds stands before them, and inside the interval that the true median lies in: from the lowest round to the highest, from nine rounds on without the outermost ones."),
        ("Verdicts", "from five rounds on, and only where the whole interval lies on one side. Chance alone gives a verdict on two equal programs in at most one of 20 comparisons, with five rounds in one of 16; on a page with many comparisons expect a few of these. Rounds that share a disturbance can mislead more often."),
        ("Hardest rival", "the one beside which Penstock's ratio is worst, in the same rounds; one that clearly does better comes before a wider ratio that is unclear. A program that fails or carries less than it is offered is no rival. Where Penstock does so and another program does not, Penstock loses."),
        ("What each has to do", "Penstock, Squid, tinyproxy and Traffic Server read a CONNECT request and answer it, and Penstock checks its rules. HAProxy and nginx forward a port: they read no request, and need a message less each way to set up a connection. Where TLS is spoken, everybody forwards a port, Penstock, too."),
        ("TLS", "version 1.3 with AES-256-GCM, X25519 and a certificate of ECDSA on P-256, the same for everybody. Clients and origins offer nothing else. So as not to be the limit, they open one record of bulk in 64, which shows that none before it was lost or swapped, and count the others by their headers; and they check one signature in 16."),
        ("Plain loops and relays", "programs of a few lines that read no request and keep no limits: loops of the same system calls, and relays as a programmer would write them first. They are a measure and no bound, and nobody could run one as a proxy; none counts as another program."),
        ("Waits", "from the moment when a request was sent, or should have been where requests come at a fixed rate, to its answer: half of them are shorter than p50, 99 of 100 are shorter than p99. p99 is shown and compared only where a round has 1,000 answers or more."),
        ("Flat out", "where every client sends as soon as it has its answer, a core is saturated. A long wait there is time in the queue of all the others, and says how fast the queue is served, not how a console feels."),
        ("Limited by the load generator", "the core of the clients and origins was busy for more than 95 % of the time. Throughput is then no property of the program, and waits are not compared."),
        ("Sleeps", "how often a thread gave up its core to wait (voluntary context switches)."),
    ]
    .map(|(word, meaning)| Line::default().strong(format!("{word}:")).text(format!(" {meaning}")))
    .into()
}

fn machine(record: &Record) -> Table {
    let machine = &record.machine;
    let network = &machine.network;
    let memory = machine.memory_bytes as f64 / f64::from(1 << 30);
    let mut table = Table::new(&["What", "In this run"]);
    for (what, value) in [
        ("Date", machine.date.clone()),
        ("Penstock", record.version.clone()),
        ("Kernel", machine.kernel_name()),
        ("Processor", format!("{}, {}", machine.processor, words::count(machine.cores, "core"))),
        ("Memory", format!("{memory:.1} GiB")),
        ("Network", network.place()),
        ("Congestion control", network.congestion_control.clone()),
        ("Network settings", words::settings(network)),
        ("Load average before", format!("{:.2}", machine.load_average)),
        (
            "Rounds",
            format!(
                "{} of {} each, or as the scenario says; {} in all",
                record.rounds,
                words::milliseconds(record.window_ms),
                words::duration(record.seconds)
            ),
        ),
    ] {
        table.row(false, vec![what.into(), value.into()]);
    }
    table
}

fn commands(record: &Record) -> String {
    format!(
        "bench/setup\ncargo build --release\n{}\ncargo run --release -p penstock-bench -- report run.json \\\n    --html performance.html --markdown docs/PERFORMANCE.md\n",
        record.repeat()
    )
}
