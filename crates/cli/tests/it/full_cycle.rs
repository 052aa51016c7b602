//! A rotation of ninety days in seconds, under constant load from four processes: two proxies and two
//! that use the library. Not one read may fail.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::Value;
use waxseal_testing::{Client, RedisServer};

use crate::program::{KEY, Program, wait_until};
use crate::proxy::Proxy;

const CONFIG: &str = "environment = \"tests\"\nkeyring = \"file:ring.json\"\n\
                      [[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\nplain_values = \"json\"\n";
/// Ninety days, two hours, a minute and seven days, compressed.
const COMPRESSED: [&str; 8] = [
    "--rotate-every",
    "6s",
    "--propagation",
    "2s",
    "--refresh",
    "500ms",
    "--rest",
    "4s",
];

/// A process that uses the library under load.
struct Library {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Library {
    fn start(program: &Program, server: &RedisServer, own: &str) -> Self {
        let mut child = Command::new(example("library_under_load"))
            .arg(server.url())
            .arg(program.path("ring.json"))
            .arg(own)
            .env("REDIS_ENCRYPTION_KEY", KEY)
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
    fn end(mut self) -> String {
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
struct Application {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Application {
    fn start(port: u16, own: &'static str) -> Self {
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

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no read and no write failed");
        self.rounds.load(Ordering::Relaxed)
    }
}

#[test]
fn a_full_cycle_of_a_key_happens_by_itself_and_no_read_fails() {
    let server = RedisServer::start();
    let program = with_ring(&server);
    let status = || program.run(&["keyring", "status", "--json"]).json();
    let first = key_in(&status(), "sealing").unwrap();

    let proxies = [0, 1].map(|_| Proxy::start_as(&program, &server, &[]));
    let libraries = ["one", "two"].map(|own| Library::start(&program, &server, own));
    let applications = [
        Application::start(proxies[0].port(), "three"),
        Application::start(proxies[1].port(), "four"),
    ];

    // The second key is followed: it is made by the rotation itself.
    let mut second = None;
    let mut seen = Vec::new();
    wait_until(|| {
        let status = status();
        let id = second.get_or_insert_with(|| key_in(&status, "pending").unwrap_or_default());
        if id.is_empty() {
            second = None;
            return false;
        }
        let state = state_of(&status, id);
        if seen.last() != Some(&state) {
            seen.push(state);
        }
        seen.last().is_some_and(|state| state == "destroyed")
    });
    let life = ["pending", "sealing", "opening", "archived", "destroyed"];
    assert_eq!(seen, life);
    assert_eq!(state_of(&status(), &first), "destroyed");

    // No new key from here on; what is under way comes to its end.
    program
        .run(&["keyring", "configure", "--rotate-every", "never"])
        .done();
    wait_until(|| {
        let status = status();
        ["pending", "opening"]
            .iter()
            .all(|state| key_in(&status, state).is_none())
    });
    let rounds = applications.map(Application::end);
    let said = libraries.map(Library::end);
    let mut out = std::io::stdout();
    writeln!(out, "proxies: {rounds:?} rounds of 50; libraries: {said:?}").unwrap();
    assert!(rounds.iter().all(|rounds| *rounds > 10));

    let report = program.run(&["audit", "--deep", "--json"]).done().json();
    let sealing = key_in(&status(), "sealing").unwrap();
    assert_ne!(sealing, first);
    let pattern = &report["patterns"][0];
    assert_eq!(pattern["sealed"], 4 * 40 + 10);
    assert_eq!(pattern["total"], 4 * 40 + 10);
    for group in pattern["groups"].as_array().unwrap() {
        assert_eq!(group["key"], sealing.as_str());
    }
    let document = std::fs::read_to_string(program.path("ring.json")).unwrap();
    let ring: Value = serde_json::from_str(&document).unwrap();
    let mut keys = ring["keys"].as_array().unwrap().iter();
    let gone = keys.find(|key| key["id"] == first.as_str()).unwrap();
    assert!(
        gone.get("wraps").is_none(),
        "the key is still there: {gone}"
    );
    for proxy in proxies {
        proxy.stop();
    }
}

/// The program with a ring whose times are compressed.
fn with_ring(server: &RedisServer) -> Program {
    let program = Program::at(server);
    let state = program.path("state");
    let program = program
        .file("waxseal.toml", CONFIG)
        .env("STATE_DIRECTORY", state.to_str().unwrap());
    let words = [&["keyring", "init"], &COMPRESSED[..]].concat();
    program.run(&words).done();
    program
}

/// The id of a key in this state.
fn key_in(status: &Value, state: &str) -> Option<String> {
    let mut keys = status["keys"].as_array().unwrap().iter();
    let key = keys.find(|key| key["state"] == state)?;
    Some(key["id"].as_str().unwrap().to_owned())
}

fn state_of(status: &Value, id: &str) -> String {
    let mut keys = status["keys"].as_array().unwrap().iter();
    let key = keys.find(|key| key["id"] == id).unwrap();
    key["state"].as_str().unwrap().to_owned()
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

#[test]
fn keepers_that_are_killed_and_suspended_again_and_again_finish_the_rotation() {
    let server = RedisServer::start();
    let program = with_ring(&server);
    for index in 0..500 {
        let value = format!("{{\"n\":{index}}}");
        let name = format!("wa:{index}");
        server.client().cmd(&["SET", &name, &value]);
    }
    program.run(&["migrate"]).done();
    let status = || program.run(&["keyring", "status", "--json"]).json();
    let first = key_in(&status(), "sealing").unwrap();

    let keeper = || program.start(&["keeper"]);
    let mut keepers = [keeper(), keeper(), keeper()];
    let mut turn = 0usize;
    wait_until(|| {
        // One dies in the middle of whatever it does, one sleeps for longer than the propagation
        // delay; the third goes on, or is the next.
        let third = keepers.len();
        keepers[turn % third].signal("KILL");
        keepers[turn % third] = keeper();
        let sleeper = &keepers[(turn + 1) % third];
        sleeper.signal("STOP");
        thread::sleep(std::time::Duration::from_millis(2_300));
        sleeper.signal("CONT");
        turn += 1;
        thread::sleep(std::time::Duration::from_millis(1_500));
        state_of(&status(), &first) == "destroyed"
    });
    for keeper in keepers {
        keeper.signal("TERM");
        keeper.end().done();
    }
    program
        .run(&["keyring", "configure", "--rotate-every", "never"])
        .done();
    let report = program.run(&["audit", "--deep", "--json"]).done().json();
    assert_eq!(report["patterns"][0]["sealed"], 500);
    assert_eq!(report["patterns"][0]["unopenable"], 0);
}
