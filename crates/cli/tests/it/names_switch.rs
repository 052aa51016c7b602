//! A switch of names with downtime, there and back: every record is found under its name before and after, and what would not be
//! found is told before anything is served.

use waxseal_testing::RedisServer;

use crate::program::{KEY, OTHER_KEY, Program};
use crate::records::STATE;

const PLAIN: &str = "[[protect]]\nrecords = \"wa:{user}\"\nformat = \"sealed\"\nwrite_version = 3\n\
                     except = [\"wa:lock:*\"]\nplain_values = \"any\"\n";
const RING: &str = "environment = \"tests\"\nkeyring = \"file:ring.json\"\n\
                    [[protect]]\nrecords = \"wa:{user}\"\nformat = \"sealed\"\nplain_values = \"any\"\n";
const SEALED: &str = "names = \"sealed\"\n";
const USERS: u64 = 30;

fn server() -> RedisServer {
    RedisServer::builder().start()
}

/// The same directory with these settings.
fn with(program: Program, settings: &[&str]) -> Program {
    program.file("waxseal.toml", &settings.concat())
}

fn name(user: u64) -> String {
    format!("wa:52155{user:08}")
}

fn fill(program: &Program) {
    for user in 0..USERS {
        let (name, value) = (name(user), format!("{STATE}{user}"));
        let put = ["put", &name, "--ttl", "86400"];
        program.run_with(&put, value.as_bytes()).done();
    }
}

#[track_caller]
fn assert_readable(program: &Program) {
    for user in [0, 1, USERS - 1] {
        let read = program.run(&["get", &name(user)]).done().text();
        assert_eq!(read, format!("{STATE}{user}"));
    }
}

/// The names under the prefix, as they are stored, and how many of them are sealed.
fn stored(server: &RedisServer) -> (Vec<Vec<u8>>, usize) {
    let snapshot = server.snapshot().only(|name| name.starts_with(b"wa:"));
    let names: Vec<_> = snapshot.records().keys().cloned().collect();
    let sealed = names.iter().filter(|it| it.starts_with(b"wa:~9VcDE"));
    let sealed = sealed.count();
    (names, sealed)
}

fn text(name: &[u8]) -> String {
    String::from_utf8(name.to_vec()).unwrap()
}

#[test]
fn names_are_sealed_and_given_back_while_nothing_runs() {
    let server = server();
    let program = with(Program::at(&server), &[PLAIN]);
    fill(&program);
    server.client().cmd(&["SET", "wa:lock:1", "held"]);
    let (before, _) = stored(&server);
    let program = with(program, &[PLAIN, SEALED]);
    program
        .run(&["proxy", "--listen", "127.0.0.1:0"])
        .failed(2, "are in clear: their records would not be found");
    program
        .run(&["rotate"])
        .failed(2, "waxseal migrate --names --offline");
    program
        .run(&["migrate", "--names"])
        .failed(64, "names are switched while nothing else uses the records");

    let dry = ["migrate", "--names", "--offline", "--dry-run", "--json"];
    let counts = program.run(&dry).done().json();
    assert_eq!(counts["patterns"][0]["done"], USERS, "{counts}");
    assert_eq!(stored(&server).0, before, "a dry run renames nothing");
    let output = program
        .run(&["migrate", "--names", "--offline"])
        .done()
        .text();
    let words = format!(
        "names completed {{ renamed: {USERS}, alreadySealed: 0, failed: 0, total: {USERS} }}"
    );
    assert!(
        output.contains(&words) && output.contains("next: start the processes"),
        "{output}"
    );
    let (names, sealed) = stored(&server);
    assert_eq!((names.len(), sealed as u64), (before.len(), USERS));
    assert_readable(&program);
    let ttl = server
        .client()
        .cmd(&[&b"PTTL"[..], &names[names.len() - 1]])
        .int();
    assert!(ttl > 0, "a record keeps its lifetime");
    let again = program
        .run(&["migrate", "--names", "--offline"])
        .done()
        .text();
    assert!(again.contains("renamed: 0, alreadySealed: 30"), "{again}");
    program.run(&["rotate"]).done();

    let program = with(program, &[PLAIN]);
    program.run(&["rotate"]).failed(2, "are in clear here, and");
    program.run(&["proxy", "--listen", "127.0.0.1:0"]).failed(
        2,
        "of a sample are sealed: their records would not be found",
    );
    program
        .run(&["decrypt", "--names", "--offline", "--yes"])
        .failed(64, "has sealed names");

    let program = with(program, &[PLAIN, SEALED]);
    program
        .run(&["decrypt", "--names", "--offline"])
        .failed(64, "confirm with --yes");
    let output = program
        .run(&["decrypt", "--names", "--offline", "--yes"])
        .done()
        .text();
    assert!(
        output.contains("next: remove names and pad_names"),
        "{output}"
    );
    assert_eq!(stored(&server), (before, 0));
    assert_readable(&with(program, &[PLAIN]));
}

#[test]
fn an_audit_counts_names_and_requires_one_form() {
    let server = server();
    let program = with(Program::at(&server), &[PLAIN]);
    fill(&program);
    program.run(&["audit", "--require-names", "plain"]).done();
    program
        .run(&["audit", "--require-names", "sealed"])
        .failed(1, "names of records are in clear by configuration");
    let program = with(program, &[PLAIN, SEALED]);
    let required = program.run(&["audit", "--require-names", "sealed"]);
    required.failed(1, "30 names of records are in clear, or in a former form");
    program.run(&["migrate", "--names", "--offline"]).done();
    let output = program
        .run(&["audit", "--require-names", "sealed"])
        .done()
        .text();
    assert!(output.contains("  names: 30 sealed (key "), "{output}");
    let report = program.run(&["audit", "--json"]).done().json();
    let sealed = report["total"]["names"]["sealed"].as_object().unwrap();
    assert_eq!(sealed.values().collect::<Vec<_>>(), [USERS]);
    program
        .run(&["audit", "--require-names", "plain"])
        .failed(1, "30 names of records are sealed");

    // A writer past Waxseal, and a name that does not open.
    let mut client = server.client();
    client.cmd(&["SET", &name(0), "planted"]);
    client.cmd(&["SET", "wa:~9VcDEjunk", "planted"]);
    let output = program
        .run(&["audit", "--require-names", "sealed"])
        .with_status(1);
    let shown = output.text();
    assert!(
        shown.contains("30 sealed") && shown.contains("1 plain, 1 in two forms"),
        "{shown}"
    );
    assert!(shown.contains("1 that do not open"), "{shown}");
    program.run(&["migrate", "--names", "--offline"]).failed(
        1,
        "there is another record under the other form of its name",
    );
    let planted = client.cmd(&["GET", &name(0)]).bytes().unwrap();
    assert_eq!(planted, b"planted", "nothing is overwritten");
    assert_readable(&program);
    let page = program.path("audit.html");
    program
        .run(&["audit", "--html", page.to_str().unwrap()])
        .done();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("Names of records"), "{page}");
}

#[test]
fn names_under_a_former_key_are_told_and_given_the_present_one() {
    let server = server();
    let program = with(Program::at(&server), &[PLAIN, SEALED, "pad_names = 16\n"]);
    fill(&program);
    let program = with(program, &[PLAIN, SEALED]).keys(OTHER_KEY, KEY);
    program
        .run(&["proxy", "--listen", "127.0.0.1:0"])
        .failed(2, "their records would not be found");
    program.run(&["migrate", "--names", "--offline"]).done();
    program.run(&["rotate"]).done();
    assert_readable(&program.keys(OTHER_KEY, ""));
}

#[test]
fn a_record_is_found_by_its_stored_name_and_by_its_mask() {
    let server = server();
    let program = with(Program::at(&server), &[PLAIN, SEALED]);
    fill(&program);
    let (names, _) = stored(&server);
    let mut found: Vec<_> = names
        .iter()
        .map(|it| {
            program
                .run(&["find", &text(it)])
                .done()
                .text()
                .trim_end()
                .to_owned()
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, (0..USERS).map(name).collect::<Vec<_>>());
    let shown = program
        .run(&["find", &text(&names[0]), "--json"])
        .done()
        .json();
    let mask = shown[0]["mask"].as_str().unwrap();
    let by_mask = program.run(&["find", mask, "--json"]).done().json();
    assert_eq!(by_mask[0]["name"], shown[0]["name"]);
    program
        .run(&["find", "wa:#00000000"])
        .failed(1, "no record has this mask");
    program
        .run(&["find", &name(0)])
        .failed(64, "neither a stored name");
    let quarantined = format!("waxseal:quarantine:{{{}}}:18c0ffee", text(&names[0]));
    let origin = program.run(&["find", &quarantined, "--json"]).done().json();
    assert_eq!(origin[0]["name"], shown[0]["name"]);
}

#[test]
fn a_file_is_switched_like_a_server() {
    let program = with(Program::with_file(), &[PLAIN]);
    fill(&program);
    let program = with(program, &[PLAIN, SEALED]);
    program.run(&["migrate", "--names", "--offline"]).done();
    assert_readable(&program);
    program.run(&["audit", "--require-names", "sealed"]).done();
    program
        .run(&["decrypt", "--names", "--offline", "--yes"])
        .done();
    assert_readable(&with(program, &[PLAIN]));
}

fn at_ring(server: &RedisServer) -> Program {
    let program = with(Program::at(server), &[RING]);
    let state = program.path("state");
    let program = program.env("STATE_DIRECTORY", state.to_str().unwrap());
    program
        .run(&["keyring", "init", "--document-format", "2"])
        .done();
    program
}

#[test]
fn a_keyring_records_the_form_and_keeps_its_index_key_meanwhile() {
    let server = server();
    let program = at_ring(&server);
    fill(&program);
    let protect = ["keyring", "protect", "--records", "wa:{user}"];
    let confirmed = |form| [&protect[..], &["--names", form, "--now"]].concat();
    let program = with(program, &[RING, SEALED]);
    program
        .run_with(&["put", &name(99)], b"{}")
        .failed(2, "the keyring records names = plain");
    program.run(&protect).failed(64, "--names sealed --now");
    program
        .run(&confirmed("sealed"))
        .failed(2, "30 names are still in a former form");
    let output = program
        .run(&["migrate", "--names", "--offline"])
        .done()
        .text();
    let next = "waxseal keyring protect --records 'wa:{user}' --names sealed --now";
    assert!(output.contains(next), "{output}");
    program
        .run(&confirmed("plain"))
        .failed(64, "waxseal.toml says names");
    program.run(&confirmed("sealed")).done();
    assert_readable(&program);
    let status = program.run(&["keyring", "status"]).done().text();
    assert!(status.contains("names sealed"), "{status}");
    program
        .run(&["keyring", "rotate-index"])
        .failed(2, "are sealed under the index key that writes");
    program.run(&["rotate"]).done();

    program
        .run(&["decrypt", "--names", "--offline", "--yes"])
        .done();
    let program = with(program, &[RING]);
    program.run(&confirmed("plain")).done();
    assert_readable(&program);
    program.run(&["keyring", "rotate-index"]).done();
    assert_eq!(stored(&server).1, 0);
}

#[test]
fn a_switch_waits_for_processes_that_report() {
    let server = server();
    let program = at_ring(&server);
    fill(&program);
    let mut proxy = program.start(&["proxy", "--listen", "127.0.0.1:0"]);
    crate::program::wait_until(|| {
        let status = program.run(&["keyring", "status", "--json"]).done().json();
        !status["processes"].as_array().unwrap().is_empty()
    });
    let program = with(program, &[RING, SEALED]);
    program
        .run(&["migrate", "--names", "--offline"])
        .failed(2, "processes that use the keyring may still run: proxy");
    assert_eq!(stored(&server).1, 0);
    assert!(!proxy.has_ended());
    proxy.signal("TERM");
    proxy.end();
    program
        .run(&["migrate", "--names", "--offline", "--now"])
        .done();
    assert_eq!(stored(&server).1 as u64, USERS);
}

#[test]
fn a_user_is_forgotten_in_all_forms_and_the_receipt_names_the_keys_of_names() {
    let server = server();
    let program = with(at_ring(&server), &[RING, SEALED]);
    fill(&program);
    let user = name(3).trim_start_matches("wa:").to_owned();
    // Left behind by a writer past Waxseal, and moved aside.
    let sealed = program.run(&["inspect", &name(3), "--json"]).done().json();
    let key = sealed["name_key"].clone();
    let (names, _) = stored(&server);
    let is_theirs = |it: &&Vec<u8>| {
        let found = program.run(&["find", &text(it)]).done().text();
        found.trim_end() == name(3)
    };
    let theirs = text(names.iter().find(is_theirs).unwrap());
    let mut client = server.client();
    client.cmd(&["SET", &name(3), "stray"]);
    for origin in [&theirs, &name(3)] {
        let quarantined = format!("waxseal:quarantine:{{{origin}}}:18c0ffee");
        client.cmd(&["SET", &quarantined, "{}\nvalue"]);
    }
    let receipt = program.run(&["forget", &user, "--yes"]).done();
    let text = receipt.text();
    let receipt: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(receipt["records_deleted"], 4, "{receipt}");
    assert_eq!(receipt["names"]["index_keys"], serde_json::json!([key]));
    let snapshot = server.snapshot();
    let mut left = snapshot.records().keys();
    let has = |it: &Vec<u8>, part: &str| it.windows(part.len()).any(|at| at == part.as_bytes());
    assert!(!left.any(|it| has(it, &user) || has(it, &theirs)));
    let verified = program
        .run_with(&["receipt", "verify", "-"], text.as_bytes())
        .done();
    assert!(
        verified
            .text()
            .contains("names        sealed: older copies")
    );
}

#[test]
fn doctor_says_how_names_are_stored_and_what_is_not_found() {
    let server = server();
    let program = with(
        Program::at(&server),
        &[PLAIN, SEALED, "scripts = \"forward\"\n"],
    );
    fill(&program);
    let doctor = |program: &Program| {
        let output = program
            .run(&["doctor", "--json"])
            .with_status_of(&[0, 1])
            .json();
        let findings = output.as_array().cloned();
        let findings = findings.or_else(|| output["findings"].as_array().cloned());
        let of_names = findings
            .unwrap()
            .into_iter()
            .filter(|it| it["check"] == "names");
        let texts = of_names.map(|it| format!("{} {}", it["grade"], it["found"]));
        texts.collect::<Vec<_>>().join("\n")
    };
    let found = doctor(&program);
    assert!(found.contains("sealed (30 in a sample)"), "{found}");
    assert!(
        found.contains("forwarded scripts get sealed names"),
        "{found}"
    );
    server.client().cmd(&["SET", &name(0), "planted"]);
    let found = doctor(&program);
    assert!(
        found.contains("\"problem\"") && found.contains("1 names of a sample"),
        "{found}"
    );
    let found = doctor(&with(program, &[PLAIN]));
    assert!(
        found.contains("of a sample are sealed: their records would not be found"),
        "{found}"
    );
}
