//! The known forms against those that servers accept: a request that a server would carry out on a protected record
//! is either understood or refused for a reason, but never taken for an unknown form.

use waxseal_policy::{Action, Reason, decide};
use waxseal_testing::{Flavor, RedisServer};

use crate::{names, split};

/// The beginning of a request, and words that may follow it in any order, up to three of them.
const FAMILIES: [(&str, &[&str]); 20] = [
    (
        "SET wa:s v",
        &[
            "NX",
            "XX",
            "GET",
            "EX 60",
            "PX 60000",
            "EXAT 4102444800",
            "PXAT 4102444800000",
            "KEEPTTL",
            "PERSIST",
            "IFEQ v",
            "w",
            "60",
        ],
    ),
    ("SETEX wa:s", &["60", "v", "w"]),
    ("GETSET wa:s", &["v", "w", "60"]),
    (
        "GETEX wa:s",
        &[
            "EX 60",
            "PX 60000",
            "EXAT 4102444800",
            "PXAT 4102444800000",
            "PERSIST",
            "KEEPTTL",
        ],
    ),
    ("MSET wa:s v", &["wa:t", "w", "log x"]),
    (
        "MSETEX 2 wa:s v wa:t w",
        &[
            "NX",
            "XX",
            "EX 60",
            "PX 60000",
            "EXAT 4102444800",
            "KEEPTTL",
            "PERSIST",
            "wa:u",
        ],
    ),
    ("GETRANGE wa:s", &["0", "-1", "x"]),
    ("HSET wa:h f v", &["g", "w", "h x"]),
    ("HSETNX wa:h", &["f", "v", "w"]),
    (
        "HSETEX wa:h",
        &[
            "NX",
            "XX",
            "FNX",
            "FXX",
            "EX 60",
            "PX 60000",
            "EXAT 4102444800",
            "KEEPTTL",
            "PERSIST",
            "FIELDS 1 f v",
            "FIELDS 2 f v g w",
            "FIELDS 1 f v g",
        ],
    ),
    (
        "HGETEX wa:h",
        &[
            "EX 60",
            "PX 60000",
            "PXAT 4102444800000",
            "PERSIST",
            "KEEPTTL",
            "FIELDS 1 f",
            "FIELDS 2 f g",
            "FIELDS 2 f",
        ],
    ),
    ("HGETDEL wa:h", &["FIELDS 1 f", "FIELDS 2 f g", "f"]),
    (
        "HSCAN wa:h 0",
        &[
            "MATCH *",
            "COUNT 9",
            "NOVALUES",
            "MATCH NOVALUES",
            "TYPE hash",
        ],
    ),
    ("HRANDFIELD wa:h", &["2", "-2", "WITHVALUES", "x"]),
    ("LPUSH wa:l", &["v", "w", "60"]),
    ("LSET wa:l", &["0", "v", "-1"]),
    ("LMPOP 2 wa:l wa:m", &["LEFT", "RIGHT", "COUNT 1"]),
    (
        "XADD wa:x",
        &[
            "NOMKSTREAM",
            "KEEPREF",
            "ACKED",
            "IDMP p 1-1",
            "IDMPAUTO p",
            "MAXLEN 9",
            "MAXLEN ~ 9 LIMIT 5",
            "MINID = 1",
            "* f v",
            "* f v g w",
            "99999999999999-* f v",
            "099999999999999 f v",
        ],
    ),
    ("XRANGE wa:x - +", &["COUNT 1", "COUNT 2", "x"]),
    (
        "XREAD",
        &[
            "COUNT 1",
            "BLOCK 1",
            "STREAMS wa:x 0",
            "STREAMS wa:x log 0 $",
        ],
    ),
];

#[test]
fn every_form_that_a_server_accepts_is_known() {
    for flavor in Flavor::ALL {
        let server = RedisServer::builder().flavor(flavor).start();
        let mut client = server.client();
        let mut accepted = 0;
        for (beginning, options) in FAMILIES {
            for request in sequences(beginning, options) {
                // Restores what an earlier request removed.
                client.cmd(&["HSET", "wa:h", "f", "v", "g", "w"]);
                client.cmd(&["RPUSH", "wa:l", "v", "w"]);
                client.cmd(&["DEL", "wa:x"]);
                client.cmd(&["XADD", "wa:x", "1-1", "f", "v"]);
                let arguments = split(&request);
                if client.cmd(&arguments).error().is_some() {
                    continue;
                }
                accepted += 1;
                if let Action::Refuse(refusal) = decide(&names(), &arguments).action {
                    let compares = matches!(
                        refusal.reason,
                        Reason::ComparesValue | Reason::ComparesElement
                    );
                    assert!(compares, "{request} on {flavor:?}: {refusal}");
                }
            }
        }
        assert!(accepted > 100, "{flavor:?} accepts only {accepted} of them");
    }
}

/// The beginning alone, and with one to three of the options.
fn sequences(beginning: &str, options: &[&str]) -> Vec<String> {
    let mut all = vec![beginning.to_owned()];
    let mut longest = all.clone();
    for _ in 0..3 {
        let longer = |request: &String| -> Vec<String> {
            options
                .iter()
                .map(|option| format!("{request} {option}"))
                .collect()
        };
        longest = longest.iter().flat_map(longer).collect();
        all.extend_from_slice(&longest);
    }
    all
}
