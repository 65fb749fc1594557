//! Names, units and numbers as people say them.

use crate::record::{Machine, Measure, Network, Record, Round, Unit};
use crate::stats::{Summary, Verdict};

/// What the contestants' names stand for; one that is not here keeps its own name.
const NAMES: &[(&str, &str)] = &[
    ("penstock-uring", "Penstock"),
    ("penstock-epoll", "Penstock (epoll)"),
    ("penstock-uring-ring", "Penstock (ring splice)"),
    ("penstock-uring-copy", "Penstock (no splice)"),
    ("penstock-uring-busy", "Penstock (busy polling)"),
    ("penstock-uring-ungathered", "Penstock (bulk not gathered)"),
    ("penstock-uring-2", "Penstock (two workers)"),
    ("penstock-uring-other", "Penstock (one worker, other core)"),
    ("squid", "Squid"),
    ("tinyproxy", "tinyproxy"),
    ("trafficserver", "Traffic Server"),
    ("haproxy-copy", "HAProxy (no splice)"),
    ("haproxy-auto", "HAProxy (splice-auto)"),
    ("haproxy-wide", "HAProxy (wide buffers)"),
    ("haproxy-splice", "HAProxy (forced splice)"),
    ("haproxy-busy", "HAProxy (busy polling)"),
    ("nginx", "nginx stream"),
    ("nginx-default", "nginx stream (16 KiB buffers)"),
    ("nginx-penstock", "nginx stream (Penstock's module)"),
    ("nginx-penstock-epoll", "nginx stream (Penstock's module on epoll)"),
    ("tokio", "tokio relay"),
    ("tokio-uring", "tokio-uring relay"),
    ("penstock-tls", "Penstock (TLS in)"),
    ("penstock-tls-epoll", "Penstock (TLS in by epoll)"),
    ("penstock-to-tls", "Penstock (TLS out)"),
    ("penstock-to-tls-epoll", "Penstock (TLS out by epoll)"),
    ("haproxy-tls", "HAProxy (TLS in)"),
    ("haproxy-tls-wide", "HAProxy (TLS in by wide buffers)"),
    ("haproxy-to-tls", "HAProxy (TLS out)"),
    ("haproxy-to-tls-wide", "HAProxy (TLS out by wide buffers)"),
    ("nginx-tls", "nginx stream (TLS in)"),
    ("nginx-tls-wide", "nginx stream (TLS in by wide buffers)"),
    ("nginx-to-tls", "nginx stream (TLS out)"),
    ("nginx-to-tls-wide", "nginx stream (TLS out by wide buffers)"),
    ("hitch", "hitch"),
    ("stunnel", "stunnel"),
    ("stunnel-to-tls", "stunnel (TLS out)"),
    ("bare-tls", "bare TLS loop"),
    ("bare-to-tls", "bare TLS loop (out)"),
    ("penstock-ws", "Penstock (WebSocket)"),
    ("penstock-ws-epoll", "Penstock (WebSocket by epoll)"),
    ("penstock-ws-copy", "Penstock (WebSocket, no splice)"),
    ("penstock-wss", "Penstock (WebSocket by TLS)"),
    ("penstock-vnc", "Penstock (VeNCrypt)"),
    ("penstock-vnc-epoll", "Penstock (VeNCrypt by epoll)"),
    ("websockify", "websockify"),
    ("websockify-vnc", "websockify (VNC in the clear)"),
    ("websockify-tls", "websockify (TLS)"),
    ("websockify-penstock", "websockify with Penstock"),
    ("bare-ws", "bare WebSocket loop"),
    ("bare-ws-splice", "bare WebSocket loop (splice)"),
    ("bare-copy", "bare copy loop"),
    ("bare-copy-busy", "bare copy loop (busy polling)"),
    ("bare-splice", "bare splice loop"),
];

/// A contestant's name in prose.
pub(super) fn readable(name: &str) -> String {
    if let Some((_, readable)) = NAMES.iter().find(|(known, _)| *known == name) {
        return (*readable).to_owned();
    }
    let families = [("penstock-", "Penstock"), ("haproxy-", "HAProxy"), ("nginx-", "nginx stream")];
    let known = families.iter().find_map(|(prefix, family)| {
        Some(format!("{family} ({})", name.strip_prefix(prefix)?.replace('-', " ")))
    });
    known.unwrap_or_else(|| name.to_owned())
}

impl Unit {
    /// What is spent: "… × the CPU of Squid".
    pub(super) fn noun(self) -> &'static str {
        match self {
            Unit::Connection | Unit::RoundTrip | Unit::Gigabyte => "CPU",
            Unit::BytesPerTunnel => "memory",
            Unit::Latency => "median wait",
        }
    }

    /// What the figure is counted in.
    pub(super) fn per(self) -> &'static str {
        match self {
            Unit::Connection => "µs per connection",
            Unit::RoundTrip => "µs per round trip",
            Unit::Gigabyte => "ms per GB",
            Unit::BytesPerTunnel => "bytes per tunnel",
            Unit::Latency => "µs",
        }
    }

    /// Head of the column that `rate` fills; none where nothing goes through.
    pub(super) fn rate_head(self) -> Option<&'static str> {
        match self {
            Unit::Connection => Some("connections/s"),
            Unit::RoundTrip | Unit::Latency => Some("round trips/s"),
            Unit::Gigabyte => Some("GB/s"),
            Unit::BytesPerTunnel => None,
        }
    }

    pub(super) fn rate(self, round: &Round) -> Option<f64> {
        let count = match self {
            Unit::Connection | Unit::RoundTrip | Unit::Latency => round.operations as f64 * 1e9,
            Unit::Gigabyte => round.bytes as f64,
            Unit::BytesPerTunnel => return None,
        };
        finite(count / round.elapsed_ns as f64)
    }

    /// Head of the column that `switches` fills.
    pub(super) fn switches_head(self) -> &'static str {
        match self {
            Unit::Connection => "sleeps per connection",
            Unit::RoundTrip | Unit::Latency => "sleeps per round trip",
            Unit::Gigabyte => "sleeps per GB",
            Unit::BytesPerTunnel => "sleeps per second",
        }
    }

    pub(super) fn switches(self, round: &Round) -> Option<f64> {
        let per = match self {
            Unit::Connection | Unit::RoundTrip | Unit::Latency => round.operations as f64,
            Unit::Gigabyte => round.bytes as f64 / 1e9,
            Unit::BytesPerTunnel => round.elapsed_ns as f64 / 1e9,
        };
        finite(round.switches as f64 / per)
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

impl Measure {
    pub(super) fn noun(self, unit: Unit) -> &'static str {
        match self {
            Measure::Figure | Measure::FigureToMean | Measure::Absolute => unit.noun(),
            Measure::CoreShare => "CPU",
            Measure::P50 => "median wait (p50)",
            Measure::P99 => "longest waits (p99)",
        }
    }
}

impl Network {
    /// Where the run took place.
    pub(super) fn place(&self) -> String {
        match &self.machines {
            None => "a namespace of the run's own".into(),
            Some(reason) => format!("the machine's: {reason}"),
        }
    }

    /// The same in a sentence.
    pub(super) fn sentence(&self) -> String {
        let place = match &self.machines {
            None => "a network namespace of the run's own".to_owned(),
            Some(reason) => format!("the machine's own network ({reason})"),
        };
        format!(
            "All of it went over loopback, in {place}, with TCP's {} congestion control.",
            self.congestion_control
        )
    }
}

/// Names and values.
pub(super) fn settings(network: &Network) -> String {
    let settings: Vec<String> =
        network.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
    settings.join(", ")
}

/// Three significant digits, thousands apart: 0.0123, 1.05, 44.1, 1,590, 44,000.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if magnitude < 3 {
        let decimals = (2 - magnitude).clamp(0, 4) as usize;
        return format!("{value:.decimals$}");
    }
    let step = 10f64.powi(magnitude - 2);
    thousands(((value / step).round() * step) as i64)
}

/// On an axis, where the values are round.
pub(super) fn tick(value: f64) -> String {
    let text = number(value);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Every digit, thousands apart.
pub(super) fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A ratio's digits: two decimals, fewer where it is large, two digits where it is small.
pub(super) fn ratio(value: f64) -> String {
    match value.abs() {
        small if small < 0.095 => {
            let places = (1.0 - small.log10().floor()).clamp(2.0, 5.0) as usize;
            format!("{value:.places$}")
        }
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The median ratio and the interval that its verdict is made from.
pub(super) fn ratio_and_spread(summary: &Summary) -> String {
    let [median, low, high] = [summary.median, summary.low, summary.high].map(ratio);
    format!("{median} ({low}–{high})")
}

/// The same for a figure, in a unit that is `factor` times finer.
pub(super) fn number_and_spread(summary: &Summary, factor: f64) -> String {
    let [median, low, high] =
        [summary.median, summary.low, summary.high].map(|value| number(value * factor));
    format!("{median} ({low}–{high})")
}

/// What was asked for, to the digit: 1,024 or 0.5.
pub(super) fn exact(value: f64) -> String {
    if value.fract() == 0.0 { thousands(value as i64) } else { value.to_string() }
}

pub(super) fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Seconds from ten of them on.
pub(super) fn milliseconds(milliseconds: u64) -> String {
    match milliseconds {
        few if few < 10_000 => format!("{} ms", thousands(few.cast_signed())),
        many => format!("{} s", number(many as f64 / 1e3)),
    }
}

/// Minutes from a minute and a half on.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{seconds:.0} seconds")
    } else {
        format!("{:.0} minutes", seconds / 60.0)
    }
}

/// Names of one program's settings made one: "Squid, HAProxy (splice-auto, no splice) and nginx".
pub(super) fn group(names: &[String]) -> String {
    let mut programs: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in names {
        let (program, setting) = name.split_once(" (").unwrap_or((name, ""));
        let setting = setting.trim_end_matches(')');
        match programs.iter_mut().find(|(known, _)| *known == program && !setting.is_empty()) {
            Some((_, settings)) => settings.push(setting),
            None => programs.push((program, vec![setting])),
        }
    }
    let joined = programs.iter().map(|(program, settings)| match settings.as_slice() {
        [""] => (*program).to_owned(),
        settings => format!("{program} ({})", settings.join(", ")),
    });
    enumerate(&joined.collect::<Vec<_>>(), "and")
}

/// Each once, without its settings.
pub(super) fn programs(names: &[String]) -> Vec<&str> {
    let mut programs: Vec<&str> = Vec::new();
    for name in names {
        let program = name.split(" (").next().unwrap_or(name);
        if !programs.contains(&program) {
            programs.push(program);
        }
    }
    programs
}

/// "a", "a and b", "a, b and c".
pub(super) fn enumerate(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

/// "1 scenario", "3 scenarios".
pub(super) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// What a verdict on ours against another is called.
pub(super) fn outcome(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Below => "wins",
        Verdict::Above => "loses",
        Verdict::Unclear => "unclear",
        Verdict::TooFewRounds => "too few rounds",
    }
}

/// The same in a cell of its own.
pub(super) fn result(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Below => "Penstock wins",
        Verdict::Above => "Penstock loses",
        Verdict::Unclear => "no clear difference",
        Verdict::TooFewRounds => "too few rounds",
    }
}

impl Machine {
    pub(super) fn kernel_name(&self) -> String {
        format!("Linux {}", self.kernel.trim_start_matches("Linux ").trim())
    }
}

impl Record {
    /// The harness's command as anybody would repeat it, its result in `run.json`.
    pub(super) fn repeat(&self) -> String {
        let mut words = vec!["cargo run --release -p penstock-bench --".to_owned()];
        let mut given = self.command.iter().skip(1);
        while let Some(word) = given.next() {
            if word == "--json" {
                given.next();
            } else if !word.starts_with("--json=") {
                words.push(quoted(word));
            }
        }
        words.push("--json run.json".into());
        words.join(" ")
    }
}

/// One command line, quoted for a shell.
pub(super) fn command_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;
    use crate::contestant::{self, Programs};

    #[test]
    fn numbers_keep_three_digits() {
        let shown = [0.0, 0.01234, 0.6, 1.048, 44.06, 321.4, 1594.0, 44_012.0, 1_234_567.0, -701.0];
        let texts =
            ["0", "0.0123", "0.600", "1.05", "44.1", "321", "1,590", "44,000", "1,230,000", "-701"];
        assert_eq!(shown.map(number), texts);
        assert_eq!([0.5, 1.0, 10.0, 2500.0].map(tick), ["0.5", "1", "10", "2,500"]);
        assert_eq!(
            [0.00234, 0.0701, 0.824, 12.34, 250.4].map(ratio),
            ["0.0023", "0.070", "0.82", "12.3", "250"]
        );
    }

    #[test]
    fn commands_survive_a_shell() {
        let words = ["a b", "it's", "plain=1", ""].map(str::to_owned);
        assert_eq!(command_line(&words), r"'a b' 'it'\''s' plain=1 ''");
    }

    #[test]
    fn every_contestant_has_a_name_of_its_own() {
        let programs = Programs {
            penstock: PathBuf::new(),
            itself: PathBuf::new(),
            nginx_module: PathBuf::new(),
        };
        let recipes = contestant::recipes(&programs, None).unwrap();
        for recipe in &recipes {
            let known = NAMES.iter().filter(|(name, _)| *name == recipe.name);
            assert_eq!(known.count(), 1, "{}", recipe.name);
        }
        assert_eq!(NAMES.len(), recipes.len(), "a name of nobody");
        let different: BTreeSet<&str> = NAMES.iter().map(|(_, readable)| *readable).collect();
        assert_eq!(different.len(), NAMES.len());
    }

    #[test]
    fn strangers_keep_their_names() {
        assert_eq!(readable("penstock-two-workers"), "Penstock (two workers)");
        assert_eq!(readable("my-proxy"), "my-proxy");
    }

    #[test]
    fn settings_gather_behind_their_program() {
        let names = ["squid", "haproxy-copy", "nginx", "haproxy-auto"].map(readable);
        assert_eq!(group(&names), "Squid, HAProxy (no splice, splice-auto) and nginx stream");
        assert_eq!(group(&["a".to_owned()]), "a");
    }
}
