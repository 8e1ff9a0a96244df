//! Bars and spinners on stderr, drawn only for a terminal.
//!
//! A bar that is not drawn costs nothing and prints nothing: who starts one need not know.
//! While a console is shown none is drawn: it may stop in the middle of a line, which a bar
//! would take off the screen.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{
    MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle,
};

/// How often a spinner turns; also how often elapsed time is drawn anew.
const TICK: Duration = Duration::from_millis(100);
/// Terminals of fewer columns get the short form.
const NARROW: u16 = 80;
/// Before that nothing is said of how long it will take: the first bytes tell too little.
const UNSURE: Duration = Duration::from_secs(3);
/// What is further away is no estimate but a guess.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

/// The bars of one run.
#[derive(Debug, Clone)]
pub struct Progress {
    bars: MultiProgress,
    draws: bool,
    paused: Arc<AtomicBool>,
    narrow: bool,
}

impl Progress {
    /// Bars that are drawn on a terminal of so many columns, or not.
    pub fn new(draws: bool, columns: Option<u16>) -> Self {
        let target =
            if draws { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            bars: MultiProgress::with_draw_target(target),
            draws,
            paused: Arc::default(),
            narrow: columns.is_some_and(|columns| columns < NARROW),
        }
    }

    /// Bars that nobody sees.
    pub fn hidden() -> Self {
        Self::new(false, None)
    }

    /// Whether bars are drawn.
    pub fn draws(&self) -> bool {
        self.draws
    }

    /// Runs `write` with the bars off the screen.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.draws { self.bars.suspend(write) } else { write() }
    }

    /// Takes the bars off the screen until [`Self::resume`].
    pub fn pause(&self) {
        if self.draws && !self.paused.swap(true, Ordering::Relaxed) {
            // A terminal that is gone needs no clearing.
            let _ = self.bars.clear();
            self.bars.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    /// Draws bars again.
    pub fn resume(&self) {
        if self.draws && self.paused.swap(false, Ordering::Relaxed) {
            self.bars.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// A bar over a known number of bytes.
    pub fn bytes(&self, verb: &str, total: u64) -> ProgressBar {
        self.start(ProgressBar::new(total), verb, self.of_bytes())
    }

    fn of_bytes(&self) -> &'static str {
        match self.narrow {
            true => "{prefix:>12.cyan.bold} [{bar:10}] {bytes}/{total_bytes}{left}",
            false => {
                "{prefix:>12.cyan.bold} [{bar:27}] {bytes}/{total_bytes} {bytes_per_sec}{left}"
            }
        }
    }

    /// Puts on a bar of bytes what is waited for while they stand still, in the place of their
    /// speed; without that, the speed again.
    pub fn standing(&self, bar: &ProgressBar, why: Option<String>) {
        const STANDING: &str =
            "{prefix:>12.cyan.bold} [{bar:10}] {bytes}/{total_bytes}, {wide_msg}";
        match why {
            Some(why) => {
                bar.set_style(style(STANDING));
                bar.set_message(why);
            }
            None if !bar.message().is_empty() => {
                bar.set_style(style(self.of_bytes()));
                bar.set_message("");
            }
            None => {}
        }
    }

    /// A bar over a known number of things, which the message names.
    pub fn steps(&self, verb: &str, total: usize) -> ProgressBar {
        let template = match self.narrow {
            true => "{prefix:>12.cyan.bold} [{bar:10}] {pos}/{len}: {wide_msg}",
            false => "{prefix:>12.cyan.bold} [{bar:27}] {pos}/{len}: {wide_msg}",
        };
        self.start(ProgressBar::new(total as u64), verb, template)
    }

    /// A line with elapsed time, for waiting.
    pub fn waiting(&self, verb: &str, text: String) -> ProgressBar {
        let bar = ProgressBar::new_spinner().with_message(text);
        self.start(bar, verb, "{prefix:>12.cyan.bold} {waited:>3} {wide_msg}")
    }

    fn start(&self, bar: ProgressBar, verb: &str, template: &str) -> ProgressBar {
        let bar = bar.with_style(style(template)).with_prefix(verb.to_owned());
        let bar = self.bars.add(bar.with_finish(ProgressFinish::AndClear));
        if self.draws {
            bar.enable_steady_tick(TICK);
        }
        bar
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("left", |state: &ProgressState, text: &mut dyn Write| {
            // Text goes to memory, which takes it.
            let _ = text.write_str(&left(state.elapsed(), state.eta()));
        })
        .with_key("waited", |state: &ProgressState, text: &mut dyn Write| {
            let _ = text.write_str(&short(state.elapsed()));
        })
        .progress_chars("=> ")
}

/// How long it still takes, once that can be told.
fn left(elapsed: Duration, left: Duration) -> String {
    match elapsed >= UNSURE && !left.is_zero() && left < FAR {
        true => format!(", {} left", short(left)),
        false => String::new(),
    }
}

/// A length of time: `9s`, `3m12s`, `1h02m`.
fn short(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_yet_is_not() {
        let seconds = Duration::from_secs;
        assert_eq!(left(seconds(1), seconds(9)), "");
        assert_eq!(left(seconds(4), seconds(9)), ", 9s left");
        assert_eq!(left(seconds(9), seconds(192)), ", 3m12s left");
        assert_eq!(short(seconds(3725)), "1h02m");
        assert_eq!(left(seconds(4), seconds(0)), "");
        assert_eq!(left(seconds(4), Duration::MAX), "");
    }

    #[test]
    fn bars_that_are_not_drawn_cost_nothing() {
        let bars = Progress::hidden();
        let bar = bars.bytes("Uploading", 10);
        bars.pause();
        bars.resume();
        bar.set_position(5);
        assert!(bar.is_hidden());
    }
}
