//! What the demo console can be told: a line in, text and what follows out.

use std::time::{Duration, Instant};

use penstock_core::control::SessionId;

pub(super) const GREETING: &str = "\x1b[2J\x1b[H\x1b[1mPenstock\x1b[0m demo console\r\n\
    \r\n\
    No machine is behind it: it is built in, to show that the way to here works.\r\n\
    Type \x1b[1mhelp\x1b[0m and press Enter.\r\n\r\n";

const HELP: &str = "help          this list\r\n\
    date          the time on this host\r\n\
    uptime        how long Penstock has been running\r\n\
    echo TEXT     TEXT again\r\n\
    colors        what a terminal can show\r\n\
    flood [KIB]   that much text at once, 256 unless told; Ctrl-C stops it\r\n\
    who           which session this is, as the access log has it\r\n\
    exit          end; so does Ctrl-D\r\n";

/// Bytes of a flood are sent in lines of 64.
pub(super) const LINES_PER_KIB: u32 = 16;
const FLOOD_KIB: u32 = 256;
const FLOOD_KIB_MAX: u32 = 16 << 10;

/// What follows a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Line,
    /// So many KiB.
    Flood(u32),
    End,
}

/// Text to be shown, with ends of lines as terminals need them.
pub(super) fn run(line: &str, session: SessionId, started: Instant) -> (String, Next) {
    let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let text = match command {
        "" => String::new(),
        "help" | "?" => HELP.to_owned(),
        "date" => format!("{}\r\n", chrono::Local::now().format("%Y-%m-%d %H:%M:%S %:z")),
        "uptime" => format!("up {}\r\n", span(started.elapsed())),
        "echo" => format!("{}\r\n", visible(rest)),
        "colors" | "colours" => colors(),
        "flood" => match flood(rest) {
            Some(kib) => return (String::new(), Next::Flood(kib)),
            None => format!("flood: a number of KiB, from 1 to {FLOOD_KIB_MAX}\r\n"),
        },
        "who" => format!("you are on session {session}\r\n"),
        "exit" | "logout" | "quit" => return (String::new(), Next::End),
        other => format!("{}: no such command; try help\r\n", visible(other)),
    };
    (text, Next::Line)
}

fn flood(text: &str) -> Option<u32> {
    match text.trim() {
        "" => Some(FLOOD_KIB),
        number => number.parse().ok().filter(|kib| (1..=FLOOD_KIB_MAX).contains(kib)),
    }
}

/// The line of this number: 64 bytes.
pub(super) fn flood_line(number: u32) -> String {
    format!("{number:08} the quick brown fox jumps over the lazy dog, 0123456 \r\n")
}

/// Without what would steer a terminal.
fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    format!("{days} days {hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60)
}

fn colors() -> String {
    let cells = |base: u8| (base..base + 8).map(|code| format!("\x1b[{code}m {code:<4}\x1b[0m"));
    let mut text = String::new();
    for base in [30, 90, 40, 100] {
        text.extend(cells(base));
        text.push_str("\r\n");
    }
    for shade in 232..=255 {
        text.push_str(&format!("\x1b[48;5;{shade}m  "));
    }
    text + "\x1b[0m\r\n\x1b[1mbold\x1b[0m \x1b[3mitalic\x1b[0m \x1b[4munderlined\x1b[0m \
        \x1b[7mreversed\x1b[0m \x1b[38;2;255;140;0mtrue colour\x1b[0m ┌─┐ äöü €\r\n"
}
