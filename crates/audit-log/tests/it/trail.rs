//! Operations between two entries, and operations that cannot be recorded.

use std::cell::Cell;
use std::fs;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tempfile::TempDir;
use waxseal_audit_log::{
    Operation, OperationError, Outcome, RecordError, ServiceStart, Settings, Target, Trail, Warning,
};

use super::{KEY, Log, actor, chain_key};

fn outcome_of<T>(result: &Result<T, String>, details: &mut waxseal_audit_log::Details) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(error) => {
            details.insert("error", json!(error));
            Outcome::Failed
        }
    }
}

fn put() -> Option<Operation> {
    Some(Operation::new("put", "wa:#00000001").with("field", true))
}

/// A trail into a directory that does not exist, and the warnings that it gave.
fn unwritable(is_required: bool) -> (Trail<String>, Arc<Mutex<Vec<String>>>) {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let sink = warnings.clone();
    let settings = Settings {
        target: Target::File("/nonexistent/audit.jsonl".into()),
        is_required,
        read_key: Box::new(|| Ok(chain_key(KEY))),
        warn: Box::new(move |warning: Warning<String>| {
            sink.lock().unwrap().push(format!("{warning:?}"));
        }),
    };
    (Trail::new(Some(settings), actor()), warnings)
}

#[tokio::test]
async fn an_operation_has_an_entry_before_and_one_after() {
    let log = Log::new();
    let work = async {
        log.trail.add_detail("records", 3);
        log.trail.add_count("changed", 1);
        log.trail.add_count("changed", 2);
        assert_eq!(log.actions(), ["started", "put"]);
        Ok(7)
    };
    let done = log.trail.record_operation(put(), work, outcome_of).await;
    assert_eq!(done.unwrap(), 7);
    let failing = async { Err::<(), _>("unavailable".to_owned()) };
    let failed = log.trail.record_operation(put(), failing, outcome_of).await;
    assert!(matches!(failed, Err(OperationError::Failed(error)) if error == "unavailable"));
    let ends: Vec<_> = log
        .entries()
        .iter()
        .map(|entry| (entry["outcome"].clone(), entry["details"].clone()))
        .skip(1)
        .collect();
    let expected = [
        (json!("begun"), json!({"field": true})),
        (
            json!("done"),
            json!({"begun": 2, "changed": 3, "records": 3}),
        ),
        (json!("begun"), json!({"field": true})),
        (json!("failed"), json!({"begun": 4, "error": "unavailable"})),
    ];
    assert_eq!(ends, expected);
    assert!(log.verify_against_state().whole);
}

#[tokio::test]
async fn nothing_begins_that_cannot_be_recorded() {
    let (trail, _) = unwritable(true);
    let is_done = Cell::new(false);
    let work = async {
        is_done.set(true);
        Ok::<_, String>(())
    };
    let refused = trail.record_operation(put(), work, outcome_of).await;
    assert!(matches!(
        refused,
        Err(OperationError::NotBegun(RecordError::Write(_)))
    ));
    assert!(!is_done.get());
}

#[tokio::test]
async fn where_recording_is_not_required_a_warning_is_given() {
    let (trail, warnings) = unwritable(false);
    let work = async { Ok::<_, String>(()) };
    trail
        .record_operation(put(), work, outcome_of)
        .await
        .unwrap();
    trail.record(&put().unwrap()).unwrap();
    let warnings = warnings.lock().unwrap();
    assert_eq!(warnings.len(), 3);
    assert!(warnings.iter().all(|it| it.starts_with("NotRecorded")));
}

#[tokio::test]
async fn an_end_that_cannot_be_recorded_is_reported() {
    let log = Log::new();
    let block = || {
        fs::remove_file(log.path("audit.jsonl")).unwrap();
        fs::create_dir(log.path("audit.jsonl")).unwrap();
    };
    let work = async {
        block();
        Ok::<_, String>(())
    };
    let result = log.trail.record_operation(put(), work, outcome_of).await;
    assert!(matches!(result, Err(OperationError::EndNotRecorded(_))));
}

#[tokio::test]
async fn a_failure_whose_end_cannot_be_recorded_is_a_failure_and_a_warning() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("audit.jsonl");
    let warnings = Arc::new(Mutex::new(0));
    let sink = warnings.clone();
    let settings = Settings {
        target: Target::File(path.clone()),
        is_required: true,
        read_key: Box::new(|| Ok(chain_key(KEY))),
        warn: Box::new(move |warning: Warning<String>| {
            assert!(matches!(warning, Warning::EndNotRecorded(_)));
            *sink.lock().unwrap() += 1;
        }),
    };
    let trail = Trail::new(Some(settings), actor());
    let work = async {
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        Err::<(), _>("failed".to_owned())
    };
    let result = trail.record_operation(put(), work, outcome_of).await;
    assert!(matches!(result, Err(OperationError::Failed(_))));
    assert_eq!(*warnings.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_key_that_cannot_be_read_is_the_callers_error() {
    let settings = Settings {
        target: Target::File("/nonexistent/audit.jsonl".into()),
        is_required: true,
        read_key: Box::new(|| Err("the variable is not set".to_owned())),
        warn: Box::new(|warning| panic!("{warning:?}")),
    };
    let trail = Trail::new(Some(settings), actor());
    let error = trail.record(&put().unwrap()).unwrap_err();
    assert!(matches!(error, RecordError::Key(text) if text == "the variable is not set"));
}

#[tokio::test]
async fn without_settings_or_operation_nothing_is_recorded() {
    let trail = Trail::<String>::new(None, actor());
    trail.record(&put().unwrap()).unwrap();
    let work = async { Ok(1) };
    let done = trail.record_operation(put(), work, outcome_of).await;
    assert_eq!(done.unwrap(), 1);
    let log = Log::new();
    let work = async { Ok(2) };
    let done = log.trail.record_operation(None, work, outcome_of).await;
    assert_eq!(done.unwrap(), 2);
    assert!(!log.path("audit.jsonl").exists());
}

#[test]
fn a_mode_is_recorded_when_it_differs_from_the_last_start() {
    let log = Log::new();
    let start = |service, mode| {
        let start = ServiceStart {
            service,
            store: "redis://127.0.0.1:6379",
            mode,
        };
        log.trail.record_mode(&start).unwrap();
    };
    start("proxy", "on");
    start("proxy", "on");
    start("keeper", "on");
    start("proxy", "off");
    let changes: Vec<_> = log
        .entries()
        .iter()
        .skip(1)
        .map(|entry| (entry["target"].clone(), entry["details"].clone()))
        .collect();
    let expected = [
        ("proxy", json!({"from": null, "to": "on"})),
        ("keeper", json!({"from": null, "to": "on"})),
        ("proxy", json!({"from": "on", "to": "off"})),
    ];
    let expected =
        expected.map(|(service, it)| (json!(format!("{service} at redis://127.0.0.1:6379")), it));
    assert_eq!(changes, expected);
}

#[test]
fn an_offline_start_is_recorded_once() {
    let log = Log::new();
    for _ in 0..2 {
        log.trail.record_offline_start("file:/ring.json").unwrap();
    }
    assert_eq!(log.actions(), ["started", "allow_offline"]);
}

#[test]
fn texts_are_shortened_and_move_no_cursor() {
    let log = Log::new();
    let long = "é".repeat(1000);
    let operation = Operation::new("get", &format!("\u{1b}[2J{long}")).with("note", long);
    log.trail.record(&operation).unwrap();
    let entry = &log.entries()[1];
    let target = entry["target"].as_str().unwrap();
    assert!(
        target.starts_with("?[2Jé") && target.ends_with('…'),
        "{target}"
    );
    assert!(target.len() <= 303 && entry["details"]["note"].as_str().unwrap().len() <= 303);
    assert!(log.verify_against_state().whole);
}
