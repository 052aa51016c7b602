//! Servers of every flavor.

use std::collections::HashSet;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::Duration;

use waxseal_testing::{Client, Flavor, RedisServer, Reply, load_states, state_json, state_name};

#[test]
fn every_flavor_starts_and_reports_its_version() {
    for (flavor, field) in [
        (Flavor::System, "redis_version:"),
        (Flavor::Redis62, "redis_version:6.2."),
        (Flavor::Valkey, "valkey_version:9."),
    ] {
        let server = RedisServer::builder().flavor(flavor).start();
        let info = server.cli(&["INFO", "server"]);
        assert!(info.contains(field), "{flavor:?} says {info}");
    }
}

#[test]
fn a_restart_after_a_kill_keeps_what_was_written() {
    let mut server = RedisServer::builder().append_only().start();
    assert_eq!(server.cli(&["SET", "wa:1", "hola"]), "OK");
    let port = server.port();
    server.kill();
    assert!(Client::connect(port).is_err());
    server.restart();
    assert_eq!(server.port(), port);
    assert_eq!(server.cli(&["GET", "wa:1"]), "hola");
}

#[test]
fn a_restart_without_persistence_loses_everything() {
    let mut server = RedisServer::start();
    server.cli(&["SET", "wa:1", "hola"]);
    server.restart();
    assert_eq!(server.client().cmd(&["GET", "wa:1"]), Reply::Nil);
}

#[test]
fn no_server_survives_a_test_that_panics() {
    let (pid, port) = (std::sync::Mutex::new(0), std::sync::Mutex::new(0));
    let outcome = catch_unwind(|| {
        let server = RedisServer::start();
        *pid.lock().unwrap() = server.pid();
        *port.lock().unwrap() = server.port();
        panic!("as a failing test does");
    });
    assert!(outcome.is_err());
    let (pid, port) = (pid.into_inner().unwrap(), port.into_inner().unwrap());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!Path::new(&format!("/proc/{pid}/exe")).exists());
}

#[test]
fn a_stopped_server_is_silent_until_it_resumes() {
    let server = RedisServer::start();
    let mut client = server.client();
    server.stop_process();
    let late = std::thread::spawn(move || client.cmd(&["PING"]));
    std::thread::sleep(Duration::from_millis(200));
    let silent = !late.is_finished();
    server.continue_process();
    assert!(silent);
    assert_eq!(late.join().unwrap(), Reply::Simple("PONG".into()));
}

#[test]
fn a_user_may_do_only_what_the_rule_allows() {
    let server = RedisServer::builder()
        .user_acl("user support on >pw ~wa:* +@read +@connection")
        .start();
    server.cli(&["SET", "wa:1", "hola"]);
    let mut support = Client::connect(server.port()).unwrap();
    assert_eq!(
        support.cmd(&["AUTH", "support", "pw"]),
        Reply::Simple("OK".into())
    );
    assert_eq!(support.cmd(&["GET", "wa:1"]), Reply::Bulk(b"hola".to_vec()));
    for refused in [&["SET", "wa:1", "x"][..], &["GET", "sess:1"]] {
        let reply = support.cmd(refused);
        assert!(
            reply.error().is_some_and(|text| text.starts_with("NOPERM")),
            "{reply:?}"
        );
    }
    let wrong = Client::connect(server.port())
        .unwrap()
        .cmd(&["AUTH", "support", "no"]);
    assert!(
        wrong
            .error()
            .is_some_and(|text| text.starts_with("WRONGPASS"))
    );
}

#[test]
fn a_server_with_a_password_refuses_clients_without_it() {
    let server = RedisServer::builder().password("abrete").start();
    assert_eq!(server.cli(&["SET", "wa:1", "hola"]), "OK");
    let stranger = Client::connect(server.port())
        .unwrap()
        .cmd(&["GET", "wa:1"]);
    assert!(
        stranger
            .error()
            .is_some_and(|text| text.starts_with("NOAUTH"))
    );
}

#[test]
fn a_full_server_refuses_writes() {
    let server = RedisServer::builder().arg("--maxmemory", "3mb").start();
    let mut client = server.client();
    let value = vec![b'x'; 512 * 1024];
    let full = (0..40).any(|i| {
        let reply = client.cmd(&[b"SET", format!("wa:{i}").as_bytes(), &value[..]]);
        reply.error().is_some_and(|text| text.starts_with("OOM"))
    });
    assert!(full, "3 MB took 20 MB");
}

#[test]
fn a_server_listens_on_a_unix_socket() {
    use std::io::{Read, Write};

    let server = RedisServer::builder().unix_socket().start();
    let mut socket = UnixStream::connect(server.unix_path()).unwrap();
    socket.write_all(b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn a_replica_has_what_its_primary_has() {
    let primary = RedisServer::builder().password("abrete").start();
    let replica = RedisServer::builder()
        .password("abrete")
        .replica_of(&primary)
        .start();
    primary.cli(&["SET", "wa:1", "hola"]);
    replica.wait_for_replica_link(&primary);
    assert_eq!(replica.cli(&["GET", "wa:1"]), "hola");
    let write = replica.cli(&["SET", "wa:2", "x"]);
    assert!(write.starts_with("READONLY"), "{write}");
}

#[test]
fn snapshots_are_equal_only_while_nothing_changes() {
    for flavor in Flavor::ALL {
        let server = RedisServer::builder().flavor(flavor).start();
        load_states(&server, 1_500, Duration::from_secs(3600));
        server.cli(&["HSET", "user:1", "name", "Fulana"]);
        server.cli(&["SET", "forever", "x"]);
        let before = server.snapshot();
        assert_eq!(before.len(), 1_502);
        assert_eq!(before.get("forever").unwrap().expires_at_ms, None);
        assert!(before == server.snapshot(), "{flavor:?}: nothing changed");

        let name = state_name(7);
        let expiry = before.get(&name).unwrap().expires_at_ms.unwrap();
        let mut client = server.client();
        client.cmd(&["PEXPIREAT", &name, &(expiry + 1).to_string()]);
        client.cmd(&["HSET", "user:1", "name", "fulana"]);
        client.cmd(&["DEL", "forever"]);
        client.cmd(&["SET", "new", "x"]);
        let changed: HashSet<_> = before
            .changed_names(&server.snapshot())
            .into_iter()
            .collect();
        let expected = [name.as_str(), "user:1", "forever", "new"];
        assert_eq!(
            changed,
            expected.map(|name| name.as_bytes().to_vec()).into(),
            "{flavor:?}"
        );
    }
}

#[test]
fn loaded_states_have_their_names_and_expire_at_different_times() {
    let server = RedisServer::start();
    load_states(&server, 1_000, Duration::from_secs(3600));
    assert_eq!(server.client().cmd(&["DBSIZE"]), Reply::Int(1_000));
    assert_eq!(server.cli(&["GET", &state_name(999)]), state_json(999));
    let expiries: HashSet<_> = server
        .snapshot()
        .records()
        .values()
        .map(|record| record.expires_at_ms)
        .collect();
    assert!(!expiries.contains(&None));
    assert!(
        expiries.len() > 900,
        "only {} different expiries",
        expiries.len()
    );
}

#[test]
fn counts_the_commands_that_a_server_was_sent() {
    let server = RedisServer::start();
    let gets = vec![["GET", "wa:1"]; 700];
    assert_eq!(server.client().pipeline(&gets), vec![Reply::Nil; 700]);
    assert_eq!(server.command_counts().get("get"), Some(&700));
    assert_eq!(server.command_counts().get("set"), None);
}
