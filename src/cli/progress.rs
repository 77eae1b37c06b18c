//! How far something is, for somebody who watches a terminal for longer than a moment.

#![expect(
    clippy::disallowed_methods,
    reason = "the time that passes for the person who waits; it is in no trace"
)]

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;

/// Nobody needs to be told how far something of less than this is.
const SILENCE: Duration = Duration::from_secs(2);

/// A bar with what is left. It is not there before [`SILENCE`] has passed, and never in a log.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    started: Instant,
    template: &'static str,
}

impl Progress {
    /// Of so many things.
    pub(super) fn of_things(count: u64) -> Self {
        Self::new(count, "{bar:30} {pos}/{len} {elapsed}, {eta} to go  {msg}")
    }

    /// Of so many parts that mean nothing to anybody.
    pub(super) fn of_parts(count: u64) -> Self {
        Self::new(
            count,
            "{bar:30} {percent:>3} % {elapsed}, {eta} to go at most  {msg}",
        )
    }

    fn new(count: u64, template: &'static str) -> Self {
        Self {
            bar: ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::hidden()),
            started: Instant::now(),
            template,
        }
    }

    /// So many are done.
    pub(super) fn set(&self, done: u64) {
        self.bar.set_position(done);
        if self.bar.is_hidden() && output::watched() && self.started.elapsed() > SILENCE {
            if let Ok(style) = ProgressStyle::with_template(self.template) {
                self.bar.set_style(style);
            }
            self.bar
                .set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            // What takes long by itself is seen to be alive.
            self.bar.enable_steady_tick(Duration::from_millis(500));
        }
    }

    /// What is done just now.
    pub(super) fn message(&self, text: String) {
        self.bar.set_message(text);
    }

    /// Lets something print while the bar is away.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// It is over. Returns the time that it took.
    pub(super) fn finish(self) -> Duration {
        self.bar.finish_and_clear();
        self.started.elapsed()
    }
}
