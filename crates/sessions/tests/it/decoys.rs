//! Decoys in the library: a read of one returns its value, is logged, and is counted.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusBuilder;
use waxseal_core::Format;
use waxseal_sessions::{GuardError, Options, StateManager};
use waxseal_stores::{Clock, MemoryStore};
use waxseal_testing::Lines;

use crate::*;

const DECOY: &str = "4915550001234";
const ALARM: &str = "a decoy was opened";

async fn work(lines: &Lines) {
    let store = Arc::new(MemoryStore::new(Clock::system()));
    let options = Options::default().decoys([format!("wa:{DECOY}")]);
    let states = StateManager::start(store.clone(), usual_sealer(), options);
    let states = states.await.unwrap();
    // While it is absent, a read of it is not reported.
    assert_eq!(states.get::<State>(DECOY).await.unwrap(), None);
    let before = state("confirming");
    for user in [DECOY, USER] {
        states.set(user, &before).await.unwrap();
    }
    assert_eq!(
        states.get::<State>(USER).await.unwrap(),
        Some(before.clone())
    );
    assert!(!lines.text().contains(ALARM), "{}", lines.text());
    for _ in 0..30 {
        let read = states.get::<State>(DECOY).await.unwrap();
        assert_eq!(read, Some(before.clone()));
    }
}

#[test]
fn reading_a_decoy_is_logged_and_counted_and_returns_its_value() {
    let (lines, _guard) = Lines::capture(tracing::Level::TRACE);
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    ::metrics::with_local_recorder(&recorder, || runtime.block_on(work(&lines)));
    let counted = recorder.handle().render();
    let count = "waxseal_decoys_opened_total{by=\"library\"} 30";
    assert!(counted.contains(count), "{counted}");
    let log = lines.text();
    let alarms: Vec<_> = log.lines().filter(|line| line.contains(ALARM)).collect();
    // The number of log lines is bounded.
    assert_eq!(alarms.len(), 20, "{log}");
    for line in alarms {
        assert!(line.contains("ERROR") && line.contains("wa:#"), "{line}");
    }
    assert!(!log.contains(DECOY), "{log}");
}

#[tokio::test]
async fn a_decoy_that_can_never_be_read_is_refused_without_its_name() {
    for name in ["bot:4915550001234", "wa:"] {
        let store = Arc::new(MemoryStore::default());
        let options = Options::default().decoys([name]);
        let sealer = sealer(&KEY, Mode::On, Format::Sealed);
        let started = StateManager::start(store, sealer, options).await;
        let error = started.err().unwrap();
        assert!(matches!(error, GuardError::ForeignDecoy { .. }), "{error}");
        assert!(!error.to_string().contains("491555"), "{error}");
    }
    // An excepted record is plain: anyone who reads the server would see that it is a decoy.
    let options = Options::default()
        .except(["wa:*:lock"])
        .decoys(["wa:4915550001234:lock"]);
    let store = Arc::new(MemoryStore::default());
    let error = StateManager::start(store, usual_sealer(), options).await;
    let error = error.err().unwrap();
    assert!(matches!(error, GuardError::ExceptedDecoy { .. }), "{error}");
    assert!(!error.to_string().contains("491555"), "{error}");
    let store = Arc::new(MemoryStore::default());
    let many = (0..1001).map(|number| format!("wa:{number}"));
    let options = Options::default().decoys(many);
    let error = StateManager::start(store, usual_sealer(), options).await;
    let error = error.err().unwrap();
    assert!(
        matches!(error, GuardError::TooManyDecoys { count: 1001, .. }),
        "{error}"
    );
}
