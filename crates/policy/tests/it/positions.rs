//! The positions of record names: the table against COMMAND of the servers.

use std::collections::BTreeSet;

use waxseal_policy::table::{Names, Row, find, rows};
use waxseal_testing::{Flavor, RedisServer, Reply};

use crate::servers::{self, NamePositions};
use crate::split;

/// Commands whose names determine a slot and are not records: shard channels, a cursor.
const NAME_NO_RECORD: [&str; 4] = ["spublish", "ssubscribe", "sunsubscribe", "clusterscan"];

#[test]
fn positions_are_those_of_the_servers() {
    let mut wrong = Vec::new();
    for commands in servers::all() {
        for (name, expected) in &commands.positions {
            let row = rows().iter().find(|row| row.name == name).expect("a row");
            if !agrees(row, *expected) {
                wrong.push(format!(
                    "{name}: {expected:?} in {}, {:?} here",
                    commands.server, row.names
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Commands for which the table takes more arguments for names than the server: names after a keyword, and the
/// names of a request inside the request. `CLUSTER KEYSLOT` computes the slot of a name.
const NAMES_MORE: [&str; 5] = [
    "acl|dryrun",
    "cluster|keyslot",
    "command|getkeys",
    "command|getkeysandflags",
    "stralgo",
];

fn agrees(row: &Row, positions: NamePositions) -> bool {
    match (row.names, positions) {
        // The subcommands have rows of their own.
        (Names::Subcommands, _) => true,
        (Names::None, NamePositions::None) => true,
        (Names::None, NamePositions::Fixed { .. }) => NAME_NO_RECORD.contains(&row.name),
        (
            Names::At { first, last, step },
            NamePositions::Fixed {
                first: f,
                last: l,
                step: s,
            },
        ) => {
            // With one name there is no step.
            let steps = first as i64 == l || step as i64 == s;
            first as i64 == f && last as i64 == l && steps
        }
        (Names::At { .. }, NamePositions::Movable | NamePositions::None) => {
            NAMES_MORE.contains(&row.name)
        }
        (Names::None, NamePositions::Movable) => false,
        (_, positions) => positions == NamePositions::Movable,
    }
}

/// Requests whose names have no fixed positions, in several forms.
const MOVABLE: [&str; 48] = [
    "EVAL code 2 a b c",
    "EVAL code 0 c",
    "EVAL_RO code 1 a c",
    "EVALSHA hash 1 a",
    "EVALSHA_RO hash 3 a b c",
    "FCALL f 2 a b c",
    "FCALL_RO f 1 a",
    "LMPOP 2 a b LEFT",
    "LMPOP 1 a RIGHT COUNT 2",
    "BLMPOP 0 2 a b LEFT COUNT 1",
    "ZMPOP 2 a b MIN",
    "BZMPOP 0 1 a MAX COUNT 2",
    "SINTERCARD 2 a b LIMIT 1",
    "ZDIFF 2 a b WITHSCORES",
    "ZDIFFSTORE d 2 a b",
    "ZINTER 2 a b WEIGHTS 1 2",
    "ZINTERCARD 1 a LIMIT 2",
    "ZINTERSTORE d 1 a",
    "ZUNION 3 a b c AGGREGATE MAX",
    "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
    "MSETEX 2 a v b w EX 60",
    "MSETEX 1 a v",
    "SORT a",
    "SORT a STORE d",
    "SORT a BY x_* LIMIT 0 9 GET # GET y_* ASC ALPHA STORE d",
    "SORT a ALPHA DESC store d",
    "SORT_RO a BY nosort GET #",
    "GEORADIUS a 1 2 3 km",
    "GEORADIUS a 1 2 3 km STORE d",
    "GEORADIUS a 1 2 3 km COUNT 2 ASC STOREDIST d",
    "GEORADIUSBYMEMBER a m 3 km",
    "GEORADIUSBYMEMBER a m 3 km storedist d",
    "XREAD STREAMS a 0",
    "XREAD COUNT 2 BLOCK 9 STREAMS a b 0 0",
    "XREAD BLOCK 9 streams a b c 0 0 0",
    "XREADGROUP GROUP g c STREAMS a >",
    "XREADGROUP GROUP g c COUNT 2 BLOCK 9 NOACK STREAMS a b > >",
    "XREADGROUP GROUP STREAMS c STREAMS a >",
    "MIGRATE host 1 a 0 9",
    "MIGRATE host 1 a 0 9 COPY REPLACE",
    "MIGRATE host 1  0 9 KEYS a b",
    "MIGRATE host 1  0 9 COPY AUTH secret KEYS a b c",
    "MIGRATE host 1  0 9 REPLACE AUTH2 user secret KEYS a",
    "OBJECT ENCODING a",
    "MEMORY USAGE a SAMPLES 5",
    "XGROUP CREATE a g 0",
    "XINFO STREAM a FULL",
    "BITOP AND d a b",
];

#[test]
fn the_names_of_a_request_are_those_that_each_server_finds() {
    let mut asked = BTreeSet::new();
    for flavor in Flavor::ALL {
        let server = RedisServer::builder().flavor(flavor).start();
        let mut client = server.client();
        for request in MOVABLE {
            let arguments = split(request);
            let row = find(&arguments).expect("a row");
            let known = client
                .cmd(&[&b"COMMAND"[..], b"INFO", arguments[0]])
                .array();
            if known.iter().all(|known| *known == Reply::Nil) {
                continue;
            }
            let mut question: Vec<&[u8]> = vec![b"COMMAND", b"GETKEYS"];
            question.extend(&arguments);
            let ours: BTreeSet<&[u8]> = row
                .names
                .places(&arguments)
                .into_iter()
                .map(|at| arguments[at])
                .collect();
            let reply = client.cmd(&question);
            let theirs: BTreeSet<Vec<u8>> = match &reply {
                Reply::Array(_) => reply.array().into_iter().filter_map(Reply::bytes).collect(),
                // "The command has no key arguments"
                _ => BTreeSet::new(),
            };
            let theirs: BTreeSet<&[u8]> = theirs.iter().map(Vec::as_slice).collect();
            assert_eq!(ours, theirs, "{request} on {flavor:?}");
            asked.insert(request);
        }
    }
    assert_eq!(asked.len(), MOVABLE.len(), "some server knows each of them");
}
