//! What was used in a window: by the contestant, by the load generator itself, and by strangers on the contestant's cores.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sched::sched_getcpu;
use nix::time::{ClockId, clock_gettime};

use super::Meter;

/// What had been used when a window began.
pub(super) struct Usage {
    cores: Cores,
    idle: Duration,
    load_cpu: Duration,
    cpu: Duration,
    switches: u64,
    began: Instant,
}

/// What a window took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// The contestant's own CPU.
    pub(crate) cpu: Duration,
    /// Wall clock.
    pub(crate) elapsed: Duration,
    /// The contestant's voluntary switches.
    pub(crate) switches: u64,
    /// CPU of the load itself.
    pub(crate) load_cpu: Duration,
    /// How long the contestant's cores were busy with anything but it and the load.
    pub(crate) disturbed: Duration,
}

impl Usage {
    pub(super) fn begin(meter: &impl Meter) -> Result<Usage> {
        let cores = Cores::of(meter)?;
        let (idle, load_cpu) = (cores.idle()?, own_cpu()?);
        let (cpu, switches, began) = (meter.cpu()?, meter.switches()?, Instant::now());
        Ok(Usage { cores, idle, load_cpu, cpu, switches, began })
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn end(self, meter: &impl Meter) -> Result<Used> {
        let (cpu, elapsed) = (meter.cpu()?.saturating_sub(self.cpu), self.began.elapsed());
        let load_cpu = own_cpu()?.saturating_sub(self.load_cpu);
        let idle = self.cores.idle()?.saturating_sub(self.idle);
        let disturbed = self.cores.disturbed(idle, elapsed, cpu, load_cpu);
        // Threads that have ended took their count with them.
        let switches = meter.switches()?.saturating_sub(self.switches);
        Ok(Used { cpu, elapsed, switches, load_cpu, disturbed })
    }
}

/// The cores that a contestant may run on.
struct Cores {
    cores: Vec<usize>,
    /// The load runs on one of them.
    shared: bool,
}

impl Cores {
    fn of(meter: &impl Meter) -> Result<Cores> {
        let cores = meter.cores()?;
        let shared = cores.contains(&sched_getcpu()?);
        Ok(Cores { cores, shared })
    }

    /// How long they have been idle, all together.
    fn idle(&self) -> Result<Duration> {
        let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
        Ok(self.cores.iter().map(|core| idle_of(&text, *core)).sum())
    }

    /// Of `elapsed`, during which they idled for `idle`, what is neither the contestant's nor the load's.
    fn disturbed(
        &self,
        idle: Duration,
        elapsed: Duration,
        contestant: Duration,
        load: Duration,
    ) -> Duration {
        let own = contestant + if self.shared { load } else { Duration::ZERO };
        (elapsed * self.cores.len() as u32).saturating_sub(idle + own)
    }
}

/// CPU of the thread that asks.
fn own_cpu() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// proc_stat(5): the fourth and fifth number are idle and waiting for a disk, in hundredths of a second.
fn idle_of(stat: &str, core: usize) -> Duration {
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default();
    let ticks = line.split_whitespace().skip(3).take(2).filter_map(|word| word.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_somebody_elses() {
        let ms = Duration::from_millis;
        let left = |shared| {
            let cores = Cores { cores: vec![0, 1], shared };
            cores.disturbed(ms(60), ms(100), ms(90), ms(30))
        };
        assert_eq!((left(false), left(true)), (ms(50), ms(20)));
    }

    #[test]
    fn idle_time_is_that_of_the_core() {
        let text = "cpu  9 9 9 9 9\ncpu0 1 2 3 40 5 6\ncpu1 1 2 3 70 1 6\ncpu10 1 1 1 1 1\n";
        assert_eq!(idle_of(text, 1), Duration::from_millis(710));
        assert_eq!(idle_of(text, 7), Duration::ZERO);
    }

    #[test]
    fn a_busy_thread_has_used_cpu() {
        let before = own_cpu().unwrap();
        while own_cpu().unwrap() - before < Duration::from_millis(5) {}
        assert!(Cores { cores: vec![0], shared: true }.idle().unwrap() > Duration::ZERO);
    }
}
