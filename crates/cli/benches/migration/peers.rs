//! The Node.js scripts that are measured beside Waxseal, and their client library.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use waxseal_testing::RedisServer;

use crate::{KEY, tools};

/// Enough to know the rate of the slowest.
const SEQUENTIAL: u64 = 20_000;

/// Installs the client library where it is missing.
pub(crate) fn install() {
    let directory = tools();
    if directory.join("node_modules/ioredis").is_dir() {
        return;
    }
    std::fs::create_dir_all(&directory).expect("a directory for the client library");
    let status = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"])
        .arg(&directory)
        .arg("ioredis@5")
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "npm install ioredis failed"
    );
}

pub(crate) fn sequential(server: &RedisServer, records: u64) -> (u64, Duration) {
    let most = records.min(SEQUENTIAL).to_string();
    node("sequential.js", server, &[&most])
}

pub(crate) fn pipelined(server: &RedisServer, _records: u64) -> (u64, Duration) {
    node("pipelined.js", server, &[])
}

fn node(script: &str, server: &RedisServer, more: &[&str]) -> (u64, Duration) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/migration");
    let output = Command::new("node")
        .arg(directory.join(script))
        .args([&server.port().to_string(), KEY])
        .args(more)
        .env("NODE_PATH", tools().join("node_modules"))
        .output()
        .expect("node starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed: {errors}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let seconds = report["seconds"].as_f64().expect("seconds");
    (
        report["done"].as_u64().expect("a count"),
        Duration::from_secs_f64(seconds),
    )
}
