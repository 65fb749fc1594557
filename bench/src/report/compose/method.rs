//! How it was measured, on what, and how to measure it again.

use crate::record::Record;
use crate::report::document::{Block, Line, Table};
use crate::report::words;

pub(super) fn compose(record: &Record) -> Vec<Block> {
    let mut blocks = vec![Block::heading(2, "How it was measured"), Block::Table(machine(record))];
    blocks.push(Block::List(vec![
        item("CPU", "what the kernel counted for all threads of all processes of a program, and for nothing else, divided by the work that it did."),
        item("Rounds", "every program had its turn in every round, and ratios are made of figures of one round. The table shows their median and, in brackets, the quartiles: half of the rounds lay in between. Scenarios that are compared with each other took turns, too."),
        item("Verdicts", "from five rounds on, and only where the median differs by more than the distance between the quartiles."),
        item("Bare loops and plain relays", "programs of a few lines that read no request and keep no limits. The loops show what the kernel itself costs, the relays what a programmer would write first; nobody could run one as a proxy, and none counts as another program."),
        item("Waits", "from the moment when a request was sent, or should have been where requests come at a fixed rate, to its answer: half of them are shorter than p50, 99 of 100 are shorter than p99."),
        item("Sleeps", "how often a thread gave up its core to wait (voluntary context switches)."),
    ]));
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

fn item(word: &str, meaning: &str) -> Line {
    Line::default().strong(format!("{word}:")).text(format!(" {meaning}"))
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
                "{} of {} ms each, {} in all",
                record.rounds,
                record.window_ms,
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
