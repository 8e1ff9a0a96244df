//! Bars and spinners on stderr, drawn only for a terminal.
//!
//! A bar that is not drawn costs nothing and prints nothing: who starts one need not know.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a spinner turns; also how often elapsed time is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// The bars of one run.
#[derive(Debug, Clone)]
pub struct Progress {
    bars: MultiProgress,
    draws: bool,
}

impl Progress {
    /// Bars that are drawn, or not.
    pub fn new(draws: bool) -> Self {
        let target =
            if draws { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), draws }
    }

    /// Runs `write` with the bars off the screen.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.draws { self.bars.suspend(write) } else { write() }
    }

    /// A bar over a known number of bytes.
    pub fn bytes(&self, verb: &str, total: u64) -> ProgressBar {
        let bar = ProgressBar::new(total);
        self.start(
            bar,
            verb,
            "{prefix:>12.cyan.bold} [{bar:27}] {bytes}/{total_bytes} {bytes_per_sec}",
        )
    }

    /// A spinner with elapsed time, for waiting.
    pub fn waiting(&self, verb: &str, text: String) -> ProgressBar {
        let bar = ProgressBar::new_spinner().with_message(text);
        let bar = self.start(bar, verb, "{prefix:>12.cyan.bold} {wide_msg} {elapsed}");
        if self.draws {
            bar.enable_steady_tick(TICK);
        }
        bar
    }

    fn start(&self, bar: ProgressBar, verb: &str, template: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        self.bars.add(bar.with_style(style).with_prefix(verb.to_owned()))
    }
}
