//! From the keys of the environment and the classic format to a keyring and the sealed one, under load:
//! old processes and new ones read what both of them write, and no record is lost.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use waxseal_testing::{Client, RedisServer, state_json, state_name};

use crate::program::Program;
use crate::proxy::Proxy;
use crate::records::server_with_states;

const STATES: u64 = 3_000;
const CONFIG: &str = "environment = \"tests\"\nkeyring = \"file:ring.json\"\n\
                      [[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\nplain_values = \"json\"\n";

/// An application that writes its own states and reads those of all. Returns what it wrote last.
struct Application {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<String, String>>,
}

impl Application {
    fn start(port: u16, own: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = thread::spawn(move || {
            let mut client = Client::connect(port).unwrap();
            let mut written = BTreeMap::new();
            for round in 0u64.. {
                if told.load(Ordering::Relaxed) && round > 200 {
                    break;
                }
                let name = format!("wa:{own}{}", round % 100);
                let state = state_json(round);
                let set = client.cmd(&["SET", &name, &state, "EX", "3600"]);
                assert_eq!(set.to_text(), "OK");
                written.insert(name, state);
                let other = round * 7 % STATES;
                let read = client.cmd(&["GET", &state_name(other)]).to_text();
                assert_eq!(read, state_json(other));
            }
            written
        });
        Self { stop, thread }
    }

    fn end(self) -> BTreeMap<String, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no read and no write failed")
    }
}

#[test]
fn a_migration_to_a_keyring_under_load_loses_and_duplicates_nothing_and_stores_fewer_bytes() {
    let server = server_with_states(STATES);
    let old = Program::at(&server);
    old.run(&["migrate"]).done();
    let classic_bytes = stored_bytes(&server);

    let state = old.path("state");
    let new = Program::at(&server)
        .file("waxseal.toml", CONFIG)
        .env("STATE_DIRECTORY", state.to_str().unwrap());
    let old_proxy = Proxy::start(&server, &["--protect", "wa:*"]);
    let old_application = Application::start(old_proxy.port(), "old");
    let created = new.run(&["keyring", "init"]).done();
    assert!(created.text().contains("adopted"), "{}", created.text());
    let new_proxy = Proxy::start_as(&new, &server, &[]);
    let new_application = Application::start(new_proxy.port(), "new");

    let migrated = new.run(&["migrate"]).done().text();
    assert!(migrated.contains("success: true"), "{migrated}");
    let mut expected = old_application.end();
    // Old processes have ended: what they wrote is sealed as well.
    old_proxy.stop();
    expected.extend(new_application.end());
    new.run(&["migrate"]).done();

    expected.extend((0..STATES).map(|index| (state_name(index), state_json(index))));
    let mut client = new_proxy.client();
    for (name, state) in &expected {
        assert_eq!(client.cmd(&["GET", name]).to_text(), *state);
        assert!(server.client().cmd(&["TTL", name]).int() > 0);
    }
    let names = server.client().cmd(&["KEYS", "wa:*"]).array().len();
    assert_eq!(names, expected.len());
    let report = new.run(&["audit", "--deep", "--json"]).done().json();
    let groups = report["patterns"][0]["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!(groups[0]["format"], "sealed");
    assert_eq!(groups[0]["values"], names);

    let sealed_bytes = stored_bytes(&server);
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{STATES} states: {classic_bytes} bytes in the classic format, {sealed_bytes} sealed"
    )
    .unwrap();
    assert!(sealed_bytes < classic_bytes * 8 / 10);
    new_proxy.stop();
}

/// The stored bytes of the states.
fn stored_bytes(server: &RedisServer) -> i64 {
    let mut client = server.client();
    let lengths = (0..STATES).map(|index| client.cmd(&["STRLEN", &state_name(index)]).int());
    lengths.sum()
}
