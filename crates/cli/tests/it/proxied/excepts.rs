//! `except`: a proxy and every command go by it alike, and a configuration that means nothing is refused.

use waxseal_core::Format;
use waxseal_testing::RedisServer;

use super::wire::{Wire, bulk};
use crate::metrics::{admin_as, metrics};
use crate::program::{KEY, OLD_KEY, Program, wait_until};
use crate::proxy::Proxy;
use crate::records::{get, put, sealed};

const CONFIG: &str = "[[protect]]\nname = \"Sessions\"\nrecords = \"sess:*\"\nformat = \"sealed\"\n\
                      except = [\"sess:*_LOCK\", \"sess:count:*\"]\n";
const COMPARE_AND_DELETE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";

fn program(server: &RedisServer) -> Program {
    Program::at(server)
        .keys(KEY, OLD_KEY)
        .file("waxseal.toml", CONFIG)
}

#[test]
fn the_proxy_lets_locks_and_counters_work_beside_sealed_values() {
    let server = RedisServer::start();
    let old = sealed(KEY, Format::Sealed, "sess:old_LOCK", b"token");
    put(&server, "sess:old_LOCK", &old);
    let flags = [
        "--protect",
        "sess:*",
        "--except",
        "sess:*_LOCK",
        "--except",
        "sess:count:*",
    ];
    let typed = Program::at(&server);
    for (program, flags) in [(program(&server), &[][..]), (typed, &flags)] {
        let proxy = Proxy::start_as(&program, &server, flags);
        let mut wire = Wire::tcp(proxy.port());
        assert_eq!(wire.ask(&["SET", "sess:1", "secret"]), "+OK\r\n");
        assert_ne!(get(&server, "sess:1").unwrap(), b"secret");
        assert_eq!(wire.ask(&["SET", "sess:1_LOCK", "token", "NX"]), "+OK\r\n");
        assert_eq!(get(&server, "sess:1_LOCK").unwrap(), b"token");
        let release = ["EVAL", COMPARE_AND_DELETE, "1", "sess:1_LOCK", "token"];
        assert_eq!(wire.ask(&release), ":1\r\n");
        assert_eq!(wire.ask(&["INCR", "sess:count:1"]), ":1\r\n");
        assert_eq!(wire.ask(&["DEL", "sess:count:1"]), ":1\r\n");
        assert_eq!(wire.ask(&["GET", "sess:old_LOCK"]), *bulk("token").as_str());
        assert!(wire.ask(&["INCREX", "sess:n"]).starts_with("-SEALREFUSED "));
        proxy.stop();
    }
}

#[test]
fn a_proxy_counts_apart_what_is_excepted() {
    let server = RedisServer::start();
    put(&server, "sess:1_LOCK", b"token");
    put(&server, "sess:2_LOCK", b"token");
    let old = sealed(KEY, Format::Sealed, "sess:3_LOCK", b"token");
    put(&server, "sess:3_LOCK", &old);
    let proxy = Proxy::start_as(&program(&server), &server, &[]);
    let mut wire = Wire::tcp(proxy.port());
    assert_eq!(wire.ask(&["GET", "sess:1_LOCK"]), *bulk("token").as_str());
    let of = |form| metrics(proxy.admin_port()).sum("waxseal_coverage_values", &[("form", form)]);
    wait_until(|| of("excepted") == 2.0);
    let warned = "1 sampled value is still sealed under excepted names of sess:*";
    wait_until(|| proxy.said().contains(warned));
    assert_eq!((of("plain"), of("sealed")), (0.0, 1.0));
    assert_eq!(
        metrics(proxy.admin_port()).sum("waxseal_plain_values_total", &[]),
        0.0
    );
    let (_, page) = admin_as(proxy.admin_port(), "/", "Host: localhost\r\n");
    assert!(
        page.contains("data-form=\"excepted\">2</span> plain, 1 sealed"),
        "{page}"
    );
    proxy.stop();
}

#[test]
fn commands_go_by_the_except_and_count_what_it_leaves() {
    let server = RedisServer::start();
    let program = program(&server);
    let old = sealed(OLD_KEY, Format::Sealed, "sess:2_LOCK", b"token");
    put(&server, "sess:1", b"{\"a\":1}");
    put(&server, "sess:1_LOCK", b"token");
    put(&server, "sess:2_LOCK", &old);
    server.cli(&["SADD", "sess:count:set", "a"]);

    let text = program.run(&["migrate"]).done().text();
    assert!(
        text.contains("{ migrated: 1, failed: 0, total: 1, excepted: 3 }"),
        "{text}"
    );
    assert_eq!(get(&server, "sess:1_LOCK").unwrap(), b"token");

    let report = program.run(&["audit", "--json"]).done().json();
    let excepted = &report["patterns"][0]["excepted"];
    assert_eq!(
        excepted.to_string(),
        r#"{"other_types":0,"plain":2,"sealed":1}"#
    );
    assert_eq!(
        (&report["total"]["plain"], &report["clean"]),
        (&0.into(), &true.into())
    );
    let clean = program.run(&["audit", "--require-clean"]).done();
    let line = "  excepted: 2 plain, 1 sealed\n";
    assert!(clean.text().contains(line), "{}", clean.text());
    assert!(
        clean
            .stderr
            .contains("excepted records are plaintext by configuration"),
        "{}",
        clean.stderr
    );

    let doctor = program.run(&["doctor"]).text();
    assert!(
        doctor.contains("1 sampled value under the except sess:*_LOCK is still sealed"),
        "{doctor}"
    );
    assert_eq!(program.run(&["get", "sess:2_LOCK"]).done().text(), "token");
    program.run_with(&["put", "sess:3_LOCK"], b"plain").done();
    assert_eq!(get(&server, "sess:3_LOCK").unwrap(), b"plain");
    let inspected = program.run(&["inspect", "sess:3_LOCK"]).done().text();
    assert!(inspected.contains("format   plain"), "{inspected}");
    assert!(inspected.contains("excepted from sess:*: "), "{inspected}");

    // What is sealed comes under the sealing key, and is not written in clear.
    let rotated = program.run(&["rotate"]).done();
    assert!(
        rotated
            .stderr
            .contains("waxseal decrypt --excepted opens it"),
        "{}",
        rotated.stderr
    );
    let report = program.run(&["audit", "--json"]).done().json();
    assert_eq!(report["total"]["excepted"]["sealed"], 1);
    assert_ne!(get(&server, "sess:2_LOCK").unwrap(), old);

    program.run(&["decrypt", "--excepted"]).with_status(64);
    let opened = program
        .run(&["decrypt", "--excepted", "--yes"])
        .done()
        .text();
    assert!(
        opened.contains("decrypted: 1, failed: 0, total: 1"),
        "{opened}"
    );
    assert_eq!(get(&server, "sess:2_LOCK").unwrap(), b"token");
    assert_ne!(get(&server, "sess:1").unwrap(), b"{\"a\":1}");
    assert!(server.client().cmd(&["EXISTS", "waxseal:canary"]).int() == 1);
    let doctor = program.run(&["doctor"]).text();
    assert!(doctor.contains("are plain, in a sample"), "{doctor}");
}

#[test]
fn an_audit_is_not_clean_where_everything_is_excepted() {
    let server = RedisServer::start();
    put(&server, "app:1", b"plain");
    let flags = ["--protect", "app:*", "--except", "app:?*"];
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let audit = program.run(&[&["audit", "--require-clean"][..], &flags].concat());
    let audit = audit.with_status(1).stderr;
    assert!(
        audit.contains("every record is excepted from its pattern: no new value is sealed"),
        "{audit}"
    );
    let report = program
        .run(&[&["audit", "--json"][..], &flags].concat())
        .done()
        .json();
    assert_eq!(report["clean"], false);
    let doctor = program.run(&[&["doctor"][..], &flags].concat()).text();
    assert!(
        doctor.contains("every record of app:* is excepted: no new value is sealed"),
        "{doctor}"
    );
}

#[test]
fn an_except_for_names_of_another_pattern_is_refused_or_reported() {
    let server = RedisServer::start();
    let config = "[[protect]]\nrecords = \"app:*\"\nexcept = [\"app:u:*:lock\"]\n\
                  [[protect]]\nrecords = \"app:u:*\"\n";
    let program = Program::at(&server).file("waxseal.toml", config);
    let refused = program.run(&["audit"]).with_status(64).stderr;
    assert!(
        refused.contains("these names belong to \"app:u:*\"; put the except there"),
        "{refused}"
    );
    let config = config.replace("app:u:*:lock", "app:*:lock");
    let program = Program::at(&server).file("waxseal.toml", &config);
    let doctor = program.run(&["doctor"]).text();
    assert!(
        doctor.contains("the except app:*:lock of app:* does not apply to names of app:u:*"),
        "{doctor}"
    );
}

#[test]
fn an_except_that_means_nothing_is_refused_with_the_reason() {
    let server = RedisServer::start();
    for (except, reason) in [
        (
            "\"other:*\"",
            "the except \"other:*\" matches no record of \"sess:*\"",
        ),
        (
            "\"*\"",
            "protects nothing: the except \"*\" matches all of its records",
        ),
        (
            "\"sess:a*\", \"\"",
            "waxseal.toml, [[protect]] number 1, except number 2: a record pattern cannot be empty",
        ),
        (
            "\"sess:{a}:*\"",
            "write 'sess:\\{a\\}:*' for braces of the name, and {user} for the user",
        ),
        ("\" sess:a*\"", "begins or ends with a blank"),
        ("\"sess:{user}\"", "has {user}: write * for it"),
        ("\"sess:[a*\"", "holds a [ without its ]"),
    ] {
        let config = format!("[[protect]]\nrecords = \"sess:*\"\nexcept = [{except}]\n");
        let program = Program::at(&server).file("waxseal.toml", &config);
        let refused = program.run(&["audit"]).with_status(64).stderr;
        assert!(refused.contains(reason), "{except}: {refused}");
    }
    let config = "except = [\"sess:*_LOCK\"]\n[[protect]]\nrecords = \"sess:*\"\n";
    let program = Program::at(&server).file("waxseal.toml", config);
    let refused = program.run(&["audit"]).with_status(64).stderr;
    assert!(
        refused.contains("except belongs under [[protect]]"),
        "{refused}"
    );
    let program = Program::at(&server);
    let refused = program
        .run(&["audit", "--except", "wa:*:lock"])
        .with_status(64)
        .stderr;
    assert!(refused.contains("--except requires --protect"), "{refused}");
    let flags = ["audit", "--protect", "a:*", "--protect", "b:*"];
    program
        .run(&[&flags[..], &["--except", "a:*:lock"]].concat())
        .done();
    program
        .run(&[&flags[..], &["--except", "c:*:lock"]].concat())
        .with_status(64);
    let refused = program
        .run(&["decrypt", "--excepted", "--yes"])
        .with_status(64)
        .stderr;
    assert!(refused.contains("no except is configured"), "{refused}");
    let config = "decoys = [\"sess:1_LOCK\"]\n".to_owned() + CONFIG;
    let program = Program::at(&server).file("waxseal.toml", &config);
    let refused = program.run(&["audit"]).with_status(64).stderr;
    assert!(
        refused.contains("is excepted from its pattern"),
        "{refused}"
    );
}

#[test]
fn a_flag_does_not_take_the_excepts_from_records_of_the_configuration() {
    let server = RedisServer::start();
    let program = program(&server);
    put(&server, "sess:1_LOCK", b"token");
    put(&server, "sess:12", b"{}");
    for flag in ["sess:*", "sess:{user}", "sess:1*", "sess:?*", "sess:1_LOCK"] {
        program.run(&["migrate", "--protect", flag]).done();
        assert_eq!(get(&server, "sess:1_LOCK").unwrap(), b"token", "{flag}");
    }
    assert_ne!(get(&server, "sess:12").unwrap(), b"{}");
}

#[test]
fn globs_protect_hash_tagged_names_and_name_several_wildcards() {
    let server = RedisServer::start();
    let program = Program::at(&server);
    let flags = ["--protect", "\\{wa\\}:*:[0-9]*:state"];
    let proxy = Proxy::start_as(&program, &server, &flags);
    let mut wire = Wire::tcp(proxy.port());
    for (name, is_sealed) in [
        ("{wa}:a:1:state", true),
        ("{wa}:a:b:12:state", true),
        ("{wa}:a:x:state", false),
        ("{wa}:a:1:lock", false),
        ("wa:a:1:state", false),
    ] {
        assert_eq!(wire.ask(&["SET", name, "value"]), "+OK\r\n");
        assert_eq!(get(&server, name).unwrap() != b"value", is_sealed, "{name}");
    }
    proxy.stop();
    let report = program
        .run(&[&["audit", "--json"], &flags[..]].concat())
        .done()
        .json();
    assert_eq!(
        (&report["total"]["sealed"], &report["total"]["plain"]),
        (&2.into(), &0.into())
    );
}
