//! What is said piece by piece, before a tunnel stands.

use std::collections::VecDeque;
use std::time::Duration;

use penstock_ring::{Errno, Time};

use crate::sim::line::Line;
use crate::sim::world::World;

/// Bytes, each part after a gap.
pub type Pieces = VecDeque<(Duration, Vec<u8>)>;

/// Sends what is due of the pieces; whether that was all.
pub fn send(
    pieces: &mut Pieces,
    line: &mut Line,
    sent_at: &mut Time,
    host: usize,
    through: bool,
    world: &mut World,
) -> bool {
    while let Some((gap, bytes)) = pieces.front_mut() {
        if world.now < *sent_at + *gap {
            let span = (*sent_at + *gap).since(world.now);
            world.wake_host(host, span);
            return false;
        }
        let written = match through {
            true => line.write(bytes, world),
            false => world.write(line.end, bytes),
        };
        match written {
            Ok(n) if n == bytes.len() => {
                pieces.pop_front();
                *sent_at = world.now;
            }
            Ok(n) => drop(bytes.drain(..n)),
            Err(Errno::EAGAIN) => return false,
            // The answer may have come before; reading will tell.
            Err(_) => pieces.clear(),
        }
        if line.is_spoiled() {
            return false;
        }
    }
    true
}
