//! `audit`: counts what lies under each protected pattern, and writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use waxseal_core::{KeyId, Mode};
use waxseal_sweep::{Audit, Class, Group, Position, Sight, Sweep, SweepOptions, Tally};

use crate::args::AuditArgs;
use crate::commands::sweep::latency;
use crate::error::{Ended, Failure};
use crate::output::{self, thousands};
use crate::progress::Progress;
use crate::setup::{Protected, Setup};
use crate::signals::stop_on_signal;

const BAR: usize = 24;
/// Reading alone goes faster in larger batches than a sweep that writes.
const BATCH: usize = 1_000;

#[derive(Serialize)]
struct Report<'a> {
    clean: bool,
    patterns: Vec<PatternReport<'a>>,
}

#[derive(Serialize)]
struct PatternReport<'a> {
    name: &'a str,
    records: &'a str,
    total: u64,
    sealed: u64,
    plain: u64,
    unopenable: u64,
    empty: u64,
    erased: u64,
    other_types: BTreeMap<String, u64>,
    groups: Vec<GroupReport>,
}

#[derive(Serialize)]
struct GroupReport {
    format: &'static str,
    key: Option<String>,
    key_state: Option<&'static str>,
    kind: &'static str,
    values: u64,
    bytes: u64,
    /// When the last record under an older key expires: the key is unused from then on.
    unused_from: Option<String>,
    /// Records under an older key that do not expire.
    without_expiry: u64,
}

pub(crate) async fn run(setup: &Setup, args: &AuditArgs) -> Result<Ended, Failure> {
    let store = setup.open_store().await?;
    setup.check_key(&store).await?;
    let stop = stop_on_signal()?;
    let mut patterns = Vec::new();
    for protected in &setup.protected {
        let sweep = Sweep {
            store: store.clone(),
            pattern: protected.pattern.clone(),
            task: Arc::new(Audit::new(setup.sealer(protected, Mode::On), args.deep)),
            keys: setup.keys(protected),
            mask: setup.mask(),
            options: SweepOptions {
                dry_run: true,
                batch: BATCH,
                max_latency: latency(args.max_latency),
                ..SweepOptions::default()
            },
        };
        let mut progress = Progress::start(setup.json, 0);
        let outcome = sweep
            .run(Position::default(), &stop, &mut |event| {
                progress.show(&event);
            })
            .await;
        progress.end();
        let report = outcome.map_err(|interrupted| Failure::from(interrupted.error))?;
        if !report.complete {
            return Err(Failure::failed("stopped by a signal before the end"));
        }
        patterns.push(summarize(setup, protected, report.position.counts()));
    }
    let clean = patterns
        .iter()
        .all(|pattern| pattern.plain == 0 && pattern.other_types.is_empty());
    let report = Report { clean, patterns };
    if setup.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    if args.require_clean && !report.clean {
        output::complain("error", "there is plaintext under a protected pattern");
        output::advise("waxseal migrate seals it; records of other types cannot be sealed");
        return Ok(Ended::Findings);
    }
    Ok(Ended::Done)
}

fn summarize<'a>(setup: &Setup, protected: &'a Protected, counts: Tally) -> PatternReport<'a> {
    let group = |(&(class, sight), group): (&(Class, Sight), &Group)| {
        let (format, key) = describe(class);
        GroupReport {
            format,
            key: key.map(|id| id.to_string()),
            key_state: match class {
                Class::OfUser => Some("user key"),
                Class::Erased => Some("erased"),
                _ => key.map(|id| setup.key_state(id)),
            },
            kind: sight.kind(),
            values: group.values,
            bytes: group.bytes,
            unused_from: group.last_expiry.map(output::point_in_time),
            without_expiry: group.forever,
        }
    };
    PatternReport {
        name: &protected.name,
        records: protected.pattern.shown(),
        total: counts.total,
        sealed: counts
            .count(|class| matches!(class, Class::Classic(_) | Class::Sealed(_) | Class::OfUser)),
        plain: counts.count(|class| class == Class::Plain),
        unopenable: counts.failed,
        empty: counts.empty,
        erased: counts.erased,
        groups: counts.groups.iter().map(group).collect(),
        other_types: counts.skipped,
    }
}

fn describe(class: Class) -> (&'static str, Option<KeyId>) {
    match class {
        Class::Empty => ("empty", None),
        Class::Plain => ("plain", None),
        Class::Classic(id) => ("classic", Some(id)),
        Class::Sealed(id) => ("sealed", Some(id)),
        Class::OfUser => ("sealed, user's key", None),
        Class::Erased => ("erased", None),
        Class::UnknownKey(id) => ("sealed, key unknown", Some(id)),
        Class::Unopenable => ("cannot be opened", None),
    }
}

fn print(report: &Report<'_>) -> Result<(), Failure> {
    for pattern in &report.patterns {
        output::line(format!(
            "{} ({}): {} sealed, {} plain, {} cannot be opened",
            pattern.name,
            pattern.records,
            thousands(pattern.sealed),
            thousands(pattern.plain),
            thousands(pattern.unopenable)
        ))?;
        for group in &pattern.groups {
            print_group(group, pattern.total)?;
        }
        for (kind, records) in &pattern.other_types {
            output::line(format!(
                "  {} records of type {kind}: their values cannot be sealed",
                thousands(*records)
            ))?;
        }
    }
    Ok(())
}

fn print_group(group: &GroupReport, total: u64) -> Result<(), Failure> {
    let key = match (&group.key, group.key_state) {
        (Some(key), Some(state)) => format!("key {key} ({state})"),
        _ => String::new(),
    };
    let share = group.values as f64 / total.max(1) as f64;
    let chart = if output::is_for_a_person() {
        format!("  {}", output::bar(share, BAR))
    } else {
        String::new()
    };
    let text = format!(
        "  {:<20} {key:<24} {:<7} {:>12} {:>5.1} %{chart}",
        group.format,
        group.kind,
        thousands(group.values),
        share * 100.0
    );
    output::line(text.trim_end())?;
    if group.key_state == Some("opening") {
        let when = match (&group.unused_from, group.without_expiry) {
            (_, 1..) => format!(
                "{} of them do not expire: waxseal rotate brings them under the sealing key",
                thousands(group.without_expiry)
            ),
            (Some(time), 0) => format!("unused from about {time}"),
            (None, 0) => "unused soon".to_owned(),
        };
        output::line(format!("  {:<20} {when}", ""))?;
    }
    Ok(())
}
