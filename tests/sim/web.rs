//! The web server behind consoles: answers each request that is passed on to it with a page, at once or not, and ends early at
//! times, which it says as ours does.

use std::collections::VecDeque;
use std::time::Duration;

use penstock_core::config::Cut;
use penstock_ring::{Close, Errno, Time};

use crate::sim::browser::page;
use crate::sim::link::Read;
use crate::sim::random::Random;
use crate::sim::tally::{Fault, count};
use crate::sim::world::{End, World};

/// How it serves.
#[derive(Clone, Copy, Debug)]
pub struct Serving {
    /// Bytes of a page.
    pub length: usize,
    /// How long it thinks.
    pub delay: Duration,
    /// It ends after so many bytes, and whether it leaves in order then or resets.
    pub ends_early: Option<(usize, Close)>,
}

/// One connection of it.
#[derive(Debug)]
pub struct WebServer {
    end: End,
    host: usize,
    cut: Cut,
    serving: Serving,
    input: Vec<u8>,
    out: VecDeque<u8>,
    /// Answers that are not begun, and when the first of them is.
    due: VecDeque<Vec<u8>>,
    due_at: Time,
    written: usize,
    /// It is asked no more.
    unasked: bool,
    /// It has gone.
    pub closed: bool,
}

impl Serving {
    /// A seed's choice.
    pub fn of(random: &mut Random, fair: bool) -> Serving {
        let length = random.pick(&[0, 10, 2_000, 100_000, 1_500_000]);
        let early = !fair && random.percent(15);
        let how = random.pick(&[Close::Normal, Close::Reset]);
        Serving {
            length,
            delay: Duration::from_micros(random.pick(&[0, 0, 5_000, 700_000, 9_000_000])),
            ends_early: early.then(|| (random.below(length + 200), how)),
        }
    }
}

impl WebServer {
    /// A connection that was just taken.
    pub fn new(end: End, host: usize, cut: Cut, serving: Serving) -> WebServer {
        WebServer {
            end,
            host,
            cut,
            serving,
            input: Vec::new(),
            out: VecDeque::new(),
            due: VecDeque::new(),
            due_at: Time(0),
            written: 0,
            unasked: false,
            closed: false,
        }
    }

    /// Whether it has ended, or may end, before it has said all.
    pub fn ends_early(&self) -> bool {
        self.serving.ends_early.is_some()
    }

    /// Takes requests, answers, and ends, as far as is possible now.
    pub fn step(&mut self, world: &mut World) {
        if self.closed {
            return;
        }
        loop {
            match world.read(self.end, 1 << 16, &mut self.input) {
                Read::Bytes(_) => self.take_requests(world),
                Read::Blocked => break,
                Read::Ended => {
                    self.unasked = true;
                    break;
                }
                Read::Failed(_) => return self.leave(Close::Normal, world),
            }
        }
        if world.now >= self.due_at {
            self.out.extend(self.due.drain(..).flatten());
        }
        self.answer(world);
    }

    fn take_requests(&mut self, world: &mut World) {
        while let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = self.input.drain(..end + 4).collect();
            let head = String::from_utf8(head).expect("a head is text");
            assert!(head.starts_with("GET /page"), "nothing else is for the web server: {head}");
            if self.due.is_empty() {
                self.due_at = world.now + self.serving.delay;
                world.wake_host(self.host, self.serving.delay);
            }
            if self.serving.delay > Duration::from_secs(1) {
                count(Fault::PageSlow);
            }
            self.due.push_back(page(200, self.serving.length));
        }
    }

    fn answer(&mut self, world: &mut World) {
        while !self.out.is_empty() {
            let left = self.serving.ends_early.map_or(usize::MAX, |(at, _)| at - self.written);
            let most = left.min(self.out.len());
            match world.write(self.end, &self.out.make_contiguous()[..most]) {
                Ok(n) => {
                    self.out.drain(..n);
                    self.written += n;
                }
                Err(Errno::EAGAIN) => return,
                Err(_) => return self.leave(Close::Normal, world),
            }
            match self.serving.ends_early {
                Some((at, how)) if at == self.written => {
                    count(Fault::PageCut);
                    self.cut.raise();
                    return self.leave(how, world);
                }
                _ => {}
            }
        }
        if self.unasked && self.due.is_empty() {
            self.leave(Close::Normal, world);
        }
    }

    fn leave(&mut self, how: Close, world: &mut World) {
        self.closed = true;
        world.close_end(self.end, how);
    }
}
