//! The path of every request: no allocation for requests with one or two values.

use std::hint::black_box;

use waxseal_policy::decide;

use crate::{names, split};

#[test]
fn a_request_with_a_value_or_two_allocates_nothing() {
    let names = names();
    // The table is built when it is first used.
    let _ = decide(&names, &[b"PING"]);
    for request in [
        "GET wa:1",
        "SET wa:1 v EX 60 NX",
        "GET log",
        "SET log v",
        "HGET wa:1 f",
        "HSET wa:1 f v",
        "MSET wa:1 v wa:2 w",
        "LPUSH wa:1 v",
        "DEL wa:1",
        "EXPIRE wa:1 60",
        "CLIENT SETNAME me",
        "APPEND wa:1 v",
        "JSON.SET doc $ v",
    ] {
        let arguments = split(request);
        let counted = allocation_counter::measure(|| {
            black_box(decide(&names, &arguments));
        });
        assert_eq!(counted.count_total, 0, "{request}");
    }
}

#[test]
fn a_request_with_a_sealed_name_or_two_allocates_nothing() {
    let names = crate::sealed_names::names();
    let _ = decide(&names, &[b"PING"]);
    for request in [
        "GET wa:1",
        "SET wa:1 v EX 60 NX",
        "GET log",
        "MSET wa:1 v wa:2 w",
        "DEL wa:1",
        "EXPIRE wa:1 60",
        "RANDOMKEY",
        "KEYS wa:1",
    ] {
        let arguments = split(request);
        let counted = allocation_counter::measure(|| {
            black_box(decide(&names, &arguments));
        });
        assert_eq!(counted.count_total, 0, "{request}");
    }
}
