//! SIGINT and SIGTERM: how work in hand is told to stop, and that a second one ends the process at once.
//! What stopping means is the work's business.

use std::process::exit;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use waxseal_sweep::Stop;

use crate::error::Failure;
use crate::output;

/// How long a sweep may take to end what it has begun.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a line may take to be printed: nobody may be reading stderr.
const PRINT_TIMEOUT: Duration = Duration::from_millis(100);

/// Stops a sweep at a signal, after what has been begun. Ends the process at a second one, or where that
/// takes too long: what is written is written by compare-and-set, and a checkpoint never runs ahead.
pub(crate) fn stop_on_signal() -> Result<Stop, Failure> {
    let stop = Stop::default();
    let mut signals = Signals::new()?;
    let told = stop.clone();
    tokio::spawn(async move {
        signals.recv().await;
        let seconds = STOP_TIMEOUT.as_secs();
        say_briefly(format!(
            "waxseal: stopping after what has been begun, in {seconds} s at most; a second signal (Ctrl-C) \
             ends at once"
        ));
        // After that: it may come to its end, and the process with it, before a line is printed.
        told.stop();
        match timeout(STOP_TIMEOUT, signals.recv()).await {
            Ok(number) => end_at_once(number),
            Err(_) => {
                say_briefly(format!(
                    "waxseal: warning: ended: it did not stop within {seconds} s"
                ));
                exit(128 + SignalKind::terminate().as_raw_value());
            }
        }
    });
    Ok(stop)
}

/// Returns at a signal. From then on, a second one ends the process.
pub(crate) async fn told_to_stop() -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    signals.recv().await;
    tokio::spawn(async move { end_at_once(signals.recv().await) });
    Ok(())
}

/// Prints a line to stderr. Where that takes longer than a moment, because the pipe is full and its reader
/// is stopped, the process goes on without it.
pub(crate) fn say_briefly(text: String) {
    let (sender, receiver) = mpsc::channel();
    let print = move || {
        output::say(&text);
        // Nobody may be waiting any more.
        let _ = sender.send(());
    };
    if thread::Builder::new().spawn(print).is_ok() {
        let _ = receiver.recv_timeout(PRINT_TIMEOUT);
    }
}

fn end_at_once(number: i32) {
    say_briefly("waxseal: ended at once, at a second signal".to_owned());
    exit(128 + number);
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The number of the next signal.
    async fn recv(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        };
        kind.as_raw_value()
    }
}
