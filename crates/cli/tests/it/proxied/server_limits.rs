//! Servers that limit single connections: what their replies may amount to, how long an argument may be, how much
//! memory clients take, how many there may be. Clients of the proxy are served as they would be directly.

use std::sync::Barrier;
use std::time::Duration;

use waxseal_testing::RedisServer;

use super::counts::{metric, server_connections};
use super::wire::Wire;
use super::{Pair, UPSTREAMS, proxy_before};
use crate::program::{Program, wait_until};

const CLIENTS: usize = 100;
const LARGE: usize = 100 * 1024;
const ROUNDS: usize = 3;

fn limited(name: &str, value: &str) -> RedisServer {
    RedisServer::builder().arg(name, value).start()
}

/// The number of clients that get all of the large values which they read at the same moment.
fn served(port: u16) -> usize {
    let begin = Barrier::new(CLIENTS);
    let reads_all = || {
        let mut wire = Wire::tcp(port);
        wire.set_timeout(Duration::from_secs(60));
        begin.wait();
        (0..ROUNDS).all(|_| {
            let asked = wire.try_send(&super::wire::request(&["GET", "open:large"]));
            let reply = asked.and_then(|()| wire.try_reply());
            reply.is_ok_and(|reply| reply.0.len() > LARGE)
        })
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(reads_all)).collect();
        let served = clients.into_iter().map(|it| it.join().unwrap());
        served.filter(|served| *served).count()
    })
}

#[test]
fn where_the_server_limits_replies_all_clients_are_served() {
    for (limit, upstreams) in [("1mb", &UPSTREAMS[..]), ("4mb", &["shared"])] {
        let redis = limited(
            "--client-output-buffer-limit",
            &format!("normal {limit} 0 0"),
        );
        redis
            .client()
            .cmd(&[&b"SET"[..], b"open:large", &vec![b'x'; LARGE]]);
        for upstream in upstreams {
            let proxy = proxy_before(&redis.url(), upstream, &["--workers", "1"]);
            assert_eq!(served(proxy.port()), CLIENTS, "{upstream}, {limit}");
            let told = proxy.said().contains(
                "the server limits single connections (client-output-buffer-limit normal): each client gets a \
                 connection of its own",
            );
            assert!(told, "{}", proxy.said());
        }
    }
}

#[test]
fn a_limit_of_replies_that_a_running_server_gets_is_noticed() {
    let pair = Pair::with("shared", &["--workers", "1"]);
    let value = vec![b'x'; LARGE];
    pair.redis
        .client()
        .cmd(&[&b"SET"[..], b"open:large", &value]);
    let mut wire = pair.wire();
    assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
    pair.redis.cli(&[
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "normal 1mb 0 0",
    ]);
    // At the latest when the first shared connection is closed.
    wait_until(|| served(pair.proxy.port()) == CLIENTS);
}

#[test]
fn where_the_server_limits_the_memory_of_clients_they_share_no_connection() {
    let redis = limited("--maxmemory-clients", "100mb");
    let proxy = proxy_before(&redis.url(), "shared", &["--workers", "1"]);
    let mut wires: Vec<_> = (0..10).map(|_| Wire::tcp(proxy.port())).collect();
    for wire in &mut wires {
        assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
    }
    assert!(server_connections(&redis) >= wires.len());
    assert!(
        proxy.said().contains("(maxmemory-clients)"),
        "{}",
        proxy.said()
    );
}

#[test]
fn a_value_that_the_server_would_not_take_is_refused_and_disconnects_no_client() {
    for (name, most) in [
        ("proto-max-bulk-len", 1_048_576),
        ("client-query-buffer-limit", 1_048_574),
    ] {
        let redis = limited(name, "1mb");
        let (fits, long) = (vec![b'v'; 700 * 1024], vec![b'v'; 800 * 1024]);
        for upstream in UPSTREAMS {
            let proxy = proxy_before(&redis.url(), upstream, &[]);
            let mut other = Wire::tcp(proxy.port());
            assert_eq!(other.ask(&["SET", "open:1", "x"]), "+OK\r\n");
            let mut wire = Wire::tcp(proxy.port());
            assert_eq!(wire.ask(&[&b"SET"[..], b"wa:1", &fits]), "+OK\r\n");
            let refused = wire.ask(&[&b"SET"[..], b"wa:1", &long]);
            let accepts = format!("the server accepts at most {most} ({name})");
            assert!(refused.starts_with("-SEALREFUSED SET: "), "{refused:?}");
            assert!(refused.contains(&accepts), "{upstream}: {refused:?}");
            assert!(wire.ask(&["GET", "wa:1"]).0.len() > fits.len());
            assert_eq!(other.ask(&["GET", "open:1"]), "$1\r\nx\r\n");
            assert_eq!(metric(&proxy, "waxseal_refused_commands_total"), 1.0);
        }
    }
}

#[test]
fn where_limits_cannot_be_read_that_is_said_once_and_clients_share_connections() {
    let redis = RedisServer::builder()
        .user_acl("user app on >secret ~* &* +@all -config")
        .start();
    let url = redis.url().replace("redis://", "redis://app:secret@");
    let proxy = proxy_before(&url, "shared", &["--workers", "1"]);
    let mut wires: Vec<_> = (0..10).map(|_| Wire::tcp(proxy.port())).collect();
    for wire in &mut wires {
        assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
    }
    assert!(server_connections(&redis) < wires.len());
    let said = proxy.said();
    let line = "the server's limits cannot be read (CONFIG GET is not allowed)";
    assert_eq!(said.matches(line).count(), 1, "{said}");
    let program = Program::new()
        .env("REDIS_URL", &url)
        .env("REDIS_ENCRYPTION_KEY", crate::program::KEY);
    let doctor = program.run(&["doctor"]).text();
    assert!(
        doctor.contains("this user may not use CONFIG GET"),
        "{doctor}"
    );
}

#[test]
fn a_server_that_has_enough_clients_says_so_to_each_as_it_would_directly() {
    for password in [None, Some("secret")] {
        let builder = RedisServer::builder().arg("--maxclients", "12");
        let (redis, user) = match password {
            None => (builder.start(), String::new()),
            Some(password) => (builder.password(password).start(), format!(":{password}@")),
        };
        let url = redis.url().replace("redis://", &format!("redis://{user}"));
        for upstream in UPSTREAMS {
            let proxy = proxy_before(&url, upstream, &["--workers", "1"]);
            let mut turned_away = 0;
            let mut wires = Vec::new();
            for _ in 0..14 {
                let mut wire = Wire::tcp(proxy.port());
                // It takes a connection of its own.
                let reply = wire.ask(&["WATCH", "open:1"]);
                if reply == "+OK\r\n" {
                    wires.push(wire);
                    continue;
                }
                assert_eq!(
                    reply, "-ERR max number of clients reached\r\n",
                    "{upstream}"
                );
                assert_eq!(wire.until_the_end(), b"");
                turned_away += 1;
            }
            assert!(turned_away >= 2, "{upstream}: {turned_away}");
            for wire in &mut wires {
                assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
            }
        }
    }
}
