//! Commands over records, values, quarantine, the audit log and the machine, with the keys of the
//! environment: done, refused, with a wrong key, without rights and without a server.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use waxseal_core::{Binding, Format, Keyring, Mode, Sealer};
use waxseal_sessions::{Options, StateManager};
use waxseal_stores::{RedisOptions, RedisStore, StoreUrl};
use waxseal_testing::RedisServer;

use super::Watch;
use super::secrets::{
    ELEMENT, FIELD, KEY, LETTERS, LITTLE_PASSWORD, MAIN_PASSWORD, MEMBER, NUMBER, OLD_KEY, OUTSIDE,
    PASSWORD, SESSION, TRAIL, TYPED, VALUE, WRONG_KEY,
};
use crate::program::Program;

const CONFIG: &str = "environment = \"tests\"\naudit_log = \"file:audit.jsonl\"\n\
    audit_log_key = \"env:TRAIL\"\n[[protect]]\nname = \"States\"\nrecords = \"wa:*\"\n\
    plain_values = \"json\"\n[[protect]]\nrecords = \"sess:*\"\nformat = \"sealed\"\n";

/// A server with passwords: of the default user, of Waxseal's, and of one who may do little.
pub(super) fn server() -> RedisServer {
    RedisServer::builder()
        .password(MAIN_PASSWORD)
        .user_acl(&format!("user waxseal on >{PASSWORD} ~* &* +@all"))
        .user_acl(&format!(
            "user little on >{LITTLE_PASSWORD} ~wa:* &* +get +ping +info"
        ))
        .start()
}

pub(super) fn url(redis: &RedisServer, user: &str, password: &str) -> String {
    format!("redis://{user}:{password}@127.0.0.1:{}/", redis.port())
}

pub(super) fn program(redis: &RedisServer) -> Program {
    let program = Program::new().file("waxseal.toml", CONFIG);
    let state = program.path("state");
    program
        .env("REDIS_URL", &url(redis, "waxseal", PASSWORD))
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .env("TRAIL", TRAIL)
        .env("STATE_DIRECTORY", state.to_str().unwrap())
}

pub(super) fn value() -> String {
    format!("{{\"status\":\"{VALUE}\"}}")
}

pub(super) fn wa(user: &str) -> String {
    format!("wa:{user}")
}

fn seal(format: Format, key: &str, binding: Binding<'_>, value: &[u8]) -> Vec<u8> {
    let keyring = Arc::new(Keyring::from_hex(key, "").unwrap());
    let sealer = Sealer::new(keyring, Mode::On, format);
    sealer.seal(value, binding).unwrap()
}

/// Names of records of every kind that does not open.
fn broken() -> [String; 3] {
    ["damaged", "moved", "foreign"].map(|kind| format!("wa:{LETTERS}:{kind}"))
}

/// Records: plain, sealed, classic, damaged, moved, under another key; a hash, a list, another type.
pub(super) fn plant(redis: &RedisServer) {
    let mut client = redis.client();
    let mut set = |name: &str, value: &[u8]| {
        let reply = client.cmd(&[b"SET", name.as_bytes(), value]).to_text();
        assert_eq!(reply, "OK");
    };
    let plain = value();
    let sealed = |name: &str| {
        let binding = Binding::record(name.as_bytes());
        seal(Format::Sealed, KEY, binding, value().as_bytes())
    };
    set(&wa(NUMBER), plain.as_bytes());
    set(&wa(LETTERS), &sealed(&wa(LETTERS)));
    let classic = format!("wa:{LETTERS}:classic");
    let binding = Binding::record(classic.as_bytes());
    set(
        &classic,
        &seal(Format::Classic, KEY, binding, plain.as_bytes()),
    );
    let [damaged, moved, foreign] = broken();
    let mut bytes = sealed(&damaged);
    *bytes.last_mut().unwrap() ^= 1;
    set(&damaged, &bytes);
    set(&moved, &sealed(&wa(LETTERS)));
    let binding = Binding::record(foreign.as_bytes());
    set(
        &foreign,
        &seal(Format::Sealed, WRONG_KEY, binding, plain.as_bytes()),
    );
    set(&format!("pw:{OUTSIDE}"), plain.as_bytes());
    let hash = format!("sess:{SESSION}");
    client.cmd(&["HSET", &hash, "plain", FIELD]);
    let binding = Binding::field(hash.as_bytes(), b"sealed");
    let field = seal(Format::Sealed, KEY, binding, FIELD.as_bytes());
    client.cmd(&[b"HSET", hash.as_bytes(), b"sealed", &field]);
    client.cmd(&["RPUSH", &format!("sess:{SESSION}:list"), ELEMENT, ELEMENT]);
    client.cmd(&["SADD", &format!("sess:{SESSION}:set"), MEMBER]);
}

/// An application meets a damaged state, twice.
async fn move_aside(redis: &RedisServer) {
    let StoreUrl::Redis(url) = StoreUrl::parse(&url(redis, "waxseal", PASSWORD)).unwrap() else {
        panic!("a server's URL");
    };
    let store = RedisStore::connect(&url, RedisOptions::default()).await;
    let keyring = Arc::new(Keyring::from_hex(KEY, "").unwrap());
    let sealer = Sealer::new(keyring, Mode::On, Format::Sealed);
    let options = Options::default().keep_quarantined(Duration::from_secs(7200));
    let states = StateManager::start(Arc::new(store.unwrap()), sealer, options);
    let states = states.await.unwrap();
    for user in [format!("{NUMBER}:a"), format!("{LETTERS}:b")] {
        let name = wa(&user);
        let binding = Binding::record(name.as_bytes());
        let mut stored = seal(Format::Sealed, KEY, binding, value().as_bytes());
        stored[60] ^= 1;
        redis.client().cmd(&[b"SET", name.as_bytes(), &stored]);
        assert_eq!(states.get::<Value>(&user).await.unwrap(), None);
    }
}

pub(super) fn everything(watch: &Watch) {
    let redis = server();
    plant(&redis);
    let program = program(&redis);
    singles(watch, &program, &redis);
    quarantine(watch, &program, &redis);
    machine(watch, &program);
    refusals(watch, &program, &redis);
    sweeps(watch, &program);
    decoys(watch, &program);
    audit_log(watch, &program);
    watch.search_files(&program);
    gone(watch, redis);
}

/// Single records and values.
fn singles(watch: &Watch, program: &Program, redis: &RedisServer) {
    let (number, letters) = (wa(NUMBER), wa(LETTERS));
    let hash = format!("sess:{SESSION}");
    for name in [&number, &letters, &format!("{letters}:classic")] {
        let output = watch.run(program, &["get", name]).done();
        assert!(
            output.text().contains(VALUE),
            "what is searched for is there"
        );
        watch.run(program, &["inspect", name]).done();
    }
    let field = watch
        .run(program, &["get", &hash, "--field", "sealed"])
        .done();
    assert_eq!(field.text(), FIELD);
    let list = format!("{hash}:list");
    let element = watch.run(program, &["get", &list, "--element", "1"]);
    assert_eq!(element.done().text(), ELEMENT);
    for name in [&hash, &list, &format!("{hash}:set")] {
        watch.run(program, &["inspect", name]);
        watch.run(program, &["get", name]).with_status(2);
    }
    for name in broken() {
        watch.run(program, &["get", &name]).with_status(2);
        watch.run(program, &["inspect", &name]).with_status(1);
    }
    let put = |words: &[&str], status| {
        watch
            .run_with(program, words, value().as_bytes())
            .with_status(status);
    };
    put(&["put", &number, "--ttl", "3600"], 0);
    put(&["put", &hash, "--field", "new"], 0);
    put(&["put", &list, "--replace"], 0);
    let outside = format!("pw:{OUTSIDE}");
    put(&["put", &outside], 64);
    // A pattern that is the whole name of a record.
    put(&["put", &outside, "--protect", &outside], 0);
    for command in ["get", "inspect"] {
        watch.run(program, &[command, &outside]).with_status(64);
        watch
            .run(program, &[command, &outside, "--protect", &outside])
            .done();
        watch
            .run(program, &[command, &format!("{number}:absent")])
            .with_status(1);
        // The record is there, behind the prefix that was left out.
        let meant = watch.run(program, &[command, NUMBER]).with_status(64);
        assert!(meant.stderr.contains("did you mean"), "{}", meant.stderr);
    }
    let sealed = watch.run_with(program, &["seal", "--record", &number], value().as_bytes());
    let sealed = sealed.done().stdout;
    let opened = watch.run_with(program, &["open", "--record", &number], &sealed);
    assert!(opened.done().text().contains(VALUE));
    for stored in [&sealed[1..], value().as_bytes(), b"", b"\xff\xfe"] {
        watch.run_with(program, &["open", "--record", &letters], stored);
    }
    let stored = redis.client().cmd(&["GET", &broken()[1]]).bytes().unwrap();
    watch
        .run_with(program, &["open", "--record", &broken()[1]], &stored)
        .with_status(2);
}

fn quarantine(watch: &Watch, program: &Program, redis: &RedisServer) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(move_aside(redis));
    watch.run(program, &["quarantine", "list"]).done();
    let rows = program.run(&["quarantine", "list", "--json"]).done().json();
    let id = |row: usize| rows[row]["id"].as_str().unwrap().to_owned();
    let (first, second) = (id(0), id(1));
    watch
        .run(program, &["quarantine", "drop", &second])
        .with_status(64);
    watch
        .once(program, &["quarantine", "drop", &second, "--yes"], b"")
        .done();
    watch
        .once(program, &["quarantine", "restore", &first], b"")
        .done();
    for id in [TYPED, &wa(NUMBER), &first] {
        watch
            .run(program, &["quarantine", "restore", id])
            .with_status_of(&[2, 64]);
        watch
            .run(program, &["quarantine", "drop", id, "--yes"])
            .with_status_of(&[2, 64]);
    }
}

/// Commands that need no store, and those that read all of it.
fn machine(watch: &Watch, program: &Program) {
    watch.run(program, &["demo", "--states", "10"]).done();
    watch.run(program, &["key", "generate"]).done();
    watch
        .once(program, &["key", "generate", "--file", "made"], b"")
        .done();
    watch
        .run(program, &["key", "generate", "--file", "made"])
        .with_status(2);
    watch.run(program, &["completions", "bash"]).done();
    watch.run(program, &["man", "pages"]).done();
    watch.run(program, &["doctor"]).with_status_of(&[0, 1, 2]);
    let receipt = format!("{{\"user\":\"{NUMBER}\",\"v\":\"{VALUE}\"}}");
    for text in [receipt.as_bytes(), VALUE.as_bytes()] {
        watch
            .run_with(program, &["receipt", "verify"], text)
            .with_status_of(&[1, 2]);
        let words = ["receipt", "verify", "-", "--key", TYPED];
        watch
            .run_with(program, &words, text)
            .with_status_of(&[1, 2, 64]);
    }
}

/// Every command that checks records, with what is wrong.
fn refusals(watch: &Watch, program: &Program, redis: &RedisServer) {
    let variables = |name: &str, value: &str| program.clone().env(name, value);
    let wrong = [
        program.clone().keys(WRONG_KEY, ""),
        program.clone().keys(WRONG_KEY, OLD_KEY),
        program.clone().keys(&KEY[1..], ""),
        program.clone().keys(KEY, TYPED),
        program.clone().keys(VALUE, OLD_KEY),
        program.clone().without("REDIS_ENCRYPTION_KEY"),
        variables("ENABLE_REDIS_ENCRYPTION", KEY),
        variables("ENABLE_REDIS_ENCRYPTION", "required"),
        variables("TRAIL", &TRAIL[1..]),
        variables("REDIS_URL", &url(redis, "little", LITTLE_PASSWORD)),
        variables("REDIS_URL", &url(redis, "waxseal", TYPED)),
        variables("REDIS_URL", &url(redis, TYPED, PASSWORD)),
        variables(
            "REDIS_URL",
            &format!("redis://waxseal:{PASSWORD}@127.0.0.1:1/"),
        ),
        variables(
            "REDIS_URL",
            &format!("redis://waxseal:{PASSWORD}@127.0.0.1:port/"),
        ),
        variables("REDIS_URL", &format!("waxseal:{PASSWORD}")),
        variables("REDIS_ENCRYPTION_KEY_FILE", TYPED),
    ];
    let (number, broken) = (wa(NUMBER), &broken()[0]);
    for program in &wrong {
        for words in [
            &["get", &number][..],
            &["get", broken],
            &["inspect", broken],
            &["put", &number, "--ttl", "9"],
            &["seal", "--record", &number],
            &["open", "--record", &number],
            &["audit", "--deep"],
            &["doctor"],
            &["quarantine", "list"],
            &["migrate", "--dry-run", "--reconnect-timeout", "0"],
            &["rotate", "--dry-run", "--reconnect-timeout", "0"],
            &["decrypt", "--dry-run", "--reconnect-timeout", "0"],
        ] {
            watch.once(
                program,
                &[words, super::DRESSES[0]].concat(),
                value().as_bytes(),
            );
        }
    }
}

fn sweeps(watch: &Watch, program: &Program) {
    let exact = wa(NUMBER);
    watch.run(program, &["audit"]).with_status_of(&[0, 1]);
    watch
        .run(program, &["audit", "--protect", &exact])
        .with_status_of(&[0, 1]);
    watch
        .run(program, &["audit", "--deep", "--require-clean"])
        .with_status(1);
    watch
        .run(program, &["migrate", "--dry-run"])
        .with_status_of(&[0, 1]);
    for words in [
        &["migrate", "--checkpoint", "one.json", "--protect", &exact][..],
        &["migrate", "--checkpoint", "all.json"],
        &["rotate"],
    ] {
        watch.run(program, words).with_status_of(&[0, 1]);
    }
    let rotated = program.clone().keys(OLD_KEY, KEY);
    watch
        .run(&rotated, &["rotate", "--checkpoint", "rotated.json"])
        .with_status_of(&[0, 1]);
    watch.run(&rotated, &["decrypt"]).with_status(64);
    watch
        .run(&rotated, &["decrypt", "--yes"])
        .with_status_of(&[0, 1]);
}

/// Decoys: as they are listed, planted and opened, and where their list is wrong.
fn decoys(watch: &Watch, program: &Program) {
    let with = |names: &str| {
        let config = format!("decoys = [{names}]\n{CONFIG}");
        program.clone().file("waxseal.toml", &config)
    };
    let name = format!("{}:decoy", wa(LETTERS));
    let program = with(&format!("\"{name}\""));
    watch.run(&program, &["decoy", "list"]).done();
    watch.run(&program, &["decoy", "plant"]).done();
    watch.run(&program, &["decoy", "list"]).done();
    watch.run(&program, &["get", &name]).done();
    watch.run(&program, &["doctor"]).with_status_of(&[0, 1]);
    let uncovered = with(&format!("\"pw:{OUTSIDE}\""));
    watch.run(&uncovered, &["decoy", "plant"]).with_status(64);
    let malformed = with(&format!("\"{name}\", 7"));
    watch.run(&malformed, &["decoy", "list"]).with_status(64);
    with("");
}

fn audit_log(watch: &Watch, program: &Program) {
    let shown = watch.run(program, &["audit-log", "show"]).done();
    assert!(shown.text().contains("decrypt"), "{}", shown.text());
    watch.run(program, &["audit-log", "verify"]).done();
    let wrong = program.clone().env("TRAIL", WRONG_KEY);
    watch
        .run(&wrong, &["audit-log", "verify"])
        .with_status_of(&[1, 2]);
    let planted = format!("{{\"seq\":1,\"{VALUE}\":\"{KEY}\"}}\n{VALUE}\n");
    let damaged = program.clone().file("shares", &planted);
    for word in ["verify", "show"] {
        let words = ["audit-log", word, "shares"];
        watch.run(&damaged, &words).with_status_of(&[0, 1, 2]);
        for key in [
            format!("env:{WRONG_KEY}"),
            TYPED.to_owned(),
            format!("env:{TYPED}-"),
        ] {
            let words = ["audit-log", word, "--key", &key];
            watch.run(program, &words).with_status(64);
        }
    }
    let since = ["audit-log", "show", "--since", TYPED];
    watch.run(program, &since).with_status(64);
    watch.run(program, &["audit-log", "show", "--action", TYPED]);
    watch.run(program, &["audit-log", "verify", "--expect-last", TYPED]);
}

/// The server is gone, and a file is none of ours.
fn gone(watch: &Watch, redis: RedisServer) {
    let program = program(&redis);
    drop(redis);
    for words in [
        &["get", &wa(NUMBER)][..],
        &["audit"],
        &["doctor"],
        &["migrate", "--reconnect-timeout", "0"],
    ] {
        watch.run(&program, words).with_status_of(&[1, 2]);
    }
    let program = program.file("kek", &value()).env("REDIS_URL", "file:kek");
    watch.run(&program, &["audit"]).with_status(2);
    watch.search_files(&program);
}
