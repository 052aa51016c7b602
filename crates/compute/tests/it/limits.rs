//! What is too long is refused before it is allocated: by the server's limit with the server's error, by the caller's
//! with another.

use waxseal_compute::{ApplyError, Dialect, Operation, Outcome, Rejected, ServerError, Write};

use crate::wire::{command, servers};

const LIMIT: usize = 1_000;

fn operation(arguments: &[&str], dialect: Dialect) -> Operation {
    let arguments: Vec<&[u8]> = arguments.iter().map(|it| it.as_bytes()).collect();
    Operation::parse(&arguments, dialect).unwrap()
}

/// Applies and counts what is allocated meanwhile.
fn apply(operation: &Operation, value: Option<&[u8]>) -> (Result<Outcome, ApplyError>, u64) {
    let mut result = None;
    let measured = allocation_counter::measure(|| {
        result = Some(operation.apply(&[value], LIMIT));
    });
    (result.unwrap(), measured.bytes_max)
}

#[test]
fn a_result_beyond_the_limit_is_refused_before_it_is_allocated() {
    let dialect = Dialect::redis(7, 0);
    let old = vec![b'a'; LIMIT];
    for (arguments, bytes) in [
        (vec!["setrange", "k", "536870911", "x"], 536_870_912),
        (vec!["setrange", "k", "1000", "x"], 1_001),
        (vec!["setbit", "k", "4294967295", "1"], 536_870_912),
        (vec!["setbit", "k", "8000", "0"], 1_001),
        (
            vec!["bitfield", "k", "set", "i64", "4294967295", "1"],
            536_870_920,
        ),
        (
            vec![
                "bitfield", "k", "overflow", "fail", "incrby", "u1", "8000", "9",
            ],
            1_001,
        ),
        (vec!["append", "k", "x"], 1_001),
    ] {
        let operation = operation(&arguments, dialect);
        let (result, allocated) = apply(&operation, Some(&old));
        let limit = u64::try_from(LIMIT).unwrap();
        assert_eq!(
            result,
            Err(ApplyError::TooLarge { bytes, limit }),
            "{arguments:?}"
        );
        assert_eq!(allocated, 0, "{arguments:?}");
    }
}

#[test]
fn a_result_as_long_as_the_limit_is_computed() {
    let dialect = Dialect::redis(7, 0);
    let old = vec![b'a'; LIMIT];
    for arguments in [
        vec!["setrange", "k", "999", "x"],
        vec!["setbit", "k", "7999", "0"],
        vec!["bitfield", "k", "set", "u8", "7992", "1"],
    ] {
        let operation = operation(&arguments, dialect);
        let Ok(outcome) = operation.apply(&[Some(&old)], LIMIT) else {
            panic!("{arguments:?} is refused");
        };
        let Write::Put(new) = outcome.write else {
            panic!("{arguments:?} writes nothing");
        };
        assert_eq!(new.len(), LIMIT, "{arguments:?}");
        assert_eq!(new[..LIMIT - 1], old[..LIMIT - 1]);
    }
    // A value that is longer already can still be read.
    let (result, _) = apply(&operation(&["strlen", "k"], dialect), Some(&[0; LIMIT + 1]));
    assert!(result.is_ok());
}

#[test]
fn the_limit_of_the_server_has_the_error_of_the_server() {
    let small = "1048576";
    for server in servers() {
        let mut client = server.process.client();
        assert_eq!(
            client
                .cmd(&["CONFIG", "SET", "proto-max-bulk-len", small])
                .to_text(),
            "OK"
        );
        let dialect = server.dialect.with_max_bulk(small.parse().unwrap());
        client.cmd(&["SET", "k", "value"]);
        for arguments in [
            vec!["setrange", "k", "1048576", "x"],
            vec!["setrange", "k", "1048575", "x"],
            vec!["setrange", "k", "9223372036854775807", "x"],
            vec!["setbit", "k", "8388608", "1"],
            vec!["getbit", "k", "8388608"],
            vec!["getbit", "k", "8388607"],
            vec!["bitfield", "k", "get", "u8", "8388608"],
            vec!["bitfield", "k", "get", "u8", "#1048576"],
            vec!["bitfield", "k", "get", "u8", "#1048575"],
        ] {
            let theirs = client.cmd(&command(&arguments));
            let bytes: Vec<&[u8]> = arguments.iter().map(|it| it.as_bytes()).collect();
            let ours = match Operation::parse(&bytes, dialect) {
                Err(Rejected::Arguments(error)) => Some(error.to_string()),
                Err(other) => panic!("{arguments:?}: {other}"),
                Ok(operation) => match operation.apply(&[Some(b"value")], 2 << 20) {
                    Err(ApplyError::Server(error)) => Some(error.to_string()),
                    Err(other) => panic!("{arguments:?}: {other}"),
                    Ok(_) => None,
                },
            };
            assert_eq!(ours.as_deref(), theirs.error(), "{arguments:?}");
        }
        if Operation::parse(&[b"lcs", b"a", b"b"], dialect).is_err() {
            continue;
        }
        // 513 times 512 entries of 4 bytes exceed 1 MiB, 512 times 512 do not.
        for (first, second) in [(512, 511), (511, 511)] {
            let (first, second) = ("a".repeat(first), "a".repeat(second));
            client.cmd(&["MSET", "a", &first, "b", &second]);
            let theirs = client.cmd(&["LCS", "a", "b", "LEN"]);
            let operation = operation(&["lcs", "a", "b", "len"], dialect);
            let ours = operation.apply(&[Some(first.as_bytes()), Some(second.as_bytes())], LIMIT);
            let error = ours.as_ref().err().map(ToString::to_string);
            assert_eq!(error.as_deref(), theirs.error());
        }
    }
}

#[test]
fn a_table_of_common_subsequences_is_bounded_whatever_the_server_allows() {
    let dialect = Dialect::redis(7, 0).with_max_bulk(u64::MAX);
    let long = vec![b'a'; 20_000];
    let compare = operation(&["lcs", "a", "b"], dialect);
    let mut result = None;
    let measured = allocation_counter::measure(|| {
        result = Some(compare.apply(&[Some(&long), Some(&long)], usize::MAX));
    });
    assert!(matches!(result, Some(Err(ApplyError::TooLarge { .. }))));
    assert_eq!(measured.bytes_max, 0);
    // By default it is the server that refuses.
    let compare = operation(&["lcs", "a", "b"], Dialect::redis(7, 0));
    let result = compare.apply(&[Some(&long), Some(&long)], usize::MAX);
    assert_eq!(result, Err(ServerError::LcsMemory.into()));
}
