//! `CLIENT LIST` and `CLIENT KILL` mean the proxy's clients and not the connections that they share, under the names
//! and addresses that the clients have.

use std::collections::HashMap;

use waxseal_testing::{Flavor, RedisServer};

use super::counts::happens;
use super::wire::{Raw, Wire, request};
use super::{Pair, UPSTREAMS, proxy_before};
use crate::program::wait_until;

/// The lines of a list, each as its fields.
fn lines(reply: &Raw) -> Vec<HashMap<String, String>> {
    let text = String::from_utf8(reply.0.clone()).unwrap();
    let (_, text) = text.split_once("\r\n").expect("a bulk string");
    let text = text
        .trim_end()
        .strip_prefix("txt:")
        .unwrap_or(text.trim_end());
    let fields = |line: &str| {
        let fields = line.split(' ').filter_map(|field| field.split_once('='));
        fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    text.lines().map(fields).collect()
}

/// True if this is a connection that the proxy has for its status page, where no client speaks RESP3.
fn is_of_page(line: &HashMap<String, String>) -> bool {
    line["resp"] == "3" && line["name"].is_empty()
}

/// The addresses of the two connections that the proxy has for its status page, before any client has come.
fn addresses_of_page(pair: &Pair) -> Vec<String> {
    let mut server = Wire::tcp(pair.redis.port());
    let mut addresses = Vec::new();
    let have_come = happens(|| {
        let list = lines(&server.ask(&["CLIENT", "LIST"]));
        let of_page = list.iter().filter(|line| is_of_page(line));
        addresses = of_page.map(|line| line["addr"].clone()).collect();
        addresses.len() == 2
    });
    assert!(have_come, "{addresses:?}");
    addresses
}

/// A client with this name, which has done something.
#[track_caller]
fn named(pair: &Pair, name: &str) -> Wire {
    let mut wire = pair.wire();
    assert_eq!(wire.ask(&["CLIENT", "SETNAME", name]), "+OK\r\n");
    assert_eq!(wire.ask(&["SET", &format!("wa:{name}"), name]), "+OK\r\n");
    wire
}

/// True if the connection is still served.
fn is_alive(wire: &mut Wire) -> bool {
    wire.try_send(&request(&["PING"])).is_ok()
        && wire.try_reply().is_ok_and(|it| it == *"+PONG\r\n")
}

#[test]
fn each_client_is_listed_under_its_own_name_and_address_and_no_connection_under_anothers() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "2"]);
        let of_page = addresses_of_page(&pair);
        let mut wires: Vec<(String, Wire)> = ["anna", "bert", "carl", "dora"]
            .iter()
            .map(|name| ((*name).to_owned(), named(&pair, name)))
            .collect();
        for speaks in ["RESP2", "RESP3"] {
            let mut operator = match speaks {
                "RESP2" => pair.wire(),
                _ => pair.wire().resp3(),
            };
            // Nothing but clients: no lane, no spare connection. What the status page opens for a moment goes.
            let addresses: Vec<_> = wires.iter().map(|(_, wire)| wire.local_address()).collect();
            let own_address = operator.local_address();
            let mut list = Vec::new();
            wait_until(|| {
                list = lines(&operator.ask(&["CLIENT", "LIST"]));
                list.iter().all(|line| {
                    addresses.contains(&line["addr"])
                        || line["addr"] == own_address
                        || of_page.contains(&line["addr"])
                })
            });
            for (name, wire) in &mut wires {
                let of_name: Vec<_> = list.iter().filter(|it| it["name"] == *name).collect();
                assert_eq!(of_name.len(), 1, "{upstream}: {name} in {list:?}");
                assert_eq!(
                    of_name[0]["addr"],
                    wire.local_address(),
                    "{upstream}: {name}"
                );
                assert_eq!(wire.ask(&["CLIENT", "GETNAME"]), &*bulk(name), "{upstream}");
            }
            let own = lines(&operator.ask(&["CLIENT", "INFO"]));
            assert_eq!(own[0]["addr"], operator.local_address(), "{upstream}");
        }
        // What the server itself shows: no client's name is on a connection that is not its own.
        let direct = pair.redis.client().cmd(&["CLIENT", "LIST"]).to_text();
        let of_anna = direct.matches("name=anna").count();
        assert!(of_anna <= 1, "{upstream}: {direct}");
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

#[test]
fn a_client_is_killed_and_none_that_shares_its_lane() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "2"]);
        let mut operator = pair.wire();
        for form in ["address", "filter", "id", "both", "self"] {
            let mut victim = named(&pair, "victim");
            let mut others: Vec<Wire> = (0..4)
                .map(|at| named(&pair, &format!("other{at}")))
                .collect();
            let context = format!("{upstream}, {form}");
            let list = lines(&operator.ask(&["CLIENT", "LIST"]));
            let line = list
                .iter()
                .find(|it| it["name"] == "victim")
                .expect(&context);
            let (id, address) = (line["id"].as_str(), victim.local_address());
            let reply = match form {
                "address" => operator.ask(&["CLIENT", "KILL", &address]),
                "filter" => operator.ask(&["CLIENT", "KILL", "ADDR", &address, "TYPE", "normal"]),
                "id" => operator.ask(&["CLIENT", "KILL", "ID", id]),
                "both" => operator.ask(&[
                    "CLIENT", "KILL", "id", id, "skipme", "yes", "addr", &address,
                ]),
                // It is answered before it is closed.
                _ => victim.ask(&["CLIENT", "KILL", "ADDR", &address, "SKIPME", "no"]),
            };
            let expected = if form == "address" {
                "+OK\r\n"
            } else {
                ":1\r\n"
            };
            assert_eq!(reply, expected, "{context}");
            assert!(happens(|| !is_alive(&mut victim)), "{context}: it is alive");
            assert!(
                others.iter_mut().all(is_alive),
                "{context}: another was killed"
            );
            // It is gone.
            let again = operator.ask(&["CLIENT", "KILL", &address]);
            assert_eq!(again, "-ERR No such client\r\n", "{context}");
            let by_filter = operator.ask(&["CLIENT", "KILL", "ADDR", &address]);
            assert_eq!(by_filter, ":0\r\n", "{context}");
        }
    }
}

#[test]
fn filters_that_do_not_fit_kill_no_client() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut operator = pair.wire();
        let mut victim = named(&pair, "victim");
        let address = victim.local_address();
        for filters in [
            &["TYPE", "pubsub"][..],
            &["USER", "nobody"],
            &["ID", "4503599627379999"],
        ] {
            let all = [&["CLIENT", "KILL", "ADDR", &address][..], filters].concat();
            let reply = operator.ask(&all);
            let is_unknown = reply == *":0\r\n" || reply.starts_with("-ERR No such user");
            assert!(is_unknown, "{upstream}: {filters:?}: {reply:?}");
        }
        // As the server says it.
        let wrong = ["CLIENT", "KILL", "ADDR", &address, "TYPE", "odd"];
        let reply = operator.ask(&wrong);
        assert!(reply.starts_with("-ERR Unknown client type"), "{reply:?}");
        assert!(is_alive(&mut victim), "{upstream}");
    }
}

#[test]
fn a_shared_connection_is_killed_by_no_client() {
    for upstream in ["shared", "auto"] {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut others: Vec<Wire> = (0..3)
            .map(|at| named(&pair, &format!("other{at}")))
            .collect();
        let mut operator = pair.wire();
        let mine = lines(&operator.ask(&["CLIENT", "INFO"]))[0]["id"].clone();
        // What an operator sees who asks the server itself.
        let direct = pair
            .redis
            .client()
            .cmd(&["CLIENT", "LIST", "TYPE", "normal"])
            .to_text();
        let of_server = |name: &str| {
            let lines = direct.lines();
            let others = lines.filter(|line| !line.contains(&format!("id={mine} ")));
            others
                .filter(|line| !line.contains("cmd=client|list") && !line.contains("resp=3"))
                .filter_map(|line| line.split(' ').find_map(|field| field.strip_prefix(name)))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for address in of_server("addr=") {
            let reply = operator.ask(&["CLIENT", "KILL", "ADDR", &address]);
            assert_eq!(reply, ":0\r\n", "{upstream}: {address} in {direct}");
            let reply = operator.ask(&["CLIENT", "KILL", &address]);
            assert_eq!(reply, "-ERR No such client\r\n", "{upstream}");
        }
        assert!(others.iter_mut().all(is_alive), "{upstream}");
    }
}

#[test]
fn no_client_is_killed_or_named_where_the_server_does_not_allow_it() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::builder()
            .user_acl("user proxy on >open-sesame ~* &* +@all -client|kill -client|setname")
            .start();
        let url = format!("redis://proxy:open-sesame@127.0.0.1:{}/", redis.port());
        let proxy = proxy_before(&url, upstream, &["--workers", "1"]);
        let mut victim = Wire::tcp(proxy.port());
        assert!(is_alive(&mut victim));
        let mut operator = Wire::tcp(proxy.port());
        let address = victim.local_address();
        for words in [
            &["CLIENT", "KILL", &address][..],
            &["CLIENT", "KILL", "ADDR", &address],
            &["CLIENT", "KILL", "ID", "4503599627370496"],
        ] {
            let reply = operator.ask(words);
            assert!(
                reply.starts_with("-NOPERM"),
                "{upstream}: {words:?}: {reply:?}"
            );
        }
        let mut named = Wire::tcp(proxy.port());
        let reply = named.ask(&["CLIENT", "SETNAME", "me"]);
        assert!(reply.starts_with("-NOPERM"), "{upstream}: {reply:?}");
        assert!(is_alive(&mut victim), "{upstream}");
        let list = lines(&operator.ask(&["CLIENT", "LIST"]));
        assert!(
            list.iter().all(|it| it["name"].is_empty()),
            "{upstream}: {list:?}"
        );
    }
}

#[test]
fn a_list_by_identifiers_holds_those_and_no_others() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let wires: Vec<Wire> = (0..3).map(|at| named(&pair, &format!("n{at}"))).collect();
        let mut operator = pair.wire();
        let list = lines(&operator.ask(&["CLIENT", "LIST"]));
        let id = |name: &str| list.iter().find(|it| it["name"] == name).unwrap()["id"].clone();
        let some = lines(&operator.ask(&["CLIENT", "LIST", "ID", &id("n0"), &id("n2"), "99999"]));
        let mut names: Vec<_> = some.iter().map(|it| it["name"].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["n0", "n2"], "{upstream}");
        assert_eq!(wires.len(), 3);
    }
}

#[test]
fn clients_are_killed_by_name_where_the_server_knows_that() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::builder().flavor(Flavor::Valkey).start();
        let pair = Pair::before(redis, upstream, &["--workers", "2"]);
        let mut victims: Vec<Wire> = (0..3).map(|_| named(&pair, "victim")).collect();
        // One has a connection of its own.
        assert!(victims[0].ask(&["CLIENT", "ID"]).starts_with(":"));
        let mut others: Vec<Wire> = (0..3)
            .map(|at| named(&pair, &format!("other{at}")))
            .collect();
        let mut operator = pair.wire();
        let reply = operator.ask(&["CLIENT", "KILL", "NAME", "victim"]);
        assert_eq!(reply, ":3\r\n", "{upstream}");
        for victim in &mut victims {
            assert!(happens(|| !is_alive(victim)), "{upstream}");
        }
        assert!(others.iter_mut().all(is_alive), "{upstream}");
        let reply = operator.ask(&["CLIENT", "KILL", "NAME", "victim"]);
        assert_eq!(reply, ":0\r\n", "{upstream}");
    }
}

#[test]
fn filters_that_all_shared_connections_pass_kill_no_client() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::builder().flavor(Flavor::Valkey).start();
        let pair = Pair::before(redis, upstream, &["--workers", "2"]);
        let mut unnamed = pair.wire();
        assert_eq!(unnamed.ask(&["PING"]), "+PONG\r\n");
        let mut others: Vec<Wire> = (0..2)
            .map(|at| named(&pair, &format!("other{at}")))
            .collect();
        let mut operator = pair.wire();
        let address = unnamed.local_address();
        // As the server: a client without a name has no empty one.
        assert_eq!(
            operator.ask(&["CLIENT", "KILL", "NAME", ""]),
            ":0\r\n",
            "{upstream}"
        );
        for filters in [
            &["NOT-NAME", "other0"][..],
            &["TYPE", "normal", "not-addr", &address],
            &["NOT-ID", "4503599627370496", "1"],
            &["NOT-LIB-NAME", "x"],
        ] {
            let reply = operator.ask(&[&["CLIENT", "KILL"][..], filters].concat());
            assert!(
                reply.starts_with("-SEALREFUSED CLIENT KILL NOT-"),
                "{upstream}: {reply:?}"
            );
        }
        assert!(is_alive(&mut unnamed), "{upstream}");
        assert!(others.iter_mut().all(is_alive), "{upstream}");
    }
}

#[test]
fn clients_of_a_unix_socket_share_an_address_and_are_killed_together() {
    for upstream in UPSTREAMS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.sock");
        let listen = format!("unix:{}", path.display());
        let pair = Pair::with(upstream, &["--workers", "2", "--listen", &listen]);
        let mut victims: Vec<Wire> = (0..3).map(|_| Wire::unix(&path)).collect();
        assert!(victims.iter_mut().all(is_alive));
        assert!(victims[0].ask(&["CLIENT", "ID"]).starts_with(":"));
        let mut operator = Wire::unix(&path);
        let mut other = named(&pair, "other");
        let address = format!("{}:0", path.display());
        let reply = operator.ask(&["CLIENT", "KILL", "ADDR", &address]);
        assert_eq!(reply, ":3\r\n", "{upstream}");
        for victim in &mut victims {
            assert!(happens(|| !is_alive(victim)), "{upstream}");
        }
        // It spares itself by that form, and not by the other.
        assert!(is_alive(&mut operator), "{upstream}");
        assert_eq!(
            operator.ask(&["CLIENT", "KILL", &address]),
            "+OK\r\n",
            "{upstream}"
        );
        assert!(happens(|| !is_alive(&mut operator)), "{upstream}");
        assert!(is_alive(&mut other), "{upstream}");
    }
}

#[test]
fn lists_that_are_asked_for_in_one_go_come_one_after_the_other() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let wires: Vec<Wire> = (0..3).map(|at| named(&pair, &format!("n{at}"))).collect();
        let mut operator = pair.wire();
        let all = [
            request(&["CLIENT", "LIST"]).repeat(50),
            request(&["CLIENT", "KILL", "ID", "4503599627379999"]).repeat(50),
            request(&["PING"]),
        ];
        operator.send(&all.concat());
        for _ in 0..50 {
            let list = lines(&operator.reply());
            let clients = list.iter().filter(|line| !is_of_page(line)).count();
            assert_eq!(clients, wires.len() + 1, "{upstream}: {list:?}");
        }
        for _ in 0..50 {
            assert_eq!(operator.reply(), ":0\r\n", "{upstream}");
        }
        assert_eq!(operator.reply(), "+PONG\r\n", "{upstream}");
    }
}

#[test]
fn what_the_proxy_says_to_the_server_is_not_monitored() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut mover = pair.wire().resp3();
        assert_eq!(mover.ask(&["CLIENT", "SETNAME", "mover"]), "+OK\r\n");
        let mut monitor = pair.wire();
        assert_eq!(monitor.ask(&["MONITOR"]), "+OK\r\n");
        // It leaves its lane: the proxy says for it again who it is. A new client has a lane opened.
        assert!(mover.ask(&["CLIENT", "ID"]).starts_with(":"));
        let mut silent = pair.wire();
        assert_eq!(silent.ask(&["CLIENT", "REPLY", "ON"]), "+OK\r\n");
        silent.send(&[request(&["CLIENT", "REPLY", "SKIP"]), request(&["PING"])].concat());
        assert_eq!(silent.ask(&["ECHO", "end"]), "$3\r\nend\r\n");
        let mut told = Vec::new();
        while !told.iter().any(|line: &String| line.contains("\"end\"")) {
            told.push(String::from_utf8(monitor.reply().0).unwrap());
        }
        let mut said: Vec<String> = told
            .iter()
            .map(|line| {
                line.split_once("] ")
                    .unwrap()
                    .1
                    .trim_end()
                    .to_ascii_lowercase()
            })
            .collect();
        // What the status page asks the server for itself is monitored.
        let of_the_page = ["config", "dbsize", "info", "time"].map(|word| format!("\"{word}\""));
        said.retain(|line| !of_the_page.iter().any(|word| line.starts_with(word)));
        said.sort();
        let expected = [
            "\"client\" \"id\"",
            "\"client\" \"reply\" \"on\"",
            "\"echo\" \"end\"",
            "\"ping\"",
        ];
        assert_eq!(said, expected, "{upstream}");
    }
}

#[test]
fn a_name_that_servers_refuse_is_refused_in_their_words() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut direct = Wire::tcp(pair.redis.port());
        let mut wire = pair.wire();
        for name in ["a b", "\u{7f}", "ñ", "a\nb"] {
            let words = ["CLIENT", "SETNAME", name];
            assert_eq!(wire.ask(&words), direct.ask(&words), "{upstream}: {name:?}");
        }
        assert_eq!(wire.ask(&["CLIENT", "SETNAME", "me"]), "+OK\r\n");
        assert_eq!(wire.ask(&["CLIENT", "SETNAME", ""]), "+OK\r\n");
        assert_eq!(wire.ask(&["CLIENT", "GETNAME"]), "$-1\r\n", "{upstream}");
    }
}
