//! Warnings about this process, named after the alert rules (`deploy/alerts.yml`), each with a remedy. The rules evaluate all
//! processes over time; this evaluates one process now.

use waxseal_metrics::Snapshot;
use waxseal_metrics::names::{
    CLIENT_CONNECTIONS_TURNED_AWAY, CUSTODIAN_CALLS, DECOYS_OPENED, KEYRING_TROUBLE, MODE, OPENS,
    PLAIN_VALUES, QUARANTINED_VALUES, REFUSED_COMMANDS, SEALS, SERVER_ERRORS, UPSTREAM_ERRORS,
};
use waxseal_page::status::{Activity, Severity, Warning};
use waxseal_units::{clock_time, span, thousands};

use super::Known;
use super::checks::DOCTOR_TIMEOUT;
use crate::now_ms;

mod process;

/// The number of failed connections to the server above which the rule fires.
const MAX_BROKEN: f64 = 5.0;

/// All warnings, the most severe first.
pub(super) fn find(now: &Snapshot, known: &Known, has_clients: bool) -> Vec<Warning> {
    let growth = Growth {
        now,
        before: known.history.before(),
    };
    let mut found = Vec::new();
    found.extend(starting(known, has_clients));
    if has_clients {
        found.extend(server(known, &growth));
        found.extend(clients(&growth));
    }
    found.extend(mode(now));
    found.extend(values(&growth));
    found.extend(counted(known, &growth));
    if is_trial(now) {
        // In a trial values are plain on purpose, and sealing them would break it.
        let is_of_plain = |it: &Warning| {
            let alert = it.alert.unwrap_or_default();
            matches!(alert, "WaxsealPlainValues" | "WaxsealPlainInStore")
        };
        found.retain(|warning| !is_of_plain(warning));
    }
    found.extend(keys(now, known, &growth));
    found.extend(doctor(known));
    found.extend(process::find(now, &growth));
    found.sort_by_key(|warning| warning.severity);
    found
}

/// The growth of counters in the last 10 minutes.
struct Growth<'a> {
    now: &'a Snapshot,
    before: &'a Snapshot,
}

impl Growth<'_> {
    fn of(&self, metric: &waxseal_metrics::Metric, labels: &[(&str, &str)]) -> f64 {
        self.now.sum(metric, labels) - self.before.sum(metric, labels)
    }

    /// The growth over several values of one label, as text; `None` if it is 0.
    fn of_any(
        &self,
        metric: &waxseal_metrics::Metric,
        label: &str,
        values: &[&str],
    ) -> Option<String> {
        let grown: f64 = values
            .iter()
            .map(|value| self.of(metric, &[(label, value)]))
            .sum();
        (grown > 0.0).then(|| thousands(grown as u64))
    }
}

fn critical(alert: &'static str, text: impl Into<String>, advice: &str) -> Warning {
    Warning {
        severity: Severity::Critical,
        alert: Some(alert),
        text: text.into(),
        advice: advice.to_owned(),
        see: None,
    }
}

fn warning(alert: &'static str, text: impl Into<String>, advice: &str) -> Warning {
    Warning {
        severity: Severity::Warning,
        ..critical(alert, text, advice)
    }
}

/// A warning that no alert rule is about.
fn of_no_rule(text: impl Into<String>, advice: &str) -> Warning {
    Warning {
        severity: Severity::Warning,
        alert: None,
        text: text.into(),
        advice: advice.to_owned(),
        see: None,
    }
}

/// A process that is not open yet, unless its server alone is the reason.
fn starting(known: &Known, has_clients: bool) -> Option<Warning> {
    if known.started || known.server_error.is_some() {
        return None;
    }
    let why = match &known.waits_for {
        Some(why) => why.trim_end_matches('.').to_owned(),
        None => "the store, the keyring and its custodian are being opened".to_owned(),
    };
    Some(match has_clients {
        true => critical(
            "WaxsealNotReady",
            format!("No client is served yet: {why}."),
            "The proxy tries again every second, and serves clients as soon as everything is open. \
             `waxseal doctor` on this machine checks each of them.",
        ),
        false => of_no_rule(
            format!("The keeper is starting: {why}."),
            "It tries again every second. `waxseal doctor` on this machine checks each of them.",
        ),
    })
}

fn server(known: &Known, growth: &Growth<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    if let Some(why) = known.server_error {
        found.push(critical(
            "WaxsealNotReady",
            format!("The server cannot be used: {why}."),
            "Applications get errors. Check the server and the network to it; the proxy connects again \
             as soon as it can.",
        ));
    }
    let broken =
        growth.of(&UPSTREAM_ERRORS, &[]) - growth.of(&UPSTREAM_ERRORS, &[("kind", "entrance")]);
    if broken > MAX_BROKEN {
        found.push(critical(
            "WaxsealServerUnreachable",
            format!(
                "Connections to the server that failed or broke within 10 minutes: {}.",
                thousands(broken as u64)
            ),
            "The metric `waxseal_upstream_errors_total` has their kinds.",
        ));
    }
    found
}

fn clients(growth: &Growth<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    if let Some(count) = growth.of_any(&SERVER_ERRORS, "kind", &["oom", "misconf"]) {
        found.push(critical(
            "WaxsealStoreFull",
            format!("Writes that the store refused within 10 minutes: {count}."),
            "Its memory is full, or it cannot write to its disk: raise maxmemory, or see the server's log. \
             Stored values are safe.",
        ));
    }
    let away = growth.of(&CLIENT_CONNECTIONS_TURNED_AWAY, &[]);
    if away > 0.0 {
        found.push(warning(
            "WaxsealClientsTurnedAway",
            format!(
                "Clients turned away within 10 minutes: {}.",
                thousands(away as u64)
            ),
            "Raise `--max-connections`, and `maxclients` of the server with it.",
        ));
    }
    let refused = growth.of(&REFUSED_COMMANDS, &[]);
    if refused > 0.0 {
        found.push(Warning {
            severity: Severity::Info,
            see: Some("refused"),
            ..warning(
                "WaxsealCommandsRefused",
                format!(
                    "Requests refused within 10 minutes: {}.",
                    thousands(refused as u64)
                ),
                "Applications use commands that do not work on protected records. Beside each command is its remedy.",
            )
        });
    }
    found
}

fn is_trial(now: &Snapshot) -> bool {
    now.sum(&MODE, &[("mode", "trial")]) > 0.0
}

fn mode(now: &Snapshot) -> Option<Warning> {
    if is_trial(now) {
        return Some(warning(
            "WaxsealModeOff",
            "This is a trial: nothing is sealed, and what would be refused is forwarded.",
            "Start the proxy without `--trial` once the configuration is complete.",
        ));
    }
    (now.sum(&MODE, &[("mode", "off")]) > 0.0).then(|| {
        warning(
            "WaxsealModeOff",
            "The mode is off: new values of protected records are stored in plaintext.",
            "Set `ENABLE_REDIS_ENCRYPTION=true`, or take `mode` out of waxseal.toml, once every process knows \
             the key; then `waxseal migrate` seals what is stored.",
        )
    })
}

fn decoys(growth: &Growth<'_>) -> Option<Warning> {
    let opened = growth.of(&DECOYS_OPENED, &[]);
    (opened > 0.0).then(|| {
        critical(
            "WaxsealDecoyOpened",
            format!("Decoys opened within 10 minutes: {}.", thousands(opened as u64)),
            "No application reads them: someone reads records without authorization. The log names the decoy and \
             the command; find out who was connected then.",
        )
    })
}

fn values(growth: &Growth<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    found.extend(decoys(growth));
    if let Some(count) = growth.of_any(&OPENS, "result", &["refused", "malformed"]) {
        found.push(critical(
            "WaxsealValuesDoNotOpen",
            format!("Values that did not open within 10 minutes: {count}."),
            "They were damaged, moved from another record, or changed by someone without the key. The \
             log names the records; `waxseal inspect NAME` shows the reason.",
        ));
    }
    let unknown = growth.of_any(&OPENS, "result", &["unknown_key"]);
    let none = growth.of_any(&SEALS, "result", &["no_key"]);
    if let Some(count) = unknown.or(none) {
        found.push(critical(
            "WaxsealKeyMissing",
            format!("Values that need a key which this process does not have: {count}."),
            "Give it the key back: `REDIS_ENCRYPTION_PREVIOUS_KEYS`, or the keyring that the values were \
             sealed under. Nothing is lost as long as the values are stored.",
        ));
    }
    if let Some(count) = growth.of_any(&OPENS, "result", &["compromised"]) {
        found.push(warning(
            "WaxsealCompromisedKeyMet",
            format!("Values under a compromised key, which were not opened: {count}."),
            "`waxseal rotate --open-compromised` reseals the genuine ones under the sealing key.",
        ));
    }
    if let Some(count) = growth.of_any(&OPENS, "result", &["plaintext"]) {
        found.push(warning(
            "WaxsealPlainValues",
            format!("Plain values refused within 10 minutes: {count}."),
            "`waxseal migrate` seals them; find out who writes without Waxseal.",
        ));
    } else if growth.of(&PLAIN_VALUES, &[]) > 0.0 {
        let count = thousands(growth.of(&PLAIN_VALUES, &[]) as u64);
        found.push(warning(
            "WaxsealPlainValues",
            format!("Plain values read within 10 minutes: {count}."),
            "`waxseal migrate` seals them; find out who writes without Waxseal.",
        ));
    }
    let aside = growth.of(&QUARANTINED_VALUES, &[]);
    if aside > 0.0 {
        found.push(warning(
            "WaxsealQuarantine",
            format!(
                "Values moved to quarantine within 10 minutes: {}.",
                thousands(aside as u64)
            ),
            "`waxseal quarantine list` names them; `waxseal quarantine restore` restores them once the key is available.",
        ));
    }
    found
}

/// Findings of the last count, shown with its time until the next one.
fn counted(known: &Known, growth: &Growth<'_>) -> Vec<Warning> {
    let counted = &known.counted;
    let mut found = Vec::new();
    // If the server cannot be used, there is a warning already.
    if let (Activity::Failed(why, _), None) = (&counted.activity, known.server_error) {
        found.push(Warning {
            see: Some("coverage"),
            ..of_no_rule(
                format!("The stored values could not be counted: {}.", why.trim_end_matches('.')),
                "The count is repeated every minute. Until it succeeds it is unknown whether everything is sealed.",
            )
        });
    }
    let Some(began) = counted.began_ms() else {
        return found;
    };
    let at = clock_time(began, now_ms());
    for (pattern, count) in counted.unreadable() {
        found.push(critical(
            "WaxsealUnreadableInStore",
            format!(
                "Stored values of {pattern} that do not open: {}, counted at {at}.",
                thousands(count)
            ),
            "They were damaged, moved from another record, or sealed under a key that is not here. \
             `waxseal audit --deep` names them; `waxseal inspect NAME` shows the reason.",
        ));
    }
    for (pattern, count) in counted.plain() {
        found.push(warning(
            "WaxsealPlainInStore",
            format!(
                "Stored values of {pattern} that are plaintext: {}, counted at {at}.",
                thousands(count)
            ),
            "`waxseal migrate` seals them while applications run. Then check again.",
        ));
    }
    let has_sealed = growth.now.sum(&SEALS, &[("result", "ok")]) > 0.0;
    if counted.is_empty() && !has_sealed {
        found.push(Warning {
            see: Some("coverage"),
            ..of_no_rule(
                format!("No record matches a protected pattern, counted at {at}: nothing is sealed here."),
                "That is right for a store that is not in use yet. Otherwise the pattern, the prefix that \
                 applications write, or the number of the database is another one.",
            )
        });
    }
    found
}

/// Checks that do not end.
fn doctor(known: &Known) -> Option<Warning> {
    known.doctor_hangs.then(|| Warning {
        see: Some("doctor"),
        ..of_no_rule(
            format!(
                "The doctor's checks did not end within {} s.",
                DOCTOR_TIMEOUT.as_secs()
            ),
            "The store or the keyring does not answer in time. Older findings are shown with their time.",
        )
    })
}

fn keys(now: &Snapshot, known: &Known, growth: &Growth<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    let view = &known.keys;
    if view.trouble.is_some() || now.sum(&KEYRING_TROUBLE, &[]) > 0.0 {
        let why = view.trouble.as_deref().unwrap_or("see the log");
        found.push(critical(
            "WaxsealKeyringTrouble",
            format!("The keyring cannot be followed: {why}."),
            "The last good one is in use, and sealing will stop. `waxseal keyring restore` restores a lost one \
             from the copy of a machine.",
        ));
    }
    let due = known
        .history
        .due_for()
        .filter(|due| *due > view.overdue_after);
    if let Some(due) = due {
        let ms = u64::try_from(due.as_millis()).unwrap_or(u64::MAX);
        found.push(warning(
            "WaxsealRotationStalled",
            format!("A step of the keyring has been due for {}, and no process performs it.", span(ms)),
            "`waxseal keyring status` names the leader; the log of that process has the failure. `waxseal \
             rotate` performs it now.",
        ));
    }
    let failed = growth.of_any(
        &CUSTODIAN_CALLS,
        "outcome",
        &["unavailable", "refused", "denied", "other"],
    );
    if let Some(count) = failed {
        found.push(warning(
            "WaxsealCustodianFails",
            format!("Calls of custodians that failed within 10 minutes: {count}."),
            "Running processes are not affected; a process that starts now may fail. `waxseal doctor` checks each custodian.",
        ));
    }
    for why in &view.blocked {
        found.push(Warning {
            severity: Severity::Info,
            ..warning(
                "WaxsealRotationStalled",
                why.clone(),
                "It is kept until then; nothing is lost.",
            )
        });
    }
    found
}
