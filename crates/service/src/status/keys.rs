//! The keys of this process as the page shows them: those of a keyring with past and future steps, or those of the
//! environment.

use std::collections::BTreeMap;
use std::time::Duration;

use waxseal_core::{KeyId, sanitize_for_terminal};
use waxseal_keys::instrumented::key_name;
use waxseal_keys::rotation::{self, Facts, RotationPlan, Step};
use waxseal_keys::{Entry, KeyState, LiveRing, Reports, Ring};
use waxseal_metrics::Snapshot;
use waxseal_page::status::{Key, KeyEvent, KeyValues, Keys, NextStep, OtherKeys, When};

use super::counting::Counted;
use super::figures;
use crate::keyring_text::{block_text, step_text};
use crate::resources::{Resources, keys};

/// The number of past events that are shown.
const MAX_PAST_EVENTS: usize = 6;
/// The number of keys that are shown, the newest first: a ring can hold a thousand.
const MAX_KEYS: usize = 40;

/// The keys as last read.
#[derive(Clone, Debug, Default)]
pub(super) struct KeysView {
    source: String,
    details: Vec<String>,
    /// The keys that are shown.
    keys: Vec<(KeyId, Key)>,
    /// The states of all keys of a ring; empty without a ring.
    pub(super) states: BTreeMap<KeyId, KeyState>,
    /// True if values are sealed under keys of users.
    has_users: bool,
    events: Vec<KeyEvent>,
    /// The error for which the process cannot follow the keyring.
    pub(super) trouble: Option<String>,
    /// The reasons for which old keys cannot be retired yet.
    pub(super) blocked: Vec<String>,
    /// The time after which a step that is due counts as overdue.
    pub(super) overdue_after: Duration,
}

impl KeysView {
    pub(super) async fn read(resources: &Resources) -> Self {
        let view = match resources.opened_ring() {
            Ok(opened) => of_ring(&opened.ring).await,
            Err(_) => of_environment(resources),
        };
        Self {
            has_users: resources
                .configuration
                .protected
                .iter()
                .any(|it| it.per_user),
            ..view
        }
    }

    /// The keys with the values under each from the last count.
    pub(super) fn shown(&self, counted: &Counted, now: &Snapshot) -> Keys {
        let with_values = |(id, key): &(KeyId, Key)| Key {
            values: counted.values(*id, self.states.get(id).copied()),
            ..key.clone()
        };
        let source = match self.source.is_empty() {
            true => "Not open yet: the log of this process says what it waits for".to_owned(),
            false => self.source.clone(),
        };
        Keys {
            source,
            details: self
                .details
                .iter()
                .cloned()
                .chain(figures::custodians(now))
                .collect(),
            figures: figures::keyring(now),
            keys: self.keys.iter().map(with_values).collect(),
            others: self.others(counted, now),
            events: self.events.clone(),
        }
    }

    /// The sealed values under keys that are not listed.
    fn others(&self, counted: &Counted, now: &Snapshot) -> Vec<OtherKeys> {
        let is_shown = |id| self.keys.iter().any(|(shown, _)| *shown == id);
        let is_known = |id| is_shown(id) || self.states.contains_key(&id);
        let mut others = Vec::new();
        let users = counted.of_users();
        if self.has_users || users.is_some_and(|(values, _)| values > 0) {
            others.push(OtherKeys {
                id: "users",
                label: "Keys of users",
                note: figures::user_keys(now),
                values: users,
            });
        }
        let mut push = |id, label, note: &str, values: u64| {
            if values > 0 {
                others.push(OtherKeys {
                    id,
                    label,
                    note: note.to_owned(),
                    values: Some((values, counted.envelopes())),
                });
            }
        };
        let older = counted.under(|id| is_known(id) && !is_shown(id));
        push(
            "older",
            "Older keys of this keyring",
            "They are not listed here.",
            older,
        );
        let unknown = counted.under(|id| !is_known(id));
        let unreadable = unknown.saturating_add(counted.unopenable());
        let note = "They were sealed under keys that are not here, or damaged, or moved from another record.";
        push("unreadable", "No key opens them", note, unreadable);
        others
    }
}

fn of_environment(resources: &Resources) -> KeysView {
    let Ok(keyring) = keys::current(resources) else {
        return KeysView {
            source: "No key is configured: nothing is sealed".to_owned(),
            ..KeysView::default()
        };
    };
    let key = |usage: waxseal_core::KeyUsage| {
        let state = keys::state(resources, usage.id);
        let key = Key {
            id: usage.id.to_string(),
            metric_name: key_name(usage.id.to_u32()),
            state: state.to_owned(),
            created_ms: None,
            seals: Some(usage.classic_seals.saturating_add(usage.sealed_seals)),
            values: KeyValues::NotCounted,
            next: NextStep::Text(
                match usage.id == keyring.sealing_id() {
                    true => "rotated by hand",
                    false => "removed by hand, once no value is under it",
                }
                .to_owned(),
            ),
        };
        (usage.id, key)
    };
    KeysView {
        source: "From the environment; values sealed as counted by this process".to_owned(),
        keys: keyring.usage().map(key).collect(),
        ..KeysView::default()
    }
}

async fn of_ring(live: &LiveRing) -> KeysView {
    let (reports, unread) = match live.reports().await {
        Ok(reports) => (reports, None),
        Err(error) => (Reports::default(), Some(error.to_string())),
    };
    let (ring, now_ms) = (live.ring(), live.now_ms());
    let facts = Facts {
        now_ms,
        seals: reports.seals(ring.sealing().id),
        pending_watched: live.pending_watched(),
        audit: reports.audit.as_ref(),
    };
    let plan = rotation::plan(&ring, &facts);
    let mut keys: Vec<_> = ring.keys().iter().collect();
    keys.sort_by_key(|entry| (entry.state != KeyState::Sealing, u64::MAX - entry.created));
    let keys = keys.into_iter().take(MAX_KEYS);
    let trouble = live.degraded().map(|trouble| trouble.error.to_string());
    let refresh = ring.settings().refresh();
    let own = live.keyring().current();
    let own_seals = |id| {
        let mut usage = own.usage().filter(|usage| usage.id == id);
        usage
            .next()
            .map_or(0, |it| it.classic_seals.saturating_add(it.sealed_seals))
    };
    KeysView {
        source: format!(
            "From the keyring of the environment {}",
            sanitize_for_terminal(ring.environment())
        ),
        details: vec![
            format!("keyring {} at {}", ring.id(), live.location()),
            format!("processes that report to it: {}", reports.processes.len()),
        ],
        keys: keys
            .map(|entry| {
                // This process writes its own number of seals to its report only at intervals.
                let seals = reports.seals(entry.id).max(own_seals(entry.id));
                (entry.id, key(entry, &ring, seals, &plan))
            })
            .collect(),
        states: ring
            .keys()
            .iter()
            .map(|entry| (entry.id, entry.state))
            .collect(),
        has_users: false,
        events: events(&ring, &plan, now_ms),
        trouble: trouble.or(unread),
        blocked: plan.blocked.iter().map(block_text).collect(),
        overdue_after: refresh * 3,
    }
}

fn key(entry: &Entry, ring: &Ring, seals: u64, plan: &RotationPlan) -> Key {
    Key {
        id: entry.id.to_string(),
        metric_name: key_name(entry.id.to_u32()),
        state: entry.state.to_string(),
        created_ms: Some(entry.created),
        seals: Some(seals),
        values: KeyValues::NotCounted,
        next: next(entry, ring, plan),
    }
}

/// The next step for a key.
fn next(entry: &Entry, ring: &Ring, plan: &RotationPlan) -> NextStep {
    let is_about = |step: &Step| match *step {
        Step::Promote(id) | Step::Archive(id) | Step::Destroy(id) => id == entry.id,
        Step::Add(id) => id == entry.id && entry.state == KeyState::Sealing,
        Step::Sweep => entry.state == KeyState::DecryptOnly,
    };
    if plan.due.as_ref().is_some_and(is_about) {
        return NextStep::Text("due now".to_owned());
    }
    let mut coming = plan.upcoming.iter();
    if let Some((step, at)) = coming.find(|(step, _)| is_about(step)) {
        return NextStep::At(verb(step), *at);
    }
    let text = match entry.state {
        KeyState::Sealing if ring.settings().every_ms.is_none() => "not rotated by age",
        KeyState::Compromised => "waxseal rotate --open-compromised, then destroyed",
        KeyState::Destroyed => "none",
        _ => "waits for another step",
    };
    NextStep::Text(text.to_owned())
}

fn verb(step: &Step) -> &'static str {
    match step {
        Step::Add(_) => "replaced",
        Step::Promote(_) => "seals",
        Step::Sweep => "its values resealed",
        Step::Archive(_) => "archived",
        Step::Destroy(_) => "destroyed",
    }
}

fn events(ring: &Ring, plan: &RotationPlan, now_ms: u64) -> Vec<KeyEvent> {
    let past = |entry: &Entry| KeyEvent {
        at_ms: entry.changed,
        when: When::Past,
        text: format!("key {} is {}", entry.id, entry.state),
    };
    let mut events: Vec<KeyEvent> = ring.keys().iter().map(past).collect();
    events.sort_by_key(|event| event.at_ms);
    let skipped = events.len().saturating_sub(MAX_PAST_EVENTS);
    events.drain(..skipped);
    let step = |step: &Step, at_ms, when| KeyEvent {
        at_ms,
        when,
        text: step_text(*step),
    };
    events.extend(plan.due.iter().map(|it| step(it, now_ms, When::Due)));
    let coming = plan.upcoming.iter();
    events.extend(coming.map(|(it, at)| step(it, *at, When::Future)));
    events
}
