//! Runs over several patterns, with a checkpoint in a file.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use waxseal_stores::{MemoryStore, RecordPattern, RecordStore};
use waxseal_sweep::{
    CheckpointError, CheckpointFile, Event, Run, RunError, RunIdentity, Stop, Sweep,
};

use super::gate::{Gate, Rule, unavailable};
use super::records::plain_store;
use super::{batches_of, migrate, sweep};

/// The first two match a tenth of the records each.
const PATTERNS: [&str; 3] = ["wa:*1", "wa:*2", "other:*"];

fn identity() -> RunIdentity {
    RunIdentity {
        task: "migrate under key 1".to_owned(),
        store: "memory".to_owned(),
        patterns: PATTERNS.map(str::to_owned).to_vec(),
    }
}

fn sweeps(store: &Arc<dyn RecordStore>) -> Vec<Sweep> {
    let of = |pattern: &str| Sweep {
        pattern: RecordPattern::parse(pattern).unwrap(),
        ..sweep(store.clone(), migrate(), batches_of(20))
    };
    PATTERNS.iter().map(|pattern| of(pattern)).collect()
}

/// Runs until the end, or until `stop` after this number of batches.
async fn execute(mut run: Run, sweeps: &[Sweep], batches: usize) -> (Run, u64) {
    let stop = Stop::default();
    let mut left = batches;
    for sweep in sweeps {
        let halt = stop.clone();
        let mut watch = |event: Event<'_>| {
            if let Event::Progress { .. } = event {
                left = left.saturating_sub(1);
                if left == 0 {
                    halt.stop();
                }
            }
        };
        if !run.pass(sweep, &stop, &mut watch).await.complete {
            break;
        }
    }
    let done = run.totals().done;
    (run, done)
}

async fn store() -> Arc<dyn RecordStore> {
    plain_store(300).await
}

/// The number of records of the first two patterns.
const MATCHING: u64 = 2 * 30;

#[tokio::test]
async fn a_run_over_several_patterns_counts_all_and_knows_which_match_nothing() {
    let store = store().await;
    let (run, done) = execute(Run::new(3, None), &sweeps(&store), usize::MAX).await;
    assert_eq!(done, MATCHING);
    assert!(run.is_complete() && run.is_success());
    assert_eq!(run.passes().len(), 3);
    assert_eq!(run.unmatched().collect::<Vec<_>>(), [2]);
    run.finish().unwrap();
}

#[test]
fn a_checkpoint_that_another_version_wrote_is_read_and_written_back_unchanged() {
    let stored = include_str!("../data/checkpoint-1.json");
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("checkpoint.json");
    fs::write(&path, stored).unwrap();
    let identity = RunIdentity {
        task: "migrate under key 1f4a09c2".to_owned(),
        store: "redis://127.0.0.1:6379".to_owned(),
        patterns: vec!["wa:* as sealed".to_owned()],
    };
    let checkpoint = CheckpointFile::resume(&path, &identity).unwrap();
    let position = checkpoint.position(0);
    assert_eq!((position.examined, position.finished), (5705, false));
    assert_eq!(position.tally.done, 5705);
    checkpoint.save().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), stored);
}

#[tokio::test]
async fn a_run_that_is_stopped_continues_from_its_checkpoint_and_removes_it_at_the_end() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("checkpoint.json");
    let store = store().await;
    let sweeps = sweeps(&store);
    let run = Run::new(3, Some(CheckpointFile::new(&path, identity())));
    let (run, done) = execute(run, &sweeps, 3).await;
    assert!(!run.is_complete() && !run.is_success());
    assert!(done > 0 && done < MATCHING);
    assert!(matches!(run.finish(), Err(RunError::Stopped)));
    assert!(path.exists());

    let checkpoint = CheckpointFile::resume(&path, &identity()).unwrap();
    let run = Run::new(3, Some(checkpoint));
    assert!(run.next_position().examined > 0);
    let (run, done) = execute(run, &sweeps, usize::MAX).await;
    assert_eq!(done, MATCHING);
    assert!(run.is_success());
    run.finish().unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_run_that_fails_keeps_its_checkpoint_and_returns_the_error() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("checkpoint.json");
    let refuse = |_, _, _: &MemoryStore| Rule::Refuse(unavailable());
    let store: Arc<dyn RecordStore> = Gate::new(plain_store(300).await, refuse);
    let mut sweeps = sweeps(&store);
    for sweep in &mut sweeps {
        sweep.options.reconnect_timeout = std::time::Duration::ZERO;
    }
    let run = Run::new(3, Some(CheckpointFile::new(&path, identity())));
    let (run, done) = execute(run, &sweeps, usize::MAX).await;
    assert_eq!(done, 0);
    assert_eq!(run.passes().len(), 1, "the other patterns are not swept");
    assert!(matches!(run.finish(), Err(RunError::Sweep(_))));
    assert!(path.exists());
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("checkpoint.json");
    let resume =
        |path: &Path, identity: &RunIdentity| CheckpointFile::resume(path, identity).err().unwrap();
    let missing = resume(&path, &identity());
    assert!(matches!(missing, CheckpointError::Unreadable { .. }));
    CheckpointFile::new(&path, identity()).save().unwrap();
    assert!(CheckpointFile::resume(&path, &identity()).is_ok());
    for other in [
        RunIdentity {
            task: "rotate under key 1".to_owned(),
            ..identity()
        },
        RunIdentity {
            store: "elsewhere".to_owned(),
            ..identity()
        },
        RunIdentity {
            patterns: vec!["wa:*".to_owned()],
            ..identity()
        },
    ] {
        let error = resume(&path, &other);
        assert!(matches!(error, CheckpointError::OtherRun { .. }), "{error}");
    }
    fs::write(&path, "{}").unwrap();
    let error = resume(&path, &identity());
    assert!(matches!(error, CheckpointError::NotACheckpoint(_)));
}

#[tokio::test]
async fn an_empty_run_over_an_empty_store_is_complete() {
    let store: Arc<dyn RecordStore> = Arc::new(MemoryStore::default());
    let (run, done) = execute(Run::new(3, None), &sweeps(&store), usize::MAX).await;
    assert_eq!((done, run.unmatched().count()), (0, 3));
    assert!(run.is_success());
}
