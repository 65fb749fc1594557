//! How many tunnels the descriptors of this process can carry.

use std::fmt;

use penstock_core::config::{Config, ConsoleTarget, Door, Reach, Service, TokenSource};

/// Below so many descriptors for each, workers leave little to tunnels.
const OF_A_WORKER: u64 = 64;
/// Of programs: two for the one that is being started, and those whose last words are waited for after their tunnels.
const PROGRAMS: usize = 2 + 128;
/// Of browsers: connections that are served pages, files that are read for them, and consoles that are built in.
const BROWSERS: usize = 256 + 256 + 64;
/// Of consoles of KubeVirt's: for each, a connection to the API and an end of a pair.
const KUBE_VIRT: usize = 2 * 256;

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
    /// Clients that one worker may be telling that there is no room.
    pub turned_away_per_worker: usize,
    /// Of a tunnel that holds most.
    pub per_tunnel: u64,
}

/// What listeners hold or have held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Addresses listened on.
    pub addresses: usize,
    /// Terminals as targets. Each has one user at a time, for whom it is held twice.
    pub terminals: usize,
    /// Programs are targets. Of each that runs, standard error is read, too.
    pub programs: bool,
    /// Consoles are served to browsers: of each connection that is served pages, and of the consoles that are built in, one descriptor is
    /// held by those who serve them.
    pub browsers: bool,
    /// Some connections are recorded: each has a file.
    pub recordings: bool,
    /// Tickets may lead to consoles of KubeVirt's: of each, who asks for it holds two.
    pub kube_virt: bool,
}

impl Held {
    /// By the listeners of a configuration.
    pub fn of(config: &Config) -> Held {
        let mut held = Held::default();
        for listener in &config.listeners {
            held.addresses += listener.addresses.len();
            held.recordings |= listener.record.is_some();
            held.browsers |= matches!(listener.service, Service::Console(_));
            held.kube_virt |= has_tickets(&listener.service);
            let Some(destination) = listener.service.destination() else { continue };
            match &destination.reach {
                Reach::Door(door) => match **door {
                    Door::Terminal(_) => held.terminals += 1,
                    Door::Command(_) => held.programs = true,
                    Door::Unix(_)
                    | Door::Within { .. }
                    | Door::Web { .. }
                    | Door::Demo
                    | Door::KubeVirt(_) => {}
                },
                Reach::Network(_) | Reach::HandedOver => {}
            }
        }
        held
    }
}

fn has_tickets(service: &Service) -> bool {
    let Service::Console(console) = service else { return false };
    matches!(&console.to, ConsoleTarget::Tokens(tokens) if matches!(tokens.source, TokenSource::Ovirt { .. }))
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
    /// Divides a limit: a share of it for pipes, at most 64 and at least 4 for each worker, and a reserve of 96, 8 and the number of
    /// listening addresses for each worker, one for each terminal, 130 for programs, and for browsers 576 or an eighth of the limit, of which tickets
    /// of oVirt's take 512 more. Where anything is listened on, each worker has as many as pipes for clients that are turned away.
    pub fn divide(limit: u64, workers: usize, held: Held) -> Descriptors {
        let share = (limit / 8 / (2 * workers.max(1) as u64)).clamp(4, 64) as usize;
        let turned_away = if held.addresses > 0 { share } else { 0 };
        let of_workers = workers * (8 + turned_away + held.addresses);
        // Whoever finds none left is told so, and tries again: few are worth no tunnels.
        let served = if held.browsers { BROWSERS } else { 0 };
        let behind = if held.kube_virt { KUBE_VIRT } else { 0 };
        let of_browsers = (served + behind).min(limit as usize / 8);
        let of_programs = if held.programs { PROGRAMS } else { 0 };
        Descriptors {
            limit,
            reserve: (96 + of_workers + held.terminals + of_programs + of_browsers) as u64,
            workers,
            pipes_per_worker: share,
            turned_away_per_worker: turned_away,
            per_tunnel: 2 + u64::from(held.programs) + u64::from(held.recordings),
        }
    }

    /// The workers that `cores` would do for, or as many as leave something to tunnels.
    pub fn workers(limit: u64, cores: usize) -> usize {
        cores.min((limit / OF_A_WORKER) as usize).max(1)
    }

    /// `(limit - reserve - 2 * pipes * workers) / 2`: what a tunnel needs is two sockets; one to a program, a pipe for its errors, too.
    pub fn tunnels(&self) -> u64 {
        let pipes = 2 * (self.pipes_per_worker * self.workers) as u64;
        self.limit.saturating_sub(self.reserve + pipes) / self.per_tunnel
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
        let Descriptors { limit, reserve, workers, pipes_per_worker, per_tunnel, .. } = self;
        write!(
            f,
            "({limit} descriptors - {reserve} in reserve - 2 * {pipes_per_worker} pipes * {workers} workers) / {per_tunnel}"
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

    const TWENTY_THOUSAND: Descriptors = Descriptors {
        limit: 20_000,
        reserve: 244,
        workers: 2,
        pipes_per_worker: 64,
        turned_away_per_worker: 64,
        per_tunnel: 2,
    };

    fn addresses(addresses: usize) -> Held {
        Held { addresses, ..Held::default() }
    }

    #[test]
    fn a_tunnel_needs_two_descriptors_of_what_is_left() {
        assert_eq!(Descriptors::divide(20_000, 2, addresses(2)), TWENTY_THOUSAND);
        assert_eq!(TWENTY_THOUSAND.max_tunnels(None), Ok((20_000 - 244 - 256) / 2));
        assert_eq!(TWENTY_THOUSAND.max_tunnels(Some(9750)), Ok(9750));
    }

    #[test]
    fn a_tunnel_to_a_program_needs_three_and_a_terminal_is_held_once_more() {
        let terminals = Held { terminals: 5, ..addresses(2) };
        let programs = Held { programs: true, ..addresses(2) };
        let tunnels = |held| Descriptors::divide(20_000, 2, held).tunnels();
        assert_eq!(tunnels(terminals), (20_000 - 244 - 5 - 256) / 2);
        assert_eq!(tunnels(programs), (20_000 - 244 - 130 - 256) / 3);
        let shown = Descriptors::divide(20_000, 2, programs).to_string();
        assert!(shown.ends_with("2 workers) / 3"), "{shown}");
    }

    #[test]
    fn consoles_of_kube_virt_are_held_by_who_asks_for_them() {
        let browsers = Held { browsers: true, ..addresses(2) };
        let tunnels = |held| Descriptors::divide(20_000, 2, held).tunnels();
        let tickets = Held { kube_virt: true, ..browsers };
        assert_eq!(tunnels(browsers) - tunnels(tickets), 512 / 2);
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
        let small = Descriptors::divide(256, 1, addresses(1));
        assert_eq!((small.pipes_per_worker, small.turned_away_per_worker), (16, 16));
        assert_eq!(small.tunnels(), (256 - (96 + 8 + 16 + 1) - 32) / 2);
        assert!(Descriptors::divide(64, 4, addresses(2)).max_tunnels(None).is_err());
    }

    #[test]
    fn many_cores_leave_room_for_consoles_where_descriptors_are_few() {
        for cores in [1, 2, 12, 64, 256] {
            let workers = Descriptors::workers(1024, cores);
            let browsers = Held { browsers: true, ..addresses(1) };
            let (plain, consoles) = (Held::default(), browsers);
            let tunnels = |held| Descriptors::divide(1024, workers, held).tunnels();
            assert!(tunnels(plain) >= 320 && tunnels(consoles) >= 200, "{cores}");
        }
        assert_eq!(Descriptors::workers(20_000, 64), 64);
        assert_eq!(Descriptors::workers(10, 64), 1);
        assert_eq!(Descriptors::divide(1024, 1, Held::default()).turned_away_per_worker, 0);
    }
}
