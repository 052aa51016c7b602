//! Certificates of a running proxy: reloaded at SIGHUP and when their files change, and warned about before they
//! expire.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use waxseal_log_limit::Reminder;
use waxseal_proxy::{CertificateExpiry, Certificates, Reload};

use crate::now_ms;
use crate::panics::spawn_restarting;

/// The interval between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// The interval between two lines of the log about a certificate that expires.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// A certificate with less time left, in seconds, expires soon.
pub const EXPIRES_SOON: i64 = 14 * DAY;
const DAY: i64 = 24 * 3600;

/// Keeps the certificates up to date with their files until the process ends. Without certificates, SIGHUP is only
/// logged. If `is_counted`, their expiry is exported as a metric.
pub fn watch(certificates: Arc<Certificates>, hangups: watch::Receiver<()>, is_counted: bool) {
    spawn_restarting("reading certificates", move || {
        keep(certificates.clone(), hangups.clone(), is_counted)
    });
}

async fn keep(certificates: Arc<Certificates>, mut hangups: watch::Receiver<()>, is_counted: bool) {
    let mut tick = interval(CHECK_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut warned = HashMap::new();
    loop {
        let is_requested = tokio::select! {
            _ = tick.tick() => false,
            Ok(()) = hangups.changed() => true,
        };
        if certificates.is_empty() {
            if is_requested {
                tracing::info!(
                    "SIGHUP: no certificates are configured, there are none to read again"
                );
            }
            continue;
        }
        let read = certificates.clone();
        let reloads = spawn_blocking(move || read.reload(is_requested)).await;
        reloads.unwrap_or_default().iter().for_each(log);
        let now = i64::try_from(now_ms() / 1000).unwrap_or(i64::MAX);
        for expiry in certificates.expiries() {
            if is_counted {
                waxseal_metrics::set_certificate_expiry(expiry.of.as_str(), expiry.not_after);
            }
            warn_of_expiry(&expiry, now, &mut warned);
        }
    }
}

fn log(reload: &Reload) {
    match reload {
        Reload::Used(what) => {
            tracing::info!("the certificates {what} were read again: new connections use them");
        }
        Reload::Unusable(what, error) => tracing::error!(
            "the certificates {what} were not replaced, and the former ones stay in use: {error}"
        ),
    }
}

/// Logs that a certificate has expired or does soon, once a day.
fn warn_of_expiry(
    expiry: &CertificateExpiry,
    now: i64,
    warned: &mut HashMap<PathBuf, Reminder<()>>,
) {
    let left = expiry.not_after.saturating_sub(now);
    let reminder = || Reminder::new(EXPIRY_INTERVAL);
    if left > EXPIRES_SOON
        || !warned
            .entry(expiry.path.clone())
            .or_insert_with(reminder)
            .record((), Instant::now())
    {
        return;
    }
    let path = expiry.path.display();
    match left {
        ..0 => tracing::error!("the certificate {path} {}", expiry_text(left)),
        _ => tracing::warn!("the certificate {path} {}", expiry_text(left)),
    }
}

/// Returns the state of a certificate that expires in `left` seconds.
#[must_use]
pub fn expiry_text(left: i64) -> String {
    match left / DAY {
        _ if left < 0 => "has expired: put a new one in its place".to_owned(),
        0 => "expires within a day: put a new one in its place".to_owned(),
        1 => "expires in 1 day: put a new one in its place".to_owned(),
        days => format!("expires in {days} days: put a new one in its place"),
    }
}
