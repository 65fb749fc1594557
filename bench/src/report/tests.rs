//! Nothing is lost, nothing is hidden, nothing becomes markup.

use super::{compose, html, markdown, parse, readme, sample, words};
use crate::compare::{Entry, Standing};
use crate::record::{FORMAT, Family, Measure, Record, Scenario};
use crate::stats::Verdict;

fn page(record: &Record) -> String {
    html::render(compose::TITLE, &compose::compose(record))
}

fn text(record: &Record) -> String {
    markdown::render(&compose::compose(record))
}

/// The page as XML: void elements are the only ones that HTML leaves open.
fn tree(page: &str) -> String {
    let body = page.replace("<!DOCTYPE html>\n", "");
    let lines = body.lines().map(|line| match line.starts_with("<meta ") {
        true => line.replace('>', "/>"),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The part of a Markdown report below the heading of a scenario.
fn section<'a>(text: &'a str, scenario: &str) -> &'a str {
    let from = text.find(&format!("<a id=\"{scenario}\">")).expect(scenario);
    let rest = &text[from + 1..];
    let end = [rest.find("<a id="), rest.find("\n## ")].into_iter().flatten().min();
    &rest[..end.unwrap_or(rest.len())]
}

fn scenario<'a>(record: &'a Record, name: &str) -> &'a Scenario {
    record.scenarios.iter().find(|scenario| scenario.name == name).unwrap()
}

#[test]
fn a_record_survives_its_file() {
    let record = sample::record();
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(text(&parse(&json).unwrap()), text(&record));
    let newer = json.replacen(&format!("\"format\":{FORMAT}"), "\"format\":77", 1);
    assert!(parse(&newer).unwrap_err().to_string().contains("77"));
    assert!(parse("{}").is_err());
}

#[test]
fn every_row_and_bar_is_shown() {
    let record = sample::record();
    let text = text(&record);
    for scenario in &record.scenarios {
        let section = section(&text, &scenario.name);
        for row in &scenario.rows {
            let name = markdown_name(&row.contestant);
            let begin = format!("\n| {name} | ");
            assert_eq!(section.matches(&begin).count(), 1, "{begin} in {section}");
        }
    }
    let goals = &text[text.find("## Goals").unwrap()..text.find("## How").unwrap()];
    let bars: usize = record.scenarios.iter().map(|scenario| scenario.bars.len()).sum();
    assert_eq!(goals.matches("** |\n").count(), bars);
}

fn markdown_name(contestant: &str) -> String {
    words::readable(contestant).replace('<', "&lt;").replace('>', "&gt;")
}

#[test]
fn the_page_has_every_row_and_a_bar_for_each() {
    let record = sample::record();
    let page = tree(&page(&record));
    let document = roxmltree::Document::parse(&page).expect("well-formed");
    let svgs: Vec<_> = document
        .descendants()
        .filter(|n| n.has_tag_name(("http://www.w3.org/2000/svg", "svg")))
        .collect();
    // Costs of six scenarios, waits of five, one series; each broad and narrow.
    assert_eq!(svgs.len(), 2 * (6 + 5 + 1));
    for scenario in &record.scenarios {
        let heading = document.descendants().find(|n| n.attribute("id") == Some(&scenario.name));
        let figure = heading.unwrap().next_siblings().find(|n| n.has_tag_name("figure")).unwrap();
        for row in &scenario.rows {
            let name = words::readable(&row.contestant);
            let labels = figure.descendants().filter(|n| n.text().map(str::trim) == Some(&name));
            assert_eq!(labels.filter(|n| n.tag_name().name() == "text").count(), 2, "{name}");
        }
    }
    assert!(!document.descendants().any(|n| n.has_tag_name("script")));
}

#[test]
fn nothing_measured_becomes_markup() {
    let record = sample::record();
    let (page, text) = (page(&record), text(&record));
    assert!(!page.contains("<script") && !page.contains("my<proxy>"));
    let escaped = "a &lt; b &amp;&amp; c | &lt;script&gt;alert(1)&lt;/script&gt;";
    assert!(page.contains(escaped));
    assert!(
        text.contains(
            r"a &lt; b &amp;&amp; c \| &lt;script&gt;alert(1)&lt;/script&gt; \*d\* \`e\`"
        )
    );
    let counters = "path check passed: 99.9 % spliced; `copied bytes` 1,000, `spliced bytes` 999,000, `what|<ever>` 123,000\n";
    assert!(text.contains(counters), "{text}");
    // The configuration holds a fence of its own; it is shown as it is inside a longer one.
    assert!(text.contains(&format!("````\nhttp_port 1\n```\n{}\n````", sample::HOSTILE)));
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let unescaped = row.replace("\\|", "");
        assert!(!unescaped.contains('<'), "{row}");
    }
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2).filter(|p| p.iter().all(|line| line.starts_with("| "))) {
        assert_eq!(columns(pair[0]), columns(pair[1]), "{pair:?}");
    }
}

#[test]
fn losses_stand_beside_wins() {
    let record = sample::record();
    let cost = |name| match record.against_peers(scenario(&record, name), Measure::Figure) {
        Standing::Measured(found) => (found.verdict, found.rival.map_or("", Entry::name)),
        _ => panic!("{name} was measured"),
    };
    assert_eq!(cost("pingpong-64"), (Verdict::Below, "nginx"));
    assert_eq!(cost("setup"), (Verdict::Above, "nginx"));
    assert_eq!(cost("mixed"), (Verdict::Unclear, "nginx"));

    let text = text(&record);
    assert!(text.contains("**Cost:** Penstock needed less"), "{text}");
    assert!(text.contains(
        "in **3** of 6 scenarios, needed more in **2**, without a clear difference in **1**."
    ));
    assert!(text.contains("| [What does a new console cost?](#setup) | **Penstock loses** 2.00 × the CPU of nginx stream, hardest of 2 programs |"));
    assert!(text.contains("| [And while films play?](#mixed) | **no clear difference** 0.98"));
    assert!(
        section(&text, "setup")
            .contains("| nginx stream | 100 | 1.11 (1.11–1.11) | **loses** 2.00 × |")
    );
    assert!(
        section(&text, "setup").contains("| Squid | 400 | 4.44 (4.44–4.44) | **wins** 0.50 × |")
    );
    let page = page(&record);
    assert!(
        page.contains(
            "<strong class=\"bad\">Penstock loses</strong> 2.00 × the CPU of nginx stream"
        )
    );
}

#[test]
fn bars_say_what_became_of_them() {
    let record = sample::record();
    let verdicts = |name| {
        let scenario = scenario(&record, name);
        let verdict = |bar| record.finding(scenario, bar).standing.verdict();
        scenario.bars.iter().map(verdict).collect::<Vec<_>>()
    };
    let [met, missed, unclear] = [Verdict::Below, Verdict::Above, Verdict::Unclear].map(Some);
    assert_eq!(verdicts("pingpong-1000"), [met, missed, met]);
    assert_eq!(verdicts("setup"), [missed]);
    assert_eq!(verdicts("mixed"), [unclear, None]);
    assert_eq!(verdicts("idle"), [met, missed]);
    assert_eq!(verdicts("lone"), [missed]);

    let text = text(&record);
    assert!(text.contains(
        "CPU at most 0.90 × the best other program | 0.80 (0.80–0.80) × nginx stream | **met** |"
    ));
    assert!(text.contains(
        "Penstock (epoll): CPU at most 1.00 × Penstock | 1.15 (1.15–1.15) × | **missed** |"
    ));
    assert!(text.contains("its own in pingpong-64 | 1.20 (1.20–1.20) × | **met** |"));
    assert!(text.contains(
        "memory at most 1,024 bytes per tunnel | 701 (694–708) bytes per tunnel | **met** |"
    ));
    assert!(
        text.contains("| CPU at most 0.5 % of a core | 175 (173–177) % of a core | **missed** |")
    );
    assert!(text.contains("| Penstock failed: it ended at once | **missed** |"));
    assert!(text.contains("| no rival was measured (Squid failed) | **not measured** |"));
    assert!(text.contains("other programs:** of 6 set in advance, **2** are met, **2** missed, **1** unclear, 1 not measured"), "{text}");
    assert!(
        text.contains(
            "fixed limits:** of 6 set in advance, **3** are met, **3** missed, **0** unclear ("
        ),
        "{text}"
    );
}

#[test]
fn failures_and_absences_have_reasons() {
    let text = text(&sample::record());
    assert!(section(&text, "mixed").contains("| Squid | **failed** wrong path: a &lt; b"));
    assert!(section(&text, "lone").contains("| Penstock | **failed** it ended at once |"));
    assert!(text.contains("**tinyproxy** was left out: not installed &amp; &lt;not&gt; found"));
    assert!(text.contains("**nginx stream** was left out of [idle](#idle): too many"));
    assert!(text.contains("**Penstock** failed in [lone](#lone): it ended at once for a reason\n"));
    assert!(text.contains("**Squid** failed in [mixed](#mixed): wrong path"));
    assert!(text.contains(
        "[How long does one alone wait?](#lone) | **Penstock failed**: it ended at once | **Penstock failed**: it ended at once |"
    ));
    let idle = "Not measured here: tinyproxy (too slow); HAProxy (no splice) and nginx stream (16 KiB buffers) (not &lt;now&gt;).";
    assert!(section(&text, "idle").contains(idle), "{text}");
}

#[test]
fn the_run_can_be_repeated() {
    let text = text(&sample::record());
    let expected = "cargo run --release -p penstock-bench -- run --only 'a b' --json run.json\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("Linux 6.18.44"));
    assert!(text.contains("This was a short run."));
}

#[test]
fn the_network_is_named_in_the_first_minute() {
    let mut record = sample::record();
    let minute = |record: &Record| text(record).split("## Goals").next().unwrap().to_owned();
    let own = "in a network namespace of the run's own, with TCP's cubic congestion control.";
    assert!(minute(&record).contains(own), "{}", minute(&record));
    record.machine.network.machines = Some("asked for".into());
    record.machine.network.congestion_control = "bbr".into();
    let hosts = "in the machine's own network (asked for), with TCP's bbr congestion control.";
    assert!(minute(&record).contains(hosts), "{}", minute(&record));
    assert!(text(&record).contains("| Network settings | core.somaxconn 4096 |"));
}

#[test]
fn who_fell_short_is_marked_and_loses_to_who_did_not() {
    let mut record = sample::record();
    // Everybody carries 2 GB/s.
    let mixed = record.scenarios.iter_mut().find(|s| s.name == "mixed").unwrap();
    mixed.offered = Some(2e9);
    assert!(!section(&text(&record), "mixed").contains("short"));

    let mixed = record.scenarios.iter_mut().find(|s| s.name == "mixed").unwrap();
    mixed.offered = Some(4e9);
    let others = mixed.rows.iter_mut().filter(|row| row.contestant != "penstock-uring");
    others.flat_map(|row| &mut row.rounds).for_each(|round| round.bytes *= 2);
    let text = text(&record);
    assert!(section(&text, "mixed").contains("2.00, short of 4.00"));
    let lost = "**Penstock loses**: carried 2.00 of 4.00 GB/s | **Penstock loses**: carried";
    assert!(text.contains(lost), "{text}");
    assert!(text.contains("of 6 scenarios, needed more in **3**"), "{text}");
    let missed = "Penstock fell short: carried 2.00 of 4.00 GB/s | **missed** |";
    assert!(text.contains(missed), "{text}");
}

#[test]
fn what_is_not_the_contestants_own_is_marked() {
    let mut record = sample::record();
    let setup = record.scenarios.iter_mut().find(|s| s.name == "setup").unwrap();
    for round in &mut setup.rows[1].rounds {
        round.load_ns = round.elapsed_ns;
        round.timed = 900;
    }
    for round in &mut setup.rows[0].rounds {
        round.disturbed_ns = round.elapsed_ns / 10;
    }
    let text = text(&record);
    let setup = section(&text, "setup");
    assert!(setup.contains("2,500, limited by the load generator | 500 | – |"), "{setup}");
    assert!(setup.contains("or with somebody else: Penstock 10.0 %."), "{setup}");
    assert!(setup.contains("Each measurement took 400 ms after 100 ms of warm-up. Flat out:"));
    assert!(section(&text, "idle").contains("the kernel's own for sockets and pipes is not in it"));
}

#[test]
fn a_run_without_peers_or_bars_is_told_as_such() {
    let mut record = sample::record();
    record.contestants.retain(|contestant| contestant.family != Family::Peer);
    for scenario in &mut record.scenarios {
        scenario.bars.clear();
        scenario.rows.retain(|row| {
            row.contestant.starts_with("penstock") || row.contestant.starts_with("bare")
        });
    }
    let text = text(&record);
    assert!(text.contains("no other program took part"));
    assert!(!text.contains("of 0 scenarios"));
    let nothing = Record { contestants: Vec::new(), scenarios: Vec::new(), ..record };
    assert!(page(&nothing).contains("nobody else"));
}

#[test]
fn a_readme_is_renewed_between_its_marks() {
    let marks = [
        "<!-- measured: begin; made by penstock-bench report --readme -->",
        "<!-- measured: end -->",
    ];
    let old = format!("# Before\n\n{}\n| old |\n{}\n\nafter\n", marks[0], marks[1]);
    let record = sample::record();
    let new = readme::renew(&old, &record).unwrap();
    assert!(new.starts_with("# Before\n\n") && new.ends_with("\n\nafter\n"), "{new}");
    assert!(!new.contains("old"));
    assert_eq!(readme::renew(&new, &record).unwrap(), new);

    let row = |scenario: &str| {
        let begin = format!("| what happens in {scenario} &lt;exactly&gt;");
        new.lines().find(|line| line.starts_with(&begin)).unwrap_or_default()
    };
    assert!(
        row("setup")
            .contains("CPU, × bare copy loop | 2.22, goal missed | – | 4.44, won | 1.11, lost |")
    );
    assert!(row("pingpong-1000").contains("| 0.76 | 0.88, goal missed | 1.90, won | 0.95, won |"));
    assert!(row("idle").contains("bytes per tunnel | 701 | – | 300,000, won | 9,100, won |"));
    assert!(
        row("lone").contains("median, µs | failed, goal missed | – | – | 50.0, lost |"),
        "{new}"
    );
    assert!(
        row("mixed").contains("p99, ms | 10.0 | – | failed | 10.2, no clear difference |"),
        "{new}"
    );

    assert!(readme::renew(include_str!("../../../README.md"), &record).is_ok());
    for broken in [marks[0].to_owned(), format!("{}\n{}\n", marks[1], marks[0])] {
        assert!(readme::renew(&broken, &record).is_err());
    }
}
