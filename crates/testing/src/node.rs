//! Node.js as the reference implementation: scripts with arguments and input, and the classic
//! format as Node's own `crypto` writes and reads it. Computes nothing in Rust.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::tools::on_path;

/// The classic format in Node: reads one JSON object per line, and answers each with one line.
pub const CLASSIC: &str = include_str!("../node/classic.js");

/// Runs a CommonJS script with arguments (`process.argv[2]` onwards) and standard input. Returns
/// its standard output.
///
/// # Panics
///
/// If Node is missing, or the script fails: then with its standard error.
#[must_use]
pub fn run(script: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("make a directory for the script");
    let file = directory.path().join("script.cjs");
    fs::write(&file, script).expect("write the script");
    let mut process = Command::new(on_path("node"))
        .arg(&file)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start node");
    let mut stdin = process.stdin.take().expect("a pipe");
    // From a separate thread: a script that answers while it reads would block both sides.
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // A script that ignores its input may end before it has read it.
            let _ = stdin.write_all(input);
        });
        process.wait_with_output().expect("node ends")
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "node ended with {}:\n{stderr}",
        output.status
    );
    output.stdout
}

/// Seals values in the classic format, all in one Node process, with the given IVs if any.
///
/// # Panics
///
/// If Node refuses one of them.
#[must_use]
pub fn classic_seal(requests: &[ClassicSeal<'_>]) -> Vec<String> {
    let requests = requests.iter().map(|request| {
        json!({
            "op": "seal",
            "key_hex": to_hex(request.key),
            "value_hex": to_hex(request.value),
            "iv_hex": request.iv.map(|iv| to_hex(iv)),
        })
    });
    let stored = |answer: Value| match answer["stored"].as_str() {
        Some(stored) => stored.to_owned(),
        None => panic!("node could not seal: {}", answer["error"]),
    };
    exchange(requests).into_iter().map(stored).collect()
}

/// Opens stored values of the classic format, all in one Node process. `None` where Node refuses.
///
/// # Panics
///
/// If Node fails as a whole.
#[must_use]
pub fn classic_open<S: AsRef<str>>(key: &[u8; 32], stored: &[S]) -> Vec<Option<Vec<u8>>> {
    let key_hex = to_hex(key);
    let requests = stored
        .iter()
        .map(|stored| json!({"op": "open", "key_hex": key_hex, "stored": stored.as_ref()}));
    let value = |answer: Value| Some(from_hex(answer["value_hex"].as_str()?));
    exchange(requests).into_iter().map(value).collect()
}

/// One value for [`classic_seal`].
#[derive(Debug, Clone, Copy)]
pub struct ClassicSeal<'a> {
    /// The key.
    pub key: &'a [u8; 32],
    /// The IV; random if there is none.
    pub iv: Option<&'a [u8; 16]>,
    /// The value to seal.
    pub value: &'a [u8],
}

fn exchange(requests: impl Iterator<Item = Value>) -> Vec<Value> {
    let lines: Vec<String> = requests.map(|request| request.to_string() + "\n").collect();
    let output = run(CLASSIC, &[], lines.concat().as_bytes());
    let output = String::from_utf8(output).expect("JSON is UTF-8");
    let answers: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).expect("node answers JSON"))
        .collect();
    assert_eq!(answers.len(), lines.len(), "one answer for each request");
    answers
}

fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a string");
            hex
        })
}

fn from_hex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("node writes hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}
