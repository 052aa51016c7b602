//! Measures the memory of connections of `waxseal proxy`: idle ones, each of which had an answer once, and
//! busy ones. Every figure comes from a process of its own, fresh from its start.

use std::thread::sleep;
use std::time::Duration;

use waxseal_testing::{Client, RedisServer, Reply};

use crate::cells::{Cell, MAX_NAMES, Operation, record_name};
use crate::load;
use crate::options::Options;
use crate::process::{most_resident, raise_file_limit, resident};
use crate::report::{Bar, Limit};
use crate::sides::{Running, Side};

/// KiB for one idle connection, at most.
const IDLE_BAR: f64 = 40.0;
/// MiB for all of the process with 1,000 busy connections, at most.
const BUSY_BAR: f64 = 64.0;

const BUSY_CONNECTIONS: u32 = 1_000;
/// Length of the values.
const SIZE: usize = 1024;
/// Files that a process opens for other things than its clients.
const OTHER_FILES: usize = 500;
/// Until a process has done what the last request left to do.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) fn measure(options: &Options) -> Vec<Bar> {
    let files = raise_file_limit();
    let redis = RedisServer::builder().arg("maxclients", "15000").start();
    println!("\nmemory: resident, of the proxy's process");
    let mut bars = Vec::new();
    let waxseal = [Side::Waxseal, Side::WaxsealOwn];
    for side in waxseal.iter().filter(|side| options.sides.contains(side)) {
        bars.push(idle(*side, &redis, options.idle, files));
        for pipeline in [1, 16] {
            bars.push(busy(*side, &redis, pipeline, options.busy_requests));
        }
    }
    bars.iter().for_each(Bar::print);
    bars
}

fn start(side: Side, redis: &RedisServer) -> (Running, u32) {
    let more = ["--max-connections", "15000"];
    let running = Running::start(side, redis.port(), &more).expect("Waxseal comes up");
    let pid = running.pid().expect("Waxseal is a process");
    (running, pid)
}

/// Opens connections, has a PING answered on each, and looks how much the process has grown.
fn idle(side: Side, redis: &RedisServer, wanted: usize, files: usize) -> Bar {
    // With upstreams of their own, the proxy opens two files for each client.
    let files_for_each = if side == Side::WaxsealOwn { 2 } else { 1 };
    let possible = files.saturating_sub(OTHER_FILES) / files_for_each;
    if possible < wanted {
        println!("{side}: only {possible} connections: {files} open files are allowed");
    }
    let connections = wanted.min(possible);
    let (running, pid) = start(side, redis);
    running.prove(&mut redis.client(), SIZE);
    sleep(SETTLE);
    let before = resident(pid);
    let mut clients: Vec<Client> = (0..connections)
        .map(|_| {
            let mut client = Client::connect(running.port).expect("it accepts connections");
            let reply = client.cmd(&["PING"]);
            assert!(
                reply == Reply::Simple("PONG".to_owned()),
                "another reply to PING than PONG"
            );
            client
        })
        .collect();
    sleep(SETTLE);
    let for_each = |after: f64| (after - before) / connections as f64;
    let idle = for_each(resident(pid));
    let value = load::value(SIZE);
    let name = record_name(0);
    for client in &mut clients {
        let set = client.cmd(&[b"SET", name.as_bytes(), &value]);
        assert!(set == load::ok(), "SET is not answered with OK");
        let got = client.cmd(&["GET", &name]);
        assert!(
            got == Reply::Bulk(value.clone()),
            "GET answers something else"
        );
    }
    sleep(SETTLE);
    let used = for_each(resident(pid));
    println!(
        "{side}: {connections} idle connections: {:.1} MiB before, {idle:.1} KiB for each after \
         PING, {used:.1} KiB for each after SET and GET of {SIZE} B",
        before / 1024.0,
    );
    let what = format!("memory-idle, {side}, KiB for each of {connections} connections");
    Bar::new(what, Some(idle), Limit::AtMost(IDLE_BAR))
}

/// The most memory that the process ever had under the load of many connections.
fn busy(side: Side, redis: &RedisServer, pipeline: u32, requests: u64) -> Bar {
    let (running, pid) = start(side, redis);
    let mut rates = Vec::new();
    for operation in [Operation::Set, Operation::Get] {
        let cell = Cell {
            operation,
            size: SIZE,
            pipeline,
            connections: BUSY_CONNECTIONS,
            max_names: MAX_NAMES,
        };
        load::write_records(running.port, &cell);
        let run = load::run(running.port, &cell, requests * u64::from(pipeline));
        rates.push(format!("{:.0}", run.rate));
    }
    let most = most_resident(pid) / 1024.0;
    println!(
        "{side}: {BUSY_CONNECTIONS} busy connections, {SIZE} B, pipeline {pipeline}: at most \
         {most:.1} MiB, at {} SET and GET a second",
        rates.join(" and ")
    );
    let what =
        format!("memory-busy, {side}, pipeline {pipeline}, MiB at {BUSY_CONNECTIONS} connections");
    Bar::new(what, Some(most), Limit::AtMost(BUSY_BAR))
}
