//! SIGHUP: a process that serves continues, a sweep ends as at any other signal, and under `nohup` it continues.

use std::fs;

use waxseal_testing::RedisServer;

use crate::program::{Program, wait_until};
use crate::proxy::Proxy;
use crate::records::{assert_states_unharmed, server_with_states};

#[test]
fn a_proxy_and_a_keeper_outlive_a_terminal() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server, &["--protect", "wa:*"]);
    let mut client = proxy.client();
    assert_eq!(client.cmd(&["PING"]).to_text(), "PONG");
    proxy.signal("HUP");
    wait_until(|| {
        proxy
            .said()
            .contains("SIGHUP: no certificates are configured")
    });
    assert_eq!(client.cmd(&["PING"]).to_text(), "PONG");
    proxy.stop();

    let program = Program::at(&server).file("waxseal.toml", "keyring = \"file:ring.json\"\n");
    program.run(&["keyring", "init"]).done();
    let mut keeper = program.start(&["keeper"]);
    keeper.wait_until_it_says("keeping the keyring at ");
    keeper.signal("HUP");
    keeper.wait_until_it_says("SIGHUP: there is nothing to read again");
    keeper.signal("TERM");
    keeper.end().done();
}

#[test]
fn a_log_file_that_was_renamed_is_opened_again() {
    let server = RedisServer::start();
    let program = Program::at(&server);
    let proxy = Proxy::start_as(
        &program,
        &server,
        &[
            "--protect",
            "wa:*",
            "--log-file",
            "proxy.log",
            "--log-format",
            "json",
        ],
    );
    let (log, renamed) = (program.path("proxy.log"), program.path("proxy.log.1"));
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    wait_until(|| text(&log).contains("clients are served") || text(&log).contains("memory"));
    assert!(!proxy.said().contains(" INFO "), "{}", proxy.said());
    fs::rename(&log, &renamed).unwrap();
    proxy.signal("HUP");
    wait_until(|| text(&log).contains("SIGHUP: the log file was opened again"));
    assert!(text(&log).lines().all(|line| line.starts_with('{')));
    assert!(!text(&renamed).contains("SIGHUP"));
    proxy.stop();

    let words = ["proxy", "--protect", "wa:*", "--log-file", "none/proxy.log"];
    program.run(&words).failed(64, "error: the log file ");
}

#[test]
fn a_log_file_is_opened_again_while_the_store_is_waited_for_and_nothing_is_told_that_did_not_happen()
 {
    let mut server = RedisServer::start();
    let program = Program::at(&server);
    server.kill();
    let flags = ["--protect", "wa:*", "--listen", "127.0.0.1:0"];
    let words = [&["proxy", "--log-file", "proxy.log"], &flags[..]].concat();
    let mut proxy = program.start(&words);
    proxy.wait_until_it_says("waiting for the store before taking clients");
    let (log, renamed) = (program.path("proxy.log"), program.path("proxy.log.1"));
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    fs::rename(&log, &renamed).unwrap();
    proxy.signal("HUP");
    wait_until(|| text(&log).contains("SIGHUP: the log file was opened again"));

    // Something is in its place that is not a file.
    let before = text(&log).len();
    fs::rename(&log, &renamed).unwrap();
    fs::create_dir(&log).unwrap();
    proxy.signal("HUP");
    proxy.wait_until_it_says("; the former one is written on");
    server.restart();
    proxy.wait_until_it_says("waxseal: listening on ");
    proxy.signal("TERM");
    proxy.end().done();
    let added = text(&renamed).split_off(before);
    assert!(!added.contains("opened again"), "{added}");
}

#[test]
fn a_sweep_ends_with_its_checkpoint_when_its_terminal_goes_and_not_under_nohup() {
    const STATES: u64 = 3_000;
    let server = server_with_states(STATES);
    let program = Program::at(&server);
    let words = ["migrate", "--max-rate", "500", "--checkpoint", "at.json"];
    let written = || {
        server
            .command_counts()
            .get("evalsha")
            .copied()
            .unwrap_or_default()
    };
    // Also where the tests themselves were started under nohup.
    let by_default = ["env", "--default-signal=HUP"].map(str::to_owned);
    let mut run = program.start_within(&by_default, &words);
    wait_until(|| written() > 5 || run.has_ended());
    // A shell sends one, and the system another.
    run.signal("HUP");
    run.wait_until_it_says("stopping after what has been begun");
    if !run.has_ended() {
        run.signal("HUP");
    }
    run.end().failed(2, "stopped by a signal before the end");
    assert!(program.path("at.json").exists());
    assert_states_unharmed(&server, STATES);

    let before = written();
    let resume = [
        "migrate",
        "--max-rate",
        "2000",
        "--checkpoint",
        "at.json",
        "--resume",
    ];
    let mut run = program.start_after("trap '' HUP", &resume);
    wait_until(|| written() > before + 2 || run.has_ended());
    assert!(!run.has_ended());
    run.signal("HUP");
    run.end().done();
    assert_states_unharmed(&server, STATES);
}
