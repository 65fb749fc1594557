//! What the run was made on.

use std::fs;

use chrono::{SecondsFormat, Utc};

use crate::record::{Machine, Network};

pub(crate) fn describe(network: Network) -> Machine {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let processor = value(&cpuinfo, "model name").unwrap_or("unknown");
    let memory = read("/proc/meminfo");
    let memory = value(&memory, "MemTotal").and_then(|text| text.split(' ').next());
    let load = read("/proc/loadavg");
    Machine {
        kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        processor: processor.into(),
        cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
        memory_bytes: memory.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024,
        load_average: load.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0),
        date: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        network,
    }
}

fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(rest.trim_start_matches([' ', '\t', ':']))
}
