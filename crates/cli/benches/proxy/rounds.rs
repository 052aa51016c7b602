//! Taking turns: in each round every side works for about as long, one after another, and what it
//! did and used is noted. Knows how to measure, not what the figures should be.

use std::time::Duration;

use waxseal_testing::{Client, RedisServer};

use crate::cells::{Cell, Operation};
use crate::load::{self, Latency};
use crate::options::Options;
use crate::process::cpu_seconds;
use crate::sides::{Running, Side};

/// The shortest trial that tells how many requests fill a turn.
const TRIAL: f64 = 0.1;
const FIRST_TRIAL: u64 = 1_000;

/// The time that the client which times each request works, and how often in a turn.
const PROBE: Duration = Duration::from_millis(25);
const PROBES_A_SECOND: f64 = 16.0;

/// One cell, as all sides did it.
pub(crate) struct Outcome {
    pub(crate) cell: Cell,
    pub(crate) rows: Vec<Row>,
}

/// One side's turns.
pub(crate) struct Row {
    pub(crate) side: Side,
    pub(crate) turns: Vec<Turn>,
}

pub(crate) struct Turn {
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) latency: Latency,
    /// Processor time of the proxy for one request, in microseconds.
    pub(crate) proxy_cpu: f64,
    /// The same for Redis.
    pub(crate) redis_cpu: f64,
}

/// Median, smallest and largest of some figures.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        Some(Self {
            median: *figures.get(figures.len() / 2)?,
            min: *figures.first()?,
            max: *figures.last()?,
        })
    }
}

impl Row {
    pub(crate) fn spread(&self, figure: impl Fn(&Turn) -> f64) -> Option<Spread> {
        Spread::of(self.turns.iter().map(figure))
    }
}

impl Outcome {
    pub(crate) fn row(&self, side: Side) -> Option<&Row> {
        self.rows.iter().find(|row| row.side == side)
    }

    /// The ratio of the rates of two sides, round by round.
    pub(crate) fn rate_over(&self, side: Side, other: Side) -> Option<Spread> {
        let (side, other) = (self.row(side)?, self.row(other)?);
        let turns = side.turns.iter().zip(&other.turns);
        Spread::of(turns.map(|(side, other)| side.rate / other.rate))
    }

    /// The ratio of the latency that two sides add, round by round.
    pub(crate) fn added_over(&self, side: Side, other: Side) -> Option<Spread> {
        let none = self.row(Side::NoProxy)?;
        let (side, other) = (self.row(side)?, self.row(other)?);
        let turns = none.turns.iter().zip(&side.turns).zip(&other.turns);
        Spread::of(turns.map(|((none, side), other)| {
            let bare = none.latency.p50;
            (side.latency.p50 - bare) / (other.latency.p50 - bare)
        }))
    }
}

pub(crate) fn measure(
    cell: Cell,
    sides: &[Running],
    redis: &RedisServer,
    options: &Options,
) -> Outcome {
    let mut redis_client = redis.client();
    let is_string = matches!(cell.operation, Operation::Set | Operation::Get);
    let knows = |running: &&Running| match running.side {
        Side::Twemproxy => cell.operation.is_known_to_twemproxy(),
        Side::EnvoyRedis => is_string,
        _ => true,
    };
    let sides: Vec<&Running> = sides.iter().filter(knows).collect();
    let requests: Vec<u64> = sides
        .iter()
        .map(|side| {
            side.prove(&mut redis_client, cell.size);
            requests_of_turn(side, &cell, options.turn)
        })
        .collect();
    let mut rows: Vec<Row> = sides
        .iter()
        .map(|running| Row {
            side: running.side,
            turns: Vec::new(),
        })
        .collect();
    for round in 0..options.rounds {
        let mut order: Vec<usize> = (0..sides.len()).collect();
        // The side that goes second finds a machine that the first has warmed.
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let turn = take_turn(&cell, sides[at], redis, requests[at]);
            rows[at].turns.push(turn);
        }
        if cell.one_at_a_time() {
            let latencies = probe_all(&cell, &sides, options.turn);
            for (row, latency) in rows.iter_mut().zip(latencies) {
                let turn = row.turns.last_mut().expect("each side took its turn");
                turn.latency = latency;
            }
        }
    }
    Outcome { cell, rows }
}

/// Finds how many requests fill a turn, which also warms the side up.
fn requests_of_turn(side: &Running, cell: &Cell, turn: Duration) -> u64 {
    load::write_records(side.port, cell);
    let at_once = u64::from(cell.pipeline * cell.connections);
    let mut requests = FIRST_TRIAL.max(4 * at_once);
    loop {
        let rate = load::run(side.port, cell, requests).rate;
        if requests as f64 / rate >= TRIAL {
            let fitting = (rate * turn.as_secs_f64()) as u64;
            return fitting.next_multiple_of(at_once).max(4 * at_once);
        }
        requests *= 6;
    }
}

fn take_turn(cell: &Cell, side: &Running, redis: &RedisServer, requests: u64) -> Turn {
    // Through the side itself: what it reads must be as it would have written it.
    load::write_records(side.port, cell);
    let mut client = redis.client();
    let missed_before = misses(&mut client);
    let (proxy, server) = (side.cpu(), cpu_seconds(redis.pid()));
    let run = load::run(side.port, cell, requests);
    let used = |before: f64, after: f64| (after - before) * 1e6 / requests as f64;
    let proxy_cpu = used(proxy, side.cpu());
    let redis_cpu = used(server, cpu_seconds(redis.pid()));
    let missed = misses(&mut client) - missed_before;
    assert!(missed == 0, "{cell}: {missed} records were not there");
    Turn {
        rate: run.rate,
        latency: run.latency,
        proxy_cpu,
        redis_cpu,
    }
}

/// Times single requests, in short turns of all sides.
fn probe_all(cell: &Cell, sides: &[&Running], turn: Duration) -> Vec<Latency> {
    let count = (turn.as_secs_f64() * PROBES_A_SECOND).ceil() as usize;
    let mut probes = vec![Vec::new(); sides.len()];
    for number in 0..count {
        let mut order: Vec<usize> = (0..sides.len()).collect();
        if number % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let port = sides[at].port;
            load::write_probed(port, cell);
            probes[at].push(load::probe(port, cell, PROBE));
        }
    }
    probes
        .iter_mut()
        .map(|probes| Latency::of_probes(probes))
        .collect()
}

/// Reads of records that Redis did not have, since it started.
fn misses(client: &mut Client) -> u64 {
    let info = client.cmd(&["INFO", "stats"]).to_text();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("keyspace_misses:"));
    let misses = line.and_then(|count| count.trim().parse().ok());
    misses.expect("INFO tells it")
}
