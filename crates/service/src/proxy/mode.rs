//! Warnings about the mode off: at the start, every hour in the log, in the metrics and so on the status page. A proxy that
//! seals nothing looks like one that does to everyone but its operator.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use waxseal_core::Mode;

use crate::notice;
use crate::panics::spawn_restarting;

/// The interval between two lines of the log.
const INTERVAL: Duration = Duration::from_secs(3600);
const OFF: &str = "the mode is off: new values of protected records are stored in plaintext";

const TRIAL: &str = "this is a trial: nothing is sealed, new values of protected records are stored in plaintext, and \
                     what would be refused is forwarded and recorded";

/// Reports the mode of a proxy that starts.
pub fn report(mode: Mode, is_trial: bool, is_counted: bool) {
    if is_counted {
        let word = match is_trial {
            true => "trial".to_owned(),
            false => mode.to_string(),
        };
        waxseal_metrics::set_mode(&word);
    }
    let text = match (is_trial, mode) {
        (true, _) => TRIAL,
        (false, Mode::Off) => OFF,
        (false, _) => return,
    };
    notice::warning(text);
    spawn_restarting("the reminder of mode off", move || {
        remind(INTERVAL, move || tracing::warn!("{text}"))
    });
}

/// Repeats the warning.
async fn remind(interval: Duration, mut log: impl FnMut()) {
    let mut tick = interval_at(Instant::now() + interval, interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        log();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn mode_off_is_reported_again_and_again() {
        let (sender, mut told) = unbounded_channel();
        let task = tokio::spawn(remind(Duration::from_millis(1), move || {
            // The test may have seen enough.
            let _ = sender.send(());
        }));
        for _ in 0..3 {
            told.recv().await.unwrap();
        }
        task.abort();
    }
}
