//! Tests of doctor's findings about keyrings.

use serde_json::Value;
use waxseal_testing::RedisServer;

use super::{Lies, PLACES, World, configured};
use crate::program::{OTHER_KEY, Program};
use crate::records::NAME;

impl World {
    #[track_caller]
    fn doctor(&self, status: i32) -> Vec<Value> {
        let report = self.run(&["doctor", "--json"]).with_status(status).json();
        report.as_array().unwrap().clone()
    }
}

/// Fails unless some finding of this check has this grade and says this.
#[track_caller]
fn assert_found(findings: &[Value], check: &str, grade: &str, text: &str) {
    let mut of_check = findings.iter().filter(|it| it["check"] == check);
    let fits = |it: &Value| {
        it["grade"] == grade && format!("{} {}", it["found"], it["advice"]).contains(text)
    };
    assert!(
        of_check.any(fits),
        "no {check} {grade} «{text}» in {findings:?}"
    );
}

#[test]
fn a_ring_in_order_is_reported() {
    for lies in PLACES {
        let world = World::new(lies);
        world.ring(&["init"]).done();
        world.program.run_with(&["put", NAME], b"{}").done();
        let found = world.doctor(0);
        assert_found(&found, "keyring", "ok", "version ");
        assert_found(&found, "keyring copy", "ok", "/state/keyring-");
        assert_found(&found, "custodian", "ok", "env:REDIS_ENCRYPTION_KEY");
        assert_found(&found, "rotation", "ok", "the next one is due at ");
        assert_found(
            &found,
            "processes",
            "warning",
            "run waxseal keeper or waxseal proxy",
        );
        assert_found(&found, "key", "ok", " seals; 0 more only open");
        assert_found(&found, "canary", "ok", "opens under key");
    }
}

#[test]
fn a_server_that_can_evict_or_forget_keys_is_warned_about() {
    let server = RedisServer::builder()
        .arg("--maxmemory-policy", "allkeys-lfu")
        .start();
    let lies = Lies::InTheServer;
    let per_user = "[[protect]]\nrecords = \"wa:{user}\"\nper_user_keys = true\n";
    let program = configured(Program::at(&server), &server, lies, per_user);
    let world = World {
        server,
        program,
        lies,
    };
    world.ring(&["init"]).done();
    let found = world.doctor(0);
    for check in ["keyring", "user keys"] {
        assert_found(&found, check, "warning", "is allkeys-lfu");
        assert_found(&found, check, "warning", "append-only file of ");
    }
    let server = RedisServer::builder().append_only().start();
    let program = configured(Program::at(&server), &server, lies, "");
    let world = World {
        server,
        program,
        lies,
    };
    world.ring(&["init"]).done();
    let found = world.doctor(0);
    assert_found(
        &found,
        "keyring",
        "ok",
        "evicts nothing that does not expire",
    );
    assert_found(&found, "keyring", "ok", "is on");
    assert!(
        found
            .iter()
            .all(|it| it["check"] != "keyring" || it["grade"] == "ok")
    );
}

#[test]
fn a_ring_that_is_missing_or_does_not_open_is_a_problem() {
    for lies in PLACES {
        let world = World::new(lies);
        let found = world.doctor(1);
        assert_found(&found, "keyring", "problem", "there is no keyring at ");
        assert_found(
            &found,
            "keyring",
            "problem",
            "waxseal keyring init creates one",
        );
        assert_found(&found, "keyring copy", "warning", "missing at ");
        world.init();
        let wrong = World {
            program: world.program.keys(OTHER_KEY, ""),
            ..world
        };
        let found = wrong.doctor(1);
        assert_found(&found, "keyring", "problem", "does not unwrap this key");
    }
}
