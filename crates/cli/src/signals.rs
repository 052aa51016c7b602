//! Signals. SIGINT and SIGTERM stop the work in progress, and a second one ends the process at once.
//! SIGHUP stops a command that a closed terminal would end, and never a process that serves. What stopping
//! means is up to the work.

use std::fs;
use std::future::pending;
use std::process::exit;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use waxseal_sweep::Stop;

use crate::logging;
use crate::output;
use waxseal_service::Failure;

/// The time that a sweep has to finish what it has begun.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Stops a sweep at a signal, SIGHUP included, after it has finished what it has begun. Ends the process at a second one, or
/// if that takes too long: writes are compare-and-set, and a checkpoint never runs ahead.
pub(crate) fn stop_on_signal() -> Result<Stop, Failure> {
    let mut signals = Signals::new()?;
    if !is_hangup_ignored() {
        signals.hangup = Some(signal(SignalKind::hangup())?);
    }
    Ok(stop_on(signals))
}

/// The same for a process that serves: SIGHUP does not stop it.
pub(crate) fn stop_service_on_signal() -> Result<Stop, Failure> {
    Ok(stop_on(Signals::new()?))
}

fn stop_on(mut signals: Signals) -> Stop {
    let stop = Stop::default();
    let told = stop.clone();
    tokio::spawn(async move {
        signals.recv().await;
        let seconds = STOP_TIMEOUT.as_secs();
        output::stderr_line(&format!(
            "waxseal: stopping after what has been begun, in {seconds} s at most; a second signal (Ctrl-C) \
             ends at once"
        ));
        // Stop first: the work may end, and the process with it, before a line is printed.
        told.stop();
        match timeout(STOP_TIMEOUT, signals.recv_termination()).await {
            Ok(number) => end_at_once(number),
            Err(_) => {
                output::stderr_line(&format!(
                    "waxseal: warning: ended: it did not stop within {seconds} s"
                ));
                logging::flush();
                exit(128 + SignalKind::terminate().as_raw_value());
            }
        }
    });
    stop
}

/// Returns at a signal. From then on, a second one ends the process.
pub(crate) async fn stop_requested() -> Result<(), Failure> {
    stop_requested_reporting(|| {}).await
}

/// The same; `report` runs before the end at a second signal.
pub(crate) async fn stop_requested_reporting(
    report: impl FnOnce() + Send + 'static,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    signals.recv().await;
    tokio::spawn(async move {
        let number = signals.recv().await;
        report();
        end_at_once(number);
    });
    Ok(())
}

/// From now on a write beyond the limit of file sizes fails instead of ending the process: the file may be
/// that of the log.
pub(crate) fn outlive_file_limits() {
    let limit = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // Without the handler, only this protection is missing.
    let _ = signal(limit);
}

/// From now on SIGHUP does not end the process, but reopens its log file. The receiver that this returns
/// each SIGHUP after that, for everything else that is reloaded.
pub(crate) fn outlive_hangups() -> Result<watch::Receiver<()>, Failure> {
    let mut hangups = signal(SignalKind::hangup())?;
    let (sender, receiver) = watch::channel(());
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            // A disk that hangs blocks nothing else.
            match spawn_blocking(logging::reopen_file).await {
                Ok(Some(Ok(()))) => tracing::info!("SIGHUP: the log file was opened again"),
                Ok(Some(Err(text))) => output::warn(&text),
                Ok(None) if sender.is_closed() => {
                    tracing::info!("SIGHUP: there is nothing to read again");
                }
                Ok(None) | Err(_) => {}
            }
            sender.send_replace(());
        }
    });
    Ok(receiver)
}

/// True if SIGHUP was ignored when the process was started, for example by `nohup`. It stays ignored then; the same
/// where the system does not say.
fn is_hangup_ignored() -> bool {
    let Ok(status) = fs::read_to_string("/proc/self/status") else {
        return true;
    };
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let hangup = 1u64 << (SignalKind::hangup().as_raw_value() - 1);
    ignored.is_none_or(|mask| mask & hangup != 0)
}

fn end_at_once(number: i32) {
    output::stderr_line("waxseal: ended at once, at a second signal");
    logging::flush();
    exit(128 + number);
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// The handler of SIGHUP for commands that stop at it.
    hangup: Option<Signal>,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: None,
        })
    }

    /// The number of the next signal.
    async fn recv(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            () = next(self.hangup.as_mut()) => SignalKind::hangup(),
        };
        kind.as_raw_value()
    }

    /// The same, without SIGHUP: a shell and the system each send one when a terminal goes away.
    async fn recv_termination(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        };
        kind.as_raw_value()
    }
}

/// Returns at the next of these signals, if there are any.
async fn next(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => pending().await,
    }
}
