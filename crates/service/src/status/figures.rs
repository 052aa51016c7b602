//! Figures and sweeps of the page, read from the metrics.

use std::collections::BTreeMap;

use waxseal_metrics::Snapshot;
use waxseal_metrics::names::{
    CLIENT_CONNECTIONS, CLIENT_CONNECTIONS_OPENED, CUSTODIAN_CALLS, KEYRING_NEXT_STEP,
    KEYRING_VERSION, OPENS, REFUSED_COMMANDS, SEALS, SWEEP_LAST_RUN, SWEEP_PROGRESS, SWEEP_RECORDS,
    TRIAL_REFUSALS, UPSTREAM_CONNECTIONS, USER_KEY_CACHE_ENTRIES, USER_KEY_CACHE_LOOKUPS,
};
use waxseal_page::status::{Figure, SweepRow};
use waxseal_units::{percent, span, thousands};

fn figure(id: &'static str, label: &'static str, count: f64, note: String) -> Figure {
    Figure {
        id,
        label,
        text: thousands(count as u64),
        note,
        see: None,
    }
}

/// The totals since the start of the process.
pub(super) fn figures(now: &Snapshot, has_clients: bool) -> Vec<Figure> {
    let mut figures = values(now);
    if has_clients {
        figures.extend(traffic(now));
    }
    figures
}

/// The calls of custodians as text; `None` if there were none.
pub(super) fn custodians(now: &Snapshot) -> Option<String> {
    let calls = now.sum(&CUSTODIAN_CALLS, &[]);
    let failed = calls - now.sum(&CUSTODIAN_CALLS, &[("outcome", "ok")]);
    let [calls, failed] = [calls, failed].map(|count| count as u64);
    let text = || {
        format!(
            "calls of custodians by this process: {}, failed: {}",
            thousands(calls),
            thousands(failed)
        )
    };
    (calls > 0).then(text)
}

/// The cached keys of users as text.
pub(super) fn user_keys(now: &Snapshot) -> String {
    let cached = thousands(now.sum(&USER_KEY_CACHE_ENTRIES, &[]) as u64);
    let all = now.sum(&USER_KEY_CACHE_LOOKUPS, &[]) as u64;
    let hits = now.sum(&USER_KEY_CACHE_LOOKUPS, &[("result", "hit")]) as u64;
    let hit_ratio = match all {
        0 => String::new(),
        all => format!(", which served {} of the lookups", percent(hits, all)),
    };
    format!("One for each user; in the memory of this process: {cached}{hit_ratio}.")
}

fn values(now: &Snapshot) -> Vec<Figure> {
    let all_seals = now.sum(&SEALS, &[]);
    let sealed = now.sum(&SEALS, &[("result", "ok")]);
    let left = now.sum(&SEALS, &[("result", "left")]);
    let seals_note = match (left, all_seals - sealed - left) {
        (0.0, 0.0) => "none failed".to_owned(),
        (0.0, failed) => format!("{} failed", thousands(failed as u64)),
        (left, _) => format!("{} written plain: the mode is off", thousands(left as u64)),
    };
    let fine = now.sum(&OPENS, &[("result", "ok")]);
    let plain = now.sum(&OPENS, &[("result", "ok"), ("format", "plain")]);
    let failed = now.sum(&OPENS, &[]) - fine;
    vec![
        figure("sealed", "Values sealed", sealed, seals_note),
        figure(
            "opened",
            "Values opened",
            fine - plain,
            format!("and {} plain ones read", thousands(plain as u64)),
        ),
        figure(
            "not_opened",
            "Values that did not open",
            failed,
            reasons(now),
        ),
    ]
}

/// The reasons for which values did not open.
fn reasons(now: &Snapshot) -> String {
    let mut reasons: BTreeMap<&str, f64> = BTreeMap::new();
    for series in now.series(&OPENS) {
        if series.label("result") != "ok" && series.value() > 0.0 {
            *reasons.entry(series.label("result")).or_default() += series.value();
        }
    }
    let reasons = reasons.iter().map(|(reason, count)| {
        let reason = reason.replace('_', " ");
        format!("{} {reason}", thousands(*count as u64))
    });
    reasons.collect::<Vec<_>>().join(", ")
}

fn traffic(now: &Snapshot) -> Vec<Figure> {
    let refused = now.sum(&REFUSED_COMMANDS, &[]);
    let tried = now.sum(&TRIAL_REFUSALS, &[]);
    let note = match tried > 0.0 {
        true => format!(
            "{} more would be refused without --trial",
            thousands(tried as u64)
        ),
        false => String::new(),
    };
    let opened = now.sum(&CLIENT_CONNECTIONS_OPENED, &[]);
    let upstream = now.sum(&UPSTREAM_CONNECTIONS, &[]);
    vec![
        Figure {
            see: (refused + tried > 0.0).then_some("refused"),
            ..figure("refused", "Requests refused", refused, note)
        },
        figure(
            "clients",
            "Clients connected",
            now.sum(&CLIENT_CONNECTIONS, &[]),
            format!(
                "{} since the start; connections to the server: {}",
                thousands(opened as u64),
                thousands(upstream as u64)
            ),
        ),
    ]
}

/// The figures of the keyring; empty without one.
pub(super) fn keyring(now: &Snapshot) -> Vec<Figure> {
    if now.series(&KEYRING_VERSION).is_empty() {
        return Vec::new();
    }
    let next = now.sum(&KEYRING_NEXT_STEP, &[]);
    let text = match next {
        next if next.is_infinite() => "none by age".to_owned(),
        next if next <= 0.0 => "due".to_owned(),
        next => format!("in {}", span((next * 1000.0) as u64)),
    };
    let version = now.sum(&KEYRING_VERSION, &[]);
    vec![
        figure("keyring_version", "version", version, String::new()),
        Figure {
            text,
            ..figure("keyring_next_step", "next step", 0.0, String::new())
        },
    ]
}

pub(super) fn sweeps(now: &Snapshot) -> Vec<SweepRow> {
    let row = |task: &str| {
        let of_task = [("task", task)];
        let ended = now.sum(&SWEEP_LAST_RUN, &of_task);
        let verdicts = now.series(&SWEEP_RECORDS).iter();
        let verdicts = verdicts.filter(|series| series.label("task") == task);
        SweepRow {
            task: task.to_owned(),
            progress: now.sum(&SWEEP_PROGRESS, &of_task),
            ended_ms: (ended > 0.0).then_some((ended * 1000.0) as u64),
            verdicts: verdicts
                .map(|series| (series.label("verdict").to_owned(), series.value() as u64))
                .collect(),
        }
    };
    let tasks = now.series(&SWEEP_PROGRESS).iter();
    tasks.map(|series| row(series.label("task"))).collect()
}
