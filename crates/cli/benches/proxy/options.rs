//! The command line. Chooses cells and sides by name; starts nothing.

use std::time::Duration;

use crate::cells::{Cell, MAX_NAMES};
use crate::sides::Side;

pub(crate) const USAGE: &str = "\
usage: cargo xtask bench proxy [--only NAME[,NAME]] [--sides SIDE[,SIDE]] [--rounds N] [--turn SECONDS]
                               [--names N] [--quick]

  --only     cells by the parts of their names: get-1k-p16-c50 is one cell, p1-c1 are all with these
             parts; `memory` is what the connections need of memory, `scan` the time to go through
             1,000,000 names, sealed and plain. All of it unless told
  --sides    none, haproxy, twemproxy, envoy-tcp, envoy-redis, waxseal, waxseal-own,
             waxseal-metrics, waxseal-patterns (twenty patterns with exceptions), waxseal-names (sealed
             names), waxseal-before (the binary of another commit that WAXSEAL_BENCH_BEFORE names).
             All unless told
  --rounds   how often each side takes its turn (5)
  --turn     how long a turn takes, about (1.2)
  --names    how many record names the load has, at most (10000)
  --quick    one round of short turns and fewer connections: to see that everything runs";

pub(crate) struct Options {
    pub(crate) cells: Vec<Cell>,
    pub(crate) memory: bool,
    pub(crate) scan: bool,
    pub(crate) sides: Vec<Side>,
    pub(crate) rounds: usize,
    pub(crate) turn: Duration,
    /// Idle connections whose memory is measured.
    pub(crate) idle: usize,
    /// Requests of 1,000 busy connections, for each request of a pipeline.
    pub(crate) busy_requests: u64,
}

pub(crate) enum Selection {
    Run(Options),
    Help,
}

pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Selection, String> {
    let mut options = Options {
        cells: Cell::all(MAX_NAMES),
        memory: true,
        scan: true,
        sides: Side::ALL.to_vec(),
        rounds: 5,
        turn: Duration::from_millis(1_200),
        idle: 10_000,
        busy_requests: 50_000,
    };
    while let Some(flag) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("`{flag}` needs a value"))
        };
        match flag.as_str() {
            // What `cargo bench` says to every benchmark.
            "--bench" => {}
            "--only" => only(&mut options, &value()?)?,
            "--sides" => options.sides = sides(&value()?)?,
            "--rounds" => options.rounds = number(&value()?)?,
            "--names" => {
                let names = number(&value()?)?;
                options
                    .cells
                    .iter_mut()
                    .for_each(|cell| cell.max_names = names);
            }
            "--turn" => options.turn = seconds(&value()?)?,
            "--quick" => {
                options.rounds = 1;
                options.turn = Duration::from_millis(200);
                options.idle = 1_000;
                options.busy_requests = 10_000;
            }
            "--help" | "-h" => return Ok(Selection::Help),
            unknown => return Err(format!("`{unknown}` is not known")),
        }
    }
    Ok(Selection::Run(options))
}

fn only(options: &mut Options, filters: &str) -> Result<(), String> {
    let filters: Vec<&str> = filters.split(',').collect();
    options.memory = filters.contains(&"memory");
    options.scan = filters.contains(&"scan");
    let is_cell = |filter: &&&str| !["memory", "scan"].contains(*filter);
    let is_known = |filter: &&str| options.cells.iter().any(|cell| cell.matches(filter));
    let unmatched = filters
        .iter()
        .filter(is_cell)
        .find(|filter| !is_known(filter));
    if let Some(filter) = unmatched {
        return Err(format!("no cell is called `{filter}`"));
    }
    options
        .cells
        .retain(|cell| filters.iter().any(|filter| cell.matches(filter)));
    Ok(())
}

fn sides(list: &str) -> Result<Vec<Side>, String> {
    let by_word = |word: &str| {
        let side = Side::ALL.into_iter().find(|side| side.word() == word);
        side.ok_or_else(|| format!("no side is called `{word}`"))
    };
    list.split(',').map(by_word).collect()
}

fn number(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{text}` is not a number above 0"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (0.05..=60.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("`{text}` is not between 0.05 and 60 seconds"))
}
