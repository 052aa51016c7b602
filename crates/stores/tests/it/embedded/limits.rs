//! A process that is killed, and a full disk: each is a child process that runs the same test
//! again.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, process};

use tempfile::TempDir;
use waxseal_stores::{Expiry, RecordName, RecordStore, Slot, StoreError};

use super::{get, name, open, put};

/// Tells the child that runs the same test where the store is.
const CHILD: &str = "WAXSEAL_TEST_CHILD";

#[tokio::test]
async fn a_put_that_has_returned_survives_a_kill_of_the_process() {
    let test = "embedded::limits::a_put_that_has_returned_survives_a_kill_of_the_process";
    if let Some(path) = env::var_os(CHILD) {
        let store = open(Path::new(&path));
        for n in 0.. {
            put(&store, &name(n), n.to_string().as_bytes()).await;
            writeln!(std::io::stderr(), "put {n}").unwrap();
        }
    }
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, &path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut last = None;
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        if let Some(n) = line.unwrap().strip_prefix("put ") {
            last = Some(n.parse::<usize>().unwrap());
        }
        if last >= Some(50) {
            // SIGKILL: it cannot close anything.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    let last = last.expect("the child has put something");
    assert!(last >= 50);
    let store = open(&path);
    for n in 0..=last {
        assert_eq!(
            get(&store, &name(n)).await,
            Some(n.to_string().into_bytes())
        );
    }
}

/// Runs itself again under a limit of the file size, which the system enforces as it would a full
/// disk, and lifts that limit at the end.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_reported_loses_nothing_and_recovers() {
    let test = "embedded::limits::a_full_disk_is_reported_loses_nothing_and_recovers";
    if let Some(path) = env::var_os(CHILD) {
        return write_until_full(Path::new(&path)).await;
    }
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let output = Command::new("sh")
        .arg("-c")
        // Soft limits only: the child lifts its own.
        .arg("trap '' XFSZ; ulimit -S -f 8192; exec \"$0\" --exact \"$1\" --nocapture")
        .arg(env::current_exe().unwrap())
        .arg(test)
        .env(CHILD, &path)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{out}\n{err}"
    );

    let stored = fs::read_to_string(path.with_extension("count")).unwrap();
    let stored: usize = stored.parse().unwrap();
    let store = open(&path);
    for n in 0..stored {
        assert_eq!(get(&store, &name(n)).await, Some(vec![n as u8; 50_000]));
    }
    assert_eq!(
        get(&store, &name(99_999)).await,
        Some(b"after the limit".to_vec())
    );
}

/// The child's part: reports in a file beside the store how many records were stored.
#[cfg(target_os = "linux")]
async fn write_until_full(path: &Path) {
    let store = open(path);
    let mut stored = 0;
    let full = loop {
        let value = vec![stored as u8; 50_000];
        match store
            .put(&name(stored), &Slot::Whole, &value, Expiry::Persistent)
            .await
        {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Full { .. }), "{full}");
    assert!(stored > 20);
    // Several at once share one failure.
    let value = vec![0; 1_000_000];
    let names: Vec<RecordName> = (70_000..70_010).map(name).collect();
    let put_big = |name| store.put(name, &Slot::Whole, &value, Expiry::Persistent);
    for put in futures_util::future::join_all(names.iter().map(put_big)).await {
        assert!(matches!(put, Err(StoreError::Full { .. })));
    }
    for n in 0..stored {
        assert_eq!(
            get(&store, &name(n)).await,
            Some(vec![n as u8; 50_000]),
            "it can be read"
        );
    }
    let lift = format!("--pid={}", process::id());
    let lifted = Command::new("prlimit")
        .args([&lift, "--fsize=unlimited"])
        .status()
        .unwrap();
    assert!(lifted.success());
    put(&store, &name(99_999), b"after the limit").await;
    put(&store, &name(stored), &vec![stored as u8; 50_000]).await;
    for n in 0..=stored {
        assert_eq!(
            get(&store, &name(n)).await,
            Some(vec![n as u8; 50_000]),
            "it can be read"
        );
    }
    fs::write(path.with_extension("count"), (stored + 1).to_string()).unwrap();
}
