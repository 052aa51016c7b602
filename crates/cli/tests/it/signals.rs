//! Ctrl-C: the first says how long it waits, the second ends at once.

use waxseal_testing::{Client, RedisServer};

use crate::program::{Program, wait_until};
use crate::proxy::Proxy;
use crate::records::server_with_states;

#[test]
fn a_proxy_says_how_long_it_waits_and_ends_at_a_second_signal() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let server = RedisServer::start();
        let proxy = Proxy::start(&server, &["--protect", "wa:*", "--grace", "3600"]);
        // Waits longer than the test.
        let port = proxy.port();
        let waiting = std::thread::spawn(move || {
            let mut client = Client::connect(port).unwrap();
            let _ = client.try_cmd(&["BLPOP", "queue", "0"]);
        });
        wait_until(|| {
            server
                .cli(&["INFO", "clients"])
                .contains("blocked_clients:1")
        });
        proxy.signal("INT");
        wait_until(|| proxy.said().contains("for 3600 s at most; a second signal"));
        proxy.signal(signal);
        let output = proxy.end().with_status(status);
        assert!(output.stderr.contains("ended at once"), "{}", output.stderr);
        waiting.join().unwrap();
    }
}

#[test]
fn a_sweep_says_how_long_it_waits_and_ends_at_a_second_signal() {
    let server = server_with_states(50);
    let mut running = Program::at(&server).start(&["migrate", "--max-rate", "5"]);
    wait_until(|| server.command_counts().contains_key("scan") || running.has_ended());
    // Nothing that was begun comes to its end.
    server.stop_process();
    running.signal("INT");
    running
        .wait_until_it_says("stopping after what has been begun, in 30 s at most; a second signal");
    running.signal("INT");
    let output = running.end();
    server.continue_process();
    let output = output.with_status(130);
    assert!(output.stderr.contains("ended at once"), "{}", output.stderr);
}
