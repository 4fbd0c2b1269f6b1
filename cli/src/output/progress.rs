//! How far long work is: a line on standard error with rate and time left, on a terminal only. It has no colours.

use crate::context::Context;
use crate::interrupt;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use kv_engine::Job;
use std::time::Duration;

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    /// Pages of a file.
    Pages,
    /// Bytes.
    Bytes,
    /// Entries.
    Entries,
}

/// Entries are counted one by one, and a look at the clock for each would take longer than the entry.
const EVERY: u64 = 4096;

/// The progress of one piece of work. While it lasts, Ctrl-C is noted and ends the work at its next step.
pub struct Progress {
    bar: ProgressBar,
    done: u64,
}

impl Progress {
    /// Begins to show progress; `total` is not always known.
    pub fn new(context: &Context, doing: &'static str, unit: Unit, total: Option<u64>) -> Progress {
        interrupt::watch();
        let target = match context.global.quiet || is_dumb() {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr_with_hz(10),
        };
        let bar = ProgressBar::with_draw_target(total, target);
        let (count, rate) = match unit {
            Unit::Pages => ("{human_pos}/{human_len} pages", "{rate}/s"),
            Unit::Entries => ("{human_pos}/{human_len} entries", "{rate}/s"),
            Unit::Bytes => ("{bytes}/{total_bytes}", "{bytes_per_sec}"),
        };
        let line = match total {
            Some(_) => format!("{{msg}} [{{bar:24}}] {{percent}}% {count}, {rate}, {{eta}} left"),
            None => format!("{{msg}} {}, {rate}", count.split('/').next().unwrap_or_default()),
        };
        // The templates above are right.
        if let Ok(style) = ProgressStyle::with_template(&line) {
            let style = style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // Writing to a line that is kept in memory does not fail.
                let _ = write!(out, "{}", HumanCount(state.per_sec() as u64));
            });
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(doing);
        interrupt::beside(|| bar.enable_steady_tick(Duration::from_millis(500)));
        Progress { bar, done: 0 }
    }

    /// Does something that writes to the terminal, while the progress is not shown there.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bar.suspend(work)
    }

    /// Tells how much is done, and of how much. Returns whether to go on, as jobs of the engine want it.
    pub fn tell(&mut self, done: u64, total: u64) -> bool {
        self.bar.set_length(total);
        self.bar.set_position(done);
        !interrupt::was_interrupted()
    }

    /// Tells that more is done.
    pub fn more(&mut self, count: u64) -> crate::exit::Outcome<()> {
        let before = self.done / EVERY;
        self.done += count;
        if self.done / EVERY != before {
            self.bar.set_position(self.done);
            interrupt::check()?;
        }
        Ok(())
    }
}

/// Returns whether the terminal can neither erase a line nor show colours.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|name| name == "dumb")
}

/// Runs a job of the engine that reads pages, at most this many, and shows how far it is.
pub fn of_job<T>(context: &Context, doing: &'static str, pages: u64, work: impl FnOnce(&Job<'_>) -> T) -> T {
    let mut progress = Progress::new(context, doing, Unit::Pages, Some(pages));
    let mut tell = |done, total| progress.tell(done, total);
    work(&Job::new(&mut tell))
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
