//! Single figures, refused commands and sweeps, as metrics tell them.

use std::collections::BTreeMap;

use waxseal_metrics::names::{
    CLIENT_CONNECTIONS, CLIENT_CONNECTIONS_OPENED, CUSTODIAN_CALLS, KEYRING_NEXT_STEP,
    KEYRING_VERSION, OPENS, RECEIVED_BYTES, REFUSED_COMMANDS, SEALS, SENT_BYTES, SWEEP_LAST_RUN,
    SWEEP_PROGRESS, SWEEP_RECORDS, UPSTREAM_CONNECTIONS, USER_KEY_CACHE_ENTRIES,
    USER_KEY_CACHE_LOOKUPS,
};
use waxseal_metrics::{Metric, Snapshot};
use waxseal_page::status::{Figure, Refused, SweepRow};
use waxseal_page::words::{bytes, percent, span, thousands};

use super::Known;

fn figure(id: &'static str, label: &'static str, count: f64, note: String) -> Figure {
    Figure {
        id,
        label,
        text: thousands(count as u64),
        note,
    }
}

pub(super) fn figures(now: &Snapshot, known: &Known, has_clients: bool) -> Vec<Figure> {
    let mut figures = values(now);
    if has_clients {
        figures.extend(traffic(now, known));
    }
    if !now.series(&KEYRING_VERSION).is_empty() {
        figures.push(keyring(now));
    }
    let calls = now.sum(&CUSTODIAN_CALLS, &[]);
    if calls > 0.0 {
        let failed = calls - now.sum(&CUSTODIAN_CALLS, &[("outcome", "ok")]);
        let note = format!("{} failed", thousands(failed as u64));
        figures.push(figure("custodian_calls", "Custodian calls", calls, note));
    }
    let all = now.sum(&USER_KEY_CACHE_LOOKUPS, &[]);
    if all > 0.0 {
        let hits = now.sum(&USER_KEY_CACHE_LOOKUPS, &[("result", "hit")]);
        figures.push(figure(
            "user_keys",
            "Users' keys at hand",
            now.sum(&USER_KEY_CACHE_ENTRIES, &[]),
            format!("{} of lookups found one", percent(hits as u64, all as u64)),
        ));
    }
    figures
}

fn values(now: &Snapshot) -> Vec<Figure> {
    let all_seals = now.sum(&SEALS, &[]);
    let sealed = now.sum(&SEALS, &[("result", "ok")]);
    let left = now.sum(&SEALS, &[("result", "left")]);
    let seals_note = match (left, all_seals - sealed - left) {
        (0.0, 0.0) => "none failed".to_owned(),
        (0.0, failed) => format!("{} failed", thousands(failed as u64)),
        (left, _) => format!("{} left plain: the mode is off", thousands(left as u64)),
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
            format!("and {} plain ones accepted", thousands(plain as u64)),
        ),
        figure(
            "not_opened",
            "Values that did not open",
            failed,
            reasons(now),
        ),
    ]
}

/// Why values did not open.
fn reasons(now: &Snapshot) -> String {
    let mut reasons: BTreeMap<&str, f64> = BTreeMap::new();
    for series in now.series(&OPENS) {
        if series.label("result") != "ok" && series.value > 0.0 {
            *reasons.entry(series.label("result")).or_default() += series.value;
        }
    }
    let words = reasons.iter();
    let words = words
        .map(|(word, count)| format!("{} {}", thousands(*count as u64), word.replace('_', " ")));
    words.collect::<Vec<_>>().join(", ")
}

fn traffic(now: &Snapshot, known: &Known) -> Vec<Figure> {
    let refused = now.sum(&REFUSED_COMMANDS, &[]);
    let opened = now.sum(&CLIENT_CONNECTIONS_OPENED, &[]);
    let upstream = now.sum(&UPSTREAM_CONNECTIONS, &[]);
    let side = |metric: &Metric, side| bytes(now.sum(metric, &[("side", side)]));
    let ready = known.started && !known.stopping && known.server.is_none();
    vec![
        figure(
            "refused",
            "Requests refused",
            refused,
            "see below".to_owned(),
        ),
        figure(
            "clients",
            "Clients connected",
            now.sum(&CLIENT_CONNECTIONS, &[]),
            format!("{} since the start", thousands(opened as u64)),
        ),
        Figure {
            id: "ready",
            label: "Clients are served",
            text: if ready { "yes" } else { "no" }.to_owned(),
            note: format!("connections to the server: {}", thousands(upstream as u64)),
        },
        Figure {
            id: "received",
            label: "Received from clients",
            text: side(&RECEIVED_BYTES, "client"),
            note: format!("{} sent to the server", side(&SENT_BYTES, "upstream")),
        },
    ]
}

fn keyring(now: &Snapshot) -> Figure {
    let next = now.sum(&KEYRING_NEXT_STEP, &[]);
    let note = match next {
        next if next.is_infinite() => "no exchange of keys by age".to_owned(),
        next if next <= 0.0 => "the next step is due".to_owned(),
        next => format!("next step in {}", span((next * 1000.0) as u64)),
    };
    figure(
        "keyring_version",
        "Keyring version",
        now.sum(&KEYRING_VERSION, &[]),
        note,
    )
}

pub(super) fn refused(now: &Snapshot) -> Vec<Refused> {
    let mut refused: Vec<Refused> = now
        .series(&REFUSED_COMMANDS)
        .iter()
        .filter(|series| series.value > 0.0)
        .map(|series| Refused {
            command: series.label("command").to_uppercase().replace('|', " "),
            reason: series.label("reason").to_owned(),
            count: series.value as u64,
        })
        .collect();
    refused.sort_by_key(|it| std::cmp::Reverse(it.count));
    refused
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
                .map(|series| (series.label("verdict").to_owned(), series.value as u64))
                .collect(),
        }
    };
    let tasks = now.series(&SWEEP_PROGRESS).iter();
    tasks.map(|series| row(series.label("task"))).collect()
}
