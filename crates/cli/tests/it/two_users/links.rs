//! Root works in the state directory of a service, whose user puts links, other names and pipes where
//! Waxseal opens files of its own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use waxseal_testing::RedisServer;

use super::{Location, OTHER, USER, give, link, program, set_mode, write};
use crate::keyring::QUICK;
use crate::program::{KEY, OTHER_KEY, Program, wait_until};
use crate::records::server_with_states;

/// A keyring in a directory of the service, made by its user; and root beside it.
#[track_caller]
fn ring(place: &Location, server: &RedisServer) -> (std::path::PathBuf, Program) {
    let state = place.directory("service", OTHER, 0o755);
    let with = |user, state: &Path| {
        let copies = format!("copies-{user}");
        let copies = place.directory(&copies, user, 0o700);
        program(user, state)
            .env("REDIS_URL", &server.url())
            .env("REDIS_ENCRYPTION_KEY", KEY)
            .env("STATE_DIRECTORY", copies.to_str().unwrap())
    };
    let url = format!("file:{}", state.join("ring.json").display());
    let words = [&["keyring", "init", "--keyring", &url], &QUICK[..]].concat();
    with(OTHER, &state).run(&words).done();
    (state, with(0, place.0.path()))
}

#[test]
fn a_lock_that_is_a_link_another_name_or_a_pipe_is_not_opened_and_gives_nothing_away() {
    let (place, server) = (Location::new(), RedisServer::start());
    let (state, root) = ring(&place, &server);
    let treasure = place.treasure("root's own\n");
    let url = format!("file:{}", state.join("ring.json").display());
    let lock = state.join("ring.json.lock");
    let before = fs::read(state.join("ring.json")).unwrap();
    let add = || root.run(&["keyring", "add", "--keyring", &url]);

    link(&treasure.path, &lock, OTHER);
    let output = add().with_status(2);
    treasure.assert_untouched();
    let told = format!("{} is a symbolic link", lock.display());
    assert!(output.stderr.contains(&told), "{}", output.stderr);

    // The system forbids this to the service, where fs.protected_hardlinks is set.
    fs::remove_file(&lock).unwrap();
    fs::hard_link(&treasure.path, &lock).unwrap();
    let output = add().with_status(2);
    treasure.assert_untouched();
    assert!(
        output.stderr.contains("has more than one name"),
        "{}",
        output.stderr
    );

    fs::remove_file(&lock).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&lock)
            .status()
            .unwrap()
            .success()
    );
    add().failed(2, "is not a regular file");
    assert_eq!(fs::read(state.join("ring.json")).unwrap(), before);

    fs::remove_file(&lock).unwrap();
    add().done();
    // What root made there is the service's, and the ring is still its own.
    for name in ["ring.json", "ring.json.lock"] {
        assert_eq!(
            fs::metadata(state.join(name)).unwrap().uid(),
            OTHER,
            "{name}"
        );
    }
}

#[test]
fn papers_beside_a_keyring_that_are_links_are_not_replaced_and_not_read() {
    for paper in [".reports", ".leader"] {
        let (place, server) = (Location::new(), RedisServer::start());
        let (state, root) = ring(&place, &server);
        let treasure = place.treasure("root's own\n");
        let url = format!("file:{}", state.join("ring.json").display());
        link(
            &treasure.path,
            &state.join(format!("ring.json{paper}")),
            OTHER,
        );
        let mut keeper = root.start(&["keeper", "--keyring", &url]);
        let told = format!("ring.json{paper} is a symbolic link");
        let mut is_told = false;
        wait_until(|| {
            treasure.assert_untouched();
            is_told = keeper.said().contains(&told);
            is_told || keeper.has_ended()
        });
        assert!(is_told, "{}", keeper.said());
        treasure.assert_untouched();
    }
}

#[test]
fn a_keyring_that_another_users_link_leads_to_is_not_touched() {
    let (place, server) = (Location::new(), RedisServer::start());
    let (state, root) = ring(&place, &server);
    let ring = state.join("ring.json");
    let url = format!("file:{}", ring.display());
    let elsewhere = place.path("ring.json");
    fs::rename(&ring, &elsewhere).unwrap();
    let run = || root.run(&["keyring", "status", "--keyring", &url]);
    // The link of a user leads to a file of the same user, or root's link to anybody's.
    link(&elsewhere, &ring, OTHER);
    run().done();
    give(&elsewhere, 0);
    // What is shown is the copy of the keyring that root keeps.
    run().failed(1, "is a symbolic link of another user");
    link(&elsewhere, &ring, 0);
    run().done();
    // So is a directory on the way.
    let directory = place.path("way");
    link(&state, &directory, USER);
    let url = format!("file:{}", directory.join("ring.json").display());
    let output = root.run(&["keyring", "status", "--keyring", &url]);
    let output = output.with_status_of(&[1, 2]);
    let told = "is a symbolic link of another user";
    assert!(output.stderr.contains(told), "{}", output.stderr);
}

#[test]
fn an_audit_log_and_its_state_are_not_written_through_links() {
    let (place, server) = (Location::new(), server_with_states(1));
    let state = place.directory("service", OTHER, 0o755);
    let treasure = place.treasure("root's own\n");
    let log = state.join("audit.jsonl");
    let config = place.path("waxseal.toml");
    let text = format!(
        "audit_log = \"file:{}\"\naudit_log_key = \"env:TRAIL_KEY\"\n",
        log.display()
    );
    write(&config, &text, 0, 0o644);
    let root = program(0, place.0.path())
        .env("REDIS_URL", &server.url())
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .env("TRAIL_KEY", OTHER_KEY);
    let config = config.to_str().unwrap();
    let migrate = || root.run(&["migrate", "--config", config]);
    let of_state = state.join("audit.jsonl.state");
    link(&treasure.path, &of_state, OTHER);
    migrate().failed(2, "audit.jsonl.state is a symbolic link");
    treasure.assert_untouched();
    fs::remove_file(&of_state).unwrap();
    link(&treasure.path, &log, OTHER);
    migrate().failed(2, "is a symbolic link of another user");
    treasure.assert_untouched();
    fs::remove_file(&log).unwrap();
    migrate().done();
    root.run(&["audit-log", "verify", "--config", config])
        .done();
}

#[test]
fn a_checkpoint_is_not_written_through_a_link() {
    let (place, server) = (Location::new(), server_with_states(200));
    let state = place.directory("service", OTHER, 0o755);
    let treasure = place.treasure("root's own\n");
    let root = program(0, place.0.path())
        .env("REDIS_URL", &server.url())
        .env("REDIS_ENCRYPTION_KEY", KEY);
    let checkpoint = state.join("checkpoint.json");
    link(&treasure.path, &state.join("checkpoint.json.new"), OTHER);
    let path = checkpoint.to_str().unwrap();
    let words = ["migrate", "--max-rate", "20", "--checkpoint", path];
    let mut running = root.start(&words);
    wait_until(|| checkpoint.exists() || running.has_ended());
    running.signal("INT");
    running.end();
    treasure.assert_untouched();
    assert!(fs::symlink_metadata(&checkpoint).unwrap().is_file());
    link(&treasure.path, &checkpoint, OTHER);
    let output = root.run(&words).with_status(2);
    assert!(
        output.stderr.contains("is a symbolic link of another user"),
        "{}",
        output.stderr
    );
    treasure.assert_untouched();
}

#[test]
fn a_checkpoint_that_root_left_in_a_services_directory_is_replaced_by_the_service() {
    let (place, server) = (Location::new(), server_with_states(200));
    let state = place.directory("service", USER, 0o755);
    let checkpoint = state.join("checkpoint.json");
    write(&checkpoint, "{}", 0, 0o640);
    let path = checkpoint.to_str().unwrap();
    let mut running = program(USER, &state)
        .env("REDIS_URL", &server.url())
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .start(&["migrate", "--max-rate", "20", "--checkpoint", path]);
    let owner = || fs::metadata(&checkpoint).map(|it| (it.uid(), it.mode() & 0o777));
    wait_until(|| owner().is_ok_and(|it| it.0 == USER) || running.has_ended());
    // The group of root's file is not one of this user's.
    assert_eq!(owner().unwrap(), (USER, 0o600));
    running.signal("INT");
    running.end();
}

#[test]
fn a_checkpoint_of_another_user_or_with_another_name_is_not_replaced() {
    let (place, server) = (Location::new(), server_with_states(200));
    let shared = place.directory("tmp", 0, 0o1777);
    let checkpoint = shared.join("checkpoint.json");
    let path = checkpoint.to_str().unwrap();
    let words = ["migrate", "--max-rate", "20", "--checkpoint", path];
    let root = program(0, place.0.path())
        .env("REDIS_URL", &server.url())
        .env("REDIS_ENCRYPTION_KEY", KEY);
    let assert_refused = |told: &str| {
        let mut running = root.start(&words);
        running.wait_until_it_says(told);
        // It may have come to its end.
        if !running.has_ended() {
            running.signal("INT");
        }
        running.end();
    };
    write(&checkpoint, "theirs", OTHER, 0o666);
    assert_refused(&format!("belongs to another user (uid {OTHER})"));
    // Also a sweep that went to its end leaves it.
    assert_eq!(fs::read(&checkpoint).unwrap(), b"theirs");
    fs::remove_file(&checkpoint).unwrap();
    let treasure = place.treasure("root's own\n");
    fs::hard_link(&treasure.path, &checkpoint).unwrap();
    assert_refused("has more than one name");
    treasure.assert_untouched();
}

#[test]
fn an_embedded_store_is_not_opened_through_another_users_link() {
    let place = Location::new();
    let state = place.directory("service", OTHER, 0o755);
    // An empty file becomes a store.
    let treasure = place.treasure("");
    let store = state.join("states.waxseal");
    let url = format!("file:{}", store.display());
    let root = program(0, place.0.path()).env("REDIS_ENCRYPTION_KEY", KEY);
    let put = || root.run_with(&["put", "wa:1", "--store", &url], b"{}");
    link(&treasure.path, &store, OTHER);
    put().failed(2, "is a symbolic link of another user");
    treasure.assert_untouched();
    fs::remove_file(&store).unwrap();
    fs::hard_link(&treasure.path, &store).unwrap();
    put().failed(2, "has more than one name");
    treasure.assert_untouched();
    fs::remove_file(&store).unwrap();
    link(&place.path("own.waxseal"), &store, 0);
    put().done();
    assert!(place.path("own.waxseal").is_file());
}

#[test]
fn files_of_another_user_in_a_directory_of_everybody_are_not_written_to() {
    let (place, server) = (Location::new(), RedisServer::start());
    let shared = place.directory("tmp", 0, 0o1777);
    let copies = place.directory("copies", USER, 0o700);
    let user = program(USER, &shared)
        .env("REDIS_URL", &server.url())
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .env("STATE_DIRECTORY", copies.to_str().unwrap());
    let init = [
        &["keyring", "init", "--keyring", "file:ring.json"],
        &QUICK[..],
    ]
    .concat();
    write(&shared.join("ring.json.lock"), "", OTHER, 0o666);
    let output = user.run(&init).with_status(2);
    let told = format!("belongs to another user (uid {OTHER})");
    assert!(output.stderr.contains(&told), "{}", output.stderr);
    fs::remove_file(shared.join("ring.json.lock")).unwrap();
    user.run(&init).done();
}

#[test]
fn reports_and_backups_do_not_go_where_another_users_link_leads() {
    let (place, server) = (Location::new(), RedisServer::start());
    let (state, root) = ring(&place, &server);
    let url = format!("file:{}", state.join("ring.json").display());
    let own = place.directory("own", 0, 0o700);
    link(&own, &state.join("out"), OTHER);
    let report = state.join("out/report.json");
    let words = [
        "audit",
        "--keyring",
        &url,
        "--report",
        report.to_str().unwrap(),
    ];
    root.run(&words)
        .failed(2, "is a symbolic link of another user");
    assert_eq!(fs::read_dir(&own).unwrap().count(), 0);
    // Through one's own link it goes.
    link(&own, &state.join("out"), 0);
    root.run(&words).done();
    assert!(own.join("report.json").is_file());
}

#[test]
fn man_pages_are_not_written_through_links() {
    let place = Location::new();
    let pages = place.directory("man1", OTHER, 0o755);
    let treasure = place.treasure("root's own\n");
    link(&treasure.path, &pages.join("waxseal.1"), OTHER);
    let root = program(0, place.0.path());
    let words = ["man", pages.to_str().unwrap()];
    let output = root.run(&words).with_status(2);
    treasure.assert_untouched();
    assert!(
        output.stderr.contains("waxseal.1 is a symbolic link"),
        "{}",
        output.stderr
    );
    fs::remove_file(pages.join("waxseal.1")).unwrap();
    root.run(&words).done();
    set_mode(&pages, 0o755);
    assert_eq!(
        fs::metadata(pages.join("waxseal.1")).unwrap().mode() & 0o777,
        0o644
    );
}
