//! Comparison with real servers: bytes that are read as a request here are the same request there, to the
//! byte. Two readers that disagree are a way to smuggle a request past the proxy.
//!
//! The server shows what it read through a script that returns its arguments.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use waxseal_resp::{Items, Kind, ReplyScanner, RequestError, RequestLimits, RequestScanner, Scan};
use waxseal_testing::{Flavor, RedisServer};

use crate::drive::encode;
use crate::samples::{Damage, damaged, damages};

const SCRIPT: &[u8] = b"return ARGV";

/// The requests read from a stream, and the error that ended it.
struct Understood {
    requests: Vec<Vec<Vec<u8>>>,
    refused: Option<RequestError>,
}

fn understood(mut bytes: &[u8]) -> Understood {
    let mut scanner = RequestScanner::new(RequestLimits::default());
    let mut requests = Vec::new();
    let refused = loop {
        scanner.reset();
        match scanner.scan(bytes) {
            Ok(Scan::Complete { len }) => {
                let arguments = scanner.arguments(bytes);
                requests.push(arguments.iter().map(|it| it.to_vec()).collect());
                bytes = &bytes[len..];
            }
            Ok(Scan::Nothing { len }) => bytes = &bytes[len..],
            Ok(Scan::Incomplete { .. } | Scan::Large { .. }) => break None,
            Err(error) => break Some(error),
        }
    };
    Understood { requests, refused }
}

/// Returns all replies of a server to these bytes.
fn answers(server: &RedisServer, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    // At the end of the input the server closes the connection, after its last reply.
    let _ = stream.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(len) => received.extend_from_slice(&piece[..len]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    let mut answers = Vec::new();
    let mut remaining = &received[..];
    while !remaining.is_empty() {
        let progress = ReplyScanner::new().scan(remaining).unwrap();
        assert!(
            progress.done,
            "a whole answer in {}",
            received.escape_ascii()
        );
        answers.push(remaining[..progress.used].to_vec());
        remaining = &remaining[progress.used..];
    }
    answers
}

/// The arguments in a reply to the script.
fn reply_arguments(answer: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut items = Items::of(answer);
    let Kind::Array(_) = items.next().unwrap()?.kind else {
        return None;
    };
    let mut arguments = Vec::new();
    while let Some(item) = items.next().unwrap() {
        (item.kind == Kind::Bulk).then(|| arguments.push(item.text.to_vec()))?;
    }
    Some(arguments)
}

/// Compares every request that is read here with what the server has read.
fn agree(server: &RedisServer, bytes: &[u8]) -> Result<(), String> {
    let ours = understood(bytes);
    let answers = answers(server, bytes);
    let shown = bytes.escape_ascii();
    for (at, request) in ours.requests.iter().enumerate() {
        let Some(answer) = answers.get(at) else {
            return Err(format!("request {at} of \"{shown}\" was not answered"));
        };
        if answer.starts_with(b"-ERR Protocol error") {
            return Err(format!("the server refuses request {at} of \"{shown}\""));
        }
        if let [command, script, names, arguments @ ..] = &request[..]
            && (&command[..], &script[..], &names[..]) == (b"EVAL", SCRIPT, b"0")
            && reply_arguments(answer).as_deref() != Some(arguments)
        {
            let answer = answer.escape_ascii();
            return Err(format!("request {at} of \"{shown}\" was read as {answer}"));
        }
    }
    // After an error here the server may continue: the proxy does not send it those bytes.
    if ours.refused.is_none() && answers.len() != ours.requests.len() {
        return Err(format!("the server sees more in \"{shown}\""));
    }
    Ok(())
}

fn servers() -> Vec<RedisServer> {
    let flavors = Flavor::ALL.iter();
    flavors
        .map(|flavor| RedisServer::builder().flavor(*flavor).start())
        .collect()
}

/// A line that returns its arguments, and another request after it.
fn line(arguments: &[u8]) -> Vec<u8> {
    let showing = encode(&[&b"EVAL"[..], SCRIPT, b"0", b"behind"]);
    [b"EVAL 'return ARGV' 0 ", arguments, b"\r\n", &showing].concat()
}

#[test]
fn odd_inline_lines_are_read_as_servers_read_them() {
    let lines: [&[u8]; 38] = [
        b"",
        b"a",
        b"a b",
        b"  a\t\tb  ",
        b"a\x0bb",
        b"a\x0cb",
        b"a \x0bb",
        b"a\x0b \x0cb\x0c",
        b"\x0b",
        b"'a'\x0b'b'",
        b"\"a\"\x0cb",
        b"a\rb",
        b"a\r",
        b"\r\r",
        b"\"a b\"",
        b"'a b'",
        b"\"\\x41\\x4\\xzz\\x\"",
        b"\"\\n\\r\\t\\b\\a\\q\\\\\\\"\"",
        b"'\\n\\'\\\\'",
        b"''",
        b"\"\"",
        b"a\"b c\"",
        b"a'b c'",
        b"\"a\"b",
        b"'a'b",
        b"\"a",
        b"'a",
        b"\"a\\",
        b"\"a\\\"",
        b"a\\ b",
        b"\xff\xfe",
        b"*1 $4",
        b"a\nEVAL 'return ARGV' 0 b",
        b"\"a\nb\"",
        b"\"\\xff\\x00\\x0b\"",
        b"'\x0b' \"\x0c\"",
        b"wa\xff:1",
        b"'wa\xff:1'",
    ];
    for server in servers() {
        for arguments in lines {
            assert_eq!(agree(&server, &line(arguments)), Ok(()));
        }
    }
}

#[test]
fn odd_arrays_are_read_as_servers_read_them() {
    let show = "$4\r\nEVAL\r\n$11\r\nreturn ARGV\r\n$1\r\n0\r\n";
    let behind = encode(&[&b"EVAL"[..], SCRIPT, b"0", b"behind"]);
    for server in servers() {
        for (count, argument) in [
            ("*4\r\n", "$1\r\na\r\n"),
            ("*4\r\n", "$0\r\n\r\n"),
            ("*4\r\n", "$2\r\n\r\n\r\n"),
            ("*3\r\n", ""),
            ("*0\r\n*4\r\n", "$1\r\na\r\n"),
            ("*-1\r\n*-7\r\n*3\r\n", ""),
            ("\r\n\n \r\n*3\r\n", ""),
            ("*04\r\n", "$1\r\na\r\n"),
            ("*+4\r\n", "$1\r\na\r\n"),
            ("* 4\r\n", "$1\r\na\r\n"),
            ("*4 \r\n", "$1\r\na\r\n"),
            ("*-0\r\n", ""),
            ("*\r\n", ""),
            ("*4\n", "$1\r\na\r\n"),
            ("*4\ra", "$1\r\na\r\n"),
            ("*4\r\r", "$1\r\na\r\n"),
            ("*4\0\r\n", "$1\r\na\r\n"),
            ("\0*4\r\n", "$1\r\na\r\n"),
            ("*4\r\n", "$01\r\na\r\n"),
            ("*4\r\n", "$-1\r\n"),
            ("*4\r\n", "$-0\r\n\r\n"),
            ("*4\r\n", "$1\ra$"),
            ("*4\r\n", "$1\r\nabc"),
            ("*4\r\n", "$1\r\na\n\r"),
            ("*4\r\n", "$1\na\r\n"),
            ("*4\r\n", ":1\r\na\r\n"),
            ("*4\r\n", "\r\n$1\r\na\r\n"),
            ("*4\r\n", "$1\0\r\na\r\n"),
            ("*4\r\n", "$9999999999\r\na\r\n"),
            ("*4\r\n", "$99999999999999999999999\r\na\r\n"),
            ("*5\r\n", "$1\r\na\r\n"),
            ("*2147483648\r\n", "$1\r\na\r\n"),
            ("*18446744073709551620\r\n", "$1\r\na\r\n"),
            ("*4\r\n", "$18446744073709551617\r\na\r\n"),
            ("*4\r\n", "$1\r\na\r"),
        ] {
            let bytes = [
                count.as_bytes(),
                show.as_bytes(),
                argument.as_bytes(),
                &behind,
            ]
            .concat();
            assert_eq!(agree(&server, &bytes), Ok(()));
            let alone = &bytes[..bytes.len() - behind.len()];
            assert_eq!(agree(&server, alone), Ok(()));
        }
    }
}

#[test]
fn the_comparison_detects_a_difference() {
    let server = RedisServer::start();
    let answer = |bytes: &[u8]| reply_arguments(&answers(&server, bytes)[0]).unwrap();
    assert_eq!(answer(&line(b"a 'b c'")), [&b"a"[..], b"b c"]);
    let strange = understood(&line(b"a 'b c'"));
    assert!(strange.refused.is_none());
    assert_eq!(strange.requests.len(), 2);
    assert_eq!(answers(&server, &line(b"a")).len(), 2);
    let refusal = answers(&server, b"*1\r\n:1\r\n");
    assert!(refusal[0].starts_with(b"-ERR Protocol error"));
}

/// A line of letters and of every byte with a meaning.
fn odd_lines() -> impl Strategy<Value = Vec<u8>> {
    let letters = prop::sample::select(b"  \t\x0b\x0c\r\n\"\"''\\\\xab01F*$\0\xff\x80".to_vec());
    let chunks = prop_oneof![
        6 => vec(letters, 1..4),
        1 => prop::sample::select(vec![b"\\x4a".to_vec(), b"\\xff".to_vec(), b"\\x00".to_vec(), b"\\\"".to_vec(), b"\" ".to_vec()]),
    ];
    vec(chunks, 0..12).prop_map(|chunks| chunks.concat())
}

/// Consecutive requests of both kinds, then damaged.
fn odd_requests() -> impl Strategy<Value = Vec<u8>> {
    let of_arguments = vec(vec(crate::samples::odd_byte(), 0..6), 0..4).prop_map(|arguments| {
        let show = [b"EVAL".to_vec(), SCRIPT.to_vec(), b"0".to_vec()];
        encode(&[&show[..], &arguments].concat())
    });
    let one = prop_oneof![
        4 => of_arguments,
        1 => Just(b"EVAL 'return ARGV' 0 a \"b\"\r\n".to_vec()),
        1 => prop::sample::select(vec![b"\r\n".to_vec(), b"*0\r\n".to_vec(), b"*-1\r\n".to_vec()]),
    ];
    let damages = prop_oneof![damages(), Just(Vec::<Damage>::new())];
    (vec(one, 1..4), damages).prop_map(|(requests, damages)| damaged(requests.concat(), &damages))
}

/// Runs many cases on every server.
fn compare(strategy: &impl Strategy<Value = Vec<u8>>) {
    for server in servers() {
        let config = ProptestConfig {
            cases: 1_500,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let outcome = TestRunner::new(config).run(strategy, |bytes| {
            agree(&server, &bytes).map_err(TestCaseError::fail)
        });
        assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}

#[test]
fn any_inline_line_is_read_as_servers_read_it() {
    compare(&odd_lines().prop_map(|arguments| line(&arguments)));
}

#[test]
fn any_damaged_requests_are_read_as_servers_read_them() {
    compare(&odd_requests());
}
