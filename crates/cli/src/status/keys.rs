//! The keys of this process as the page shows them: of a keyring with what became of them and what comes,
//! or of the environment.

use std::time::Duration;

use waxseal_core::KeyId;
use waxseal_keys::measured::key_name;
use waxseal_keys::rotation::{self, Facts, Outlook, Step};
use waxseal_keys::{Entry, KeyState, LiveRing, Reports, Ring};
use waxseal_page::status::{Key, KeyEvent, Keys, When};
use waxseal_page::words::span;

use super::counting::Counted;
use crate::commands::{block_words, step_words};
use crate::output::harmless;
use crate::setup::Setup;

/// Past events on the line of time.
const PAST: usize = 6;
/// Keys that are shown, the newest first: a ring can hold a thousand.
const MOST_KEYS: usize = 40;

/// What was seen last.
#[derive(Clone, Debug, Default)]
pub(super) struct KeysView {
    source: String,
    keys: Vec<(KeyId, Key)>,
    events: Vec<KeyEvent>,
    /// What is wrong with the keyring.
    pub(super) trouble: Option<String>,
    /// What retiring an old key waits for.
    pub(super) blocked: Vec<String>,
    /// How long a step may be due until somebody should look.
    pub(super) patience: Duration,
}

impl KeysView {
    pub(super) async fn look(setup: &Setup) -> Self {
        match setup.opened_ring() {
            Ok(opened) => of_ring(&opened.ring).await,
            Err(_) => of_environment(setup),
        }
    }

    /// With the shares of what was counted.
    pub(super) fn shown(&self, counted: &Counted) -> Keys {
        let with_share = |(id, key): &(KeyId, Key)| Key {
            values: counted.share(*id),
            ..key.clone()
        };
        Keys {
            source: self.source.clone(),
            keys: self.keys.iter().map(with_share).collect(),
            events: self.events.clone(),
        }
    }
}

fn of_environment(setup: &Setup) -> KeysView {
    let Ok(keyring) = setup.keyring() else {
        return KeysView {
            source: "No key is configured: nothing is sealed.".to_owned(),
            ..KeysView::default()
        };
    };
    let key = |usage: waxseal_core::KeyUsage| {
        let state = setup.key_state(usage.id);
        let key = Key {
            id: usage.id.to_string(),
            metric_name: key_name(usage.id.to_u32()),
            state: state.to_owned(),
            age_ms: None,
            seals: Some(usage.classic_seals.saturating_add(usage.sealed_seals)),
            values: None,
            next: match usage.id == keyring.sealing_id() {
                true => "exchanged by hand: docs/operations.md",
                false => "removed by hand, once no value is under it",
            }
            .to_owned(),
        };
        (usage.id, key)
    };
    KeysView {
        source: "Keys of the environment; values sealed as counted by this process.".to_owned(),
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
    let outlook = rotation::outlook(&ring, &facts);
    let mut keys: Vec<_> = ring.keys().iter().collect();
    keys.sort_by_key(|entry| (entry.state != KeyState::Sealing, u64::MAX - entry.created));
    let keys = keys.into_iter().take(MOST_KEYS);
    let trouble = live.trouble().map(|trouble| trouble.error.to_string());
    let refresh = ring.settings().refresh();
    KeysView {
        source: format!(
            "Keyring {} of the environment {}, version {}, at {}; processes that report to it: {}.",
            ring.id(),
            harmless(ring.environment()),
            ring.version(),
            live.location(),
            reports.processes.len()
        ),
        keys: keys
            .map(|entry| (entry.id, key(entry, &ring, &reports, &outlook, now_ms)))
            .collect(),
        events: events(&ring, &outlook, now_ms),
        trouble: trouble.or(unread),
        blocked: outlook.blocked.iter().map(block_words).collect(),
        patience: refresh * 3,
    }
}

fn key(entry: &Entry, ring: &Ring, reports: &Reports, outlook: &Outlook, now_ms: u64) -> Key {
    Key {
        id: entry.id.to_string(),
        metric_name: key_name(entry.id.to_u32()),
        state: entry.state.to_string(),
        age_ms: Some(now_ms.saturating_sub(entry.created)),
        seals: Some(reports.seals(entry.id)),
        values: None,
        next: next(entry, ring, outlook, now_ms),
    }
}

/// What happens to a key next.
fn next(entry: &Entry, ring: &Ring, outlook: &Outlook, now_ms: u64) -> String {
    let is_about = |step: &Step| match *step {
        Step::Promote(id) | Step::Archive(id) | Step::Destroy(id) => id == entry.id,
        Step::Add(id) => id == entry.id && entry.state == KeyState::Sealing,
        Step::Sweep => entry.state == KeyState::Opening,
    };
    if outlook.due.as_ref().is_some_and(is_about) {
        return "due now".to_owned();
    }
    let mut coming = outlook.coming.iter();
    if let Some((step, at)) = coming.find(|(step, _)| is_about(step)) {
        return format!("{} in {}", verb(step), span(at.saturating_sub(now_ms)));
    }
    match entry.state {
        KeyState::Sealing if ring.settings().every_ms.is_none() => "none by age".to_owned(),
        KeyState::Compromised => "waxseal rotate --open-compromised, then destroyed".to_owned(),
        KeyState::Destroyed => "none".to_owned(),
        _ => "waits for another step".to_owned(),
    }
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

fn events(ring: &Ring, outlook: &Outlook, now_ms: u64) -> Vec<KeyEvent> {
    let past = |entry: &Entry| KeyEvent {
        at_ms: entry.changed,
        when: When::Past,
        text: format!("key {} is {}", entry.id, entry.state),
    };
    let mut events: Vec<KeyEvent> = ring.keys().iter().map(past).collect();
    events.sort_by_key(|event| event.at_ms);
    let skipped = events.len().saturating_sub(PAST);
    events.drain(..skipped);
    let step = |step: &Step, at_ms, when| KeyEvent {
        at_ms,
        when,
        text: step_words(*step),
    };
    events.extend(outlook.due.iter().map(|it| step(it, now_ms, When::Due)));
    let coming = outlook.coming.iter();
    events.extend(coming.map(|(it, at)| step(it, *at, When::Future)));
    events
}
