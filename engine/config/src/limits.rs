//! How many tunnels the descriptors of this process can carry.

use std::fmt;

/// Clients that each worker may be turning away at the same time.
const TURNED_AWAY: usize = 64;

/// What the number of tunnels follows from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptors {
    /// What the process may have open: `RLIMIT_NOFILE`.
    pub limit: u64,
    /// Kept for everything that is neither tunnel nor pipe: listeners, rings, logs, the admin server, look-ups, and
    /// clients that are told that there is no room.
    pub reserve: u64,
    /// Number of workers.
    pub workers: usize,
    /// Pipes that one worker may hold, two descriptors each.
    pub pipes_per_worker: usize,
}

/// A number of tunnels that the descriptors can't carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooMany {
    /// What was asked for; none: `auto`.
    pub requested: Option<usize>,
    /// What is possible.
    pub possible: u64,
    /// Why.
    pub descriptors: Descriptors,
}

impl Descriptors {
    /// Divides a limit: a share of it for pipes, at most 64 and at least 4 for each worker, and a reserve of 96, and 72
    /// and the number of listening addresses for each worker.
    pub fn divide(limit: u64, workers: usize, addresses: usize) -> Descriptors {
        let share = limit / 8 / (2 * workers.max(1) as u64);
        let reserve = 96 + (workers * (8 + TURNED_AWAY + addresses)) as u64;
        Descriptors { limit, reserve, workers, pipes_per_worker: share.clamp(4, 64) as usize }
    }

    /// `(limit - reserve - 2 * pipes * workers) / 2`: what a tunnel needs is two sockets.
    pub fn tunnels(&self) -> u64 {
        let pipes = 2 * (self.pipes_per_worker * self.workers) as u64;
        self.limit.saturating_sub(self.reserve + pipes) / 2
    }

    /// The number of tunnels to admit.
    ///
    /// # Errors
    /// When more are asked for than the descriptors can carry, or they can carry none.
    pub fn max_tunnels(&self, requested: Option<usize>) -> Result<usize, TooMany> {
        let possible = self.tunnels();
        match requested {
            Some(number) if number as u64 <= possible => Ok(number),
            None if possible > 0 => Ok(possible as usize),
            _ => Err(TooMany { requested, possible, descriptors: *self }),
        }
    }
}

impl fmt::Display for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Descriptors { limit, reserve, workers, pipes_per_worker } = self;
        write!(
            f,
            "({limit} descriptors - {reserve} in reserve - 2 * {pipes_per_worker} pipes * {workers} workers) / 2"
        )
    }
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooMany { requested, possible, descriptors } = self;
        match requested {
            Some(number) => write!(f, "engine.max_tunnels = {number} can't work")?,
            None => write!(f, "no tunnel can be carried")?,
        }
        write!(
            f,
            ": {descriptors} = {possible}. Raise the descriptor limit (ulimit -Hn, LimitNOFILE=) or ask for less"
        )
    }
}

impl std::error::Error for TooMany {}

#[cfg(test)]
mod tests {
    use super::*;

    const TWENTY_THOUSAND: Descriptors =
        Descriptors { limit: 20_000, reserve: 244, workers: 2, pipes_per_worker: 64 };

    #[test]
    fn a_tunnel_needs_two_descriptors_of_what_is_left() {
        assert_eq!(Descriptors::divide(20_000, 2, 2), TWENTY_THOUSAND);
        assert_eq!(TWENTY_THOUSAND.max_tunnels(None), Ok((20_000 - 244 - 256) / 2));
        assert_eq!(TWENTY_THOUSAND.max_tunnels(Some(9750)), Ok(9750));
    }

    #[test]
    fn what_cannot_work_is_said_with_the_arithmetic() {
        let error = TWENTY_THOUSAND.max_tunnels(Some(9751)).expect_err("one too many");
        let shown = error.to_string();
        assert!(
            shown.starts_with("engine.max_tunnels = 9751 can't work: (20000 descriptors - 244")
        );
        assert!(shown.contains("/ 2 = 9750."), "{shown}");
    }

    #[test]
    fn few_descriptors_leave_few_pipes_or_nothing() {
        let small = Descriptors::divide(256, 1, 1);
        assert_eq!((small.pipes_per_worker, small.tunnels()), (16, (256 - 169 - 32) / 2));
        assert!(Descriptors::divide(64, 4, 2).max_tunnels(None).is_err());
    }
}
