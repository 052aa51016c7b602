//! Values of every type, through a proxy that requires sealed ones: at no moment has the server
//! received or stored one in clear, also not while a transaction waits for its end.

use std::fs;

use waxseal_testing::{Client, Link, RedisServer};

use super::secrets::{ELEMENT, FIELD, MEMBER, VALUE};
use crate::program::Program;
use crate::proxy::Proxy;

/// Requests with planted values: `$V`, `$F`, `$E`, `$M`. None may be refused.
pub(super) const REQUESTS: &[&str] = &[
    "SET wa:s $V",
    "APPEND wa:s $V",
    "SETRANGE wa:s 3 $V",
    "GETRANGE wa:s 0 -1",
    "SETBIT wa:s 7 1",
    "SET wa:n 7001",
    "INCRBY wa:n 5",
    "INCRBYFLOAT wa:n 0.5",
    "HSET wa:h a $F n 5",
    "HINCRBY wa:h n 3",
    "HGETALL wa:h",
    "RPUSH wa:l $E $E",
    "LRANGE wa:l 0 -1",
    "SORT wa:l ALPHA",
    "SORT wa:l ALPHA DESC STORE wa:sorted",
    "LRANGE wa:sorted 0 -1",
    "RPUSH wa:ids 1 2",
    "MSET wa:weight:1 2 wa:text:1 $V",
    "HSET wa:about:2 name $F",
    "SORT wa:ids BY wa:weight:* GET wa:text:* GET wa:about:*->name STORE wa:sorted",
    "SADD wa:t $M one",
    "SORT wa:t BY nosort STORE wa:sorted",
    "SISMEMBER wa:t $M",
    "SMEMBERS wa:t",
    "SSCAN wa:t 0 MATCH *$M*",
    "SREM wa:t $M",
    "ZADD wa:z 1 $M 2 two",
    "ZINCRBY wa:z 5 $M",
    "ZSCORE wa:z $M",
    "ZRANGE wa:z 0 -1 WITHSCORES",
    "ZPOPMAX wa:z",
    "GEOADD wa:g 2.1 41.3 $M",
    "GEOPOS wa:g $M",
    "GEOSEARCH wa:g FROMLONLAT 2 41 BYRADIUS 200 km ASC",
    "XADD wa:x * field $V",
    "XRANGE wa:x - +",
    "XGROUP CREATE wa:x group 0",
    "XREADGROUP GROUP group one STREAMS wa:x >",
];

/// Requests within a transaction.
pub(super) const QUEUED: &[&str] = &[
    "SET wa:s $V",
    "HSET wa:h a $F",
    "RPUSH wa:l $E",
    "SADD wa:t $M",
    "ZADD wa:z 3 $M",
    "XADD wa:x * field $V",
    "SORT wa:l ALPHA",
    "GET wa:s",
];

/// The secrets in them.
const PLANTED: [&str; 4] = [VALUE, FIELD, ELEMENT, MEMBER];

pub(super) fn words(line: &str) -> Vec<String> {
    let word = |word: &str| {
        let places = [
            ("$V", VALUE),
            ("$F", FIELD),
            ("$E", ELEMENT),
            ("$M", MEMBER),
        ];
        let filled = places.iter();
        filled.fold(word.to_owned(), |word, (place, text)| {
            word.replace(place, text)
        })
    };
    line.split(' ').map(word).collect()
}

/// Everything that a server has written to its directory so far.
pub(super) fn files(client: &mut Client) -> Vec<u8> {
    let directory = client.cmd(&["CONFIG", "GET", "dir"]).array().remove(1);
    let mut directories = vec![directory.to_text()];
    let mut bytes = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path.to_string_lossy().into_owned());
            } else {
                bytes.extend(fs::read(path).unwrap());
            }
        }
    }
    bytes
}

#[track_caller]
fn assert_sealed(what: &str, bytes: &[u8]) {
    for secret in PLANTED {
        let mut windows = bytes.windows(secret.len());
        assert!(
            !windows.any(|it| it == secret.as_bytes()),
            "{secret} is in {what}"
        );
    }
}

#[test]
fn no_value_of_any_type_reaches_the_server_in_clear() {
    let builder = RedisServer::builder().append_only();
    let redis = builder.arg("rdbcompression", "no").start();
    let mut behind = redis.client();
    let mut monitor = Link::connect(redis.port());
    assert!(!monitor.ask(&["MONITOR"]).unwrap().is_error());
    let program = Program::at(&redis).env("ENABLE_REDIS_ENCRYPTION", "required");
    let config = "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\nwrite_version = 3\n\
                  plain_values = \"any\"\n";
    let program = program.file("waxseal.toml", config);
    let proxy = Proxy::start_configured(&program, &[]);
    let mut client = proxy.client();
    let mut ask = |line: &str| {
        let reply = client.cmd(&words(line));
        assert!(reply.error().is_none(), "{line}: {reply:?}");
        assert_sealed(line, &files(&mut behind));
    };
    REQUESTS.iter().for_each(|line| ask(line));
    for end in ["DISCARD", "EXEC"] {
        ask("MULTI");
        QUEUED.iter().for_each(|line| ask(line));
        ask(end);
    }
    behind.cmd(&["SAVE"]);
    assert_sealed("the dump", &files(&mut behind));
    behind.cmd(&["ECHO", "the end"]);
    let mut requests = 0;
    loop {
        let request = monitor
            .reply(std::time::Duration::from_secs(5))
            .unwrap()
            .text;
        assert_sealed("a request", &request);
        if request.ends_with(b"\"the end\"") {
            break;
        }
        requests += 1;
    }
    assert!(requests > REQUESTS.len(), "the monitor saw nothing");
    proxy.stop();
}

#[test]
fn values_in_clear_would_be_found() {
    let redis = RedisServer::builder().append_only().start();
    let mut client = redis.client();
    for line in REQUESTS {
        client.cmd(&words(line));
    }
    let bytes = files(&mut client);
    for secret in PLANTED {
        assert!(
            bytes
                .windows(secret.len())
                .any(|it| it == secret.as_bytes())
        );
    }
}
