//! The time to find the row of a command, which every request takes once: common commands, subcommands and commands
//! that the table does not have. Decision 59 has the figures of the alternatives.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::Instant;

use waxseal_policy::table::find;

/// The number of rounds. The fastest is not disturbed by other programs.
const ROUNDS: usize = 4001;
/// The number of look-ups of each command in a round.
const LOOK_UPS: usize = 100;

const COMMON: &[&[&str]] = &[
    &["GET"],
    &["SET"],
    &["get"],
    &["set"],
    &["HGET"],
    &["HSET"],
    &["HGETALL"],
    &["DEL"],
    &["EXPIRE"],
    &["LPUSH"],
    &["RPUSH"],
    &["LRANGE"],
    &["SETEX"],
    &["MGET"],
    &["EXISTS"],
    &["TTL"],
    &["INCR"],
    &["SADD"],
    &["ZADD"],
    &["PING"],
    &["XADD"],
    &["EVALSHA"],
    &["MULTI"],
    &["EXEC"],
    &["PUBLISH"],
    &["BRPOP"],
];

const SUBCOMMANDS: &[&[&str]] = &[
    &["CLIENT", "SETNAME"],
    &["CLIENT", "REPLY"],
    &["config", "get"],
    &["SCRIPT", "LOAD"],
    &["XGROUP", "CREATE"],
    &["CLUSTER", "SLOTS"],
];

const UNKNOWN: &[&[&str]] = &[
    &["JSON.GET"],
    &["FT.SEARCH"],
    &["MYMODULE.X"],
    &["SETS"],
    &["TS.ADD"],
    &["BF.EXISTS"],
];

fn main() {
    for (label, requests) in [
        ("common", COMMON),
        ("subcommands", SUBCOMMANDS),
        ("unknown", UNKNOWN),
    ] {
        let requests: Vec<Vec<&[u8]>> = requests
            .iter()
            .map(|words| words.iter().map(|word| word.as_bytes()).collect())
            .collect();
        let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| nanoseconds(&requests)).collect();
        rounds.sort_by(f64::total_cmp);
        let (best, median) = (rounds[0], rounds[ROUNDS / 2]);
        println!("{label:<12} best {best:6.1} ns  median {median:6.1} ns");
    }
}

/// The time of one look-up in a round.
fn nanoseconds(requests: &[Vec<&[u8]>]) -> f64 {
    let start = Instant::now();
    for _ in 0..LOOK_UPS {
        for request in requests {
            black_box(find(black_box(request)));
        }
    }
    start.elapsed().as_nanos() as f64 / (LOOK_UPS * requests.len()) as f64
}
