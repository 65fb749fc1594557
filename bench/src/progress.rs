//! Says on standard error what is being measured: one line that moves on a terminal, a line per round elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// `steps`: contestants times rounds, over all scenarios.
    pub(crate) fn new(steps: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(4));
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} % {elapsed} {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Progress { bar }
    }

    pub(crate) fn round(&self, scenario: &str, round: usize, rounds: usize) {
        if self.bar.is_hidden() {
            let seconds = self.bar.elapsed().as_secs();
            eprintln!("{seconds:>5} s  {scenario}: round {round} of {rounds}");
        }
    }

    pub(crate) fn step(&self, scenario: &str, contestant: &str) {
        self.bar.set_message(format!("{scenario} {contestant}"));
        self.bar.inc(1);
    }

    /// Prints to standard output, clear of the moving line.
    pub(crate) fn print(&self, text: &str) {
        self.bar.suspend(|| print!("{text}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
