//! The load: `redis-benchmark` with what it tells, and a client of our own that waits for each reply
//! and times it. Knows a port and a cell, not who listens there.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use waxseal_testing::{Client, Reply, tools};

use crate::cells::{Cell, Operation, record_name};

/// Names that the client of our own goes through, over and over.
const PROBED_NAMES: usize = 100;
/// Of its requests so many are not counted.
const PROBE_WARM_UP: usize = 100;

/// The result of one run of `redis-benchmark`.
pub(crate) struct Run {
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) latency: Latency,
}

/// Time from a request to its reply, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// One run of `redis-benchmark`.
pub(crate) fn run(port: u16, cell: &Cell, requests: u64) -> Run {
    let mut command = Command::new(tools::on_path("redis-benchmark"));
    command
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(["-n", &requests.to_string()])
        .args([
            "-d",
            &cell.size.to_string(),
            "-r",
            &cell.names().to_string(),
        ])
        .args(["-P", &cell.pipeline.to_string()])
        .args(["-c", &cell.connections.to_string()]);
    match cell.operation {
        Operation::Set | Operation::Get => command.args(["-t", cell.operation.test()]),
        other => command.args(other.words(cell.size)),
    };
    let output = command.output().expect("redis-benchmark starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !errors.contains("Error from server"),
        "{cell}: redis-benchmark failed: {errors}{text}"
    );
    let told = told(&text);
    told.unwrap_or_else(|| panic!("{cell}: redis-benchmark told something else: {text}"))
}

/// The figures in the report of `redis-benchmark`, which has its latencies in milliseconds.
fn told(text: &str) -> Option<Run> {
    let lines = || text.split(['\n', '\r']).map(str::trim);
    let rate = lines().find_map(|line| {
        let rate = line.strip_prefix("throughput summary: ")?;
        rate.strip_suffix(" requests per second")?.parse().ok()
    })?;
    let mut summary = lines().skip_while(|line| !line.starts_with("latency summary"));
    let figures = summary.nth(2)?;
    let figures: Vec<f64> = figures
        .split_whitespace()
        .filter_map(|figure| figure.parse().ok())
        .collect();
    let [_, _, p50, _, p99, _] = figures[..] else {
        return None;
    };
    let p999 = lines().find_map(|line| {
        let (share, remaining) = line.split_once("% <= ")?;
        let share: f64 = share.parse().ok()?;
        let (latency, _) = remaining.split_once(" milliseconds")?;
        (share >= 99.9).then(|| latency.parse::<f64>().ok())?
    })?;
    Some(Run {
        rate,
        latency: Latency {
            p50: p50 * 1e3,
            p99: p99 * 1e3,
            p999: p999 * 1e3,
        },
    })
}

/// Writes every record that the load will go through.
pub(crate) fn write_records(port: u16, cell: &Cell) {
    if matches!(cell.operation, Operation::Set | Operation::Get) {
        return write(port, cell.size, cell.names());
    }
    let value = "x".repeat(cell.size - 1);
    let mut client = Client::connect(port).expect("the side accepts connections");
    let requests: Vec<Vec<String>> = (0..cell.names())
        .flat_map(|number| cell.operation.preparation(number, &value))
        .collect();
    let replies = client.pipeline(&requests);
    let refused = replies.iter().find(|reply| reply.error().is_some());
    assert!(refused.is_none(), "a record was not written: {refused:?}");
}

/// Writes the records that [`probe`] reads.
pub(crate) fn write_probed(port: u16, cell: &Cell) {
    write(port, cell.size, PROBED_NAMES);
}

fn write(port: u16, size: usize, names: usize) {
    let value = value(size);
    let requests: Vec<[Vec<u8>; 3]> = (0..names)
        .map(|number| {
            let name = record_name(number).into_bytes();
            [b"SET".to_vec(), name, value.clone()]
        })
        .collect();
    let mut client = Client::connect(port).expect("the side accepts connections");
    let replies = client.pipeline(&requests);
    let refused = replies.iter().find(|reply| **reply != ok());
    assert!(refused.is_none(), "a record was not written: {refused:?}");
}

/// The value of the records before the load changes them.
pub(crate) fn value(size: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(size).collect()
}

pub(crate) fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

/// One connection that sends a request when it has the reply to the one before, for a while: how
/// long each took, in microseconds. `redis-benchmark` counts latencies in steps of 8 us, too coarse
/// for what a proxy adds.
pub(crate) fn probe(port: u16, cell: &Cell, how_long: Duration) -> Vec<f64> {
    let value = value(cell.size);
    let exchanges: Vec<Exchange> = (0..PROBED_NAMES)
        .map(|number| Exchange::new(cell.operation, &record_name(number), &value))
        .collect();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the side accepts connections");
    stream.set_nodelay(true).expect("a TCP connection");
    let longest = exchanges.iter().map(|exchange| exchange.reply.len()).max();
    let mut reply = vec![0; longest.unwrap_or_default()];
    let mut times = Vec::new();
    let started = Instant::now();
    for exchange in exchanges.iter().cycle() {
        let took = exchange.happen(&mut stream, &mut reply);
        times.push(took.as_secs_f64() * 1e6);
        if times.len() > 2 * PROBE_WARM_UP && started.elapsed() > how_long {
            break;
        }
    }
    times.drain(..PROBE_WARM_UP);
    times
}

impl Latency {
    /// Of several short probes. Which process the system puts on which processor doubles or halves a
    /// latency and stays for a while, so the median of all would jump from one to the other: the
    /// mean of the probes' medians does not.
    pub(crate) fn of_probes(probes: &mut [Vec<f64>]) -> Self {
        let medians: f64 = probes.iter_mut().map(|times| percentile(times, 0.5)).sum();
        let mut all = probes.concat();
        Self {
            p50: medians / probes.len() as f64,
            p99: percentile(&mut all, 0.99),
            p999: percentile(&mut all, 0.999),
        }
    }
}

/// The smallest of these times that so many of them do not exceed.
fn percentile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let rank = (times.len() as f64 * share).ceil() as usize;
    times[rank.clamp(1, times.len()) - 1]
}

/// A request and the reply that must come.
struct Exchange {
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Exchange {
    fn new(operation: Operation, name: &str, value: &[u8]) -> Self {
        let name_part = format!("${}\r\n{name}\r\n", name.len());
        let value_part = [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat();
        match operation {
            Operation::Set => Self {
                request: [
                    b"*3\r\n$3\r\nSET\r\n",
                    name_part.as_bytes(),
                    &value_part[..],
                ]
                .concat(),
                reply: b"+OK\r\n".to_vec(),
            },
            _ => Self {
                request: [b"*2\r\n$3\r\nGET\r\n", name_part.as_bytes()].concat(),
                reply: value_part,
            },
        }
    }

    fn happen(&self, stream: &mut TcpStream, reply: &mut [u8]) -> Duration {
        let reply = &mut reply[..self.reply.len()];
        let sent = Instant::now();
        stream.write_all(&self.request).expect("the side reads");
        stream.read_exact(reply).expect("the side answers");
        let took = sent.elapsed();
        assert!(*reply == self.reply[..], "another reply than expected came");
        took
    }
}
