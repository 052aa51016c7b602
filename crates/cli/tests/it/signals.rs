//! Ctrl-C: the first one prints how long the process waits, the second one ends it at once.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use waxseal_testing::{Client, RedisServer};

use crate::program::{Program, wait_until};
use crate::proxy::Proxy;
use crate::records::server_with_states;

#[test]
fn a_proxy_prints_how_long_it_waits_and_ends_at_a_second_signal() {
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
fn a_sweep_prints_how_long_it_waits_and_ends_at_a_second_signal() {
    let server = server_with_states(20_000);
    let mut running = Program::at(&server).start(&["migrate", "--max-rate", "1000"]);
    // It writes records, one script each: the key has been checked.
    wait_until(|| {
        let written = server.command_counts().get("evalsha").copied();
        written.unwrap_or_default() > 10 || running.has_ended()
    });
    // Nothing that was begun is finished, and soon something has been begun.
    server.stop_process();
    std::thread::sleep(Duration::from_secs(2));
    running.signal("INT");
    running
        .wait_until_it_says("stopping after what has been begun, in 30 s at most; a second signal");
    running.signal("INT");
    let output = running.end();
    server.continue_process();
    let output = output.with_status(130);
    assert!(output.stderr.contains("ended at once"), "{}", output.stderr);
}

/// Fills a pipe, so that a writer waits.
#[track_caller]
pub(crate) fn fill(pipe: &impl AsRawFd) {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    // Opened again, since a flag of the writer that the process has would be its flag as well.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut options = File::options();
    let mut writer = options
        .write(true)
        .custom_flags(nonblocking)
        .open(path)
        .unwrap();
    loop {
        match writer.write(&[b'.'; 4096]) {
            Ok(0) => panic!("the pipe takes nothing"),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return;
            }
        }
    }
}

#[test]
fn a_stderr_that_no_one_reads_keeps_no_process_from_stopping() {
    let server = RedisServer::start();
    let words = [
        "proxy",
        "--protect",
        "wa:*",
        "--listen",
        "127.0.0.1:0",
        "--grace",
        "3600",
    ];
    let (running, stderr) = Program::at(&server).start_with_own_stderr(&words);
    let mut stderr = BufReader::new(stderr);
    let port = loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended");
        if let Some(address) = line.strip_prefix("waxseal: listening on ") {
            let (_, port) = address.trim_end().rsplit_once(':').unwrap();
            break port.parse::<u16>().unwrap();
        }
    };
    let waiting = std::thread::spawn(move || {
        let mut client = Client::connect(port).unwrap();
        let _ = client.try_cmd(&["BLPOP", "queue", "0"]);
    });
    wait_until(|| {
        server
            .cli(&["INFO", "clients"])
            .contains("blocked_clients:1")
    });
    fill(stderr.get_ref());
    running.signal("INT");
    wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_err());
    running.signal("INT");
    running.end().with_status(130);
    waiting.join().unwrap();
}
