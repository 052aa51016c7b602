//! Checks of the store: that it can be reached, its settings, that the key fits, and a sample of its
//! records.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use waxseal_core::{Binding, Mode, OpenError};
use waxseal_stores::{Effect, Record, RecordName, RecordStore, Slot, Status, StoreUrl};
use waxseal_units::thousands;

use super::{Findings, excepts, positions, reach};
use crate::Failure;
use crate::configuration::protected::Protected;
use crate::decoys::{self, Form};
use crate::resources::{Resources, keys, record_names};

const PINGS: usize = 20;
const SLOW: Duration = Duration::from_millis(5);
/// A difference of the clocks, in milliseconds, that makes expiry times wrong.
const SKEW_MS: u64 = 5_000;
const SAMPLE: usize = 500;

/// Whether the commands of the server are tried, one by one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Commands {
    Tried,
    NotTried,
}

pub(super) async fn check(resources: &Resources, commands: Commands, findings: &mut Findings) {
    let store = match resources.stored_store().await {
        Ok(store) => store,
        Err(failure) => return findings.failure("store", &failure),
    };
    match store.status().await {
        Ok(status) => {
            let records = thousands(status.records);
            let at = store.location();
            findings.ok(
                "store",
                format!("{} at {at}, {records} records", status.server),
            );
            check_settings(&status, findings);
        }
        Err(error) => return findings.failure("store", &Failure::from(error)),
    }
    if commands == Commands::Tried {
        check_commands(&*store, findings).await;
    }
    if let StoreUrl::File(path) = &resources.configuration.store
        && let Ok(metadata) = std::fs::metadata(path)
        && metadata.permissions().mode() & 0o077 != 0
    {
        findings.warn("permissions", "others can read the store file", "chmod 600");
    }
    check_latency(&*store, findings).await;
    if resources.configuration.has_keyring() && resources.opened_ring().is_err() {
        // The check of the keyring has reported why. Without the keyring nothing can be opened.
        return;
    }
    let store = match record_names::open(resources, store) {
        Ok(store) => store,
        Err(failure) => return findings.failure("names", &failure),
    };
    if let Err(failure) = super::guard::check(resources, &store, findings).await {
        return findings.failure("canary", &failure);
    }
    super::names::check(resources, &store, findings).await;
    let mut unmatched = Vec::new();
    for protected in &resources.configuration.protected {
        match check_sample(resources, protected, &store, findings).await {
            Ok(Sampled::Some) => {}
            Ok(Sampled::None) => unmatched.push(protected),
            Err(failure) => findings.failure("records", &failure),
        }
    }
    reach::check(resources, &store, &unmatched, findings).await;
    if let Err(failure) = excepts::check(resources, &*store, findings).await {
        findings.failure("excepts", &failure);
    }
    if let Err(failure) = check_decoys(resources, &*store, findings).await {
        findings.failure("decoys", &failure);
    }
}

/// Checks the decoys. A missing one raises no alarm, and a plain one can be read from the server directly.
async fn check_decoys(
    resources: &Resources,
    store: &dyn RecordStore,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let (mut sealed, mut plain, mut damaged, mut absent) = (0, 0, 0, 0);
    for decoy in &resources.configuration.decoys {
        match decoys::form(resources, store, decoy).await? {
            Form::Sealed => sealed += 1,
            Form::Plain => plain += 1,
            Form::Damaged => damaged += 1,
            Form::Absent => absent += 1,
        }
    }
    let found = format!("{sealed} sealed, {plain} plain, {damaged} damaged, {absent} absent");
    match (resources.configuration.decoys.len(), sealed) {
        (0, _) => {}
        (all, sealed) if sealed == all => findings.ok("decoys", found),
        _ if absent > 0 => {
            let advice =
                "waxseal decoy plant writes those that are absent; waxseal decoy list shows which";
            findings.warn("decoys", found, advice);
        }
        _ => {
            let advice = "waxseal decoy list shows which; waxseal migrate seals what is plain";
            findings.warn("decoys", found, advice);
        }
    }
    Ok(())
}

/// Checks for missing commands, which would otherwise show in the middle of a sweep.
async fn check_commands(store: &dyn RecordStore, findings: &mut Findings) {
    let missing = match store.missing_commands().await {
        Ok(missing) => missing,
        Err(error) => return findings.failure("commands", &Failure::from(error)),
    };
    for it in &missing {
        let command = it.command;
        let lacks = match it.is_denied {
            true => format!("the user may not send {command}"),
            false => format!("the server does not have {command} (renamed or switched off)"),
        };
        match (it.effect, it.is_denied) {
            (Effect::Replaced(instead), true) => {
                findings.ok("commands", format!("{lacks}: {instead}"));
            }
            (Effect::Replaced(instead), false) => {
                let advice = "it works without; with that command it works better";
                findings.warn("commands", format!("{lacks}: {instead}"), advice);
            }
            (Effect::Fails(what), true) => {
                let advice = format!(
                    "ACL SETUSER USER +{}; docs/operate/operations.md lists the rights that are needed",
                    command.to_ascii_lowercase()
                );
                findings.warn("commands", format!("{lacks}: needed for {what}"), &advice);
            }
            (Effect::Fails(what), false) => {
                let advice = "take its rename-command out of the server's configuration, or use another \
                              server";
                findings.problem("commands", format!("{lacks}: needed for {what}"), advice);
            }
        }
    }
    if missing.is_empty() {
        findings.ok("commands", "all that are needed are available");
    }
}

fn check_settings(status: &Status, findings: &mut Findings) {
    let find = |word: &str| {
        status
            .settings
            .iter()
            .find(|(name, _)| name == word)
            .map(|(_, value)| value.as_str())
    };
    if find("role") == Some("slave") {
        let advice = "give the URL of the primary for everything that writes";
        findings.warn("role", "this is a read-only replica", advice);
    }
    match (find("maxmemory_policy"), find("maxmemory")) {
        (Some("noeviction"), _) | (_, Some("0")) => findings.ok("eviction", "nothing is evicted"),
        (Some(policy), _) => findings.warn(
            "eviction",
            format!("maxmemory-policy is {policy}"),
            "states can vanish before they expire; noeviction keeps them",
        ),
        (None, _) => {}
    }
    match (find("aof_enabled"), find("rdb_last_bgsave_status")) {
        (_, Some("err")) => findings.problem(
            "persistence",
            "the last snapshot failed",
            "see the server's log: writes may be refused soon",
        ),
        (Some("1"), _) => findings.ok("persistence", "append-only file is on"),
        (Some(_), _) => findings.warn(
            "persistence",
            "append-only file is off",
            "what was written since the last snapshot is lost if the server dies",
        ),
        (None, _) => {}
    }
    if let Some(server) = find("server_time_usec").and_then(|time| time.parse::<u64>().ok()) {
        let here = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let here = u64::try_from(here.as_millis()).unwrap_or(u64::MAX);
        let apart = here.abs_diff(server / 1000);
        if apart > SKEW_MS {
            let found = format!("{apart} ms apart from the server's");
            findings.warn("clock", found, "set both clocks by NTP");
        } else {
            findings.ok("clock", format!("{apart} ms apart from the server's"));
        }
    }
}

async fn check_latency(store: &dyn RecordStore, findings: &mut Findings) {
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let asked = Instant::now();
        if let Err(error) = store.ping().await {
            return findings.failure("latency", &Failure::from(error));
        }
        times.push(asked.elapsed());
    }
    times.sort_unstable();
    let (median, longest) = (times[PINGS / 2], times[PINGS - 1]);
    let found = format!("median {median:.1?}, longest {longest:.1?} of {PINGS}");
    if median > SLOW {
        let advice = "sealing takes microseconds: check the network and the server's SLOWLOG";
        findings.warn("latency", found, advice);
    } else {
        findings.ok("latency", found);
    }
}

/// Whether a sample has any records: one is enough to know that the pattern matches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sampled {
    /// Some match, or not all were read.
    Some,
    /// None matches.
    None,
}

/// Removes excepted names, which have checks of their own.
fn leave_out_excepted(protected: &Protected, names: &mut Vec<RecordName>) {
    names.retain(|name| !protected.pattern.is_excepted(name.as_bytes()));
}

/// Reports that every record of a sample is excepted.
fn report_all_excepted(protected: &Protected, is_whole: bool, findings: &mut Findings) {
    let records = protected.pattern.shown();
    match is_whole {
        true => findings.warn(
            "records",
            format!("every record of {records} is excepted: no new value is sealed"),
            "narrow the excepts, or correct the pattern",
        ),
        false => findings.ok(
            "records",
            format!("every record of {records} in a sample is excepted"),
        ),
    }
}

/// Reads the keys of users in one batch, into the cache.
async fn read_user_keys(resources: &Resources, protected: &Protected, names: &[RecordName]) {
    if let Some(keys) = keys::user_keys(resources, protected) {
        let users = names
            .iter()
            .filter_map(|name| protected.pattern.user(name.as_bytes()));
        let users: Vec<_> = users.collect();
        // A key that does not open is reported with its record.
        let _ = keys.read(&users).await;
    }
}

/// Returns the hint where values are under unknown keys.
fn find_key(resources: &Resources) -> &'static str {
    match resources.configuration.has_keyring() {
        true => {
            "they were sealed under another keyring, under keys that were never adopted, or under \
             keys of users that are not in user_keys: waxseal inspect NAME shows which"
        }
        false => "add the missing key to REDIS_ENCRYPTION_PREVIOUS_KEYS",
    }
}

/// Opens a sample of records, and reports how many did not open.
async fn check_sample(
    resources: &Resources,
    protected: &Protected,
    store: &Arc<dyn RecordStore>,
    findings: &mut Findings,
) -> Result<Sampled, Failure> {
    let mut page = reach::sample(&**store, &protected.pattern, SAMPLE).await?;
    match (page.names.is_empty(), page.is_whole) {
        (true, true) => return Ok(Sampled::None),
        (true, false) => {
            findings.warn("records", reach::not_among(protected), reach::COUNT_ALL);
            return Ok(Sampled::Some);
        }
        (false, _) => {}
    }
    leave_out_excepted(protected, &mut page.names);
    if page.names.is_empty() {
        report_all_excepted(protected, page.is_whole, findings);
        return Ok(Sampled::Some);
    }
    read_user_keys(resources, protected, &page.names).await;
    let mut counts = SampleCounts::default();
    let mut sorted_sets = Vec::new();
    for (name, held) in page.names.iter().zip(store.read_sample(&page.names).await?) {
        if matches!(held, Some(Record::SortedSet)) {
            sorted_sets.push(name.clone());
        }
        let values = match held {
            Some(Record::String(stored)) => vec![(Slot::Whole, stored)],
            Some(record) if record.has_slots() => reach::some_slots(&**store, name).await?,
            Some(_) => {
                counts.other += 1;
                continue;
            }
            None => continue,
        };
        let sealer = keys::record_sealer(resources, protected, Mode::On, name.as_bytes(), false);
        let sealer = sealer.await?;
        for (slot, stored) in values {
            match sealer.open(
                &stored,
                Binding::of_value(slot.kind(), name.as_bytes(), slot.field()),
            ) {
                Ok(Some(opened)) if opened.form.key().is_some() => counts.sealed += 1,
                Ok(_) => counts.plain += 1,
                Err(OpenError::UnknownKey { .. }) => counts.unknown += 1,
                // Permanently erased, as intended.
                Err(OpenError::Erased { .. }) => {}
                Err(_) => counts.refused += 1,
            }
        }
    }
    report_sample(resources, protected, &counts, findings);
    positions::check(protected, &**store, &sorted_sets, findings).await;
    Ok(Sampled::Some)
}

/// The values of a sample, by the result of opening them.
#[derive(Default)]
struct SampleCounts {
    sealed: u64,
    plain: u64,
    refused: u64,
    unknown: u64,
    /// Records of types that are not sealed.
    other: u64,
}

fn report_sample(
    resources: &Resources,
    protected: &Protected,
    counts: &SampleCounts,
    findings: &mut Findings,
) {
    let SampleCounts {
        sealed,
        plain,
        refused,
        unknown,
        other,
    } = *counts;
    let found = format!(
        "{}: of a sample {sealed} sealed, {plain} plain, {refused} damaged, {unknown} under an \
         unknown key, {other} of another type",
        protected.name
    );
    if unknown > 0 {
        findings.problem("records", found, find_key(resources));
    } else if refused > 0 {
        findings.warn(
            "records",
            found,
            "waxseal inspect NAME shows why a record does not open",
        );
    } else if plain > 0 && resources.configuration.mode == Mode::Required {
        findings.problem(
            "records",
            found,
            "waxseal migrate, or set the mode to on until then",
        );
    } else if plain > 0 && !resources.configuration.is_trial() {
        findings.warn("records", found, "waxseal migrate seals what is plain");
    } else if other > 0 {
        let advice = "values of other types cannot be sealed: keep such data in records of types that can be, \
                      or under names that no pattern protects";
        findings.warn("records", found, advice);
    } else {
        findings.ok("records", found);
    }
}
