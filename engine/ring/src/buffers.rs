//! The worker's buffers: four groups carved from one mapping, a hard limit, no allocation after the start.
//!
//! A [`Buffer`] is a handle: who holds it may read it through the pool, must give it back, and can't copy it. The
//! pool hands out the most recently returned buffer first, so that memory touched is memory in use, not memory owned.

use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::raw::c_void;
use std::ptr::NonNull;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use nix::sys::socket::{MsgFlags, recv};
use nix::unistd::{SysconfVar, read, sysconf};

use crate::groups::GROUP_MAX;
pub use crate::groups::{Group, PoolSizes, SMALL_POOL};
use crate::op::Time;
use crate::sockets::Kind;
use crate::warmth::Warmth;

/// Runs of buffers whose memory goes back at once, in each group.
const TRIM_RUNS: usize = 128;
/// Between two looks for memory to give back; what was used since the last one stays.
const TRIM_INTERVAL: Duration = Duration::from_millis(250);
/// The same, once all that was written is in use.
const TRIM_REST: Duration = Duration::from_secs(10);

/// A filled buffer of a worker's pool. Not copyable; dropping it instead of giving it back loses it to the pool.
#[derive(Debug)]
#[must_use = "a buffer goes back to the pool by release or send"]
pub struct Buffer {
    group: Group,
    index: u32,
    start: u32,
    len: u32,
}

impl Buffer {
    /// A handle to `len` received bytes of buffer `index`. For drivers and simulations.
    pub fn filled(group: Group, index: u32, len: usize) -> Buffer {
        assert!(len <= group.capacity(), "{len} bytes can't be in a {group:?} buffer");
        Buffer { group, index, start: group.headroom() as u32, len: len as u32 }
    }

    /// The group it belongs to.
    pub fn group(&self) -> Group {
        self.group
    }

    /// Its number within the group.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether nothing is left in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where its bytes begin, from the start of its place in the mapping.
    pub fn start(&self) -> usize {
        self.start as usize
    }

    /// Its bytes are at `range` of its place now: they were changed there.
    ///
    /// # Panics
    /// If the place is smaller.
    pub fn set(&mut self, range: Range<usize>) {
        assert!(
            range.end <= self.group.stride(),
            "{range:?} is not within a {:?} buffer",
            self.group
        );
        (self.start, self.len) = (range.start as u32, range.len() as u32);
    }

    /// Drops the first `n` bytes.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.len(), "advance past the end of a buffer");
        self.start += n as u32;
        self.len -= n as u32;
    }
}

/// The mapping and the lists of free buffers.
#[derive(Debug)]
pub struct Pool {
    base: NonNull<u8>,
    bytes: usize,
    groups: [Place; Group::COUNT],
    /// Bytes that wait in queues and are none of these.
    apart: usize,
    /// Bytes of a page of memory.
    page: usize,
    trim_at: Option<Time>,
}

#[derive(Debug)]
struct Place {
    offset: usize,
    total: u32,
    free: Vec<u32>,
    keepers: Vec<Keeper>,
    warmth: Warmth,
}

/// Who may touch a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keeper {
    /// Nobody: it is in the list of free ones.
    Pool,
    /// The driver, and the kernel, which may write to it.
    Driver,
    /// Who has the handle.
    Handle,
}

impl Pool {
    /// Maps memory for `sizes`; pages cost nothing until they are touched.
    ///
    /// # Errors
    /// The errno of mmap(2); EINVAL if a group is to have more buffers than a ring of provided buffers can number.
    pub fn new(sizes: PoolSizes) -> Result<Pool, Errno> {
        if Group::ALL.into_iter().any(|group| sizes.count(group) > GROUP_MAX) {
            return Err(Errno::EINVAL);
        }
        let mut offset = 0;
        let groups = Group::ALL.map(|group| {
            let total = sizes.count(group);
            let place = Place {
                offset,
                total,
                free: (0..total).rev().collect(),
                keepers: vec![Keeper::Pool; total as usize],
                warmth: Warmth::new(total),
            };
            offset += total as usize * group.stride();
            place
        });
        let length = std::num::NonZeroUsize::new(offset.max(1)).expect("at least one");
        let (read_write, private) =
            (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE);
        // SAFETY: a fresh anonymous mapping; the pool owns it until `Drop`.
        let base = unsafe { mmap_anonymous(None, length, read_write, private)? };
        let page = sysconf(SysconfVar::PAGE_SIZE)?.map_or(4096, |page| page as usize);
        Ok(Pool { base: base.cast(), bytes: length.get(), groups, apart: 0, page, trim_at: None })
    }

    /// Takes a free buffer's number.
    pub fn take(&mut self, group: Group) -> Option<u32> {
        let place = &mut self.groups[group.index()];
        let index = place.free.pop()?;
        place.keepers[index as usize] = Keeper::Driver;
        Some(index)
    }

    /// Makes the handle of a buffer that was taken and holds `len` bytes now.
    ///
    /// # Panics
    /// If the buffer isn't taken, or has a handle.
    pub fn hand_out(&mut self, group: Group, index: u32, len: usize) -> Buffer {
        self.pass_on(group, index, Keeper::Driver, Keeper::Handle);
        self.groups[group.index()].warmth.used(index);
        Buffer::filled(group, index, len)
    }

    /// Gives the number of a buffer back that was taken and never handed out.
    ///
    /// # Panics
    /// If it is free, or has a handle.
    pub fn put(&mut self, group: Group, index: u32) {
        self.pass_on(group, index, Keeper::Driver, Keeper::Pool);
        self.groups[group.index()].free.push(index);
    }

    /// Gives a buffer back.
    ///
    /// # Panics
    /// If the pool never handed it out, or has it back already: the handle is forged.
    pub fn release(&mut self, buffer: Buffer) {
        self.pass_on(buffer.group, buffer.index, Keeper::Handle, Keeper::Pool);
        self.groups[buffer.group.index()].free.push(buffer.index);
    }

    /// Gives memory back to the system, now and then, that was written and not used for a while: that of free buffers, and
    /// with `taken` also of those that were taken and not handed out, to which nobody may have written then, nor be
    /// writing. When the next look is due, if there is anything to look for.
    pub fn trim(&mut self, now: Time, taken: bool) -> Option<Time> {
        if !self.groups.iter().any(|place| place.warmth.any()) {
            self.trim_at = None;
            return None;
        }
        let due = *self.trim_at.get_or_insert(now + TRIM_INTERVAL);
        if now >= due {
            self.give_back(taken);
            let settled = self.groups.iter().all(|place| place.warmth.is_settled());
            self.trim_at = Some(now + if settled { TRIM_REST } else { TRIM_INTERVAL });
        }
        self.trim_at
    }

    fn give_back(&mut self, taken: bool) {
        for (group, place) in Group::ALL.into_iter().zip(&mut self.groups) {
            let keepers = &place.keepers;
            let is_free = |index: usize| match keepers[index] {
                Keeper::Pool => true,
                Keeper::Driver => taken,
                Keeper::Handle => false,
            };
            for run in place.warmth.round(TRIM_RUNS, is_free) {
                let start = (place.offset + run.start * group.stride()).next_multiple_of(self.page);
                let end = (place.offset + run.end * group.stride()) / self.page * self.page;
                if start < end {
                    // SAFETY: whole pages within the mapping, of buffers to which nobody has a handle and, by the caller's
                    // word, nobody writes; they read as zero from now on.
                    let advised = unsafe {
                        let from = self.base.add(start).cast::<c_void>();
                        madvise(from, end - start, MmapAdvise::MADV_DONTNEED)
                    };
                    debug_assert_eq!(advised, Ok(()));
                }
            }
        }
    }

    fn pass_on(&mut self, group: Group, index: u32, from: Keeper, to: Keeper) {
        let keeper = &mut self.groups[group.index()].keepers[index as usize];
        assert_eq!(*keeper, from, "{group:?} buffer {index} is not theirs to give");
        *keeper = to;
    }

    /// Buffers of the group that are in the free list.
    pub fn free(&self, group: Group) -> usize {
        self.groups[group.index()].free.len()
    }

    /// So many bytes that are not of the pool wait in a queue.
    pub fn queue_apart(&mut self, bytes: usize) {
        self.apart += bytes;
    }

    /// So many do no more.
    pub fn unqueue_apart(&mut self, bytes: usize) {
        self.apart -= bytes;
    }

    /// What is left of `free` buffers of a group, if bytes that wait apart from the pool were in such, too.
    pub fn less_apart(&self, free: usize, group: Group) -> usize {
        free.saturating_sub(self.apart / group.stride())
    }

    /// Buffers of the group.
    pub fn total(&self, group: Group) -> u32 {
        self.groups[group.index()].total
    }

    /// Where the kernel may write the received bytes of buffer `index`: `group.capacity()` bytes, headroom left out.
    pub fn writable(&self, group: Group, index: u32) -> NonNull<u8> {
        let place = &self.groups[group.index()];
        assert!(index < place.total, "no such buffer");
        // SAFETY: within the mapping by the assertion above and the way `new` lays groups out.
        unsafe { self.base.add(place.offset + index as usize * group.stride() + group.headroom()) }
    }

    /// Reads what a descriptor has into buffer `index`, which the caller has taken; zero is the end. Of a socket, without
    /// waiting: a former owner who kept a duplicate may have made its description blocking again.
    ///
    /// # Errors
    /// Of recv(2) or read(2), but for EINTR.
    pub fn fill(
        &mut self,
        from: BorrowedFd<'_>,
        kind: Kind,
        group: Group,
        index: u32,
    ) -> Result<usize, Errno> {
        let to = self.writable(group, index);
        // SAFETY: the pool keeps `capacity` bytes at `to` mapped, and the caller, who has taken buffer `index` from the free
        // list, is the only one to use them. The slice ends with this call.
        let slice = unsafe { std::slice::from_raw_parts_mut(to.as_ptr(), group.capacity()) };
        // EINTR ends when the signals do.
        loop {
            let result = match kind {
                Kind::Plain => read(from, slice),
                Kind::Tcp | Kind::Socket => recv(from.as_raw_fd(), slice, MsgFlags::MSG_DONTWAIT),
            };
            if result != Err(Errno::EINTR) {
                return result;
            }
        }
    }

    /// The bytes of a filled buffer.
    pub fn bytes<'p>(&'p self, buffer: &'p Buffer) -> &'p [u8] {
        let first = self.first(buffer);
        // SAFETY: the mapping lives as long as `self`; the holder of the handle is the only one to whom these bytes
        // belong, and the kernel wrote them before the handle was made.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), buffer.len()) }
    }

    /// The whole place of a filled buffer, what is in front of its bytes and behind them included.
    pub fn memory<'p>(&'p mut self, buffer: &'p Buffer) -> &'p mut [u8] {
        let start = self.start(buffer);
        // SAFETY: a place is `stride` bytes of the mapping, which lives as long as `self`; the kernel wrote its bytes before
        // the handle was made, and `self`, borrowed for as long as the slice, gives nobody else a look at them.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), buffer.group().stride()) }
    }

    /// Address of the first byte of a filled buffer.
    pub fn first(&self, buffer: &Buffer) -> NonNull<u8> {
        // SAFETY: within the place: `start + len` of a handle never exceeds its stride.
        unsafe { self.start(buffer).add(buffer.start()) }
    }

    /// Address of the place of a filled buffer.
    fn start(&self, buffer: &Buffer) -> NonNull<u8> {
        let place = &self.groups[buffer.group().index()];
        let keeper = place.keepers[buffer.index as usize];
        assert_eq!(
            keeper,
            Keeper::Handle,
            "a forged handle to {:?} {}",
            buffer.group,
            buffer.index
        );
        let at = place.offset + buffer.index() as usize * buffer.group().stride();
        // SAFETY: within the mapping by the way `new` lays groups out.
        unsafe { self.base.add(at) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; drivers drop their ring, and with it every operation that could
        // write here, before they drop the pool.
        let unmapped = unsafe { munmap(self.base.cast::<c_void>(), self.bytes) };
        debug_assert!(unmapped.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    const SIZES: PoolSizes = PoolSizes { reserve: 4, small: 4, record: 4, bulk: 4 };

    #[test]
    #[should_panic(expected = "a forged handle")]
    fn memory_that_the_kernel_may_write_has_no_readers() {
        let mut pool = Pool::new(SIZES).expect("mapped");
        let index = pool.take(Group::Small).expect("four are free");
        let _ = pool.bytes(&Buffer::filled(Group::Small, index, 9));
    }

    #[test]
    #[should_panic(expected = "not theirs to give")]
    fn a_buffer_is_given_back_once() {
        let mut pool = Pool::new(SIZES).expect("mapped");
        let index = pool.take(Group::Small).expect("four are free");
        let buffer = pool.hand_out(Group::Small, index, 9);
        pool.release(buffer);
        pool.release(Buffer::filled(Group::Small, index, 9));
    }

    #[test]
    fn the_memory_of_buffers_that_are_not_used_goes_back() {
        let mut pool = Pool::new(PoolSizes { small: 64, ..SIZES }).expect("mapped");
        let zero = std::fs::File::open("/dev/zero").expect("there");
        let indices: Vec<u32> =
            (0..64).map(|_| pool.take(Group::Small).expect("64 are free")).collect();
        let mut kept = None;
        for index in indices {
            let n = pool.fill(zero.as_fd(), Kind::Plain, Group::Small, index).expect("read");
            let buffer = pool.hand_out(Group::Small, index, n);
            match index {
                7 => kept = Some(buffer),
                _ => pool.release(buffer),
            }
        }
        let resident = resident_pages(&pool);
        assert!(resident >= 64, "{resident} pages");
        let mut now = Time::default();
        while let Some(due) = pool.trim(now, false).filter(|_| now < Time(5_000_000_000)) {
            now = due;
        }
        let left = resident_pages(&pool);
        assert!((1..6).contains(&left), "{left} pages are left for one buffer");
        let kept = kept.expect("one was kept");
        assert_eq!(pool.bytes(&kept).len(), Group::Small.capacity());
        pool.release(kept);
    }

    #[test]
    fn once_all_that_was_written_is_in_use_looks_are_rare() {
        let mut pool = Pool::new(SIZES).expect("mapped");
        let index = pool.take(Group::Small).expect("four are free");
        let held = pool.hand_out(Group::Small, index, 9);
        let (mut now, mut pauses) = (Time::default(), Vec::new());
        for _ in 0..4 {
            let due = pool.trim(now, false).expect("something was written");
            pauses.push(due.since(now));
            now = due;
        }
        assert_eq!(pauses, [TRIM_INTERVAL, TRIM_INTERVAL, TRIM_REST, TRIM_REST]);
        pool.release(held);
        assert_eq!(pool.trim(now, false).map(|due| due.since(now)), Some(TRIM_INTERVAL));
    }

    fn resident_pages(pool: &Pool) -> usize {
        let mut pages = vec![0u8; pool.bytes.div_ceil(pool.page)];
        // SAFETY: the mapping lives as long as the pool, and `pages` has a byte for each of its pages.
        let result =
            unsafe { libc::mincore(pool.base.as_ptr().cast(), pool.bytes, pages.as_mut_ptr()) };
        assert_eq!(result, 0);
        pages.iter().filter(|page| **page & 1 == 1).count()
    }

    #[test]
    fn more_buffers_than_can_be_numbered_are_refused() {
        let sizes = PoolSizes { small: GROUP_MAX + 1, ..SIZES };
        assert_eq!(Pool::new(sizes).err(), Some(Errno::EINVAL));
    }
}
