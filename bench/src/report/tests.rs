//! Nothing is lost, nothing is hidden, nothing becomes markup.

use super::compare::BarVerdict;
use super::{compose, html, markdown, parse, sample, words};
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
    assert!(text.contains("`copied|<bytes>` 123,000, `spliced` 0\n"));
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
    let against =
        |name, measure| record.against_best_peer(scenario(&record, name), measure).unwrap();
    let cost = |name| {
        let comparison = against(name, Measure::Figure);
        (comparison.ratio.against(1.0), comparison.other.name())
    };
    assert_eq!(cost("pingpong-64"), (Verdict::Below, "nginx"));
    assert_eq!(cost("setup"), (Verdict::Above, "nginx"));
    assert_eq!(cost("mixed"), (Verdict::Unclear, "nginx"));

    let text = text(&record);
    assert!(text.contains("**Cost:** Penstock needed less"), "{text}");
    assert!(text.contains(
        "in **3** of 5 scenarios, needed more in **1**, without a clear difference in **1**."
    ));
    assert!(text.contains("| [What does a new console cost?](#setup) | **Penstock loses** 2.00 × the CPU of nginx stream"));
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
        scenario.bars.iter().map(|bar| record.finding(scenario, bar).verdict).collect::<Vec<_>>()
    };
    use BarVerdict::{Met, Missed, NotMeasured, Unclear};
    assert_eq!(verdicts("pingpong-1000"), [Met, Missed, Met]);
    assert_eq!(verdicts("setup"), [Missed]);
    assert_eq!(verdicts("mixed"), [Unclear, NotMeasured]);
    assert_eq!(verdicts("idle"), [Met, Missed]);
    assert_eq!(verdicts("lone"), [NotMeasured]);

    let text = text(&record);
    assert!(text.contains(
        "CPU at most 0.90 × the best other program | 0.80 (0.80–0.80) × nginx stream | **met** |"
    ));
    assert!(text.contains(
        "Penstock (epoll): CPU at most 1.00 × Penstock | 1.15 (1.15–1.15) × | **missed** |"
    ));
    assert!(text.contains("its own in pingpong-64 | 1.20 (1.20–1.20) × | **met** |"));
    assert!(text.contains(
        "memory at most 1,024 bytes per tunnel | 701 (701–701) bytes per tunnel | **met** |"
    ));
    assert!(
        text.contains("| CPU at most 0.5 % of a core | 175 (175–175) % of a core | **missed** |")
    );
    assert!(text.contains("| Penstock failed | **not measured** |"));
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
        "[How long does one alone wait?](#lone) | Penstock **failed** it ended at once |"
    ));
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
fn the_default_configuration_is_the_one_so_named() {
    let mut record = sample::record();
    record.contestants.swap(0, 1);
    let lead = |record: &Record, name| {
        let entry = record.lead(scenario(record, name)).map(|entry| entry.name().to_owned());
        entry.unwrap_or_default()
    };
    assert_eq!(record.default_name(), Some("penstock-uring"));
    assert_eq!(lead(&record, "pingpong-64"), "penstock-uring");
    // Without it, whoever is there.
    record.contestants.retain(|contestant| contestant.name != "penstock-uring");
    for scenario in &mut record.scenarios {
        scenario.rows.retain(|row| row.contestant != "penstock-uring");
    }
    assert_eq!(record.default_name(), None);
    assert_eq!(lead(&record, "pingpong-64"), "penstock-epoll");
}

#[test]
fn who_fell_short_is_marked_and_no_rival() {
    let mut record = sample::record();
    // Everybody carries 2 GB/s.
    for (offered, mark) in [(2e9, false), (2.5e9, true)] {
        let mixed = record.scenarios.iter_mut().find(|s| s.name == "mixed").unwrap();
        mixed.offered = Some(offered);
        assert_eq!(section(&text(&record), "mixed").contains("2.00, short of 2.50"), mark);
        let found = record.against_best_peer(scenario(&record, "mixed"), Measure::Figure);
        assert_eq!(found.is_none(), mark);
    }
    assert!(text(&record).contains("Penstock fell short of the load | **not measured** |"));
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
