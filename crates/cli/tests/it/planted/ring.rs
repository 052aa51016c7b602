//! Commands over a keyring with keys of single users, its custodians and its backups.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use waxseal_testing::RedisServer;

use super::Watch;
use super::records::{plant, server, url, value, wa};
use super::secrets::{
    IDENTITY_FILE, KEK, KEY, LETTERS, NUMBER, OFFLINE, PASSWORD, PIN, TOKEN, TRAIL, TYPED,
    WRONG_KEY,
};
use crate::program::Program;

pub(super) const CONFIG: &str = "environment = \"tests\"\nkeyring = \"file:ring.json\"\n\
    custodian = \"env:KEK\"\noffline_key = \"env:OFFLINE\"\naudit_log = \"file:audit.jsonl\"\n\
    audit_log_key = \"env:TRAIL\"\n[[protect]]\nrecords = \"wa:{user}\"\nper_user_keys = true\n\
    plain_values = \"json\"\n[[protect]]\nrecords = \"sess:*\"\n";

pub(super) fn program(redis: &RedisServer) -> Program {
    let program = Program::new().file("waxseal.toml", CONFIG);
    let state = program.path("state");
    let program = program
        .env("REDIS_URL", &url(redis, "waxseal", PASSWORD))
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .env("KEK", KEK)
        .env("OFFLINE", OFFLINE)
        .env("TRAIL", TRAIL)
        .env("VAULT_ADDR", "http://127.0.0.1:1")
        .env("VAULT_TOKEN", TOKEN)
        .env("STATE_DIRECTORY", state.to_str().unwrap());
    secret_file(&program, "identity.txt", IDENTITY_FILE);
    secret_file(&program, "kek", WRONG_KEY);
    program
}

fn secret_file(program: &Program, name: &str, content: &str) {
    let path = program.path(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn recipient() -> &'static str {
    let mut lines = IDENTITY_FILE.lines();
    let found = lines.find_map(|line| line.strip_prefix("# public key: "));
    found.unwrap()
}

/// The id of a key in this state.
fn key(program: &Program, state: &str) -> String {
    let status = program.run(&["keyring", "status", "--json"]).done().json();
    let keys = status["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["state"] == state).unwrap();
    key["id"].as_str().unwrap().to_owned()
}

pub(super) fn everything(watch: &Watch) {
    let redis = server();
    plant(&redis);
    let program = program(&redis);
    let run = |words: &[&str]| watch.once(&program, words, b"");
    run(&["keyring", "status"]).with_status(2);
    let init = [
        "keyring",
        "init",
        "--propagation",
        "400ms",
        "--refresh",
        "200ms",
    ];
    run(&init).done();
    watch.run(&program, &init).with_status(2);
    watch.run(&program, &["keyring", "status"]).done();
    watch
        .run(&program, &["keyring", "configure", "--retain", "1h"])
        .done();
    records(watch, &program);
    keys(watch, &program);
    custodians(watch, &program);
    backups(watch, &program);
    reports(watch, &program);
    release(watch, &program, &redis);
    users(watch, &program);
    lost(watch, &program);
    compromised(watch, &program);
    watch.search_files(&program);
}

/// Reports of an audit, for auditors and for browsers, and what verifying them says.
fn reports(watch: &Watch, program: &Program) {
    let write = [
        "audit",
        "--deep",
        "--report",
        "report.json",
        "--html",
        "report.html",
    ];
    watch.once(program, &write, b"").with_status_of(&[0, 1]);
    watch.once(program, &write, b"").with_status(2);
    for file in ["report.json", "report.html"] {
        watch.run(program, &["audit", "verify", file]).done();
    }
    let other = ["audit", "verify", "report.json", "--key", TYPED];
    watch.run(program, &other).with_status_of(&[1, 64]);
    // Text of another party is not repeated.
    let forged = program.path("forged.json");
    fs::write(&forged, format!("{{\"{}\": 1}}", value())).unwrap();
    let words = ["audit", "verify", "forged.json"];
    watch.run(program, &words).with_status_of(&[1, 2]);
    fs::remove_file(forged).unwrap();
}

fn records(watch: &Watch, program: &Program) {
    for user in [NUMBER, LETTERS] {
        let name = wa(user);
        let put = ["put", &name];
        watch.run_with(program, &put, value().as_bytes()).done();
        watch.run(program, &["get", &name]).done();
        watch.run(program, &["inspect", &name]).done();
    }
    let moved = format!("wa:{LETTERS}:moved");
    watch.run(program, &["get", &moved]).with_status(2);
    watch.run(program, &["inspect", &moved]).with_status(1);
    watch.run(program, &["migrate"]).with_status_of(&[0, 1]);
    watch
        .run(program, &["audit", "--deep"])
        .with_status_of(&[0, 1]);
    watch.run(program, &["doctor"]).with_status_of(&[0, 1, 2]);
}

fn keys(watch: &Watch, program: &Program) {
    let run = |words: &[&str]| watch.once(program, words, b"");
    run(&["keyring", "add"]).done();
    let pending = key(program, "pending");
    watch.run(program, &["keyring", "add"]).done();
    run(&["keyring", "promote", &pending, "--now"]).done();
    let old = key(program, "opening");
    watch
        .run(program, &["keyring", "archive", &old])
        .with_status_of(&[0, 1, 2]);
    run(&["keyring", "add"]).done();
    let pending = key(program, "pending");
    watch
        .run(program, &["keyring", "destroy", &pending, "--force"])
        .with_status_of(&[0, 2]);
    watch
        .run(program, &["keyring", "destroy", &old])
        .with_status_of(&[0, 1, 2]);
    for word in ["promote", "archive", "destroy", "compromise"] {
        for id in [TYPED, &wa(NUMBER), &KEY[..8], KEY] {
            watch
                .once(program, &["keyring", word, id], b"")
                .with_status_of(&[2, 64]);
        }
    }
}

/// Custodians that cannot be used, named with secrets where none belong.
fn custodians(watch: &Watch, program: &Program) {
    let run = |words: &[&str]| watch.once(program, words, b"");
    run(&["keyring", "rewrap"]).done();
    run(&["keyring", "rewrap", "--add", "file:kek"]).done();
    run(&["keyring", "rewrap", "--remove", "file:kek"]).done();
    let pin = format!("pkcs11:token=a;object=b?module-path=/nowhere&pin-value={PIN}");
    for url in [
        &format!("env:{WRONG_KEY}"),
        &format!("env:{TYPED}-"),
        WRONG_KEY,
        TYPED,
        &format!("{TYPED}:x"),
        &pin,
        &format!("pkcs11:pin-value={PIN}"),
        "vault:transit/waxseal",
        &format!("vault:root:{TYPED}@host/transit"),
        &format!("awskms:{TYPED}"),
        &format!("awskms:arn:aws:kms:eu-west-1:1:key/0a5b-1?{TYPED}"),
    ] {
        for flag in ["--to", "--add", "--remove"] {
            let words = ["keyring", "rewrap", flag, url];
            watch.once(program, &words, b"").with_status_of(&[2, 64]);
        }
        let words = [
            "keyring",
            "init",
            "--keyring",
            "file:other.json",
            "--fresh",
            "--custodian",
            url,
        ];
        watch.once(program, &words, b"").with_status_of(&[2, 64]);
    }
    let broken = program.clone().env("KEK", WRONG_KEY);
    for program in [
        broken,
        program.clone().env("KEK", &KEK[1..]),
        program.clone().without("KEK"),
    ] {
        for words in [
            &["keyring", "status"][..],
            &["get", &wa(NUMBER)],
            &["doctor"],
        ] {
            watch.run(&program, words);
            watch.run(&program, &[words, &["--allow-offline"]].concat());
        }
    }
}

fn backups(watch: &Watch, program: &Program) {
    let run = |words: &[&str]| watch.once(program, words, b"");
    run(&["keyring", "export", "ring.age", "--recipient", recipient()]).done();
    run(&["keyring", "export", "--shares", "2-of-3", "--out", "shares"]).done();
    let mut search = super::Search::new();
    let mut said = String::new();
    let mut opened = vec!["shares/backup.age".to_owned()];
    for number in [1, 3] {
        let share = format!("shares/share-{number}.txt");
        let text = fs::read_to_string(program.path(&share)).unwrap();
        // The lines of the secret itself are groups of letters.
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        let groups = lines.filter(|(number, _)| number.trim().parse::<u8>().is_ok());
        let before = said.len();
        for (_, line) in groups {
            search.plant("a share", line.trim());
            said.push_str(line);
        }
        assert!(said.len() > before, "{text}");
        opened.extend(["--share".to_owned(), share]);
    }
    assert_eq!(search.found_in(&said), Some("a share"));
    let identity = ["ring.age", "--identity", "identity.txt"];
    let shares: Vec<&str> = opened.iter().map(String::as_str).collect();
    let half = &shares[..3];
    for (opening, status) in [(&identity[..], &[0][..]), (&shares, &[0]), (half, &[2])] {
        let words = [&["keyring", "rehearse"], opening].concat();
        let output = watch.run(program, &words).with_status_of(status);
        assert_eq!(search.found_in(&format!("{output:?}")), None);
        let words = [&["keyring", "import"], opening].concat();
        watch.run(program, &words).with_status(2);
        let elsewhere = ["--keyring", "file:imported.json"];
        let output = watch.once(program, &[&words[..], &elsewhere].concat(), b"");
        assert_eq!(search.found_in(&format!("{output:?}")), None);
    }
    let secret = IDENTITY_FILE.lines().last().unwrap();
    for recipient in [secret, TYPED, KEY] {
        let words = ["keyring", "export", "more.age", "--recipient", recipient];
        watch.run(program, &words).with_status_of(&[2, 64]);
    }
    let words = [
        "keyring",
        "export",
        "more.age",
        "--recipients-file",
        "identity.txt",
    ];
    watch.run(program, &words).with_status_of(&[2, 64]);
    for file in ["kek", "waxseal.toml", "shares/share-1.txt"] {
        for flag in ["--identity", "--share"] {
            let words = ["keyring", "rehearse", "ring.age", flag, file];
            watch.run(program, &words).with_status_of(&[2, 64]);
        }
        let words = ["keyring", "rehearse", file, "--identity", "identity.txt"];
        watch.run(program, &words).with_status_of(&[2, 64]);
    }
}

fn release(watch: &Watch, program: &Program, redis: &RedisServer) {
    // Typed where others can read it: it is warned of, and not repeated.
    let store = url(redis, "waxseal", PASSWORD);
    for records in [&wa(NUMBER), TYPED, &format!("sess:{LETTERS}"), KEY] {
        let words = [
            "keyring",
            "release",
            "--store",
            &store,
            "--records",
            records,
        ];
        watch.run(program, &words).with_status(2);
        watch
            .run(program, &["keyring", "release", "--records", records])
            .with_status(64);
    }
    let words = [
        "keyring",
        "release",
        "--store",
        &store,
        "--records",
        "sess:*",
    ];
    watch.once(program, &words, b"").done();
    // A pattern that is the whole name of a record.
    let exact = wa(NUMBER);
    let protect = ["put", &exact, "--protect", &exact];
    watch.run_with(program, &protect, value().as_bytes()).done();
    watch.run(program, &["keyring", "status"]);
    watch.run(program, &["doctor"]);
    // The keyring itself holds it as it is: processes must find the records. No longer, from here on.
    let words = ["keyring", "release", "--store", &store, "--records", &exact];
    watch.once(program, &words, b"").done();
}

fn users(watch: &Watch, program: &Program) {
    watch.run(program, &["forget", NUMBER]).with_status(64);
    let receipt = watch
        .once(program, &["forget", NUMBER, "--yes"], b"")
        .done();
    watch.run(program, &["forget", LETTERS, "--yes"]).done();
    watch
        .run(program, &["forget", TYPED, "--yes"])
        .with_status(1);
    let anyway = ["forget", TYPED, "--yes", "--even-if-unknown"];
    watch.run(program, &anyway).done();
    watch
        .run(program, &["forget", NUMBER, "--dry-run"])
        .with_status_of(&[0, 1]);
    fs::write(program.path("users.txt"), format!("{NUMBER}\n{TYPED}\n")).unwrap();
    let many = ["forget", "--from", "users.txt", "--receipts", "receipts"];
    let dry = [&many[..], &["--dry-run"]].concat();
    watch.run(program, &dry).with_status_of(&[0, 1]);
    let yes = [&many[..], &["--yes"]].concat();
    watch.run(program, &yes).with_status_of(&[0, 1]);
    fs::remove_file(program.path("users.txt")).unwrap();
    fs::write(program.path("receipt.json"), &receipt.stdout).unwrap();
    watch
        .run(program, &["receipt", "verify", "receipt.json"])
        .done();
    watch
        .run(
            program,
            &["receipt", "verify", "receipt.json", "--key", TYPED],
        )
        .with_status_of(&[1, 2, 64]);
    for user in [NUMBER, LETTERS] {
        let words = ["receipt", "verify", "receipt.json", "--user", user];
        watch.run(program, &words).with_status_of(&[0, 1]);
    }
    watch.run(program, &["get", &wa(NUMBER)]).with_status(1);
    watch.run(program, &["audit"]).with_status_of(&[0, 1]);
    watch.run(program, &["audit-log", "show"]).done();
    watch.run(program, &["audit-log", "verify"]).done();
}

/// The keyring is damaged, lost, and put back.
fn lost(watch: &Watch, program: &Program) {
    let path = program.path("ring.json");
    let document = fs::read(&path).unwrap();
    for damage in [
        &document[..document.len() / 2],
        value().as_bytes(),
        KEY.as_bytes(),
        b"",
    ] {
        fs::write(&path, damage).unwrap();
        for words in [
            &["keyring", "status"][..],
            &["get", &wa(LETTERS)],
            &["audit"],
            &["doctor"],
            &["keyring", "restore", "--from", "kek"],
        ] {
            watch.run(program, words).with_status_of(&[0, 1, 2]);
        }
    }
    watch.once(program, &["keyring", "restore"], b"").done();
    fs::remove_file(&path).unwrap();
    // A machine that knew it continues with its copy.
    watch
        .run(program, &["keyring", "status"])
        .with_status_of(&[0, 2]);
    watch.once(program, &["keyring", "restore"], b"").done();
    // It ends on its own where there is no keyring.
    let without = program
        .clone()
        .file("waxseal.toml", "environment = \"tests\"\n");
    watch.run(&without, &["keeper"]).with_status(64);
    let _ = program.clone().file("waxseal.toml", CONFIG);
}

/// The key of almost everything becomes known to others.
fn compromised(watch: &Watch, program: &Program) {
    let run = |words: &[&str]| watch.once(program, words, b"");
    run(&["keyring", "add"]);
    let pending = key(program, "pending");
    let old = key(program, "sealing");
    run(&["keyring", "promote", &pending, "--now"]).done();
    run(&["keyring", "compromise", &old]).done();
    let name = wa(LETTERS);
    for words in [
        &["get", &name][..],
        &["inspect", &name],
        &["audit"],
        &["doctor"],
    ] {
        watch.run(program, words);
    }
    watch
        .run(program, &["rotate", "--open-compromised"])
        .with_status_of(&[0, 1, 2]);
}
