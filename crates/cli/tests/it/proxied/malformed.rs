//! Malformed and endless requests of clients: each is bounded, reported, and no other client's
//! concern.

use std::io::ErrorKind;
use std::time::Duration;

use super::wire::{Wire, request};
use super::{Pair, UPSTREAMS, memory};

/// The whole proxy may take this much while it is mistreated.
const LIMIT_KIB: u64 = 64 * 1024;

/// A client beside the one that misbehaves, on the same lane if there are lanes.
struct Neighbour(Wire);

impl Neighbour {
    fn of(pair: &Pair) -> Self {
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["SET", "wa:neighbour", "quiet"]), "+OK\r\n");
        Self(wire)
    }

    #[track_caller]
    fn is_well(&mut self) {
        let value = self.0.ask(&["GET", "wa:neighbour"]);
        assert_eq!(value, "$5\r\nquiet\r\n");
    }
}

#[test]
fn bytes_that_are_no_request_end_the_connection_with_an_error() {
    let nested = "*1\r\n".repeat(100_000);
    let broken: [&[u8]; 14] = [
        nested.as_bytes(),
        b"*99999999999999999999\r\n",
        b"*2147483648\r\n",
        b"*9223372036854775807\r\n$3\r\nGET\r\n",
        b"*1\r\n$99999999999999999999\r\n",
        b"*1\r\n$9223372036854775807\r\n",
        b"*2\r\n$3\r\nSET\r\n$-1\r\n",
        b"*2\r\n$3\r\nGET\r\n$-7\r\n",
        b"*2\r\n$3\r\nGET\r\n:5\r\n",
        b"*abc\r\n",
        b"*1\r\n$0x4\r\nPING\r\n",
        b"*1\r\n*1\r\n$4\r\nPING\r\n",
        b"PING 'open\r\n",
        b"SET a \"open\"behind\r\n",
    ];
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut neighbour = Neighbour::of(&pair);
        for bytes in broken {
            let mut wire = pair.wire();
            // A good one before it is answered.
            let mut all = request(&["PING"]);
            all.extend_from_slice(bytes);
            // It may be closed before all is sent.
            let _ = wire.try_send(&all);
            assert_eq!(wire.reply(), "+PONG\r\n");
            let said = String::from_utf8(wire.until_the_end()).unwrap();
            let shown = bytes[..bytes.len().min(40)].escape_ascii();
            assert!(said.starts_with("-ERR Protocol error"), "{shown}: {said}");
            assert_eq!(said.matches("\r\n").count(), 1, "{shown}: {said}");
            neighbour.is_well();
        }
        assert!(memory(pair.proxy.pid(), "VmHWM:") < LIMIT_KIB, "{upstream}");
        pair.proxy.stop();
    }
}

#[test]
fn a_line_without_end_is_cut_early() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut neighbour = Neighbour::of(&pair);
        for start in [&b"SET open:1 "[..], b"*1", b"*2\r\n$3\r\nGET\r\n$1"] {
            let mut wire = pair.wire();
            wire.send(start);
            let piece = [b'1'; 64 * 1024];
            wire.send(&piece.repeat(3));
            let told = wire.reply();
            assert!(told.starts_with("-ERR Protocol error"), "{told:?}");
            // The rest is still sent, to a client that no longer reads.
            while wire.try_send(&piece).is_ok() {}
            neighbour.is_well();
        }
        assert!(memory(pair.proxy.pid(), "VmHWM:") < LIMIT_KIB, "{upstream}");
    }
}

#[test]
fn a_request_of_very_many_arguments_is_refused_and_the_connection_continues() {
    const ARGUMENTS: usize = 1_000_000;
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--max-value", "1MiB"]);
        let mut wire = pair.wire();
        let mut bytes = format!("*{ARGUMENTS}\r\n$4\r\nMSET\r\n").into_bytes();
        bytes.extend(b"$4\r\nname\r\n".repeat(ARGUMENTS - 1));
        wire.send(&bytes);
        wire.send(&request(&["PING"]));
        let refusal = wire.reply();
        assert!(refusal.starts_with("-SEALREFUSED MSET"), "{refusal:?}");
        assert_eq!(wire.reply(), "+PONG\r\n");
        assert_eq!(pair.redis.cli(&["EXISTS", "name"]), "0");
        assert!(memory(pair.proxy.pid(), "VmHWM:") < LIMIT_KIB, "{upstream}");
    }
}

#[test]
fn a_request_that_stays_half_sent_ends_its_connection() {
    let halves: [&[u8]; 5] = [
        b"*2\r\n$3\r\nGET\r\n$5\r\nab",
        b"*",
        b"PIN",
        b"*3\r\n$3\r\nSET\r\n$4\r\nwa:1\r\n$100\r\nab",
        // Its beginning is with the server already.
        b"*3\r\n$3\r\nSET\r\n$6\r\nopen:1\r\n$5000000\r\nab",
    ];
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--half-request", "1", "--workers", "1"]);
        let mut neighbour = Neighbour::of(&pair);
        let mut wires: Vec<_> = halves
            .iter()
            .cycle()
            .take(50)
            .map(|half| {
                let mut wire = pair.wire();
                wire.send(half);
                wire
            })
            .collect();
        let mut idle = pair.wire();
        for (wire, half) in wires.iter_mut().zip(halves.iter().cycle()) {
            let half = half.escape_ascii();
            wire.set_timeout(Duration::from_secs(10));
            let ended = wire.try_reply().map_err(|error| error.kind());
            let ended = matches!(ended, Err(ErrorKind::UnexpectedEof));
            assert!(ended, "{upstream}: {half}");
        }
        // A client that has sent no request, or whole ones, is not affected.
        neighbour.is_well();
        assert_eq!(idle.ask(&["GET", "open:1"]), "$-1\r\n");
        assert_eq!(pair.redis.cli(&["EXISTS", "wa:1", "open:1"]), "0");
    }
}

#[test]
fn a_request_may_come_in_single_bytes() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let mut wire = pair.wire();
        let requests = [
            request(&["SET", "wa:1", "amatista"]),
            b"GET wa:1\r\n".to_vec(),
            request(&["ECHO", "two"]),
        ];
        for byte in requests.concat() {
            wire.send(&[byte]);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(wire.reply(), "+OK\r\n");
        assert_eq!(wire.reply(), "$8\r\namatista\r\n");
        assert_eq!(wire.reply(), "$3\r\ntwo\r\n");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_request_leaves_nothing_behind() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut neighbour = Neighbour::of(&pair);
        let whole = request(&["SET", "wa:1", "amatista"]);
        for length in 1..whole.len() {
            let mut wire = pair.wire();
            wire.send(&whole[..length]);
            wire.finish();
            assert_eq!(wire.until_the_end(), b"", "{length}");
        }
        neighbour.is_well();
        assert_eq!(pair.redis.cli(&["EXISTS", "wa:1"]), "0");
        // With whole requests before: they are answered.
        let mut wire = pair.wire();
        wire.send(&[whole, request(&["GET", "wa:1"]), b"*1\r\n$4".to_vec()].concat());
        wire.finish();
        assert_eq!(wire.until_the_end(), b"+OK\r\n$8\r\namatista\r\n");
    }
}
