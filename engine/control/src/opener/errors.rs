//! What a program says on its standard error: the last of it, for whoever reads logs.
//!
//! In: a pipe. Out: a line of text at most 4 KiB long, with nothing in it that a terminal or another line of the log would take for
//! something else. Who says more than can be read in a reasonable time has to wait.

use std::io;
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;
use tokio::time::sleep;

/// Bytes that are kept.
const KEPT: usize = 4 << 10;
/// Bytes after which there is a pause, and how long that is: 25 MB/s at most.
const BURST: usize = 256 << 10;
const PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Errors {
    /// None once nobody writes any more.
    pipe: Option<Receiver>,
    kept: Vec<u8>,
    is_cut: bool,
    burst: usize,
}

impl Errors {
    pub(super) fn new(pipe: Receiver) -> Errors {
        Errors { pipe: Some(pipe), kept: Vec::new(), is_cut: false, burst: 0 }
    }

    /// Reads until nobody can write any more. May be dropped and called again.
    pub(super) async fn read_to_end(&mut self) {
        let mut bytes = [0; KEPT];
        while let Some(pipe) = &self.pipe {
            if self.burst >= BURST {
                sleep(PAUSE).await;
                self.burst = 0;
            }
            let read = match pipe.readable().await {
                Ok(()) => pipe.try_read(&mut bytes),
                Err(error) => Err(error),
            };
            match read {
                Ok(length @ 1..) => self.keep(&bytes[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => self.pipe = None,
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.burst += bytes.len();
        self.kept.extend_from_slice(bytes);
        let excess = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..excess);
        self.is_cut |= excess > 0;
    }

    /// Whether all has been read.
    pub(super) fn is_over(&self) -> bool {
        self.pipe.is_none()
    }

    /// What was said, on one line.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let clean: String =
            text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        let lines: Vec<&str> =
            clean.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match (self.is_cut, lines.is_empty()) {
            (true, false) => format!("… {}", lines.join("; ")),
            _ => lines.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn errors() -> (io::PipeWriter, Errors) {
        let (ours, theirs) = io::pipe().expect("made");
        (theirs, Errors::new(Receiver::from_owned_fd(ours.into()).expect("a pipe")))
    }

    #[tokio::test]
    async fn lines_become_one_without_what_steers_terminals() {
        let (mut theirs, mut errors) = errors();
        theirs
            .write_all(b"Warning: \x1b[31mred\x1b[0m\r\n\n  Permission denied (publickey).\n")
            .expect("room");
        drop(theirs);
        errors.read_to_end().await;
        assert!(errors.is_over());
        assert_eq!(errors.text(), "Warning:  [31mred [0m; Permission denied (publickey).");
    }

    #[tokio::test(start_paused = true)]
    async fn of_much_the_last_is_kept_and_nobody_reads_day_and_night() {
        let (mut theirs, mut errors) = errors();
        let begun = tokio::time::Instant::now();
        let writer = std::thread::spawn(move || {
            for n in 0..100_000 {
                writeln!(theirs, "line {n}").expect("a reader");
            }
        });
        errors.read_to_end().await;
        writer.join().expect("it ended");
        // A megabyte and some.
        assert_eq!(begun.elapsed().as_millis() / PAUSE.as_millis(), 4);
        let text = errors.text();
        assert!(text.starts_with("… ") && text.ends_with("; line 99998; line 99999"), "{text}");
        assert!(text.len() < 2 * KEPT, "{}", text.len());
    }

    #[tokio::test]
    async fn nothing_is_no_text() {
        let (theirs, mut errors) = errors();
        drop(theirs);
        errors.read_to_end().await;
        assert_eq!(errors.text(), "");
    }
}
