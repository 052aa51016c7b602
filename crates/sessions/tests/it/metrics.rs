//! The metrics of the library, recorded by the recorder of the application.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusBuilder;
use waxseal_sessions::{OnRefused, Options, StateManager};
use waxseal_stores::{Clock, Expiry, MemoryStore, RecordName, RecordStore, Slot};

use crate::*;

async fn put_stored(store: &MemoryStore, name: &str, stored: &[u8]) {
    let name = RecordName::from(name);
    let put = store
        .put(&name, &Slot::Whole, stored, Expiry::Persistent)
        .await;
    put.unwrap();
}

async fn work() {
    let store = Arc::new(MemoryStore::new(Clock::system()));
    let options = Options::default().on_refused(OnRefused::Quarantine);
    let states = StateManager::start(store.clone(), usual_sealer(), options);
    let states = states.await.unwrap();
    for _ in 0..5 {
        states.set(USER, &state("confirming")).await.unwrap();
        states.get::<State>(USER).await.unwrap();
    }
    put_stored(&store, "wa:plain", &state_json("confirming")).await;
    states.get::<State>("plain").await.unwrap();
    let moved = sealed(&KEY, Format::Sealed, NAME, b"{}");
    put_stored(&store, "wa:moved", &moved).await;
    assert_eq!(states.get::<State>("moved").await.unwrap(), None);
}

#[test]
fn sealed_opened_and_quarantined_values_are_counted_by_the_recorder_of_the_application() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    ::metrics::with_local_recorder(&recorder, || runtime.block_on(work()));
    let text = recorder.handle().render();
    let sum = |wanted: &[&str]| {
        let lines = text
            .lines()
            .filter(|line| wanted.iter().all(|it| line.contains(it)));
        lines
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
            .sum::<u64>()
    };
    let ok = ["result=\"ok\"", "format=\"sealed\""];
    assert_eq!(sum(&["waxseal_seals_total{", ok[0], ok[1]]), 5, "{text}");
    assert_eq!(sum(&["waxseal_opens_total{", ok[0], ok[1]]), 5, "{text}");
    assert_eq!(
        sum(&["waxseal_opens_total{", "result=\"refused\""]),
        1,
        "{text}"
    );
    assert_eq!(
        sum(&["waxseal_plain_values_total{", "pattern=\"wa:*\""]),
        1,
        "{text}"
    );
    assert_eq!(sum(&["waxseal_quarantined_values_total "]), 1, "{text}");
    for secret in [USER, MARK, "moved"] {
        assert!(!text.contains(&format!("\"{secret}")), "{secret} shows");
    }
}
