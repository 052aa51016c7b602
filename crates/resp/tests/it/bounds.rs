//! Every bound: input at the bound is accepted, and input beyond it is refused before bytes of that
//! size are received.

use waxseal_resp::{
    MAX_BULK_LEN, Progress, ReplyError, ReplyScanner, RequestError, RequestLimits, Scan,
};

use crate::drive::{reply, request};

fn scan(bytes: &[u8], limits: RequestLimits) -> Result<Scan, RequestError> {
    request(bytes, &[], limits).scan
}

fn incomplete(bytes: &[u8]) -> Result<Scan, RequestError> {
    Ok(Scan::Incomplete {
        at_least: bytes.len() + 1,
    })
}

#[test]
fn the_number_of_arguments_is_bounded() {
    let limits = RequestLimits {
        arguments: 3,
        ..RequestLimits::default()
    };
    for count in ["1", "2", "3"] {
        let bytes = format!("*{count}\r\n");
        assert_eq!(scan(bytes.as_bytes(), limits), incomplete(bytes.as_bytes()));
    }
    for count in ["4", "1048577", "2147483648", "9223372036854775807"] {
        let bytes = format!("*{count}\r\n");
        assert_eq!(scan(bytes.as_bytes(), limits), Err(RequestError::Count));
    }
    let default = RequestLimits::default();
    for (count, expected) in [
        ("1048577", None),
        ("2147483647", None),
        ("2147483648", Some(RequestError::Count)),
    ] {
        let bytes = format!("*{count}\r\n");
        let expected = expected.map_or_else(|| incomplete(bytes.as_bytes()), Err);
        assert_eq!(scan(bytes.as_bytes(), default), expected);
    }
}

#[test]
fn the_length_of_an_argument_is_bounded() {
    let default = RequestLimits::default();
    assert_eq!(default.argument, MAX_BULK_LEN);
    assert_eq!(
        scan(b"*1\r\n$536870912\r\n", default),
        Ok(Scan::Large {
            length: MAX_BULK_LEN
        })
    );
    assert_eq!(
        scan(b"*1\r\n$536870913\r\n", default),
        Err(RequestError::Length)
    );
    let limits = RequestLimits {
        argument: 5,
        held: 4,
        ..default
    };
    assert_eq!(
        scan(b"*1\r\n$4\r\n", limits),
        Ok(Scan::Incomplete { at_least: 14 })
    );
    assert_eq!(scan(b"*1\r\n$5\r\n", limits), Ok(Scan::Large { length: 5 }));
    assert_eq!(scan(b"*1\r\n$6\r\n", limits), Err(RequestError::Length));
    // A limit that no machine could hold does not overflow.
    let limits = RequestLimits {
        argument: u64::MAX,
        held: u64::MAX,
        ..default
    };
    let found = scan(b"*1\r\n$9223372036854775807\r\nabc", limits);
    assert!(matches!(found, Ok(Scan::Incomplete { .. })), "{found:?}");
}

#[test]
fn the_length_of_an_inline_line_is_bounded() {
    let limits = RequestLimits {
        inline: 10,
        ..RequestLimits::default()
    };
    let nine = b"PING 6789";
    assert_eq!(scan(nine, limits), incomplete(nine));
    for line in [&b"PING 6789\n"[..], b"PING 678\r\nmore"] {
        for cut in 0..line.len() {
            let found = request(line, &[cut], limits);
            assert_eq!(found.complete(), Some(10));
        }
    }
    for line in [&b"PING 6789a"[..], b"PING 6789a\n", b"PING 6789\r\n"] {
        for cut in 0..line.len() {
            let found = request(line, &[cut], limits);
            assert_eq!(found.scan, Err(RequestError::InlineLength));
        }
    }
    let mut line = vec![b'a'; 64 * 1024 - 1];
    let every: Vec<usize> = (0..line.len()).collect();
    assert_eq!(
        request(&line, &every, RequestLimits::default()).scan,
        incomplete(&line)
    );
    line.push(b'\n');
    assert_eq!(
        request(&line, &[], RequestLimits::default()).complete(),
        Some(64 * 1024)
    );
    line.insert(0, b'a');
    let found = scan(&line, RequestLimits::default());
    assert_eq!(found, Err(RequestError::InlineLength));
}

#[test]
fn the_length_of_a_line_with_a_number_is_bounded() {
    for text in [
        "01",
        "+1",
        "-0",
        " 1",
        "1 ",
        "",
        "-",
        "1\0",
        "9223372036854775808",
    ] {
        let count = format!("*{text}\r\n");
        let expected = Err(RequestError::Count);
        assert_eq!(scan(count.as_bytes(), RequestLimits::default()), expected);
        let length = format!("*1\r\n${text}\r\n");
        let expected = Err(RequestError::Length);
        assert_eq!(scan(length.as_bytes(), RequestLimits::default()), expected);
        for first in "$*%~>|=!".chars() {
            let head = format!("{first}{text}\r\n");
            assert_eq!(
                reply(head.as_bytes(), &[]),
                Err(ReplyError::Length),
                "{head:?}"
            );
        }
    }
    for (line, cuts) in [
        (&[b'1'; 32][..], vec![]),
        (&[b'1'; 80][..], (0..80).collect()),
    ] {
        let count = [b"*", line].concat();
        let length = [b"*1\r\n$", line].concat();
        let found = request(&count, &cuts, RequestLimits::default());
        assert_eq!(found.scan, Err(RequestError::CountLine));
        let found = request(&length, &cuts, RequestLimits::default());
        assert_eq!(found.scan, Err(RequestError::LengthLine));
        assert_eq!(reply(&count, &cuts), Err(ReplyError::LineEnd));
    }
    for line in [&b"*1\ra"[..], b"*1\r\r\n", b"*1\r*"] {
        assert_eq!(
            scan(line, RequestLimits::default()),
            Err(RequestError::CountLine)
        );
    }
    let line_feed_alone = b"*1\n$4\nPING\n";
    assert_eq!(
        scan(line_feed_alone, RequestLimits::default()),
        incomplete(line_feed_alone)
    );
}

#[test]
fn the_counts_and_lengths_of_a_reply_are_bounded() {
    for fine in [
        "*4294967296",
        "%4294967296",
        "|4294967296",
        "$1099511627776",
    ] {
        let seen = Progress {
            used: fine.len() + 2,
            done: false,
        };
        assert_eq!(
            reply(format!("{fine}\r\n").as_bytes(), &[]),
            Ok(seen),
            "{fine}"
        );
    }
    for over in [
        "*4294967297",
        "~4294967297",
        ">4294967297",
        "%4294967297",
        "|4294967297",
        "$1099511627777",
        "=1099511627777",
        "!9223372036854775807",
        "$-2",
        "*-2",
        "%-1",
        "~-1",
        ">-1",
        "|-1",
        "=-1",
        "!-1",
    ] {
        let bytes = format!("{over}\r\n");
        assert_eq!(
            reply(bytes.as_bytes(), &[]),
            Err(ReplyError::Length),
            "{over}"
        );
    }
}

#[test]
fn the_nesting_of_a_reply_is_bounded() {
    for head in [
        "*1\r\n",
        "~1\r\n",
        ">1\r\n",
        "|0\r\n",
        "%1\r\n+a\r\n",
        "*2\r\n:1\r\n",
    ] {
        for depth in [64, 65, 8_000, 16 * 1024] {
            let deep = head.repeat(depth) + ":1\r\n";
            let seen = Progress {
                used: deep.len(),
                done: true,
            };
            assert_eq!(reply(deep.as_bytes(), &[]), Ok(seen), "{head:?}");
        }
        let deeper = head.repeat(16 * 1024 + 1);
        assert_eq!(
            reply(deeper.as_bytes(), &[]),
            Err(ReplyError::Depth),
            "{head:?}"
        );
    }
    // Empty arrays open nothing.
    let whole = "*1\r\n".repeat(64) + "*0\r\n";
    let seen = Progress {
        used: whole.len(),
        done: true,
    };
    assert_eq!(reply(whole.as_bytes(), &[]), Ok(seen));
}

#[test]
fn a_million_arrays_in_arrays_cost_nothing() {
    for head in ["*1\r\n", "%1\r\n", "|1\r\n", "*2\r\n"] {
        let deep = head.repeat(1_000_000);
        assert_eq!(reply(deep.as_bytes(), &[]), Err(ReplyError::Depth));
        let mut items = waxseal_resp::Items::of(deep.as_bytes());
        assert!(items.skip().is_err());
    }
}

#[test]
fn long_lines_and_wide_arrays_pass_byte_by_byte() {
    let line = [&b"+"[..], &vec![b'x'; 500_000], b"\r\n"].concat();
    let wide = [&b"*200000\r\n"[..], &b":1\r\n".repeat(200_000)].concat();
    let long = [&b"$500000\r\n"[..], &vec![b'\r'; 500_000], b"\r\n"].concat();
    for bytes in [line, wide, long] {
        let every: Vec<usize> = (0..bytes.len()).collect();
        let seen = Progress {
            used: bytes.len(),
            done: true,
        };
        assert_eq!(reply(&bytes, &every), Ok(seen));
    }
}

#[test]
fn an_unknown_type_is_refused_at_its_first_byte() {
    for first in 0..=u8::MAX {
        let known = b"+-:_,#($*=!%~>|".contains(&first);
        let progress = ReplyScanner::new().scan(&[first]);
        assert_eq!(progress.is_ok(), known, "{first}");
        let nested = ReplyScanner::new().scan(&[b'*', b'1', b'\r', b'\n', first]);
        assert_eq!(nested.is_ok(), known, "{first}");
    }
}
