//! What is wrong with this process, in the words of the alert rules (`docs/run/alerts.yml`), with what to
//! do. The rules look at all processes over time; this looks at one, at once.

use waxseal_metrics::Snapshot;
use waxseal_metrics::names::{
    CLIENT_CONNECTIONS_TURNED_AWAY, CUSTODIAN_CALLS, DECOYS_OPENED, KEYRING_TROUBLE, OPENS,
    PLAIN_VALUES, QUARANTINED_VALUES, REFUSED_COMMANDS, SEALS, SERVER_ERRORS, UPSTREAM_ERRORS,
};
use waxseal_page::status::{Severity, Warning};
use waxseal_page::words::{span, thousands};

use super::Known;

/// For connections to the server, as the rule has it.
const BROKEN: f64 = 5.0;

/// What is wrong, the worst first.
pub(super) fn of(now: &Snapshot, known: &Known, has_clients: bool) -> Vec<Warning> {
    let lately = Lately {
        now,
        before: known.history.before(),
    };
    let mut found = Vec::new();
    if has_clients {
        found.extend(server(known, &lately));
        found.extend(clients(&lately));
    }
    found.extend(values(known, &lately));
    found.extend(keys(now, known, &lately));
    found.sort_by_key(|warning| warning.severity);
    found
}

/// Counters, compared with those of some minutes ago.
struct Lately<'a> {
    now: &'a Snapshot,
    before: &'a Snapshot,
}

impl Lately<'_> {
    fn grew(&self, metric: &waxseal_metrics::Metric, labels: &[(&str, &str)]) -> f64 {
        self.now.sum(metric, labels) - self.before.sum(metric, labels)
    }

    /// How much a counter grew, over several words of one label; `None` if it did not.
    fn grew_by(
        &self,
        metric: &waxseal_metrics::Metric,
        label: &str,
        words: &[&str],
    ) -> Option<String> {
        let grown: f64 = words
            .iter()
            .map(|word| self.grew(metric, &[(label, word)]))
            .sum();
        (grown > 0.0).then(|| thousands(grown as u64))
    }
}

fn critical(alert: &'static str, text: impl Into<String>, advice: &str) -> Warning {
    Warning {
        severity: Severity::Critical,
        alert,
        text: text.into(),
        advice: advice.to_owned(),
    }
}

fn warning(alert: &'static str, text: impl Into<String>, advice: &str) -> Warning {
    Warning {
        severity: Severity::Warning,
        ..critical(alert, text, advice)
    }
}

fn server(known: &Known, lately: &Lately<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    if let Some(why) = known.server {
        found.push(critical(
            "WaxsealNotReady",
            format!("The server cannot be used: {why}."),
            "Applications get errors. Look at the server and at the network between; the proxy \
             connects again by itself.",
        ));
    } else if !known.started {
        found.push(critical(
            "WaxsealNotReady",
            "No client is served yet: store, keyring or custodian cannot be reached.",
            "The log of this process says which, and what it waits for.",
        ));
    }
    let broken =
        lately.grew(&UPSTREAM_ERRORS, &[]) - lately.grew(&UPSTREAM_ERRORS, &[("kind", "entrance")]);
    if broken > BROKEN {
        found.push(critical(
            "WaxsealServerUnreachable",
            format!(
                "Connections to the server that did not come about, or broke, within 10 minutes: {}.",
                thousands(broken as u64)
            ),
            "The metric waxseal_upstream_errors_total tells of what kind they are.",
        ));
    }
    found
}

fn clients(lately: &Lately<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    if let Some(count) = lately.grew_by(&SERVER_ERRORS, "kind", &["oom", "misconf"]) {
        found.push(critical(
            "WaxsealStoreFull",
            format!("Writes that the store refused within 10 minutes: {count}."),
            "Its memory is full, or it cannot write to its disk: raise maxmemory, or see the server's log. \
             What lies there is safe.",
        ));
    }
    let away = lately.grew(&CLIENT_CONNECTIONS_TURNED_AWAY, &[]);
    if away > 0.0 {
        found.push(warning(
            "WaxsealClientsTurnedAway",
            format!(
                "Clients turned away within 10 minutes: {}.",
                thousands(away as u64)
            ),
            "Raise --max-connections, and maxclients of the server with it.",
        ));
    }
    let refused = lately.grew(&REFUSED_COMMANDS, &[]);
    if refused > 0.0 {
        found.push(Warning {
            severity: Severity::Info,
            ..warning(
                "WaxsealCommandsRefused",
                format!(
                    "Requests refused within 10 minutes: {}.",
                    thousands(refused as u64)
                ),
                "They are listed under \"Refused commands\".",
            )
        });
    }
    found
}

fn decoys(lately: &Lately<'_>) -> Option<Warning> {
    let opened = lately.grew(&DECOYS_OPENED, &[]);
    (opened > 0.0).then(|| {
        critical(
            "WaxsealDecoyOpened",
            format!("Decoys opened within 10 minutes: {}.", thousands(opened as u64)),
            "No application reads them: somebody looks through records. The log names the decoy and the \
             command; look who else was connected then.",
        )
    })
}

fn values(known: &Known, lately: &Lately<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    found.extend(decoys(lately));
    if let Some(count) = lately.grew_by(&OPENS, "result", &["refused", "malformed"]) {
        found.push(critical(
            "WaxsealValuesDoNotOpen",
            format!("Values that did not open within 10 minutes: {count}."),
            "They were damaged, moved from another record, or changed by somebody without the key. The \
             log names the records; waxseal inspect NAME says why.",
        ));
    }
    let unknown = lately.grew_by(&OPENS, "result", &["unknown_key"]);
    let none = lately.grew_by(&SEALS, "result", &["no_key"]);
    if let Some(count) = unknown.or(none) {
        found.push(critical(
            "WaxsealKeyMissing",
            format!("Values that need a key which this process does not have: {count}."),
            "Give it the key back: REDIS_ENCRYPTION_PREVIOUS_KEYS, or the keyring that the values were \
             sealed under. Nothing is lost while they lie there.",
        ));
    }
    if let Some(count) = lately.grew_by(&OPENS, "result", &["compromised"]) {
        found.push(warning(
            "WaxsealCompromisedKeyMet",
            format!("Values under a compromised key, which were not opened: {count}."),
            "waxseal rotate --open-compromised brings those under the sealing key that are genuine.",
        ));
    }
    if let Some(count) = lately.grew_by(&OPENS, "result", &["plaintext"]) {
        found.push(warning(
            "WaxsealPlainValues",
            format!("Plain values refused within 10 minutes: {count}."),
            "waxseal migrate seals them; find out who writes past Waxseal.",
        ));
    } else if lately.grew(&PLAIN_VALUES, &[]) > 0.0 {
        let count = thousands(lately.grew(&PLAIN_VALUES, &[]) as u64);
        found.push(warning(
            "WaxsealPlainValues",
            format!("Plain values read within 10 minutes: {count}."),
            "waxseal migrate seals them; find out who writes past Waxseal.",
        ));
    }
    for (pattern, count) in known.counted.plain() {
        found.push(warning(
            "WaxsealPlainInStore",
            format!(
                "Values of {pattern} that lie in the store in clear: {}.",
                thousands(count)
            ),
            "waxseal migrate seals them while applications go on.",
        ));
    }
    let aside = lately.grew(&QUARANTINED_VALUES, &[]);
    if aside > 0.0 {
        found.push(warning(
            "WaxsealQuarantine",
            format!(
                "Values moved to quarantine within 10 minutes: {}.",
                thousands(aside as u64)
            ),
            "waxseal quarantine list tells which; restore brings them back once the key is there.",
        ));
    }
    found
}

fn keys(now: &Snapshot, known: &Known, lately: &Lately<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    let view = &known.keys;
    if view.trouble.is_some() || now.sum(&KEYRING_TROUBLE, &[]) > 0.0 {
        let why = view.trouble.as_deref().unwrap_or("see the log");
        found.push(critical(
            "WaxsealKeyringTrouble",
            format!("The keyring cannot be followed: {why}."),
            "The last good one is in use, and sealing stops in the end. waxseal keyring restore puts a \
             lost one back from the copy of a machine.",
        ));
    }
    let due = known.history.due_for().filter(|due| *due > view.patience);
    if let Some(due) = due {
        let ms = u64::try_from(due.as_millis()).unwrap_or(u64::MAX);
        found.push(warning(
            "WaxsealRotationStalled",
            format!("A step of the keyring has been due for {}, and nobody carries it out.", span(ms)),
            "waxseal keyring status tells who leads; the log of that process says what fails. waxseal \
             rotate carries it out by hand.",
        ));
    }
    let failed = lately.grew_by(
        &CUSTODIAN_CALLS,
        "outcome",
        &["unavailable", "refused", "denied", "other"],
    );
    if let Some(count) = failed {
        found.push(warning(
            "WaxsealCustodianFails",
            format!("Calls of custodians that failed within 10 minutes: {count}."),
            "What runs goes on; a process that starts now may not. waxseal doctor asks each custodian.",
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
