//! Requests that compute, of any arguments, on any values: no panic, no result longer than the limit, no write by a command
//! that cannot write, and replies that are RESP in both versions of the protocol.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxseal_compute::{Dialect, Operation, Protocol, Write};
use waxseal_resp::ReplyScanner;

/// No result may be longer, unless it is the value as it was.
const LIMIT: usize = 4096;

const DIALECTS: [Dialect; 4] = [
    Dialect::redis(6, 2),
    Dialect::redis(7, 0),
    Dialect::redis(8, 4),
    Dialect::valkey(8, 1),
];

// A byte that says for which server and how many lines are values; then a value or an argument in each line.
fuzz_target!(|input: &[u8]| {
    let [setup, lines @ ..] = input else {
        return;
    };
    let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
    let dialect = DIALECTS[usize::from(setup % 4)];
    let count = usize::from(setup / 4 % 3).min(lines.len());
    let (values, arguments) = lines.split_at(count);
    if arguments.is_empty() {
        return;
    }
    let values: Vec<Option<&[u8]>> = values.iter().copied().map(Some).collect();
    let Ok(operation) = Operation::parse(arguments, dialect) else {
        return;
    };
    assert!(operation.names().len() <= 2);
    let Ok(outcome) = operation.apply(&values, LIMIT) else {
        return;
    };
    if let Write::Put(value) = &outcome.write {
        let longest = values.iter().flatten().map(|value| value.len()).max();
        assert!(value.len() <= LIMIT.max(longest.unwrap_or_default()));
    }
    assert!(operation.can_write() || outcome.write == Write::Keep);
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut reply = Vec::new();
        outcome.reply.write(&mut reply, protocol);
        let scanned = ReplyScanner::new().scan(&reply).expect("a reply is RESP");
        assert!(scanned.done && scanned.used == reply.len());
    }
    // What it computes depends on nothing else.
    let again = operation.apply(&values, LIMIT);
    assert!(again.is_ok_and(|again| again == outcome));
});
