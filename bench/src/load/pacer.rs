//! Floods at a fixed rate: a chunk is due at its moment, and goes to the next stream in turn.
//!
//! What a stream does not take stays owed to it, so that a contestant which stalls has to make up for it.

use std::time::Instant;

use anyhow::Result;
use nix::sys::epoll::EpollFlags;

use super::origin::{self, FLOOD_CHUNK};
use super::schedule::Schedule;
use super::{Fate, Load, Socket};

pub(super) struct Pacer {
    schedule: Schedule,
    /// The streams that take turns.
    streams: Vec<usize>,
}

impl Pacer {
    /// When the next chunk is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.schedule.next()
    }
}

impl Load<'_> {
    pub(super) fn start_pacer(&mut self) {
        let Some(rate) = self.pattern.stream_rate else { return };
        let is_flood = |s: &Socket| matches!(s, Socket::Flood(..));
        let streams = self.sockets.iter().filter(|(_, s)| is_flood(s)).map(|(key, _)| key);
        let chunks_per_second = rate / FLOOD_CHUNK as u32;
        self.pacer = Some(Pacer {
            schedule: Schedule::new(Instant::now(), chunks_per_second),
            streams: streams.collect(),
        });
    }

    pub(super) fn flood_due(&mut self) -> Result<()> {
        while let Some(pacer) = &mut self.pacer
            && let Some((number, _)) = pacer.schedule.take(Instant::now())
        {
            let key = pacer.streams[(number % pacer.streams.len() as u64) as usize];
            let Some(Socket::Flood(stream, left)) = self.sockets.get_mut(key) else { continue };
            let waits = *left > 0;
            *left += FLOOD_CHUNK as u64;
            if waits {
                continue;
            }
            match origin::flood(stream, left, &mut self.scratch) {
                Fate::Keep => self.interest(key, EpollFlags::EPOLLOUT)?,
                Fate::Drop => self.close(key)?,
                Fate::Silent | Fate::Loud => {}
            }
        }
        Ok(())
    }
}
