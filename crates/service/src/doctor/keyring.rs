//! Checks of the keyring: that it opens, the age of its key, that a process runs its rotation, and that the servers
//! of the keyring and of users' keys do not lose data.

use std::collections::HashMap;
use std::sync::Arc;

use waxseal_core::sanitize_for_terminal;
use waxseal_keys::{Custodian, CustodianError, KeyState, LiveRing, hung_custodians};
use waxseal_stores::{RecordStore, StoreUrl};
use waxseal_units::{point_in_time, span};

use super::Findings;
use crate::Failure;
use crate::configuration::keyring::KeyringConfiguration;
use crate::keyring_text::{block_hint, block_text, wrong_time_text};
use crate::resources::keyring::is_absent;
use crate::resources::{Resources, open_store};

/// A process that has not reported for so many polls is not counted.
const SILENT: u64 = 10;

/// Whether custodians are contacted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Custodians {
    Contacted,
    NotContacted,
}

/// Opens the keyring, where one is configured.
pub(super) async fn open(resources: &mut Resources, findings: &mut Findings) {
    if resources.configuration.has_keyring()
        && let Err(failure) = resources.open_ring(false).await
    {
        findings.failure("keyring", &failure);
    }
}

pub(super) async fn check(resources: &Resources, custodians: Custodians, findings: &mut Findings) {
    if !resources.configuration.has_keyring() {
        return;
    }
    let Ok(configured) = resources.configuration.keyring() else {
        return;
    };
    check_copy(configured, findings);
    if let StoreUrl::Redis(_) = configured.url {
        match open_store(&configured.url).await {
            Ok(store) => check_server("keyring", &*store, findings).await,
            Err(failure) => findings.failure("keyring store", &failure),
        }
    }
    let Ok(opened) = resources.opened_ring() else {
        return;
    };
    check_ring(&opened.ring, findings).await;
    if custodians == Custodians::Contacted {
        check_custodians(resources, configured, &opened.ring, findings).await;
    }
    if let Some(users) = &opened.users {
        check_server("user keys", &*users.store, findings).await;
    }
}

async fn check_ring(live: &LiveRing, findings: &mut Findings) {
    let (ring, now) = (live.ring(), live.now_ms());
    let found = format!(
        "version {} at {} for the environment \"{}\"",
        ring.version(),
        live.location(),
        ring.environment()
    );
    match live.degraded() {
        Some(trouble) => {
            let failure = Failure::from(trouble.error);
            findings.failure("keyring", &failure);
        }
        None => findings.ok("keyring", found),
    }
    let sealing = ring.sealing();
    let age = now.saturating_sub(sealing.created);
    let found = format!("key {} seals, {} old", sealing.id, span(age));
    match ring.settings().every_ms {
        None => findings.ok("rotation", format!("{found}; no new one by age")),
        Some(every) => {
            let due = sealing.created.saturating_add(every);
            let found = format!("{found}; the next one is due at {}", point_in_time(due));
            if due.saturating_add(ring.settings().propagation_ms) < now {
                let advice = "no process carries it out: run waxseal keeper or waxseal proxy, or waxseal \
                    rotate by hand";
                findings.warn("rotation", found, advice);
            } else {
                findings.ok("rotation", found);
            }
        }
    }
    for (url, since) in hung_custodians() {
        let found = format!(
            "the module of {} has not answered for {} s: its thread is left behind",
            sanitize_for_terminal(&url),
            since.as_secs()
        );
        let advice = "running processes continue without it; check the device, and restart this process once it works";
        findings.problem("custodian", found, advice);
    }
    check_clock(live, findings);
    check_processes(live, findings).await;
    check_retirement(live, findings).await;
}

/// Reports what keeps old keys, as the last audit found it.
async fn check_retirement(live: &LiveRing, findings: &mut Findings) {
    // The check of the processes has reported a failure to read.
    let Ok(reports) = live.reports().await else {
        return;
    };
    let Some(audit) = &reports.audit else {
        return;
    };
    let ring = live.ring();
    let old = ring
        .keys()
        .iter()
        .filter(|key| matches!(key.state, KeyState::DecryptOnly | KeyState::Archived));
    for key in old {
        for block in audit.blocks(&ring, key) {
            let advice = block_hint(&block, key.state);
            findings.recommend("retirement", block_text(&block), advice);
        }
    }
}

/// Compares the clock with that of the keyring's server, and checks the times in the document.
fn check_clock(live: &LiveRing, findings: &mut Findings) {
    if let Some(offset) = live.clock_offset() {
        let location = live.location();
        let found = format!("this machine's clock is {offset} that of the server at {location}");
        if !offset.is_usable() {
            let advice = "this machine creates, promotes and destroys no keys until both clocks are right: set them \
                          by NTP";
            findings.problem("keyring clock", found, advice);
        } else if offset.is_notable() {
            findings.warn("keyring clock", found, "set both clocks by NTP");
        } else {
            let found = format!("agrees with that of the server at {location}");
            findings.ok("keyring clock", found);
        }
    }
    for wrong in live.ring().wrong_times(live.now_ms()) {
        let ahead = span(wrong.at_ms.saturating_sub(live.now_ms()));
        let found = format!(
            "{}, {ahead} from now: a clock was wrong, and rotation waits",
            wrong_time_text(&wrong)
        );
        let advice =
            "waxseal keyring repair-times sets it right; find out which machine's clock is wrong";
        findings.problem("rotation", found, advice);
    }
}

/// Contacts each custodian: one whose failure goes unnoticed is missing on the day when it is the only one.
async fn check_custodians(
    resources: &Resources,
    configured: &KeyringConfiguration,
    live: &LiveRing,
    findings: &mut Findings,
) {
    let mut here: HashMap<String, Arc<dyn Custodian>> = HashMap::new();
    let mut cannot_be_used = false;
    for opened in resources.each_custodian(configured) {
        match opened {
            Ok(custodian) => {
                here.insert(custodian.url().to_owned(), custodian);
            }
            Err(error) => {
                cannot_be_used = true;
                let is_absent = is_absent(&error);
                let failure = Failure::from(error);
                match is_absent {
                    true => findings.warn(
                        "custodian",
                        failure.text(),
                        failure.advice().unwrap_or_default(),
                    ),
                    false => findings.failure("custodian", &failure),
                }
            }
        }
    }
    for (url, answer) in live.check_custodians().await {
        here.remove(&url);
        let url = sanitize_for_terminal(&url);
        match answer {
            Ok(()) => findings.ok("custodian", format!("{url} opens the keyring")),
            // Reported above, if it is one of those that cannot be used.
            Err(CustodianError::NotConfigured { .. }) if cannot_be_used => {}
            Err(CustodianError::NotConfigured { .. }) => {
                findings.ok("custodian", format!("{url} is not configured here"));
            }
            Err(error) => findings.failure("custodian", &Failure::from(error)),
        }
    }
    for custodian in here.values() {
        let url = sanitize_for_terminal(custodian.url());
        match waxseal_keys::test_custodian(&**custodian, &configured.environment).await {
            Ok(()) => {
                let found = format!("{url} can be used, and wraps nothing of the keyring yet");
                findings.ok("custodian", found);
            }
            Err(error) => findings.failure("custodian", &Failure::from(error)),
        }
    }
    for (key, url) in live.refused_wraps().await {
        findings.problem(
            "custodian",
            format!("{} does not unwrap key {key} of the keyring", sanitize_for_terminal(&url)),
            "where its secret here is the right one, and another custodian unwraps the key: waxseal keyring rewrap \
             --remove, then --add with its URL, wraps it again; then make a backup",
        );
    }
    for (key, lacking) in live.ring().unevenly_wrapped() {
        let lacking: Vec<_> = lacking
            .iter()
            .map(|url| sanitize_for_terminal(url))
            .collect();
        findings.problem(
            "custodian",
            format!("key {key} is not wrapped by {}", lacking.join(", ")),
            "waxseal keyring rewrap, without anything else, wraps it by all of them",
        );
    }
}

async fn check_processes(live: &LiveRing, findings: &mut Findings) {
    let reports = match live.reports().await {
        Ok(reports) => reports,
        Err(error) => return findings.failure("processes", &error.into()),
    };
    let (ring, now) = (live.ring(), live.now_ms());
    let silent = ring.settings().refresh_ms.saturating_mul(SILENT);
    let all = reports.processes.values();
    let alive = all.filter(|it| it.at.saturating_add(silent) >= now);
    let (mut count, mut behind) = (0, 0);
    for report in alive {
        count += 1;
        behind += u64::from(report.version < ring.version());
    }
    if count == 0 {
        let advice = "no process carries out the rotation: run waxseal keeper or waxseal proxy";
        findings.warn("processes", "none reports to the keyring", advice);
    } else {
        let found = format!("{count} report to the keyring, {behind} of them behind");
        findings.ok("processes", found);
    }
}

fn check_copy(configured: &KeyringConfiguration, findings: &mut Findings) {
    let advice = "without it nothing restores a keyring that its store lost, and a rollback \
        before a start goes unnoticed";
    match &configured.copy {
        Some(path) if path.exists() => {
            findings.ok("keyring copy", format!("kept at {}", path.display()));
        }
        Some(path) => {
            let found = format!("missing at {}", path.display());
            findings.warn("keyring copy", found, advice);
        }
        None => findings.warn("keyring copy", "none is kept on this machine", advice),
    }
}

/// Checks that a server does not lose what it is given.
async fn check_server(what: &'static str, store: &dyn RecordStore, findings: &mut Findings) {
    let status = match store.status().await {
        Ok(status) => status,
        Err(error) => return findings.failure(what, &Failure::from(error)),
    };
    let find = |word: &str| {
        let mut settings = status.settings.iter();
        settings
            .find(|(name, _)| name == word)
            .map(|(_, value)| value.as_str())
    };
    let at = store.location();
    match find("maxmemory_policy") {
        Some(policy) if policy.starts_with("allkeys") => findings.warn(
            what,
            format!(
                "maxmemory-policy of {at} is {policy}: it can evict keys that values are under"
            ),
            "set noeviction or a volatile- policy, or use a server of its own",
        ),
        Some(_) => findings.ok(what, format!("{at} evicts nothing that does not expire")),
        None => {}
    }
    match find("aof_enabled") {
        Some("1") => findings.ok(what, format!("append-only file of {at} is on")),
        Some(_) => findings.warn(
            what,
            format!("append-only file of {at} is off"),
            "keys that were created since the last snapshot are lost if the server dies, and with them \
             what is under them: set appendonly yes",
        ),
        None => {}
    }
}
