//! The out-queue of a leg: chunks that wait to be accepted by the kernel, and what they cost.
//!
//! It moves no bytes. What was accepted is cut off the front, and pooled buffers go back to the pool by themselves.

use std::collections::VecDeque;

use bytes::Buf;

use crate::buffers::{Group, Pool};
use crate::op::{Chunk, Queued};

/// Chunks in sending order. Empty, it holds no memory.
#[derive(Debug, Default)]
pub struct Queue {
    chunks: VecDeque<Chunk>,
    queued: Queued,
}

impl Queue {
    /// Adds a chunk behind all others. An empty one is given back at once.
    pub fn push(&mut self, chunk: Chunk, pool: &mut Pool) {
        let len = chunk_len(&chunk);
        if len == 0 {
            return release(chunk, pool);
        }
        self.queued.bytes += len;
        self.queued.memory += chunk_memory(&chunk);
        pool.queue_apart(len_apart(&chunk));
        self.chunks.push_back(chunk);
    }

    /// Cuts off `n` bytes that the kernel has accepted.
    ///
    /// # Panics
    /// If fewer were queued: the kernel can't accept what it wasn't given.
    pub fn advance(&mut self, n: usize, pool: &mut Pool) {
        self.queued.bytes = self.queued.bytes.checked_sub(n).expect("more accepted than queued");
        let mut left = n;
        while left > 0 {
            let front = self.chunks.front_mut().expect("bytes are left, so a chunk is");
            let len = chunk_len(front);
            if left < len {
                let before = chunk_memory(front);
                cut(front, left);
                self.queued.memory -= before - chunk_memory(front);
                pool.unqueue_apart(before - chunk_memory(front));
                return;
            }
            left -= len;
            self.queued.memory -= chunk_memory(front);
            let finished = self.chunks.pop_front().expect("it was in front");
            pool.unqueue_apart(len_apart(&finished));
            release(finished, pool);
        }
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }

    /// Drops everything; the number of bytes that were never accepted.
    pub fn clear(&mut self, pool: &mut Pool) -> usize {
        for chunk in std::mem::take(&mut self.chunks) {
            pool.unqueue_apart(len_apart(&chunk));
            release(chunk, pool);
        }
        std::mem::take(&mut self.queued).bytes
    }

    /// The bytes of each chunk, in sending order. They stay where they are until [`advance`](Self::advance) or
    /// [`clear`](Self::clear), also when more is pushed.
    pub fn parts<'q>(&'q self, pool: &'q Pool) -> impl Iterator<Item = &'q [u8]> {
        self.chunks.iter().map(|chunk| match chunk {
            Chunk::Pool(buffer) => pool.bytes(buffer),
            Chunk::Bytes(bytes) => &bytes[..],
        })
    }

    /// Buffers of a group among them.
    pub fn pinned(&self, group: Group) -> usize {
        let is_one =
            |chunk: &&Chunk| matches!(chunk, Chunk::Pool(buffer) if buffer.group() == group);
        self.chunks.iter().filter(is_one).count()
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// What waits, and the memory it holds.
    pub fn queued(&self) -> Queued {
        self.queued
    }
}

/// Gives a chunk's memory back to whom it belongs.
pub fn release(chunk: Chunk, pool: &mut Pool) {
    if let Chunk::Pool(buffer) = chunk {
        pool.release(buffer);
    }
}

/// Bytes left in a chunk.
pub fn chunk_len(chunk: &Chunk) -> usize {
    match chunk {
        Chunk::Pool(buffer) => buffer.len(),
        Chunk::Bytes(bytes) => bytes.len(),
    }
}

/// Drops the first `n` bytes of a chunk.
pub fn cut(chunk: &mut Chunk, n: usize) {
    match chunk {
        Chunk::Pool(buffer) => buffer.advance(n),
        Chunk::Bytes(bytes) => bytes.advance(n),
    }
}

/// Bytes that are not the pool's.
fn len_apart(chunk: &Chunk) -> usize {
    match chunk {
        Chunk::Pool(_) => 0,
        Chunk::Bytes(bytes) => bytes.len(),
    }
}

fn chunk_memory(chunk: &Chunk) -> usize {
    match chunk {
        Chunk::Pool(buffer) => buffer.group().stride(),
        Chunk::Bytes(bytes) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::buffers::PoolSizes;

    fn pool() -> Pool {
        Pool::new(PoolSizes { reserve: 4, small: 4, record: 4, bulk: 4 }).expect("mapped")
    }

    #[test]
    fn accounts_stay_exact_whatever_the_kernel_accepts() {
        for step in 1..=140 {
            let mut pool = pool();
            let mut queue = Queue::default();
            let index = pool.take(Group::Small).expect("four are free");
            queue.push(Chunk::Bytes(Bytes::from_static(&[1; 30])), &mut pool);
            let buffer = pool.hand_out(Group::Small, index, 100);
            queue.push(Chunk::Pool(buffer), &mut pool);
            queue.push(Chunk::Bytes(Bytes::from_static(&[2; 10])), &mut pool);
            assert_eq!(queue.queued(), Queued { bytes: 140, memory: 40 + Group::Small.stride() });
            let mut left: usize = 140;
            while left > 0 {
                let n = step.min(left);
                queue.advance(n, &mut pool);
                left -= n;
                assert_eq!(queue.queued().bytes, left);
                assert_eq!(queue.parts(&pool).map(<[u8]>::len).sum::<usize>(), left);
                assert_eq!(pool.free(Group::Small), if left > 10 { 3 } else { 4 });
            }
            assert!(queue.is_empty() && queue.chunks.capacity() == 0);
            assert_eq!(queue.queued(), Queued::default());
        }
    }

    #[test]
    fn clearing_gives_buffers_back_and_empty_chunks_are_never_kept() {
        let (mut pool, mut queue) = (pool(), Queue::default());
        queue.push(Chunk::Bytes(Bytes::new()), &mut pool);
        assert!(queue.is_empty());
        let index = pool.take(Group::Record).expect("four are free");
        let buffer = pool.hand_out(Group::Record, index, 9);
        queue.push(Chunk::Pool(buffer), &mut pool);
        assert_eq!(queue.clear(&mut pool), 9);
        assert_eq!((pool.free(Group::Record), queue.queued()), (4, Queued::default()));
    }
}
