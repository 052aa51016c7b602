//! The progress of a sweep: a bar on a terminal, else a plain line every few seconds; and
//! its findings, the first of them.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use waxseal_sweep::Event;

use crate::output::{self, thousands};
use crate::stderr;

const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_EVERY: Duration = Duration::from_millis(100);
/// The number of findings that are shown; all others are counted.
const SHOWN: u64 = 20;

/// The progress of one sweep.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    /// Records checked before this run.
    from: u64,
    last: Instant,
    found: u64,
}

impl Progress {
    pub(crate) fn start(quiet: bool, from: u64) -> Self {
        let now = Instant::now();
        Self {
            bar: bar(quiet),
            started: now,
            from,
            last: now,
            found: 0,
        }
    }

    pub(crate) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Progress {
                position,
                records,
                slowed,
            } => {
                let every = if self.bar.is_some() {
                    BAR_EVERY
                } else {
                    LINE_EVERY
                };
                if self.last.elapsed() >= every {
                    self.last = Instant::now();
                    self.tell(position.examined, *records, *slowed);
                }
            }
            Event::Finding(finding) => {
                self.found += 1;
                if self.found <= SHOWN {
                    self.print_line(&format!(
                        "waxseal: warning: {}: {}",
                        finding.record, finding.cause
                    ));
                }
            }
            Event::Waiting(error) => {
                self.print_line(&format!("waxseal: warning: {error}; waiting for it"));
            }
            Event::Restarted => {
                let text = "waxseal: the store was restarted: the sweep starts again (values that are sealed \
                            already stay unchanged)";
                self.print_line(text);
                self.from = 0;
                self.started = Instant::now();
            }
        }
    }

    /// Removes the bar, and prints how many findings were not shown.
    pub(crate) fn end(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.found > SHOWN {
            let more = thousands(self.found - SHOWN);
            output::warn(&format!("{more} more findings are not shown"));
        }
    }

    fn tell(&self, examined: u64, records: u64, slowed: bool) {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = examined.saturating_sub(self.from) as f64 / seconds;
        // A scan returns some records twice, and new ones are created.
        let records = records.max(examined);
        let left = (records - examined) as f64 / rate.max(1.0);
        let slow = if slowed {
            ", slowed down for other clients"
        } else {
            ""
        };
        let pace = format!(
            "{}/s, about {} left{slow}",
            thousands(rate as u64),
            span(left)
        );
        match &self.bar {
            Some(bar) => {
                bar.set_length(records);
                bar.set_position(examined);
                bar.set_message(pace);
            }
            None => output::stderr_line(&format!(
                "waxseal: {} of about {} records examined, {pace}",
                thousands(examined.min(records)),
                thousands(records)
            )),
        }
    }

    fn print_line(&self, text: &str) {
        match &self.bar {
            // The bar is drawn directly, and not through the queue.
            Some(bar) => bar.suspend(|| {
                output::stderr_line(text);
                stderr::flush();
            }),
            None => output::stderr_line(text),
        }
    }
}

fn bar(quiet: bool) -> Option<ProgressBar> {
    if quiet || !std::io::stderr().is_terminal() {
        return None;
    }
    let style = ProgressStyle::with_template("{bar:32} {percent:>3} %  {human_pos}  {msg}").ok()?;
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style.progress_chars("█▓░"));
    Some(bar)
}

/// Returns an approximate span of time.
fn span(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
