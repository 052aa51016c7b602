//! The programs that come with Redis: `redis-cli` in its ways of working, and `redis-benchmark`.

use std::process::Command;

use waxseal_testing::clients::finish;
use waxseal_testing::tools::on_path;

use super::{open, proves_drop_in, secret};

#[test]
fn redis_cli_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| cli_session(port, "-2"));
}

#[test]
fn redis_cli_with_resp3_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| cli_session(port, "-3"));
}

#[test]
fn redis_benchmark_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(benchmark_session);
}

/// Everything that it printed.
fn cli_session(port: u16, protocol: &str) -> String {
    let cli = |flags: &[&str], input: &[u8]| {
        let mut command = Command::new(on_path("redis-cli"));
        command
            .args(["-p", &port.to_string(), protocol])
            .args(flags);
        finish(command, input)
    };
    let mut seen = cli(&["--no-raw"], commands().as_bytes());
    for word in ["uno", "tarea", "campo"] {
        assert!(seen.contains(&format!("amatista {word}")), "{seen}");
    }
    // The last argument from the input; every byte comes back.
    let bytes: Vec<u8> = b"amatista ".iter().copied().chain(0..=255).collect();
    seen += &cli(&["-x", "SET", "wa:c:bin"], &bytes);
    seen += &cli(&["--no-raw", "GET", "wa:c:bin"], b"");
    assert!(seen.contains(r"\xfe\xff"), "{seen}");
    // A command again and again.
    seen += &cli(&["-r", "5", "INCR", "rate:c"], b"");
    // Mass insertion: requests in the protocol itself, replies only counted.
    seen += &mass_insertion(&cli(&["--pipe"], &requests()));
    seen += &cli(
        &["--eval", "/dev/stdin", "open:c:1", ",", "x"],
        b"return {KEYS[1], ARGV[1]}",
    );
    let scanned = cli(&["--scan", "--pattern", "wa:c:m*"], b"");
    let mut names: Vec<_> = scanned.lines().collect();
    names.sort_unstable();
    assert_eq!(names.len(), 100);
    seen += &names.join("\n");
    // Sizes are those of the values, not of the envelopes.
    let sizes = cli(&["--bigkeys", "--pattern", "wa:c:*"], b"");
    let is_total = |line: &&str| line.starts_with(|it: char| it.is_ascii_digit());
    // Shares are of all records, and Waxseal has one of its own.
    let total = |line: &str| line.split(" (").next().unwrap_or_default().to_owned();
    let totals: Vec<_> = sizes.lines().filter(is_total).map(total).collect();
    assert!(!totals.is_empty(), "{sizes}");
    seen + "\n" + &totals.join("\n")
}

fn commands() -> String {
    let (secret, open) = (|text| quoted(&secret(text)), |text| quoted(&open(text)));
    let lines = [
        format!("SET wa:c:1 {} EX 3600", secret("uno")),
        "GET wa:c:1".to_owned(),
        "STRLEN wa:c:1".to_owned(),
        "GETRANGE wa:c:1 0 7".to_owned(),
        format!("set wa:c:1 {} keepttl get", secret("dos")),
        format!("MSET wa:c:2 {} open:c:1 {}", secret("tres"), open("uno")),
        "MGET wa:c:2 nobody open:c:1".to_owned(),
        "GETDEL wa:c:2".to_owned(),
        "GET wa:c:2".to_owned(),
        // One field only: the order of several is the server's affair, and depends on sizes.
        format!("HSET wa:c:h f {}", secret("campo")),
        "HGETALL wa:c:h".to_owned(),
        format!("HSET wa:c:h f {} g {}", secret("campo"), secret("otro")),
        "HMGET wa:c:h g nada f".to_owned(),
        format!(
            "RPUSH wa:c:l {} {} {}",
            secret("a"),
            secret("b"),
            secret("c")
        ),
        "LRANGE wa:c:l 0 -1".to_owned(),
        "LPOP wa:c:l 2".to_owned(),
        format!("HSET open:c:h a {}", open("a")),
        "HGETALL open:c:h".to_owned(),
        "INCR open:c:n".to_owned(),
        format!("LPUSH open:c:1 {}", open("WRONGTYPE")),
        format!("SET lock:wa:c:1 {} NX PX 60000", open("dueño")),
        "MULTI".to_owned(),
        format!("SET wa:c:t {}", secret("antes")),
        "GET wa:c:t".to_owned(),
        "LRANGE wa:c:l 0 -1".to_owned(),
        "EXEC".to_owned(),
        "MULTI".to_owned(),
        "GET wa:c:t".to_owned(),
        "DISCARD".to_owned(),
        format!("RPUSH wa:c:q {}", secret("tarea")),
        "BLPOP wa:c:q 1".to_owned(),
        "BLPOP wa:c:q 0.01".to_owned(),
        "SELECT 1".to_owned(),
        format!("SET wa:c:db1 {}", secret("uno")),
        "GET wa:c:1".to_owned(),
        "SELECT 0".to_owned(),
        "TYPE wa:c:h".to_owned(),
        "NOSUCHCOMMAND at all".to_owned(),
        "GET".to_owned(),
        "ECHO hola".to_owned(),
        "PING".to_owned(),
    ];
    lines.join("\n") + "\n"
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn requests() -> Vec<u8> {
    let request = |i: usize| {
        let (name, value) = (format!("wa:c:m{i}"), secret(&format!("m{i}")));
        let lengths = (name.len(), value.len());
        format!(
            "*3\r\n$3\r\nSET\r\n${}\r\n{name}\r\n${}\r\n{value}\r\n",
            lengths.0, lengths.1
        )
    };
    (0..100).map(request).collect::<String>().into_bytes()
}

/// The count of replies: the rest speaks of the last one, which is random.
fn mass_insertion(said: &str) -> String {
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(last, "errors: 0, replies: 100");
    format!("{last}\n")
}

fn benchmark_session(port: u16) -> String {
    let benchmark = |arguments: &[&str]| {
        let mut command = Command::new(on_path("redis-benchmark"));
        command.args(["-p", &port.to_string(), "--csv", "-c", "20"]);
        command.args(arguments);
        // Only which tests were run: how fast they were is another matter.
        let said = finish(command, b"");
        let tests = said
            .lines()
            .filter_map(|line| Some(line.split_once("\",")?.0.to_owned()));
        tests.collect::<Vec<_>>().join("\n") + "\n"
    };
    let tests = "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset";
    let (value, other) = (secret("carga"), open("carga"));
    let mut seen = benchmark(&["-t", tests, "-n", "1000", "-d", "64"]);
    seen += &benchmark(&["-t", "set,get,lpush,hset", "-n", "2000", "-P", "16", "-3"]);
    for pipeline in ["1", "16"] {
        let many = |words: &[&str]| {
            let flags = ["-n", "2000", "-r", "20", "-P", pipeline];
            benchmark(&[&flags[..], words].concat())
        };
        seen += &many(&["SET", "wa:p:__rand_int__", &value, "EX", "3600"]);
        seen += &many(&["GET", "wa:p:__rand_int__"]);
        seen += &many(&["HSET", "wa:p:h", "f__rand_int__", &value]);
        seen += &many(&["LPUSH", "wa:p:l", &value]);
        seen += &many(&["LRANGE", "wa:p:l", "0", "9"]);
        seen += &many(&["SET", "open:p:__rand_int__", &other]);
    }
    assert_eq!(seen.matches("LPUSH").count(), 5, "{seen}");
    seen
}
