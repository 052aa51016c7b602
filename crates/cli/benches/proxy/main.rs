//! Measures the cost of `waxseal proxy` beside no proxy at all and beside proxies that encrypt nothing: HAProxy,
//! twemproxy and Envoy, all over one Redis, under the load of `redis-benchmark`, in turns in one run.
//! Then what its connections need of memory. What the figures mean is written in
//! `docs/reference/benchmarks.md`.
//!
//! `cargo bench -p waxseal-cli --bench proxy [-- --only get-1k-p16-c50 --rounds 7]`
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its figures"
)]

mod cells;
mod load;
mod memory;
mod options;
mod peers;
mod process;
mod report;
mod rounds;
mod scan;
mod sides;

use std::process::ExitCode;

use waxseal_testing::RedisServer;

use options::{Options, Selection};
use report::Bar;
use sides::Running;

/// The exit status for a command line that makes no sense, as in `sysexits.h`.
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(Selection::Run(options)) => options,
        Ok(Selection::Help) => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}\n\n{}", options::USAGE);
            return ExitCode::from(EX_USAGE);
        }
    };
    let mut bars = Vec::new();
    if !options.cells.is_empty() {
        bars.extend(measure_cells(&options));
    }
    if options.memory {
        bars.extend(memory::measure(&options));
    }
    if options.scan {
        bars.extend(scan::measure(&options));
    }
    report::print_summary(&bars);
    ExitCode::SUCCESS
}

/// All sides stay up for the whole run; only one of them works at a time.
fn measure_cells(options: &Options) -> Vec<Bar> {
    let redis = RedisServer::start();
    let sides: Vec<Running> = options
        .sides
        .iter()
        .filter_map(|side| match Running::start(*side, redis.port(), &[]) {
            Ok(running) => Some(running),
            Err(problem) => {
                println!("skipped: {side}: {problem}");
                None
            }
        })
        .collect();
    println!(
        "{} rounds of turns, about {:.1} s a turn; ratios are medians of the rounds' ratios; {}",
        options.rounds,
        options.turn.as_secs_f64(),
        redis_version(&redis),
    );
    let mut bars = Vec::new();
    for cell in &options.cells {
        let outcome = rounds::measure(*cell, &sides, &redis, options);
        bars.extend(report::print_cell(&outcome));
    }
    bars
}

fn redis_version(redis: &RedisServer) -> String {
    let info = redis.cli(&["INFO", "server"]);
    let version = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"));
    format!("Redis {}", version.unwrap_or_default().trim())
}
