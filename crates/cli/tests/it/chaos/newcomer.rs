//! Clients that come one after the other, each over a connection of its own, write, read, and leave: how
//! long no client is served after a fault.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use redis::Commands as _;

/// Until a new client gives up.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Between two of them.
const INTERVAL: Duration = Duration::from_millis(100);
/// This many in a row show that new clients are served.
const ENOUGH: usize = 5;
/// A client that is not served by then, on however busy a machine, is not served at all.
const LIMIT: Duration = Duration::from_secs(120);

/// One after the other, until it is stopped.
pub(super) struct Newcomer {
    attempts: Arc<Mutex<Vec<Attempt>>>,
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

#[derive(Clone, Copy)]
struct Attempt {
    began: Instant,
    ended: Instant,
    served: bool,
}

impl Newcomer {
    pub(super) fn start(port: u16) -> Self {
        let attempts = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (known, stop) = (attempts.clone(), stopped.clone());
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let began = Instant::now();
                let served = is_served(port).unwrap_or(false);
                known.lock().unwrap().push(Attempt {
                    began,
                    ended: Instant::now(),
                    served,
                });
                sleep(INTERVAL);
            }
        });
        Self {
            attempts,
            stopped,
            thread,
        }
    }

    /// Waits until clients that came after this moment are served; how long after it the first of them
    /// was.
    #[track_caller]
    pub(super) fn wait_until_served(&self, since: Instant, fault: &str) -> Duration {
        let give_up = Instant::now() + LIMIT;
        loop {
            let attempts = self.attempts.lock().unwrap().clone();
            let newest = attempts.iter().rev().take(ENOUGH);
            if newest
                .clone()
                .filter(|it| it.served && it.began >= since)
                .count()
                == ENOUGH
            {
                let in_a_row = attempts
                    .iter()
                    .rev()
                    .take_while(|it| it.served && it.began >= since);
                let first = in_a_row.last().expect("enough of them");
                return first.ended - since;
            }
            assert!(
                Instant::now() < give_up,
                "{fault}: new clients are not served again"
            );
            sleep(INTERVAL);
        }
    }

    /// The number that were served in all.
    pub(super) fn stop(self) -> u64 {
        self.stopped.store(true, Ordering::SeqCst);
        self.thread.join().expect("it met nothing unexpected");
        let attempts = self.attempts.lock().unwrap();
        attempts.iter().map(|it| u64::from(it.served)).sum()
    }
}

fn is_served(port: u16) -> redis::RedisResult<bool> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let mut connection = client.get_connection_with_timeout(TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    let value = format!("{} {port}", crate::proxy::PROTECTED_MARKER);
    let _: () = connection.set(format!("wa:new:{port}"), &value)?;
    let read: String = connection.get(format!("wa:new:{port}"))?;
    assert_eq!(read, value, "a new client was given another's reply");
    Ok(true)
}
