//! Who else used the cores of a measurement: the load generator itself, and strangers.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::sched_getcpu;
use nix::time::{ClockId, clock_gettime};

use super::Meter;

/// The cores that a contestant may run on.
pub(super) struct Cores {
    cores: Vec<usize>,
    /// The load runs on one of them.
    shared: bool,
}

impl Cores {
    pub(super) fn of(meter: &impl Meter) -> Result<Cores> {
        let cores = meter.cores()?;
        let shared = cores.contains(&sched_getcpu()?);
        Ok(Cores { cores, shared })
    }

    /// How long they have been idle, all together.
    pub(super) fn idle(&self) -> Result<Duration> {
        let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
        Ok(self.cores.iter().map(|core| idle_of(&text, *core)).sum())
    }

    /// Of `elapsed`, during which they idled for `idle`, what is neither the contestant's nor the load's.
    pub(super) fn disturbed(
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
pub(super) fn own_cpu() -> Result<Duration> {
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
