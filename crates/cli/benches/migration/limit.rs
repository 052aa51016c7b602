//! The server's own limit for the same work, without any encryption: the commands are sent
//! by a bare client from two threads, so that the server is never without work.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use waxseal_testing::{Client, RedisServer, Reply};

const BATCH: &str = "500";
const THREADS: usize = 2;
/// Records that one Lua call replaces.
const A_CALL: usize = 64;

const SWAP: &str = "
local done = 0
for i, name in ipairs(KEYS) do
  if redis.call('GET', name) == ARGV[2 * i - 1] then
    redis.call('SET', name, ARGV[2 * i], 'KEEPTTL')
    done = done + 1
  end
end
return done";

pub(crate) fn read_only(server: &RedisServer, _records: u64) -> (u64, Duration) {
    pass(server, |client, names| {
        let values = read(client, names);
        u64::try_from(values.len()).expect("few")
    })
}

/// As much is written as in the sealed format.
pub(crate) fn compare_and_set(server: &RedisServer, _records: u64) -> (u64, Duration) {
    swap(server, |len| len + 48)
}

/// As much is written as in the classic format.
pub(crate) fn compare_and_set_longer(server: &RedisServer, _records: u64) -> (u64, Duration) {
    swap(server, |len| (len + 32).div_ceil(3) * 4)
}

fn swap(server: &RedisServer, grown: fn(usize) -> usize) -> (u64, Duration) {
    let sha = server.client().cmd(&["SCRIPT", "LOAD", SWAP]).to_text();
    pass(server, |client, names| {
        let values = read(client, names);
        let pairs: Vec<_> = names.iter().zip(&values).collect();
        let calls: Vec<_> = pairs
            .chunks(A_CALL)
            .map(|part| call(&sha, part, grown))
            .collect();
        let done = client
            .pipeline(&calls)
            .into_iter()
            .map(Reply::int)
            .sum::<i64>();
        u64::try_from(done).expect("a count")
    })
}

fn read(client: &mut Client, names: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut mget = vec![b"MGET".to_vec()];
    mget.extend_from_slice(names);
    client
        .cmd(&mget)
        .array()
        .into_iter()
        .filter_map(Reply::bytes)
        .collect()
}

fn call(sha: &str, part: &[(&Vec<u8>, &Vec<u8>)], grown: fn(usize) -> usize) -> Vec<Vec<u8>> {
    let mut call = vec![
        b"EVALSHA".to_vec(),
        sha.as_bytes().to_vec(),
        part.len().to_string().into_bytes(),
    ];
    call.extend(part.iter().map(|(name, _)| (*name).clone()));
    for (_, value) in part {
        let mut new = (*value).clone();
        new.resize(grown(value.len()), b'x');
        call.extend([(*value).clone(), new]);
    }
    call
}

/// Scans in one place, works in several threads.
fn pass(
    server: &RedisServer,
    work: impl Fn(&mut Client, &[Vec<u8>]) -> u64 + Sync,
) -> (u64, Duration) {
    let scan = Mutex::new((server.client(), Some("0".to_owned())));
    let done = AtomicU64::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut client = server.client();
                loop {
                    // The lock is given back before the work begins.
                    let page = next_page(&mut scan.lock().expect("no panic"));
                    let Some(names) = page else { break };
                    if !names.is_empty() {
                        done.fetch_add(work(&mut client, &names), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    (done.into_inner(), started.elapsed())
}

fn next_page((client, cursor): &mut (Client, Option<String>)) -> Option<Vec<Vec<u8>>> {
    let at = cursor.take()?;
    let mut page = client
        .cmd(&["SCAN", &at, "MATCH", "wa:*", "COUNT", BATCH])
        .array()
        .into_iter();
    let next = page.next().expect("a cursor").to_text();
    *cursor = (next != "0").then_some(next);
    Some(
        page.next()
            .expect("names")
            .array()
            .into_iter()
            .filter_map(Reply::bytes)
            .collect(),
    )
}
