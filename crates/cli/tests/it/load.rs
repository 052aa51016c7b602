//! Applications that write and read all the time, through a proxy and by the library. None of it may
//! fail while a test does something to the keyring.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use waxseal_testing::{Client, RedisServer};

use crate::program::Program;

/// A process that uses the library under load.
pub(crate) struct Library {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Library {
    /// Writes states with names of its own, and some that all write. Where no custodians are named, the
    /// key of the environment is meant.
    pub(crate) fn start(
        program: &Program,
        server: &RedisServer,
        own: &str,
        custodians: &[&str],
    ) -> Self {
        let mut child = Command::new(example("library_under_load"))
            .arg(server.url())
            .arg(program.path("ring.json"))
            .arg(own)
            .args(custodians)
            .env_clear()
            .envs(program.variables())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self {
            stdin: child.stdin.take(),
            child,
            stdout,
        }
    }

    /// Ends it; it fails if one of its reads or writes did.
    pub(crate) fn end(mut self) -> String {
        drop(self.stdin.take());
        let mut said = String::new();
        self.stdout.read_line(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        said
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An application behind a proxy.
pub(crate) struct Application {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Application {
    /// Writes and reads through the proxy on this port until it is ended.
    pub(crate) fn start(port: u16, own: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new(AtomicU64::new(0));
        let (told, count) = (stop.clone(), rounds.clone());
        let thread = thread::spawn(move || {
            let mut client = Client::connect(port).unwrap();
            while !told.load(Ordering::Relaxed) {
                let round = count.load(Ordering::Relaxed);
                for index in 0..40 {
                    let (name, value) = (format!("wa:{own}{index}"), round.to_string());
                    let set = client.cmd(&["SET", &name, &value, "EX", "3600"]);
                    assert_eq!(set.to_text(), "OK");
                    assert_eq!(client.cmd(&["GET", &name]).to_text(), value);
                }
                for index in 0..10 {
                    let read = client.cmd(&["GET", &format!("wa:shared{index}")]);
                    assert_eq!(read.error(), None);
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            stop,
            rounds,
            thread,
        }
    }

    /// Ends it; panics if one of its reads or writes failed. Returns how many rounds it made.
    pub(crate) fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no read and no write failed");
        self.rounds.load(Ordering::Relaxed)
    }

    /// The number of rounds so far.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

/// An example of this package: built along with its tests.
fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    let path = path.join("examples").join(name);
    assert!(
        path.exists(),
        "{name} is missing: run cargo test for the whole package once"
    );
    path
}
