//! Random pipelines in random pieces: no protected value is sent in clear, every request has its one
//! reply in its turn, and bytes that are not protected are the same on both sides.

use proptest::prelude::*;
use waxseal_resp::{RequestLimits, RequestScanner, Scan, write_bulk, write_request_head};

use crate::pair::{Pair, Side, from_server, reply, request};

/// Part of every protected value here, and of nothing else.
const CANARY: &str = "canary-in-clear";

/// One request, and what is sent and received for it.
#[derive(Clone, Debug)]
struct Step {
    request: Vec<u8>,
    goes_out: Out,
    answered: Vec<u8>,
    got: Got,
}

#[derive(Clone, Debug)]
enum Out {
    Unchanged,
    Changed,
    Not,
}

#[derive(Clone, Debug)]
enum Got {
    Bytes(Vec<u8>),
    Refusal,
}

fn step(line: &str, goes_out: Out, answered: &str, got: &str) -> Step {
    Step {
        request: request(line),
        goes_out,
        answered: from_server(answered),
        got: Got::Bytes(reply(got, Side::Client)),
    }
}

fn protected() -> impl Strategy<Value = Step> {
    (0..12_usize, 0..5_u8, "[a-z]{0,40}").prop_map(|(kind, name, tail)| {
        let name = format!("wa:{name}");
        let value = format!("@{name}={CANARY}{tail}");
        let field = format!("@{name}/f={CANARY}{tail}");
        let length = format!(":{}", CANARY.len() + tail.len());
        match kind {
            0 => step(&format!("SET {name} {value}"), Out::Changed, "+OK", "+OK"),
            1 => step(&format!("GET {name}"), Out::Unchanged, &value, &value),
            2 => step(&format!("STRLEN {name}"), Out::Changed, &value, &length),
            3 => step(&format!("HSET {name} f {field}"), Out::Changed, ":1", ":1"),
            4 => {
                let reply = format!("*2 'f {field}");
                step(&format!("HGETALL {name}"), Out::Unchanged, &reply, &reply)
            }
            5 => {
                let reply = format!("*3 'clear {value} $-1");
                step(
                    &format!("MGET other {name} wa:x"),
                    Out::Unchanged,
                    &reply,
                    &reply,
                )
            }
            6 => step(
                &format!("MSET other x {name} {value}"),
                Out::Changed,
                "+OK",
                "+OK",
            ),
            7 => {
                let (reply, got) = (format!("*2 'f {field}"), format!("*1 {field}"));
                step(&format!("HVALS {name}"), Out::Changed, &reply, &got)
            }
            8 => step(
                &format!("RPUSH {name} {value} {value}"),
                Out::Changed,
                ":2",
                ":2",
            ),
            9 => {
                let reply = format!("*2 '{name} {value}");
                step(&format!("BLPOP {name} 0"), Out::Unchanged, &reply, &reply)
            }
            10 => step(&format!("GET {name}"), Out::Unchanged, "$-1", "$-1"),
            _ => Step {
                request: request(&format!("PFADD {name} {CANARY}{tail}")),
                goes_out: Out::Not,
                answered: Vec::new(),
                got: Got::Refusal,
            },
        }
    })
}

fn unprotected() -> impl Strategy<Value = Step> {
    let words = [
        "SET", "get", "APPEND", "LPUSH", "EVAL", "nosuch", "XADD", "PING",
    ];
    let replies = [
        "+OK",
        "-ERR~x",
        ":7",
        "$-1",
        "*-1",
        "*0",
        "*2 'a *1 :1",
        "%1 'a *2 :1 #t",
        "_",
        ",1.5",
        "(12345678901234567890",
        "|1 'a :1 'b",
        "'text",
    ];
    let arguments = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..5);
    (
        prop::sample::select(words.to_vec()),
        arguments,
        prop::sample::select(replies.to_vec()),
    )
        .prop_filter("a protected name", |(_, arguments, _)| {
            !arguments.iter().any(|it| it.starts_with(b"wa:"))
        })
        .prop_map(|(word, arguments, reply)| {
            let mut request = Vec::new();
            write_request_head(&mut request, arguments.len() + 1);
            write_bulk(&mut request, word.as_bytes());
            arguments.iter().for_each(|it| write_bulk(&mut request, it));
            let answered = from_server(reply);
            Step {
                request,
                goes_out: Out::Unchanged,
                got: Got::Bytes(answered.clone()),
                answered,
            }
        })
}

/// Takes complete requests from the bytes sent to the server.
#[derive(Default)]
struct Server {
    received: Vec<u8>,
    answers: Vec<u8>,
}

impl Server {
    fn receive(&mut self, bytes: &[u8], expected: &mut std::slice::Iter<'_, &Step>) {
        self.received.extend_from_slice(bytes);
        let actual = |it: &[u8]| it.windows(CANARY.len()).any(|at| at == CANARY.as_bytes());
        assert!(!actual(&self.received), "a protected value in clear");
        loop {
            let mut scanner = RequestScanner::new(RequestLimits::default());
            let Ok(Scan::Complete { len }) = scanner.scan(&self.received) else {
                return;
            };
            let request: Vec<u8> = self.received.drain(..len).collect();
            let step = expected.next().expect("a request that no client sent");
            if matches!(step.goes_out, Out::Unchanged) {
                assert_eq!(request, step.request);
            } else {
                assert_ne!(request, step.request);
            }
            self.answers.extend_from_slice(&step.answered);
        }
    }
}

/// Asserts that these bytes are exactly the replies to these steps.
fn assert_got(mut got: &[u8], steps: &[Step]) {
    for (number, step) in steps.iter().enumerate() {
        match &step.got {
            Got::Bytes(bytes) => {
                assert!(got.starts_with(bytes), "reply {number} of {}", steps.len());
                got = &got[bytes.len()..];
            }
            Got::Refusal => {
                assert!(got.starts_with(b"-SEALREFUSED "), "reply {number}");
                let end = got.windows(2).position(|it| it == b"\r\n").unwrap();
                assert!(!String::from_utf8_lossy(&got[..end]).contains(CANARY));
                got = &got[end + 2..];
            }
        }
    }
    assert!(got.is_empty(), "replies to no request");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pipelines_keep_values_sealed_order_and_everything_else(
        steps in prop::collection::vec(prop_oneof![protected(), unprotected()], 1..30),
        pieces in prop::collection::vec((any::<bool>(), 1..200_usize), 1..60),
    ) {
        let sent: Vec<&Step> = steps.iter().filter(|it| !matches!(it.goes_out, Out::Not)).collect();
        let mut expected = sent.iter();
        let requests: Vec<u8> = steps.iter().flat_map(|step| step.request.clone()).collect();
        let mut requests = &requests[..];
        let mut pair = Pair::resp3();
        pair.sent();
        let mut server = Server::default();
        let mut got = Vec::new();
        let rest = [(true, usize::MAX), (false, usize::MAX)];
        for (client, size) in pieces.into_iter().chain(rest) {
            if client {
                let (now, later) = requests.split_at(size.min(requests.len()));
                requests = later;
                pair.bytes(now);
            } else {
                let size = size.min(server.answers.len());
                let now: Vec<u8> = server.answers.drain(..size).collect();
                pair.answer_bytes(&now).unwrap();
            }
            server.receive(&pair.sent(), &mut expected);
            got.extend_from_slice(pair.got().as_bytes());
        }
        prop_assert!(pair.connection.is_idle());
        prop_assert!(expected.next().is_none());
        assert_got(&got, &steps);
    }
}
