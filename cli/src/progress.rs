//! The live progress bar: part done, rate, time left. On a terminal only.

use std::io::IsTerminal;
use std::time::Duration;

use berth_process::log::Terminal;
use berth_traces::ReadProgress;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Follows how far a trace has been read.
pub(crate) struct Bar {
    bar: ProgressBar,
    progress: ReadProgress,
}

impl Bar {
    pub(crate) fn new(progress: ReadProgress) -> Self {
        let total = (progress.total() > 0).then(|| progress.total());
        let draws = Terminal::of_environment().moves_cursor(std::io::stderr().is_terminal());
        let target =
            if draws { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = if total.is_some() { "{bar:32} {percent:>3}%  {msg}" } else { "{spinner}  {msg}" };
        bar.set_style(ProgressStyle::with_template(template).expect("a fixed template"));
        Self { bar, progress }
    }

    /// Shows where the run is; called every few thousand VMs.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // for people
    pub(crate) fn show(&self, vms: u64) {
        if self.bar.is_hidden() {
            return;
        }
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        let rate = HumanCount((vms as f64 / seconds) as u64);
        let left = match self.progress.fraction() {
            // The whole run's pace, not the last moment's: departures make the pace vary.
            Some(done) if vms > 0 && done > 0.0 => {
                let left = Duration::from_secs((seconds / done - seconds) as u64);
                format!(", {} left", HumanDuration(left))
            }
            _ => String::new(),
        };
        self.bar.set_message(format!("{} VMs, {rate}/s{left}", HumanCount(vms)));
        self.bar.set_position(self.progress.done());
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Follows how many runs of a simulation are done; cores report at the same time.
pub(crate) struct Runs(ProgressBar);

impl Runs {
    /// Of `total` runs; 0 if the number is not known.
    pub(crate) fn new(total: u64) -> Self {
        let draws = Terminal::of_environment().moves_cursor(std::io::stderr().is_terminal());
        let target =
            if draws { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target((total > 0).then_some(total), target);
        let known = "{bar:32} {pos} of {len} runs, {per_sec}, {eta} left";
        let template = if total > 0 { known } else { "{spinner}  {pos} runs, {per_sec}" };
        bar.set_style(ProgressStyle::with_template(template).expect("a fixed template"));
        Self(bar)
    }

    pub(crate) fn show(&self, done: u64) {
        self.0.set_position(done);
    }

    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
