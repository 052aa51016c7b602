//! `keyring status`: the location of the keyring, its keys, the processes that use it, and what comes next.

use serde::Serialize;
use waxseal_keys::rotation::{self, Block, Facts, RotationPlan, Step};
use waxseal_keys::{
    DocumentFormat, Entry, IndexEntry, LiveRing, MemberForms, ProtectedScope, RecordNames, Reports,
    Ring, ScopeBinding, ScopeSettings,
};

use waxseal_service::configuration::protected::shown_pattern;
use waxseal_service::keyring_text::{block_reason, blocked_key, step_text, wrong_time_correction};
use waxseal_service::resources::Resources;

use super::versions;
use crate::output::{self, span, thousands};
use waxseal_service::{Ended, Failure};

#[derive(Serialize)]
struct Status<'a> {
    location: String,
    copy: Option<String>,
    environment: &'a str,
    ring: &'a str,
    version: u64,
    document_format: u32,
    envelopes: Envelopes,
    /// The check value that is printed on a backup of this version as well.
    check_value: String,
    receipt_key: String,
    custodians: Vec<&'a str>,
    settings: Settings,
    /// The longer times that hold until every process has seen that they were lowered.
    longer_times: Option<LongerTimes>,
    keys: Vec<Key>,
    index_keys: Vec<IndexKey>,
    processes: Vec<Process>,
    protects: Vec<ProtectedScope>,
    erased_users: usize,
    last_audit: Option<String>,
    due: Option<Coming>,
    next: Vec<Coming>,
    blocked: Vec<Blocked>,
    /// Times that no correct clock can have written.
    wrong_times: Vec<String>,
    trouble: Option<String>,
}

#[derive(Serialize)]
struct Settings {
    rotate_every_ms: Option<u64>,
    propagation_ms: u64,
    refresh_ms: u64,
    #[serde(rename = "rest_ms")]
    retention_ms: u64,
    max_seals: u64,
}

#[derive(Serialize)]
struct LongerTimes {
    propagation_ms: u64,
    refresh_ms: u64,
    #[serde(rename = "rest_ms")]
    retention_ms: u64,
    until: String,
}

/// The versions of the sealed format.
#[derive(Serialize)]
struct Envelopes {
    write: u8,
    accept: u8,
    /// The time of their last change; `None` in document format 1.
    since: Option<String>,
    #[serde(skip)]
    words: String,
}

#[derive(Serialize)]
struct IndexKey {
    id: String,
    state: &'static str,
    created: String,
    activates: String,
    changed: String,
    age_ms: u64,
    /// The values under it in the last audit.
    values: Option<u64>,
}

#[derive(Serialize)]
struct Key {
    id: String,
    state: String,
    created: String,
    activates: String,
    changed: String,
    age_ms: u64,
    adopted: bool,
    seals: u64,
    /// The values under it in the last audit.
    values: Option<u64>,
    /// Those of them in quarantine.
    quarantined: Option<u64>,
}

#[derive(Serialize)]
struct Process {
    id: String,
    what: String,
    version: u64,
    /// The newest format of the keyring's document that it reads.
    reads: u32,
    reported: String,
    silent_ms: u64,
}

#[derive(Serialize)]
struct Coming {
    step: &'static str,
    key: Option<String>,
    at: String,
    #[serde(skip)]
    words: String,
}

#[derive(Serialize)]
struct Blocked {
    key: String,
    why: String,
}

pub(super) async fn run(resources: &Resources) -> Result<Ended, Failure> {
    let live = &resources.opened_ring()?.ring;
    let (reports, unread) = match live.reports().await {
        Ok(reports) => (reports, None),
        Err(error) => (Reports::default(), Some(error)),
    };
    let (ring, now) = (live.ring(), live.now_ms());
    let plan = rotation::plan(
        &ring,
        &Facts {
            now_ms: now,
            seals: reports.seals(ring.sealing().id),
            pending_watched: None,
            audit: reports.audit.as_ref(),
        },
    );
    let trouble = live.degraded().map(|trouble| trouble.error).or(unread);
    let status = status(resources, live, &ring, &reports, &plan);
    let status = Status {
        trouble: trouble.as_ref().map(ToString::to_string),
        ..status
    };
    if output::is_json() {
        output::json(&status)?;
    } else {
        print(&status)?;
    }
    let Some(error) = trouble else {
        return Ok(Ended::Done);
    };
    output::error(&error.to_string());
    if let Some(hint) = Failure::from(error).advice() {
        output::hint(hint);
    }
    Ok(Ended::Findings)
}

fn status<'a>(
    resources: &Resources,
    live: &LiveRing,
    ring: &'a Ring,
    reports: &Reports,
    plan: &RotationPlan,
) -> Status<'a> {
    let now = live.now_ms();
    let configured = resources.configuration.keyring().ok();
    let copy = configured.and_then(|it| it.copy.as_ref());
    let settings = ring.settings();
    let processes = reports.processes.iter().map(|(id, report)| Process {
        id: id.clone(),
        what: report.what.clone(),
        version: report.version,
        reads: report.reads,
        reported: output::point_in_time(report.at),
        silent_ms: now.saturating_sub(report.at),
    });
    let next = plan.upcoming.iter().map(|(step, at)| coming(*step, *at));
    Status {
        location: live.location(),
        copy: copy.map(|path| path.display().to_string()),
        environment: ring.environment(),
        ring: ring.id(),
        version: ring.version(),
        document_format: ring.format().as_u32(),
        envelopes: envelopes(ring),
        check_value: ring.check_value(),
        receipt_key: ring.receipt_key(),
        custodians: ring.custodians().collect(),
        settings: Settings {
            rotate_every_ms: settings.every_ms,
            propagation_ms: settings.propagation_ms,
            refresh_ms: settings.refresh_ms,
            retention_ms: settings.retention_ms,
            max_seals: settings.seals,
        },
        longer_times: longer_times(ring, now),
        keys: ring.keys().iter().map(|it| key(it, reports, now)).collect(),
        index_keys: index_keys(ring, reports, now),
        processes: processes.collect(),
        protects: ring.protected_scopes().iter().map(shown).collect(),
        erased_users: ring.erasures().len(),
        last_audit: reports
            .audit
            .as_ref()
            .map(|audit| output::point_in_time(audit.began_ms)),
        due: plan.due.map(|step| coming(step, now)),
        next: next.collect(),
        blocked: plan.blocked.iter().map(blocked).collect(),
        wrong_times: ring
            .wrong_times(now)
            .iter()
            .map(wrong_time_correction)
            .collect(),
        trouble: None,
    }
}

fn longer_times(ring: &Ring, now_ms: u64) -> Option<LongerTimes> {
    let until = ring.longer_times_until().filter(|until| *until > now_ms)?;
    let settings = ring.effective_settings(now_ms);
    Some(LongerTimes {
        propagation_ms: settings.propagation_ms,
        refresh_ms: settings.refresh_ms,
        retention_ms: settings.retention_ms,
        until: output::point_in_time(until),
    })
}

fn envelopes(ring: &Ring) -> Envelopes {
    let settings = ring.envelopes();
    Envelopes {
        write: settings.write.as_u8(),
        accept: settings.accept.as_u8(),
        since: (ring.format() >= DocumentFormat::V2).then(|| output::point_in_time(settings.since)),
        words: versions::describe(ring),
    }
}

fn index_keys(ring: &Ring, reports: &Reports, now: u64) -> Vec<IndexKey> {
    let audit = reports.audit.as_ref();
    let key = |entry: &IndexEntry| IndexKey {
        id: entry.id.to_string(),
        state: entry.state.as_str(),
        created: output::point_in_time(entry.created),
        activates: output::point_in_time(entry.activates),
        changed: output::point_in_time(entry.changed),
        age_ms: now.saturating_sub(entry.created),
        values: audit.map(|audit| {
            let values = audit.values.get(&entry.id.to_string());
            values.copied().unwrap_or_default()
        }),
    };
    ring.index_keys().iter().map(key).collect()
}

fn key(entry: &Entry, reports: &Reports, now: u64) -> Key {
    let id = entry.id.to_string();
    let values = reports.audit.as_ref();
    Key {
        state: entry.state.to_string(),
        created: output::point_in_time(entry.created),
        activates: output::point_in_time(entry.activates),
        changed: output::point_in_time(entry.changed),
        age_ms: now.saturating_sub(entry.created),
        adopted: entry.adopted,
        seals: reports.seals(entry.id),
        values: values.map(|audit| audit.values.get(&id).copied().unwrap_or_default()),
        quarantined: values.map(|audit| audit.quarantined.get(&id).copied().unwrap_or_default()),
        id,
    }
}

fn coming(step: Step, at_ms: u64) -> Coming {
    let words = step_text(step);
    let (step, key) = match step {
        Step::Add(_) => ("add", None),
        Step::Promote(id) => ("promote", Some(id)),
        Step::Sweep => ("sweep", None),
        Step::Archive(id) => ("archive", Some(id)),
        Step::Destroy(id) => ("destroy", Some(id)),
    };
    Coming {
        step,
        key: key.map(|id| id.to_string()),
        at: output::point_in_time(at_ms),
        words,
    }
}

fn blocked(block: &Block) -> Blocked {
    Blocked {
        key: blocked_key(block).to_string(),
        why: block_reason(block),
    }
}

fn print(status: &Status<'_>) -> Result<(), Failure> {
    let copy = status.copy.as_deref().unwrap_or("none is kept");
    let every = match status.settings.rotate_every_ms {
        Some(ms) => format!("a new key every {}", span(ms)),
        None => "no new key by age".to_owned(),
    };
    for (word, text) in [
        ("keyring", status.location.clone()),
        ("copy", copy.to_owned()),
        ("environment", status.environment.to_owned()),
        (
            "ring",
            format!("{}, version {}", status.ring, status.version),
        ),
        ("document", status.envelopes.words.clone()),
        ("check value", status.check_value.clone()),
        ("custodians", status.custodians.join(", ")),
        ("receipt key", status.receipt_key.clone()),
        (
            "rotation",
            format!(
                "{every} or {} values; {} until it seals, looked for every {}",
                thousands(status.settings.max_seals),
                span(status.settings.propagation_ms),
                span(status.settings.refresh_ms)
            ),
        ),
        ("erased users", status.erased_users.to_string()),
    ] {
        output::line(format!("{word:<13} {text}"))?;
    }
    if let Some(longer) = &status.longer_times {
        output::line(format!(
            "longer times  hold until {}: {} until it seals, looked for every {}, kept for {} unused",
            longer.until,
            span(longer.propagation_ms),
            span(longer.refresh_ms),
            span(longer.retention_ms)
        ))?;
    }
    print_keys(status)?;
    print_users_of_it(status)?;
    print_steps(status)
}

fn print_keys(status: &Status<'_>) -> Result<(), Failure> {
    output::line("\nkey       state        age      seals         values        changed")?;
    for key in &status.keys {
        let values = key.values.map_or_else(|| "-".to_owned(), thousands);
        let adopted = if key.adopted {
            "  (of the environment)"
        } else {
            ""
        };
        output::line(format!(
            "{:<9} {:<12} {:<8} {:<13} {values:<13} {}{adopted}",
            key.id,
            key.state,
            span(key.age_ms),
            thousands(key.seals),
            key.changed
        ))?;
    }
    if !status.index_keys.is_empty() {
        output::line("\nindex key state        age      values        changed")?;
    }
    for key in &status.index_keys {
        let values = key.values.map_or_else(|| "-".to_owned(), thousands);
        output::line(format!(
            "{:<9} {:<12} {:<8} {values:<13} {}",
            key.id,
            key.state,
            span(key.age_ms),
            key.changed
        ))?;
    }
    if let Some(at) = &status.last_audit {
        output::line(format!("values as counted at {at}"))?;
    }
    Ok(())
}

fn print_users_of_it(status: &Status<'_>) -> Result<(), Failure> {
    if !status.processes.is_empty() {
        output::line("\nprocess            what         version  reads    last report")?;
    }
    for process in &status.processes {
        output::line(format!(
            "{:<18} {:<12} {:<8} {:<8} {} ago",
            output::sanitize_for_terminal(&process.id),
            output::sanitize_for_terminal(&process.what),
            process.version,
            format!("format {}", process.reads),
            span(process.silent_ms)
        ))?;
    }
    if !status.protects.is_empty() {
        output::line("\nprotected records")?;
    }
    for protected_scope in &status.protects {
        output::line(format!(
            "{}  at {}{}",
            protected_scope.records,
            protected_scope.store,
            settings_in_words(protected_scope)
        ))?;
    }
    Ok(())
}

fn print_steps(status: &Status<'_>) -> Result<(), Failure> {
    if status.due.is_some() || !status.next.is_empty() {
        output::line("\nnext steps")?;
    }
    if let Some(due) = &status.due {
        output::line(format!("due now               {}", due.words))?;
    }
    for step in &status.next {
        output::line(format!("{}  {}", step.at, step.words))?;
    }
    for blocked in &status.blocked {
        output::line(format!("key {} is kept: {}", blocked.key, blocked.why))?;
    }
    for wrong in &status.wrong_times {
        output::line(wrong)?;
    }
    if !status.wrong_times.is_empty() {
        output::line("a clock was wrong: waxseal keyring repair-times sets these times right")?;
    }
    if status.due.is_some() && status.processes.is_empty() {
        output::line(
            "no process reports that carries it out: waxseal proxy and waxseal keeper do, and \
             waxseal rotate does once",
        )?;
    }
    Ok(())
}

/// Records as a report may show them.
fn shown(protected_scope: &ProtectedScope) -> ProtectedScope {
    let settings = protected_scope.settings.clone();
    ProtectedScope {
        records: shown_pattern(&protected_scope.records),
        settings: settings.map(|settings| ScopeSettings {
            except: settings.except.iter().map(|it| shown_pattern(it)).collect(),
            ..settings
        }),
        ..protected_scope.clone()
    }
}

/// What is recorded of protected records, as it follows these; nothing if it is the usual.
fn settings_in_words(protected_scope: &ProtectedScope) -> String {
    let mut words = match protected_scope.members {
        Some(MemberForms::One { .. }) => "  members in one form".to_owned(),
        Some(MemberForms::Several { .. }) => "  members in several forms".to_owned(),
        None => String::new(),
    };
    let Some(settings) = &protected_scope.settings else {
        return words;
    };
    if let Some(group) = &settings.group {
        let group = output::sanitize_for_terminal(group);
        words.push_str(&format!("  group \"{group}\""));
    }
    if settings.bind != ScopeBinding::Record {
        words.push_str(&format!("  bound to the {}", settings.bind.as_str()));
    }
    if settings.names != RecordNames::Plain {
        words.push_str(&format!("  names {}", settings.names.as_str()));
        if let Some(multiple) = settings.pad_names {
            words.push_str(&format!(" and padded to {multiple}"));
        }
    }
    if !settings.except.is_empty() {
        words.push_str(&format!("  except {}", settings.except.join(", ")));
    }
    words
}
