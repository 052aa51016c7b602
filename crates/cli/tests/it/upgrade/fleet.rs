//! A server, a keyring that a former version has made, and processes of both versions that use it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use waxseal_testing::RedisServer;

use super::former_binary;
use crate::load::Library;
use crate::program::{Output, Program, Running, wait_until};
use crate::proxy::Proxy;

const CONFIG: &str = "environment = \"tests\"\nkeyring = \"file:ring.json\"\n\
                      [[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n";
/// A ring whose changes need seconds, and whose keys are rotated only by a test.
const QUICK: [&str; 8] = [
    "--rotate-every",
    "never",
    "--propagation",
    "2s",
    "--refresh",
    "500ms",
    "--retain",
    "5s",
];
/// Longer than the report of a process that has ended is kept.
const REPORT_LIFE_MS: u64 = 31 * 60_000;
/// What a process says that has written a keyring back, or goes on without following it.
const DISTURBED: [&str; 2] = ["PUT BACK", "stays in use"];

/// The server, and the programs of the former and of the present version on one machine.
pub(super) struct Stage {
    pub(super) server: RedisServer,
    pub(super) former: Program,
    pub(super) current: Program,
}

impl Stage {
    /// With a ring of the former version.
    pub(super) fn new() -> Self {
        let server = RedisServer::start();
        let program = Program::at(&server);
        let state = program.path("state");
        let current = program
            .file("waxseal.toml", CONFIG)
            .env("STATE_DIRECTORY", state.to_str().unwrap());
        let former = match former_binary() {
            Some(binary) => current.clone().with_binary(&binary),
            None => current.clone(),
        };
        former
            .run(&[&["keyring", "init"], &QUICK[..]].concat())
            .done();
        Self {
            server,
            former,
            current,
        }
    }

    /// Runs `keyring configure` of the present version.
    pub(super) fn configure(&self, words: &[&str]) -> Output {
        let all = [&["keyring", "configure"], words].concat();
        self.current.run(&all)
    }

    /// The same, again until nothing refuses it: what it waits for passes in seconds.
    pub(super) fn configure_once_allowed(&self, words: &[&str]) {
        wait_until(|| self.configure(words).with_status_of(&[0, 2]).status == 0);
    }

    pub(super) fn document_path(&self) -> PathBuf {
        self.current.path("ring.json")
    }

    /// The document as it is stored.
    pub(super) fn document(&self) -> Value {
        let bytes = fs::read(self.document_path()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// The format of the document.
    pub(super) fn format(&self) -> u64 {
        self.document()["format"].as_u64().unwrap()
    }

    /// The ids of the processes that have reported.
    fn reported(&self) -> BTreeSet<String> {
        let reports = self.reports();
        let processes = reports["processes"].as_object();
        let ids = processes.into_iter().flatten().map(|(id, _)| id.clone());
        ids.collect()
    }

    fn reports(&self) -> Value {
        let bytes = fs::read(self.reports_path()).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn reports_path(&self) -> PathBuf {
        self.current.path("ring.json.reports")
    }

    /// Lets the time pass after which the reports of processes that have ended are dropped.
    pub(super) fn age_reports(&self, ended: &BTreeSet<String>) {
        wait_until(|| {
            if self.reported().is_disjoint(ended) {
                return true;
            }
            let mut reports = self.reports();
            for id in ended {
                if let Some(at) = reports["processes"][id]["at"].as_u64() {
                    reports["processes"][id]["at"] = Value::from(at - REPORT_LIFE_MS);
                }
            }
            // A process that reports meanwhile may overwrite it: then it is done again.
            let new = self.current.path("reports.new");
            fs::write(&new, reports.to_string()).unwrap();
            fs::rename(&new, self.reports_path()).unwrap();
            false
        });
    }

    /// Waits until each of these processes has reported again, as it does once in each refresh interval.
    pub(super) fn wait_for_next_reports(&self, ids: &BTreeSet<String>) {
        let times = || {
            let reports = self.reports();
            let at = |id: &String| reports["processes"][id]["at"].as_u64();
            ids.iter().map(at).collect::<Option<Vec<_>>>()
        };
        let mut before = None;
        wait_until(|| {
            let now = times();
            let before = before.get_or_insert_with(|| now.clone().unwrap_or_default());
            let is_later = |now: Vec<u64>| now.iter().zip(&*before).all(|(now, at)| now > at);
            before.len() == ids.len() && now.is_some_and(is_later)
        });
    }

    /// The version of the envelope of a string.
    pub(super) fn version_of(&self, name: &str) -> u8 {
        let stored = self.server.client().cmd(&["GET", name]).bytes();
        let stored = stored.expect("it is stored");
        assert_eq!(stored[..2], [0xf5, 0x57], "an envelope");
        stored[2]
    }

    /// The versions of the values that an audit counts.
    pub(super) fn audited_versions(&self) -> Vec<String> {
        let report = self.current.run(&["audit", "--json"]).done().json();
        let versions = report["total"]["versions"].as_object().unwrap().clone();
        let counted = versions.into_iter().filter(|(_, count)| *count != 0);
        counted.map(|(version, _)| version).collect()
    }

    /// Puts another index key to use.
    pub(super) fn rotate_index_key(&self) {
        let writing = || {
            let keys = self.document()["index_keys"].as_array().unwrap().clone();
            let writing = keys.into_iter().find(|key| key["state"] == "writing");
            writing.unwrap()["id"].as_str().unwrap().to_owned()
        };
        let before = writing();
        wait_until(|| {
            self.current.run(&["keyring", "rotate-index"]).done();
            writing() != before
        });
    }

    /// Fails if a value is stored in plain, or does not open.
    pub(super) fn assert_sealed(&self, program: &Program) {
        program.run(&["audit", "--deep", "--require-clean"]).done();
    }
}

/// Processes of one version: two proxies, a keeper, and of the present one a process that uses the library.
pub(super) struct Fleet {
    proxies: [Proxy; 2],
    keeper: Running,
    library: Option<Library>,
    ids: BTreeSet<String>,
}

impl Fleet {
    /// Starts them, and waits until all have reported. `name`: the prefix of the records of the library.
    fn start(stage: &Stage, program: &Program, library: Option<&str>) -> Self {
        let before = stage.reported();
        let proxies = [(); 2].map(|()| Proxy::start_as(program, &stage.server, &[]));
        let mut keeper = program.start(&["keeper"]);
        keeper.wait_until_it_says("keeping the keyring at ");
        let library = library.map(|own| Library::start(program, &stage.server, own, &[]));
        let processes = proxies.len() + 1 + usize::from(library.is_some());
        let mut ids = BTreeSet::new();
        wait_until(|| {
            ids = &stage.reported() - &before;
            ids.len() == processes
        });
        Self {
            proxies,
            keeper,
            library,
            ids,
        }
    }

    pub(super) fn of_former(stage: &Stage) -> Self {
        Self::start(stage, &stage.former, None)
    }

    pub(super) fn of_current(stage: &Stage) -> Self {
        Self::start(stage, &stage.current, Some("library"))
    }

    pub(super) fn ports(&self) -> Vec<u16> {
        self.proxies.iter().map(Proxy::port).collect()
    }

    /// The ids under which its processes report.
    pub(super) fn ids(&self) -> &BTreeSet<String> {
        &self.ids
    }

    /// Fails if a process has written the keyring back, or does not follow it.
    #[track_caller]
    pub(super) fn assert_undisturbed(&self) {
        let logs = self.proxies.iter().map(Proxy::said);
        for log in logs.chain([self.keeper.said()]) {
            for text in DISTURBED {
                assert!(!log.contains(text), "{log}");
            }
        }
    }

    /// Waits until every process with a log says this.
    pub(super) fn wait_until_all_say(&self, text: &str) {
        for proxy in &self.proxies {
            wait_until(|| proxy.said().contains(text));
        }
        wait_until(|| self.keeper.said().contains(text));
    }

    /// Stops all of them as an operator does. Fails if one was disturbed, or if a read or a write of the library
    /// failed.
    #[track_caller]
    pub(super) fn stop(self) {
        self.assert_undisturbed();
        self.stop_after_disturbance();
    }

    /// The same where the test has disturbed them.
    #[track_caller]
    pub(super) fn stop_after_disturbance(self) {
        if let Some(library) = self.library {
            library.end();
        }
        for proxy in self.proxies {
            proxy.stop();
        }
        self.keeper.signal("TERM");
        self.keeper.end().done();
    }
}
