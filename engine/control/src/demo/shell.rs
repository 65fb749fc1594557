//! The line of the demo console: keys in, what a terminal shows out.
//!
//! ```text
//!  line ── Enter ──▶ command ─▶ line
//!    │                  └─────▶ flood ── all sent, or Ctrl-C ──▶ line
//!    └── Ctrl-D, exit, their end ──▶ over
//! ```
//!
//! Keys are echoed one by one, as a serial line does it. Escape sequences, such as those of arrow keys, are swallowed; so is
//! all but Ctrl-C while a flood is under way.

use std::collections::VecDeque;
use std::time::Instant;

use penstock_core::control::SessionId;

use super::commands::{self, Next};

/// Bytes of a line; further keys ring the bell.
const LINE_MAX: usize = 256;
/// Bytes of output that wait; beyond, no keys are taken, so that it is exceeded by one answer at most.
const OUTPUT_MAX: usize = 8 << 10;
const PROMPT: &str = "demo> ";

pub(super) struct Shell {
    session: SessionId,
    started: Instant,
    line: Vec<u8>,
    output: Vec<u8>,
    /// Keys that were not taken yet.
    unheard: VecDeque<u8>,
    keys: Keys,
    flood: Option<Flood>,
    is_over: bool,
}

/// What the key before means for the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    Plain,
    /// A line feed would belong to it.
    Return,
    Escape,
    /// Until a final byte.
    Sequence,
}

/// Bulk to be sent, line by line.
struct Flood {
    lines: u32,
    sent: u32,
    since: Instant,
}

impl Shell {
    /// One that has greeted.
    pub(super) fn new(session: SessionId, started: Instant) -> Shell {
        let mut shell = Shell {
            session,
            started,
            line: Vec::new(),
            output: Vec::new(),
            unheard: VecDeque::new(),
            keys: Keys::Plain,
            flood: None,
            is_over: false,
        };
        shell.say(commands::GREETING);
        shell.say(PROMPT);
        shell
    }

    /// What is to be shown and was not taken yet.
    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }

    /// So many bytes of it were taken.
    pub(super) fn spoken(&mut self, length: usize) {
        self.output.drain(..length);
        self.go_on();
    }

    pub(super) fn takes_input(&self) -> bool {
        self.unheard.is_empty() && self.takes_keys()
    }

    /// Nothing more is heard; what is left to be shown may still be.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// There will be no more keys.
    pub(super) fn end(&mut self) {
        self.flood = None;
        self.is_over = true;
    }

    pub(super) fn hear(&mut self, keys: &[u8]) {
        self.unheard.extend(keys);
        self.go_on();
    }

    /// Takes keys and has a flood flow, as far as there is room for what they show.
    fn go_on(&mut self) {
        while self.takes_keys()
            && let Some(key) = self.unheard.pop_front()
        {
            self.key(key);
        }
        self.pour();
    }

    /// All but one show nothing while a flood is under way, and that one has to be heard.
    fn takes_keys(&self) -> bool {
        !self.is_over && (self.flood.is_some() || self.output.len() < OUTPUT_MAX)
    }

    fn key(&mut self, key: u8) {
        let before = std::mem::replace(&mut self.keys, Keys::Plain);
        match (before, key) {
            (Keys::Escape, b'[' | b'O') => self.keys = Keys::Sequence,
            (Keys::Escape, _) => {}
            (Keys::Sequence, 0x20..=0x3f) => self.keys = Keys::Sequence,
            (Keys::Sequence, _) => {}
            (_, 0x1b) => self.keys = Keys::Escape,
            (_, 0x03) => self.interrupt(),
            _ if self.flood.is_some() => {}
            (Keys::Return, b'\n') => {}
            (_, b'\r') => {
                self.keys = Keys::Return;
                self.enter();
            }
            (_, b'\n') => self.enter(),
            (_, 0x08 | 0x7f) => self.erase(),
            (_, 0x15) => {
                self.line.clear();
                self.say(&format!("\r{PROMPT}\x1b[K"));
            }
            (_, 0x0c) => {
                self.say(&format!("\x1b[H\x1b[2J{PROMPT}"));
                self.output.extend(&self.line);
            }
            (_, 0x04) if self.line.is_empty() => self.leave(),
            (_, 0x20..) if self.line.len() < LINE_MAX => {
                self.line.push(key);
                self.output.push(key);
            }
            _ => self.say("\x07"),
        }
    }

    /// Takes back the last character, of however many bytes.
    fn erase(&mut self) {
        while let Some(byte) = self.line.pop() {
            if byte & 0xc0 != 0x80 {
                return self.say("\x08 \x08");
            }
        }
    }

    fn interrupt(&mut self) {
        self.line.clear();
        if self.flood.take().is_some() {
            // What waits is of the flood.
            self.output.clear();
        }
        self.say("^C\r\n");
        self.say(PROMPT);
    }

    fn enter(&mut self) {
        self.say("\r\n");
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let (text, next) = commands::run(&line, self.session, self.started);
        self.say(&text);
        match next {
            Next::Line => self.say(PROMPT),
            Next::Flood(kib) => {
                let lines = kib * commands::LINES_PER_KIB;
                self.flood = Some(Flood { lines, sent: 0, since: Instant::now() });
            }
            Next::End => self.leave(),
        }
    }

    fn leave(&mut self) {
        self.say("\r\nGoodbye.\r\n");
        self.end();
    }

    /// Has some output of a flood wait, if there is one.
    fn pour(&mut self) {
        let Some(flood) = &mut self.flood else { return };
        while self.output.len() < OUTPUT_MAX && flood.sent < flood.lines {
            self.output.extend(commands::flood_line(flood.sent).as_bytes());
            flood.sent += 1;
        }
        if flood.sent == flood.lines && self.output.is_empty() {
            let (kib, took) = (flood.lines / commands::LINES_PER_KIB, flood.since.elapsed());
            self.flood = None;
            self.say(&format!("{kib} KiB in {:.3} s\r\n{PROMPT}", took.as_secs_f64()));
        }
    }

    fn say(&mut self, text: &str) {
        self.output.extend(text.as_bytes());
    }
}
