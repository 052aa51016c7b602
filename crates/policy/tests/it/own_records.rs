//! Waxseal's own records, under `waxseal:`: requests may read them, and write them only if the operator allows it.

use waxseal_policy::{Action, Decision, ProtectedNames, Reason, decide};

use crate::{names, servers, split};

fn decided(names: &ProtectedNames, request: &str) -> Decision {
    decide(names, &split(request))
}

#[test]
fn a_request_that_writes_a_record_of_waxseals_own_is_refused() {
    for request in [
        "SET waxseal:canary v",
        "DEL waxseal:user:abc",
        "DEL log waxseal:user:abc",
        "DEL wa:1 waxseal:user:abc",
        "UNLINK waxseal:user:abc",
        "EXPIRE waxseal:keyring 1",
        "RENAME log waxseal:keyring",
        "RENAME waxseal:keyring log",
        "COPY log waxseal:keyring",
        "MSET log v waxseal:keyring v",
        "SORT log STORE waxseal:keyring",
        "GEORADIUS log 0 0 1 km STORE waxseal:keyring",
        "EVAL code 1 waxseal:keyring",
        "FCALL f 1 waxseal:keyring",
        "XREADGROUP GROUP g c STREAMS waxseal:s >",
        "FUTURE waxseal:keyring",
        "GETDEL waxseal:keyring",
        "MOVE waxseal:keyring 1",
    ] {
        let Action::Refuse(refusal) = decided(&names(), request).action else {
            panic!("{request}");
        };
        assert_eq!(refusal.reason, Reason::WritesOwnRecord, "{request}");
        let allowed = names().allow_own_writes(true);
        let action = decided(&allowed, request).action;
        let refused = matches!(action, Action::Refuse(it) if it.reason == Reason::WritesOwnRecord);
        assert!(!refused, "{request}");
    }
}

#[test]
fn a_request_that_reads_one_is_forwarded() {
    for request in [
        "GET waxseal:canary",
        "MGET log waxseal:canary",
        "EXISTS waxseal:canary",
        "TTL waxseal:canary",
        "TYPE waxseal:canary",
        "DUMP waxseal:canary",
        "OBJECT ENCODING waxseal:canary",
        "WATCH waxseal:canary",
        "SCAN 0 MATCH waxseal:*",
        "SET log waxseal:canary",
        "PUBLISH waxseal:canary v",
    ] {
        assert_eq!(
            decided(&names(), request).action,
            Action::Forward,
            "{request}"
        );
    }
}

#[test]
fn every_command_that_a_server_flags_as_writing_is_one_here() {
    let mut wrong = Vec::new();
    for (server, name) in servers::writing() {
        let row = waxseal_policy::table::rows()
            .iter()
            .find(|row| row.name == name);
        if row.expect("a row").reads {
            wrong.push(format!("{name} of {server}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
