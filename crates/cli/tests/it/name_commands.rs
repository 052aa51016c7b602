//! Commands over records whose names are sealed: they take and show the names that applications know, and the store has none
//! of these.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use waxseal_core::{Format, Keyring, Mode, PadNames, Sealer};
use waxseal_sessions::{Options, SealedNames, StateManager};
use waxseal_stores::{RedisOptions, RedisStore, StoreUrl};
use waxseal_testing::RedisServer;

use crate::program::{KEY, OTHER_KEY, Program, wait_until};
use crate::proxy::Proxy;
use crate::records::{NAME, STATE};
use crate::status_page::Page;

const USER: &str = "5215512345678";
const CONFIG: &str = "decoys = [\"wa:5219990001234\"]\n\
                      [[protect]]\nrecords = \"wa:{user}\"\nformat = \"sealed\"\nwrite_version = 3\n\
                      names = \"sealed\"\npad_names = 16\nplain_values = \"json\"\n";
const RING: &str = "environment = \"tests\"\nkeyring = \"file:ring.json\"\n\
                    [[protect]]\nrecords = \"wa:{user}\"\nper_user_keys = true\nnames = \"sealed\"\nplain_values = \"json\"\n";

fn server() -> RedisServer {
    RedisServer::builder().arg("--rdbcompression", "no").start()
}

fn at(server: &RedisServer) -> Program {
    Program::at(server).file("waxseal.toml", CONFIG)
}

/// True if this text is anywhere in the store: in a name or in a value.
fn is_stored(server: &RedisServer, text: &str) -> bool {
    let contains = |bytes: &[u8]| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    let snapshot = server.snapshot();
    let mut records = snapshot.records().iter();
    records.any(|(name, record)| contains(name) || contains(&record.dump))
}

/// The names of the records under the prefix, as they are stored.
fn stored_names(server: &RedisServer) -> Vec<Vec<u8>> {
    let snapshot = server.snapshot().only(|name| name.starts_with(b"wa:"));
    snapshot.records().keys().cloned().collect()
}

#[track_caller]
fn put(program: &Program, name: &str, value: &str) {
    program.run_with(&["put", name], value.as_bytes()).done();
}

#[track_caller]
fn get(program: &Program, name: &str) -> String {
    program.run(&["get", name]).done().text()
}

#[test]
fn a_record_is_written_read_and_inspected_by_its_name() {
    let server = server();
    let program = at(&server);
    put(&program, NAME, STATE);
    assert_eq!(get(&program, NAME), STATE);
    let stored = stored_names(&server);
    assert!(stored.len() == 1 && stored[0].starts_with(b"wa:~9VcDE"));
    let report = program.run(&["inspect", NAME, "--json"]).done().json();
    assert_eq!(report["name_sealed"], true);
    assert_eq!(report["name_key"], report["values"][0]["key"]);
    let text = program.run(&["inspect", NAME]).done().text();
    let key = report["name_key"].as_str().unwrap();
    assert!(
        text.contains(&format!("name     sealed, key {key}\n")),
        "{text}"
    );
    // Under a narrower pattern of a flag it has the same name.
    let narrow = ["get", "--protect", "wa:5215*", NAME];
    assert_eq!(program.run(&narrow).done().text(), STATE);
    program
        .run(&["get", "wa:5215500000001"])
        .failed(1, "there is no such record");
    assert!(!is_stored(&server, USER));
}

#[test]
fn passes_over_values_go_by_names_that_applications_know() {
    let server = server();
    let program = at(&server);
    let names: Vec<String> = (0..20).map(|i| format!("wa:52155{i:08}")).collect();
    for name in &names {
        put(&program, name, STATE);
    }
    let total = |output: &Value| {
        let counts = &output["patterns"][0];
        (counts["total"].clone(), counts["failed"].clone())
    };
    let decrypted = program.run(&["decrypt", "--yes", "--json"]).done().json();
    assert_eq!(total(&decrypted), (20.into(), 0.into()), "{decrypted}");
    let migrated = program.run(&["migrate", "--json"]).done().json();
    assert_eq!(total(&migrated), (20.into(), 0.into()), "{migrated}");
    let rotated = program.run(&["rotate", "--json"]).done().json();
    assert_eq!(total(&rotated), (20.into(), 0.into()), "{rotated}");
    program.run(&["audit"]).done();
    for name in &names {
        assert_eq!(get(&program, name), STATE);
    }
    assert_eq!(stored_names(&server).len(), 20);
    assert!(!is_stored(&server, "52155"));
}

#[test]
fn records_of_every_type_are_passed_over_by_their_names() {
    let server = server();
    let program = at(&server);
    let name = |kind: &str| format!("{NAME}:{kind}");
    let write = [
        vec![
            "HSET".to_owned(),
            name("hash"),
            "field".to_owned(),
            STATE.to_owned(),
        ],
        vec!["RPUSH".to_owned(), name("list"), STATE.to_owned()],
        vec!["SADD".to_owned(), name("set"), STATE.to_owned()],
        vec![
            "ZADD".to_owned(),
            name("zset"),
            "1.5".to_owned(),
            STATE.to_owned(),
        ],
        vec![
            "XADD".to_owned(),
            name("stream"),
            "7-1".to_owned(),
            "field".to_owned(),
            STATE.to_owned(),
        ],
    ];
    {
        let proxy = Proxy::start_configured(&program, &[]);
        for command in &write {
            assert_eq!(proxy.client().cmd(command).error(), None);
        }
    }
    let stored = stored_names(&server);
    assert_eq!(stored.len(), write.len());
    let totals = |output: Value| output["patterns"][0]["failed"].clone();
    for task in [&["decrypt", "--yes"][..], &["migrate"], &["rotate"]] {
        let words = [task, &["--streams", "rewrite", "--json"]].concat();
        assert_eq!(totals(program.run(&words).done().json()), 0, "{task:?}");
        assert_eq!(stored_names(&server), stored, "{task:?}");
        assert!(!is_stored(&server, USER), "{task:?}");
    }
    let proxy = Proxy::start_configured(&program, &[]);
    let mut client = proxy.client();
    let list = client.cmd(&["LRANGE", &name("list"), "0", "-1"]).array();
    assert_eq!(list[0].to_text(), STATE);
    let read = ["get", &name("stream"), "--entry", "7-1", "--field", "field"];
    assert_eq!(program.run(&read).done().text(), STATE);
    let read = ["get", &name("set"), "--members"];
    assert!(program.run(&read).done().text().contains("showing_menu"));
    let read = ["get", &name("hash"), "--field", "field"];
    assert_eq!(program.run(&read).done().text(), STATE);
}

#[test]
fn a_decoy_is_planted_under_a_sealed_name_and_found_by_its_own() {
    let server = server();
    let program = at(&server);
    program.run(&["decoy", "plant"]).done();
    let forms = program.run(&["decoy", "list", "--json"]).done().json();
    assert_eq!(forms[0]["form"], "sealed");
    program
        .run(&["get", "wa:5219990001234"])
        .failed(0, "a decoy was opened");
    assert!(!is_stored(&server, "5219990001234"));
    program.run(&["doctor"]).with_status_of(&[0, 1]);
}

#[test]
fn values_in_quarantine_belong_to_records_by_the_names_of_applications() {
    let server = server();
    let program = at(&server);
    put(&program, NAME, STATE);
    let stored = stored_names(&server).pop().unwrap();
    server
        .client()
        .cmd(&[&b"SETRANGE"[..], &stored, b"60", b"damaged"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(meet(&server));
    assert!(stored_names(&server).is_empty());
    assert!(!is_stored(&server, USER));
    let rows = program.run(&["quarantine", "list", "--json"]).done().json();
    let shown = rows[0]["record"].as_str().unwrap();
    assert!(shown.starts_with("wa:#"), "{shown}");
    let id = rows[0]["id"].as_str().unwrap();
    program.run(&["quarantine", "restore", id]).done();
    assert_eq!(stored_names(&server), [stored]);
    assert!(!is_stored(&server, USER));
}

/// Reads the state as an application does.
async fn meet(server: &RedisServer) {
    let StoreUrl::Redis(url) = StoreUrl::parse(&server.url()).unwrap() else {
        panic!("a server's URL");
    };
    let store = RedisStore::connect(&url, RedisOptions::default()).await;
    let keyring = Arc::new(Keyring::from_hex(KEY, "").unwrap());
    let sealer = Sealer::new(keyring, Mode::On, Format::Sealed);
    let names = SealedNames {
        scope: "wa:{user}".to_owned(),
        pad: PadNames::new(16).unwrap(),
    };
    let options = Options::default()
        .names(names)
        .keep_quarantined(Duration::from_secs(7200));
    let states = StateManager::start(Arc::new(store.unwrap()), sealer, options);
    let states = states.await.unwrap();
    assert_eq!(states.get::<Value>(USER).await.unwrap(), None);
}

#[test]
fn what_the_proxy_writes_is_read_by_commands_and_what_they_write_by_its_clients() {
    let server = server();
    let program = at(&server);
    let proxy = Proxy::start_configured(&program, &[]);
    let mut client = proxy.client();
    assert_eq!(client.cmd(&["SET", NAME, STATE]).to_text(), "OK");
    assert_eq!(get(&program, NAME), STATE);
    put(&program, "wa:5215500000001", "{\"a\":1}");
    let read = client.cmd(&["GET", "wa:5215500000001"]).bytes().unwrap();
    assert_eq!(read, b"{\"a\":1}");
    assert!(!is_stored(&server, "52155"));
}

#[test]
fn the_status_page_counts_values_under_sealed_names() {
    let server = server();
    let program = at(&server);
    for user in 0..7 {
        put(&program, &format!("wa:521550000000{user}"), STATE);
    }
    let proxy = Proxy::start_configured(&program, &["--count-every", "1"]);
    let port = proxy.admin_port();
    wait_until(|| {
        let page = Page::of(port);
        page.is_counted() && page.coverage("wa:{user}", "sealed") == 7.0
    });
}

#[test]
fn a_file_holds_no_name() {
    let program = Program::with_file().file("waxseal.toml", CONFIG);
    put(&program, NAME, STATE);
    assert_eq!(get(&program, NAME), STATE);
    program.run(&["decoy", "plant"]).done();
    program.run(&["rotate"]).done();
    let report = program.run(&["inspect", NAME, "--json"]).done().json();
    assert_eq!(report["name_sealed"], true);
    let file = fs::read(program.path("states.waxseal")).unwrap();
    for name in [USER, "5219990001234"] {
        let is_there = file.windows(name.len()).any(|it| it == name.as_bytes());
        assert!(!is_there, "a name is in the file");
    }
}

#[test]
fn keys_of_users_and_a_ring_go_with_sealed_names() {
    let server = server();
    let program = Program::at(&server).file("waxseal.toml", RING);
    let state = program.path("state");
    let program = program.env("STATE_DIRECTORY", state.to_str().unwrap());
    program
        .run(&["keyring", "init", "--document-format", "2"])
        .done();
    put(&program, NAME, STATE);
    assert_eq!(get(&program, NAME), STATE);
    let report = program.run(&["inspect", NAME, "--json"]).done().json();
    assert_eq!(report["values"][0]["key_state"], "user key");
    assert_eq!(report["name_sealed"], true);
    assert_ne!(report["name_key"], report["values"][0]["key"]);
    program.run(&["rotate"]).done();
    program.run(&["audit"]).done();
    assert_eq!(get(&program, NAME), STATE);
    assert!(!is_stored(&server, USER));
    // A process that has them in clear would not find the record.
    let plain = program.file("waxseal.toml", &RING.replace("names = \"sealed\"\n", ""));
    plain
        .run_with(&["put", "wa:5215500000001"], b"{}")
        .failed(2, "names");
}

#[test]
fn a_ring_does_not_adopt_keys_that_names_are_under() {
    let server = server();
    let program = at(&server);
    put(&program, NAME, STATE);
    let state = program.path("state");
    let program = program
        .file("waxseal.toml", RING)
        .env("STATE_DIRECTORY", state.to_str().unwrap());
    let init = ["keyring", "init", "--document-format", "2"];
    program
        .run(&init)
        .failed(2, "are sealed under keys of the environment");
    assert!(!program.path("ring.json").exists());
    // A ring that was created all the same finds none of these records, and touches none.
    program.run(&[&init[..], &["--fresh"]].concat()).done();
    let before = server.snapshot();
    let refused = program.run_with(&["put", "wa:5215500000001"], b"{}");
    refused.with_status(2);
    assert!(server.snapshot().changed_names(&before).is_empty());
}

#[test]
fn a_ring_that_older_versions_read_seals_no_names() {
    let server = server();
    let program = Program::at(&server).file("waxseal.toml", RING);
    let state = program.path("state");
    let program = program.env("STATE_DIRECTORY", state.to_str().unwrap());
    program.run(&["keyring", "init"]).done();
    let refused = program.run_with(&["put", NAME], STATE.as_bytes());
    refused.failed(2, "waxseal keyring configure --document-format 2");
    assert!(!is_stored(&server, USER));
}

#[test]
fn another_key_and_names_in_clear_are_told_before_anything_is_served() {
    let server = server();
    let program = at(&server);
    put(&program, NAME, STATE);
    server.client().cmd(&["DEL", "waxseal:canary"]);
    let other = at(&server).env("REDIS_ENCRYPTION_KEY", OTHER_KEY);
    let refused = other.run_with(&["put", "wa:5215500000001"], b"{}");
    refused.failed(2, "are sealed under other keys or padded otherwise");
    assert!(server.snapshot().get("waxseal:canary").is_none());
    server.client().cmd(&["SET", "wa:5215500000002", "{}"]);
    let refused = program.run(&["proxy", "--listen", "127.0.0.1:0"]);
    refused.failed(2, "are in clear: their records would not be found");
    let without = at(&server).without("REDIS_ENCRYPTION_KEY");
    let refused = without.run(&["get", NAME]);
    refused.failed(64, "they are sealed, and no key is configured");
    let trial = program.run(&["proxy", "--trial", "--listen", "127.0.0.1:0"]);
    trial.failed(64, "a trial seals nothing");
    // Of other records one is possible.
    let (_, without_decoys) = CONFIG.split_once('\n').unwrap();
    let program = program.file("waxseal.toml", without_decoys);
    let trial = Proxy::start_configured(&program, &["--trial", "--protect", "app:*"]);
    let mut client = trial.client();
    assert_eq!(client.cmd(&["SET", "app:1", "{}"]).to_text(), "OK");
    let trial = program.run(&[
        "proxy",
        "--trial",
        "--protect",
        "w*",
        "--listen",
        "127.0.0.1:0",
    ]);
    trial.failed(64, "a trial seals nothing");
}

#[test]
fn a_node_of_a_cluster_is_refused_by_a_proxy_that_seals_names() {
    let node = RedisServer::builder().arg("cluster-enabled", "yes").start();
    assert_eq!(node.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    wait_until(|| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
    let refused = at(&node).run(&["proxy", "--listen", "127.0.0.1:0"]);
    refused.failed(2, "the store is a node of a cluster");
    let plain = CONFIG.replace("names = \"sealed\"\npad_names = 16\n", "");
    let plain = Program::at(&node).file("waxseal.toml", &plain);
    Proxy::start_configured(&plain, &[]).stop();
}
