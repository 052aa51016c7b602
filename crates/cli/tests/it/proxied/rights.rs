//! Tests of clients' users and rights: they are each client's own, whatever connections are shared; and how many
//! clients there may be.

use waxseal_testing::RedisServer;

use super::wire::{Wire, bulk, request};
use super::{Pair, UPSTREAMS, proxy_before};
use crate::program::wait_until;

/// A server with a password, a user of the proxy who may do everything, and one who may do little.
fn server() -> RedisServer {
    RedisServer::builder()
        .password("main")
        .user_acl("user proxy on >open-sesame ~* &* +@all")
        .user_acl("user little on >few ~wa:little* ~open:little* +get +set +blpop +acl|whoami +multi +exec +hello +reset +client")
        .start()
}

fn url(redis: &RedisServer) -> String {
    format!("redis://proxy:open-sesame@127.0.0.1:{}/", redis.port())
}

#[track_caller]
fn is(wire: &mut Wire, user: &str) {
    assert_eq!(wire.ask(&["ACL", "WHOAMI"]), *bulk(user).as_str());
}

#[test]
fn the_rights_of_one_client_never_reach_another() {
    for upstream in UPSTREAMS {
        let redis = server();
        let proxy = proxy_before(&url(&redis), upstream, &["--workers", "1"]);
        let mut usual: Vec<Wire> = (0..5).map(|_| Wire::tcp(proxy.port())).collect();
        let mut little: Vec<Wire> = (0..5).map(|_| Wire::tcp(proxy.port())).collect();
        assert_eq!(usual[0].ask(&["SET", "wa:secret", "amatista"]), "+OK\r\n");
        for wire in &mut little {
            is(wire, "proxy");
            assert_eq!(wire.ask(&["AUTH", "little", "few"]), "+OK\r\n");
        }
        for _ in 0..3 {
            for wire in &mut usual {
                is(wire, "proxy");
                assert_eq!(wire.ask(&["GET", "wa:secret"]), "$8\r\namatista\r\n");
                // Away from the lane, and back where that is done.
                assert_eq!(wire.ask(&["BLPOP", "open:none", "0.001"]), "*-1\r\n");
            }
            for wire in &mut little {
                is(wire, "little");
                for name in ["wa:secret", "open:secret"] {
                    assert!(
                        wire.ask(&["GET", name]).starts_with("-NOPERM "),
                        "{upstream}"
                    );
                    assert!(wire.ask(&["SET", name, "x"]).starts_with("-NOPERM "));
                }
                assert_eq!(wire.ask(&["SET", "wa:little", "amatista"]), "+OK\r\n");
                assert_eq!(wire.ask(&["BLPOP", "open:little", "0.001"]), "*-1\r\n");
                assert_eq!(wire.ask(&["GET", "wa:little"]), "$8\r\namatista\r\n");
            }
        }
        // A client that connects after the others left has none of their identities.
        for mut wire in little.drain(..) {
            if upstream != "own" {
                assert_eq!(wire.ask(&["RESET"]), "+RESET\r\n");
                is(&mut wire, "proxy");
                assert_eq!(wire.ask(&["AUTH", "little", "few"]), "+OK\r\n");
            }
        }
        for _ in 0..10 {
            let mut wire = Wire::tcp(proxy.port());
            assert_eq!(wire.ask(&["BLPOP", "open:none", "0.001"]), "*-1\r\n");
            is(&mut wire, "proxy");
            let mut wire = Wire::tcp(proxy.port()).resp3();
            is(&mut wire, "proxy");
        }
        proxy.stop();
    }
}

#[test]
fn a_wrong_password_leaves_a_client_who_it_was() {
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    for upstream in UPSTREAMS {
        let redis = server();
        let proxy = proxy_before(&url(&redis), upstream, &[]);
        let mut wire = Wire::tcp(proxy.port());
        assert_eq!(wire.ask(&["AUTH", "little", "many"]), wrong);
        is(&mut wire, "proxy");
        assert_eq!(wire.ask(&["HELLO", "3", "AUTH", "little", "many"]), wrong);
        assert_eq!(wire.ask(&["GET", "wa:none"]), "$-1\r\n");
        let hello = wire.ask(&["HELLO", "3", "AUTH", "little", "few", "SETNAME", "me"]);
        assert!(hello.starts_with("%"), "{hello:?}");
        assert_eq!(wire.ask(&["GET", "wa:little"]), "_\r\n");
        assert!(wire.ask(&["GET", "wa:other"]).starts_with("-NOPERM "));
        is(&mut wire, "little");
        is(&mut Wire::tcp(proxy.port()), "proxy");
        // As with the server itself, a reset is to where a connection begins.
        assert_eq!(wire.ask(&["RESET"]), "+RESET\r\n");
        is(&mut wire, "proxy");
        proxy.stop();
    }
}

#[test]
fn clients_that_must_log_in_themselves_are_unauthenticated_before() {
    let unauthenticated = "-NOAUTH Authentication required.\r\n";
    for upstream in UPSTREAMS {
        let redis = server();
        let flags = ["--clients-authenticate", "--workers", "1"];
        let proxy = proxy_before(&url(&redis), upstream, &flags);
        let mut direct = Wire::tcp(redis.port());
        let mut in_already = Wire::tcp(proxy.port());
        assert_eq!(in_already.ask(&["AUTH", "proxy", "open-sesame"]), "+OK\r\n");
        assert_eq!(in_already.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        for _ in 0..3 {
            let mut wire = Wire::tcp(proxy.port());
            for words in [
                &["GET", "wa:1"][..],
                &["GET", "open:1"],
                &["MULTI"],
                &["BLPOP", "open:1", "0"],
                &["PING"],
                &["HELLO", "3"],
                &["GET", "wa:1"],
            ] {
                assert_eq!(wire.ask(words), direct.ask(words), "{upstream}: {words:?}");
            }
            assert_eq!(wire.ask(&["GET", "wa:1"]), unauthenticated);
            assert_eq!(wire.ask(&["AUTH", "little", "few"]), "+OK\r\n");
            assert!(wire.ask(&["GET", "wa:1"]).starts_with("-NOPERM "));
            assert_eq!(in_already.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
            assert_eq!(wire.ask(&["RESET"]), "+RESET\r\n");
            assert_eq!(wire.ask(&["GET", "wa:1"]), unauthenticated);
        }
        proxy.stop();
    }
}

#[test]
fn one_client_too_many_is_turned_away_until_another_leaves() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--max-connections", "3"]);
        let mut wires: Vec<Wire> = (0..3).map(|_| pair.wire()).collect();
        for wire in &mut wires {
            assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        }
        for _ in 0..5 {
            let mut wire = pair.wire();
            let told = wire.until_the_end();
            assert_eq!(told, b"-ERR max number of clients reached\r\n");
        }
        for wire in &mut wires {
            assert_eq!(wire.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
        }
        wires.pop();
        wait_until(|| {
            let mut wire = pair.wire();
            // It may be turned away before it has spoken.
            let sent = wire.try_send(&request(&["GET", "wa:1"]));
            sent.is_ok()
                && wire
                    .try_reply()
                    .is_ok_and(|reply| reply == "$8\r\namatista\r\n")
        });
    }
}
