//! What is counted about a keyring, its custodians, the keys of users and the passes over records: by the
//! proxy and by the keeper. The reading of it, and what no text may tell, is in `crate::metrics`.

use super::users::world as users;
use super::{Lies, PLACES, World};
use crate::metrics::{admin, metrics};
use crate::program::wait_until;
use crate::proxy::Proxy;
use crate::records::{NAME, STATE};

#[test]
fn a_proxy_tells_the_state_of_its_keyring() {
    for lies in PLACES {
        let mut world = World::with_ring(lies);
        let proxy = Proxy::start_as(&world.program, &world.server, &["--protect", "wa:*"]);
        let port = proxy.admin_port();
        let counted = metrics(port);
        let version = counted.sum("waxseal_keyring_version", &[]);
        assert_eq!(version, world.status()["version"].as_f64().unwrap());
        let keys = |state| metrics(port).sum("waxseal_keyring_keys", &[("state", state)]);
        assert_eq!((keys("sealing"), keys("pending")), (1.0, 0.0));
        assert_eq!(counted.sum("waxseal_keyring_trouble", &[]), 0.0);
        // It never rotates by itself.
        let next = counted.sum("waxseal_keyring_next_step_seconds", &[]);
        assert_eq!(next, f64::INFINITY);
        let calls = |labels: &[(&str, &str)]| counted.sum("waxseal_custodian_calls_total", labels);
        let fine = [
            ("scheme", "env"),
            ("operation", "unwrap"),
            ("outcome", "ok"),
        ];
        assert!(calls(&fine) >= 1.0);
        assert_eq!(calls(&fine), calls(&[]));
        let timed = "waxseal_custodian_call_duration_seconds_count";
        assert_eq!(counted.sum(timed, &[]), calls(&[]));

        world.ring(&["add"]).done();
        wait_until(|| keys("opening") + keys("archived") == 1.0);
        let counted = metrics(port);
        assert!(counted.sum("waxseal_keyring_version", &[]) > version);
        assert!(counted.sum("waxseal_keyring_sealing_key_age_seconds", &[]) < 300.0);

        if lies == Lies::InTheServer {
            world.server.kill();
            wait_until(|| metrics(port).sum("waxseal_keyring_trouble", &[]) == 1.0);
        }
    }
}

#[test]
fn a_keeper_tells_of_its_passes_on_an_address_of_its_own() {
    let world = World::with_ring(Lies::InAFile);
    let put = world.program.run_with(&["put", NAME], STATE.as_bytes());
    put.done();
    let words = ["keeper", "--admin", "127.0.0.1:0"];
    let mut keeper = world.program.start(&words);
    let mut port = 0;
    keeper.wait_until_stderr(|said| {
        let line = said
            .lines()
            .find(|line| line.starts_with("waxseal: admin on "));
        let text = line.and_then(|line| line.rsplit_once(':')).map(|it| it.1);
        port = text.and_then(|text| text.parse().ok()).unwrap_or_default();
        said.contains("keeping the keyring at ")
    });
    assert!(admin(port, "/healthz").0.starts_with("http/1.1 200"));
    assert!(admin(port, "/readyz").0.starts_with("http/1.1 404"));
    let of =
        |task, name: &str| metrics(port).sum(&format!("waxseal_sweep_{name}"), &[("task", task)]);
    assert_eq!(of("rotate", "last_run_timestamp_seconds"), 0.0);
    world.ring(&["add"]).done();
    wait_until(|| of("audit", "last_run_timestamp_seconds") > 0.0);
    let counted = metrics(port);
    let verdict = |task, verdict| {
        let labels = [("task", task), ("verdict", verdict)];
        counted.sum("waxseal_sweep_records_total", &labels)
    };
    assert_eq!(verdict("rotate", "failed"), 0.0);
    // The record, and what Waxseal keeps beside it.
    assert!(verdict("rotate", "done") >= 1.0);
    assert_eq!(
        counted.sum("waxseal_sweep_progress_ratio", &[("task", "rotate")]),
        1.0
    );
    keeper.signal("TERM");
    world.assert_leaks_nothing(&keeper.end().done());
}

#[test]
fn values_under_keys_of_users_are_counted_together() {
    let world = users(Lies::InTheServer);
    let proxy = Proxy::start_as(&world.program, &world.server, &[]);
    let mut client = proxy.client();
    for user in 0..5 {
        let name = format!("wa:5215500000{user:03}");
        for _ in 0..3 {
            assert_eq!(client.cmd(&["SET", &name, STATE]).to_text(), "OK");
            assert_eq!(client.cmd(&["GET", &name]).to_text(), STATE);
        }
    }
    let counted = metrics(proxy.admin_port());
    let of_users = [("result", "ok"), ("format", "sealed"), ("key", "user")];
    for name in ["waxseal_seals_total", "waxseal_opens_total"] {
        assert_eq!(counted.sum(name, &of_users), 15.0, "{name}");
        assert_eq!(counted.sum(name, &[]), 15.0, "{name}");
    }
    assert_eq!(counted.sum("waxseal_user_key_cache_entries", &[]), 5.0);
    let lookups = |result| {
        counted.sum(
            "waxseal_user_key_cache_lookups_total",
            &[("result", result)],
        )
    };
    assert!(lookups("miss") >= 5.0 && lookups("hit") >= 25.0);
    proxy.stop();
}

#[test]
fn without_an_admin_address_nothing_is_opened() {
    let world = World::with_ring(Lies::InAFile);
    let mut keeper = world.program.start(&["keeper"]);
    keeper.wait_until_it_says("keeping the keyring at ");
    assert!(!keeper.said().contains("admin on"));
    keeper.signal("TERM");
    keeper.end().done();
}
