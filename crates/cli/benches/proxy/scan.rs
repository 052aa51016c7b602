//! The time that a client needs to go through all names with `SCAN`, sealed and plain. Each side has a Redis of its own: a
//! server that held the names of both would make each go through the other's.

use std::time::Instant;

use waxseal_testing::{Client, RedisServer, Reply};

use crate::cells::record_name;
use crate::options::Options;
use crate::report::{Bar, Limit};
use crate::rounds::Spread;
use crate::sides::{Running, Side};

const RECORDS: usize = 1_000_000;
const RECORDS_QUICK: usize = 10_000;
/// The names that a client asks for at once.
const COUNT: &str = "1000";
/// Requests that write records, in one pipeline.
const WRITTEN_AT_ONCE: usize = 10_000;

/// Records that Waxseal keeps for itself begin so.
const OWN: &[u8] = b"waxseal:";

/// The maximum ratio of the time with sealed names to the time with plain ones.
const MAX_RATIO: f64 = 1.5;

/// One side with its Redis.
struct Place {
    running: Running,
    _redis: RedisServer,
}

pub(crate) fn measure(options: &Options) -> Vec<Bar> {
    let records = match options.rounds {
        1 => RECORDS_QUICK,
        _ => RECORDS,
    };
    println!("\nscan: SCAN 0 COUNT {COUNT} through {records} records");
    let [plain, sealed] = [Side::Waxseal, Side::WaxsealNames].map(|side| Place::new(side, records));
    let mut ratios = Vec::new();
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..options.rounds {
        // The side that goes second finds a machine that the first has warmed.
        let seconds = match round % 2 {
            0 => [&plain, &sealed].map(|place| place.scan(records)),
            _ => {
                let sealed = sealed.scan(records);
                [plain.scan(records), sealed]
            }
        };
        ratios.push(seconds[1] / seconds[0]);
        times
            .iter_mut()
            .zip(seconds)
            .for_each(|(times, it)| times.push(it));
    }
    for (side, times) in [Side::Waxseal, Side::WaxsealNames].iter().zip(times) {
        if let Some(spread) = Spread::of(times.into_iter()) {
            println!(
                "{side:<18} {:>6.2} s, {:.2} to {:.2}",
                spread.median, spread.min, spread.max
            );
        }
    }
    let ratio = Spread::of(ratios.into_iter()).map(|spread| spread.median);
    let what = format!("scan, time with sealed names over plain ones, {records} records");
    let bar = Bar::new(what, ratio, Limit::AtMost(MAX_RATIO));
    bar.print();
    vec![bar]
}

impl Place {
    fn new(side: Side, records: usize) -> Self {
        let redis = RedisServer::start();
        let running = Running::start(side, redis.port(), &[]).expect("Waxseal comes up");
        let mut client = Client::connect(running.port).expect("the side accepts connections");
        let numbers: Vec<usize> = (0..records).collect();
        for numbers in numbers.chunks(WRITTEN_AT_ONCE) {
            let requests: Vec<_> = numbers
                .iter()
                .map(|number| ["SET".to_owned(), record_name(*number), "x".to_owned()])
                .collect();
            let replies = client.pipeline(&requests);
            let refused = replies.iter().find(|reply| reply.error().is_some());
            assert!(refused.is_none(), "a record was not written: {refused:?}");
        }
        Self {
            running,
            _redis: redis,
        }
    }

    /// Goes through all names; how long it took, in seconds.
    fn scan(&self, records: usize) -> f64 {
        let mut client = Client::connect(self.running.port).expect("the side accepts connections");
        let started = Instant::now();
        let (mut cursor, mut names) = (b"0".to_vec(), 0);
        loop {
            let page = client.cmd(&[b"SCAN", &cursor[..], b"COUNT", COUNT.as_bytes()]);
            let Reply::Array(parts) = page else {
                panic!("SCAN answers something else");
            };
            let [Reply::Bulk(next), Reply::Array(page)] = &parts[..] else {
                panic!("SCAN answers something else");
            };
            let is_own = |name: &&Reply| matches!(name, Reply::Bulk(name) if name.starts_with(OWN));
            names += page.len() - page.iter().filter(is_own).count();
            cursor.clone_from(next);
            if cursor == b"0" {
                break;
            }
        }
        assert_eq!(names, records, "{}", self.running.side);
        started.elapsed().as_secs_f64()
    }
}
