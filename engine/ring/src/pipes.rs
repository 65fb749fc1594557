//! The worker's pipes: a bounded pool, true sizes read back, and nobody's bytes ever handed to somebody else.
//!
//! Linux counts the pages of all pipes of a user (pipe-user-pages-soft, 64 MiB). Past it a new pipe is made all the
//! same, with a page or two: too small to be worth a splice. Such a pipe is given up, and none is tried for a while.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use crate::buffers::{Buffer, Group, Pool};
use crate::op::{NoPipe, Time};
use crate::options::{Feature, Options, SpliceMode};
use crate::sockets::Kind;
use crate::stats::Stats;

/// How long no pipe is tried after one came out too small.
const QUOTA_PAUSE: Duration = Duration::from_secs(1);

/// A pipe and the bytes in it.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    level: usize,
}

impl Pipe {
    /// Where bytes come out.
    pub fn read(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    /// Where bytes go in.
    pub fn write(&self) -> BorrowedFd<'_> {
        self.write.as_fd()
    }

    /// Bytes in the pipe; its nominal size is no bound on them.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Tells of `n` bytes spliced in.
    pub fn filled(&mut self, n: usize) {
        self.level += n;
    }

    /// Tells of `n` bytes spliced out.
    ///
    /// # Panics
    /// If fewer were in it.
    pub fn drained(&mut self, n: usize) {
        self.level = self.level.checked_sub(n).expect("more came out of a pipe than went in");
    }
}

/// Takes everything out of a pipe into record buffers. None, with nothing taken: it is empty, or the pool would not keep an
/// eighth of its record buffers.
pub fn take_out(pipe: &mut Pipe, pool: &mut Pool) -> Option<Vec<Buffer>> {
    let group = Group::Record;
    let needed = pipe.level.div_ceil(group.capacity());
    if needed == 0 || pool.free(group) < needed + (pool.total(group) as usize / 8) {
        return None;
    }
    let mut buffers = Vec::with_capacity(needed);
    // A pipe's bytes are all there: every read but the last fills its buffer.
    while let Some(index) = (pipe.level > 0).then(|| pool.take(group)).flatten() {
        match pool.fill(pipe.read.as_fd(), Kind::Plain, group, index) {
            Ok(n @ 1..) => {
                pipe.drained(n);
                buffers.push(pool.hand_out(group, index, n));
            }
            result => {
                pool.put(group, index);
                debug_assert!(false, "{} bytes of a pipe can't be read: {result:?}", pipe.level);
                break;
            }
        }
    }
    Some(buffers)
}

/// The pool.
#[derive(Debug)]
pub struct Pipes {
    off: bool,
    limit: usize,
    size: usize,
    size_min: usize,
    /// Empty pipes; the last one returned is used first, its pages are the warmest.
    idle: Vec<Pipe>,
    alive: usize,
    quota_until: Option<Time>,
    stats: Arc<Stats>,
}

impl Pipes {
    /// A pool without pipes; they are made when first needed.
    pub fn new(options: &Options, stats: Arc<Stats>) -> Pipes {
        Pipes {
            off: options.splice == SpliceMode::Off || options.mask.hides(Feature::Splice),
            limit: options.pipes,
            size: options.pipe_size,
            size_min: options.pipe_size_min,
            idle: Vec::new(),
            alive: 0,
            quota_until: None,
            stats,
        }
    }

    /// An empty pipe.
    ///
    /// # Errors
    /// Why there is none; counted here.
    pub fn open(&mut self, now: Time) -> Result<Pipe, NoPipe> {
        let pipe = match self.idle.pop() {
            Some(pipe) => pipe,
            None => self.make(now).inspect_err(|why| self.count(*why))?,
        };
        self.stats.pipes_in_use.add(1);
        Ok(pipe)
    }

    /// Takes a pipe back. One that isn't empty is destroyed.
    pub fn close(&mut self, pipe: Pipe) {
        if pipe.level > 0 {
            return self.destroy(pipe);
        }
        self.stats.pipes_in_use.sub(1);
        self.idle.push(pipe);
    }

    /// Takes a pipe back that must not be used again, whatever is in it.
    pub fn destroy(&mut self, pipe: Pipe) {
        drop(pipe);
        self.alive -= 1;
        self.stats.pipes_in_use.sub(1);
        self.stats.pipes.set(self.alive as u64);
        self.stats.pipe_destroyed.add(1);
    }

    /// Whether less than a quarter of the pool is left.
    pub fn scarce(&self) -> bool {
        let in_use = self.alive - self.idle.len();
        (self.limit - in_use) * 4 < self.limit
    }

    fn make(&mut self, now: Time) -> Result<Pipe, NoPipe> {
        if self.off {
            return Err(NoPipe::Off);
        }
        if self.alive >= self.limit {
            return Err(NoPipe::PoolEmpty);
        }
        if self.quota_until.is_some_and(|until| now < until) {
            return Err(NoPipe::Quota);
        }
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).map_err(NoPipe::Failed)?;
        if size_pipe(&write, self.size).map_err(NoPipe::Failed)? < self.size_min {
            self.quota_until = Some(now + QUOTA_PAUSE);
            return Err(NoPipe::Quota);
        }
        self.quota_until = None;
        self.alive += 1;
        self.stats.pipes.set(self.alive as u64);
        Ok(Pipe { read, write, level: 0 })
    }

    fn count(&self, why: NoPipe) {
        match why {
            NoPipe::Off => self.stats.pipe_off.add(1),
            NoPipe::PoolEmpty => self.stats.pipe_pool_empty.add(1),
            NoPipe::Quota => self.stats.pipe_quota.add(1),
            NoPipe::Failed(_) => self.stats.pipe_failed.add(1),
        }
    }
}

/// Asks for a size and reads back what the pipe truly has, in bytes.
fn size_pipe(pipe: &OwnedFd, asked: usize) -> Result<usize, Errno> {
    let asked = i32::try_from(asked).unwrap_or(i32::MAX);
    match fcntl(pipe, FcntlArg::F_SETPIPE_SZ(asked)) {
        // EPERM: above pipe-max-size, or the user's quota is used up. The pipe keeps the size it was made with.
        Ok(_) | Err(Errno::EPERM) => {}
        // ENOMEM: as above, the pipe is usable.
        Err(Errno::ENOMEM) => {}
        Err(errno) => return Err(errno),
    }
    fcntl(pipe, FcntlArg::F_GETPIPE_SZ).map(|size| size.max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipes(options: Options) -> Pipes {
        Pipes::new(&options, Arc::default())
    }

    #[test]
    fn the_pool_is_bounded_and_reuses_empty_pipes() {
        let mut pool = pipes(Options { pipes: 2, ..Options::default() });
        let now = Time::default();
        let (first, second) = (pool.open(now).expect("first"), pool.open(now).expect("second"));
        assert_eq!(pool.open(now).err(), Some(NoPipe::PoolEmpty));
        assert_eq!(pool.stats.pipe_pool_empty.get(), 1);
        pool.close(first);
        assert_eq!((pool.stats.pipes.get(), pool.stats.pipes_in_use.get()), (2, 1));
        let third = pool.open(now).expect("reused");
        assert_eq!((pool.alive, pool.stats.pipes.get()), (2, 2));
        pool.close(second);
        pool.close(third);
    }

    #[test]
    fn a_pipe_with_bytes_in_it_is_destroyed() {
        let mut pool = pipes(Options::default());
        let mut pipe = pool.open(Time::default()).expect("made");
        nix::unistd::write(pipe.write(), b"secret").expect("written");
        pipe.filled(6);
        pool.close(pipe);
        let stats = &pool.stats;
        assert_eq!((stats.pipe_destroyed.get(), stats.pipes.get(), pool.idle.len()), (1, 0, 0));
    }

    #[test]
    fn a_pipe_that_comes_out_small_means_quota_and_a_pause() {
        // A page can't reach the minimum, as a pipe past the user's quota can't.
        let options = Options { pipe_size: 4096, pipe_size_min: 65_536, ..Options::default() };
        let mut pool = pipes(options);
        assert_eq!(pool.open(Time(0)).err(), Some(NoPipe::Quota));
        pool.size = 1 << 20;
        assert_eq!(pool.open(Time(999_999_999)).err(), Some(NoPipe::Quota), "still paused");
        assert_eq!((pool.stats.pipe_quota.get(), pool.stats.pipes.get()), (2, 0));
        assert!(pool.open(Time(1_000_000_000)).is_ok(), "tried again after the pause");
    }
}
