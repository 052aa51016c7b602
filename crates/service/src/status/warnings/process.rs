//! Warnings about the process itself: its log, certificates, panics, custodians and clock.

use waxseal_keys::MAX_UNNOTICED_OFFSET;
use waxseal_metrics::Snapshot;
use waxseal_metrics::names::{
    CERTIFICATE_EXPIRY, CUSTODIAN_THREADS_HUNG, KEYRING_CLOCK_OFFSET, LOG_LINES_LOST, PANICS,
};
use waxseal_page::status::Warning;
use waxseal_units::{span, thousands};

use super::{Growth, critical, warning};
use crate::certificates::{EXPIRES_SOON, expiry_text};
use crate::now_ms;

pub(super) fn find(now: &Snapshot, growth: &Growth<'_>) -> Vec<Warning> {
    let mut found = certificates(now);
    let lost = growth.of(&LOG_LINES_LOST, &[]);
    if lost > 0.0 {
        found.push(warning(
            "WaxsealLogLinesLost",
            format!("Lines of the log lost within 10 minutes: {}.", thousands(lost as u64)),
            "They could not be written: the reader of standard error stalls or has ended, or the disk is full. Clients \
             are served all the same; the lines are lost.",
        ));
    }
    let panics = growth.of(&PANICS, &[]);
    if panics > 0.0 {
        found.push(critical(
            "WaxsealPanicked",
            format!("Panics within 10 minutes: {}.", thousands(panics as u64)),
            "Each is a bug of Waxseal, and ended one connection or background task; the process continues. The log \
             has the location in the source: report it.",
        ));
    }
    found.extend(keys(now));
    found
}

/// Conditions under which this process, and no other, does not change keys.
fn keys(now: &Snapshot) -> Vec<Warning> {
    let mut found = Vec::new();
    let hung = now.sum(&CUSTODIAN_THREADS_HUNG, &[]);
    if hung > 0.0 {
        found.push(warning(
            "WaxsealCustodianHangs",
            format!("Calls of PKCS#11 modules that do not return: {}.", thousands(hung as u64)),
            "Other calls of the same token fail at once until it returns. Check the device; if it never does, restart \
             this process once the device works.",
        ));
    }
    let offset = now.sum(&KEYRING_CLOCK_OFFSET, &[]);
    if offset.abs() > MAX_UNNOTICED_OFFSET.as_secs_f64() {
        let ms = (offset.abs() * 1000.0) as u64;
        let side = if offset > 0.0 { "ahead of" } else { "behind" };
        found.push(warning(
            "WaxsealClockOffset",
            format!("The clock of this machine is {} {side} that of the keyring's server.", span(ms)),
            "From an hour on, this process creates, promotes, archives and destroys no key. Synchronize both clocks by NTP.",
        ));
    }
    found
}

fn certificates(now: &Snapshot) -> Vec<Warning> {
    let now_s = now_ms() as f64 / 1000.0;
    let expiring = now.series(&CERTIFICATE_EXPIRY).iter().filter_map(|series| {
        let left = (series.value() - now_s) as i64;
        if left > EXPIRES_SOON {
            return None;
        }
        let whose = match series.label("certificate") {
            "listener" => "of the listener",
            "client_authority" => "of the clients' authority",
            "server_authority" => "of the server's authority",
            _ => "that the proxy shows to the server",
        };
        let text = format!("The certificate {whose} {}.", expiry_text(left));
        let advice = "New files are used within a minute, or at once after SIGHUP; connections that are open stay \
                      open.";
        Some(match left {
            ..0 => critical("WaxsealCertificateExpires", text, advice),
            _ => warning("WaxsealCertificateExpires", text, advice),
        })
    });
    expiring.collect()
}
