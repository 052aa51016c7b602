//! A separate process with custodians that runs commands: the environment, which custodians read, belongs
//! to a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

/// The environment of a process.
pub(crate) type Variables = Vec<(String, String)>;

/// A running process with custodians.
pub(crate) struct CustodianProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: Option<JoinHandle<String>>,
}

impl CustodianProcess {
    /// Starts it with the custodians of these URLs.
    pub(crate) fn start(urls: &[&str], variables: &[(String, String)]) -> Self {
        let mut child = program(variables)
            .arg("run")
            .args(urls)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            stderr: Some(stderr),
            child,
        }
    }

    /// Sends a line and returns the answer.
    pub(crate) fn send(&mut self, line: &str) -> String {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    /// Ends it and returns its log.
    pub(crate) fn end(mut self) -> String {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
        self.stderr.take().unwrap().join().unwrap()
    }
}

impl Drop for CustodianProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the suite of the contract in a process of its own.
pub(crate) fn conformance(url: &str, secrets: &[&str], variables: &[(String, String)]) {
    let output = program(variables)
        .args(["conformance", url])
        .args(secrets)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stdout.contains("keeps the contract"), "{stdout}{stderr}");
    for secret in secrets {
        assert!(!stderr.contains(secret), "a log contains a secret");
    }
}

/// The command, with only these variables in its environment.
fn program(variables: &[(String, String)]) -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    let path = path.join("examples/custodian");
    let help = "is missing: run cargo test for the whole package once";
    assert!(path.exists(), "{} {help}", path.display());
    let mut command = Command::new(path);
    command.env_clear().envs(variables.iter().cloned());
    command
}
