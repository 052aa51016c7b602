//! SIGINT and SIGTERM: how work in hand is told to stop. What stopping means is the work's business.

use tokio::signal::unix::{Signal, SignalKind, signal};
use waxseal_sweep::Stop;

use crate::error::Failure;
use crate::output;

/// Stops a sweep at a signal, after what has been begun.
pub(crate) fn stop_on_signal() -> Result<Stop, Failure> {
    let stop = Stop::default();
    let (mut interrupt, mut terminate) = signals()?;
    let told = stop.clone();
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        output::say("waxseal: stopping after what has been begun");
        told.stop();
    });
    Ok(stop)
}

/// Comes when a signal does.
pub(crate) async fn told_to_stop() -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = signals()?;
    either(&mut interrupt, &mut terminate).await;
    Ok(())
}

fn signals() -> Result<(Signal, Signal), Failure> {
    Ok((
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    ))
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
