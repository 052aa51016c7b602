//! The client in Rust: the same work as `chaos.py` and `chaos.mjs` of the testing crate do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use redis::{Commands as _, Connection, ErrorKind, RedisError, RedisResult};

use super::clients::Account;
use crate::proxy::PROTECTED_MARKER;
use waxseal_testing::Chance;

const WORKERS: u64 = 5;
/// Until a client gives up a request, and between its requests.
const TIMEOUT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(4);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);
/// Writes until a record is left alone.
const WRITES: u64 = 150;

/// Some workers, each with a connection of its own.
pub(super) struct RustClient {
    ended: Arc<AtomicBool>,
    workers: Vec<JoinHandle<Account>>,
}

impl RustClient {
    pub(super) fn start(port: u16, word: &str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let workers = (0..WORKERS).map(|number| {
            let mut worker = Worker::new(port, format!("{word}:{number}"), number);
            let ended = ended.clone();
            thread::spawn(move || {
                while !ended.load(Ordering::SeqCst) {
                    worker.turn();
                }
                worker.end()
            })
        });
        let workers = workers.collect();
        Self { ended, workers }
    }

    pub(super) fn stop(self) -> Account {
        self.ended.store(true, Ordering::SeqCst);
        let mut all = Account::default();
        for worker in self.workers {
            let account = worker.join().expect("it met nothing unexpected");
            all.done += account.done;
            for (code, count) in account.errors {
                *all.errors.entry(code).or_default() += count;
            }
            all.records.extend(account.records);
            all.counters.extend(account.counters);
            all.violations.extend(account.violations);
        }
        all
    }
}

/// The only one that writes its records.
struct Worker {
    url: String,
    word: String,
    chance: Chance,
    connection: Option<Connection>,
    name: String,
    number: u64,
    acknowledged: u64,
    attempted: u64,
    counted: u64,
    count_attempted: u64,
    account: Account,
}

impl Worker {
    fn new(port: u16, word: String, seed: u64) -> Self {
        Self {
            url: format!("redis://127.0.0.1:{port}/"),
            name: format!("wa:{word}:0"),
            word,
            chance: Chance::seeded(seed),
            connection: None,
            number: 0,
            acknowledged: 0,
            attempted: 0,
            counted: 0,
            count_attempted: 0,
            account: Account::default(),
        }
    }

    /// One request. A write whose answer is not known ends its record.
    fn turn(&mut self) {
        let attempted = self.attempted;
        match self.step() {
            Ok(()) => self.account.done += 1,
            Err(error) => {
                *self.account.errors.entry(code(&error)).or_default() += 1;
                self.connection = None;
                if self.attempted != attempted {
                    self.next_record();
                }
                sleep(PAUSE_AFTER_ERROR);
            }
        }
        if self.attempted >= WRITES {
            self.next_record();
        }
        if self.chance.one_in(200) {
            self.connection = None;
        }
        sleep(PAUSE);
    }

    fn end(mut self) -> Account {
        self.next_record();
        let counter = (self.counter(), self.counted, self.count_attempted);
        self.account.counters.push(counter);
        self.account
    }

    fn next_record(&mut self) {
        let record = (self.name.clone(), self.acknowledged, self.attempted);
        self.account.records.push(record);
        self.number += 1;
        self.name = format!("wa:{}:{}", self.word, self.number);
        (self.acknowledged, self.attempted) = (0, 0);
    }

    fn counter(&self) -> String {
        format!("count:{}", self.word)
    }

    fn value(&mut self) -> String {
        let padding = "x".repeat(self.chance.below(2000));
        format!(
            "{PROTECTED_MARKER} {} {} {padding}",
            self.name, self.attempted
        )
    }

    fn connection(&mut self) -> RedisResult<&mut Connection> {
        if self.connection.is_none() {
            let client = redis::Client::open(self.url.as_str())?;
            let connection = client.get_connection_with_timeout(TIMEOUT)?;
            connection.set_read_timeout(Some(TIMEOUT))?;
            connection.set_write_timeout(Some(TIMEOUT))?;
            self.connection = Some(connection);
        }
        Ok(self.connection.as_mut().expect("connected"))
    }

    fn step(&mut self) -> RedisResult<()> {
        match self.chance.below(20) {
            0..8 => self.write(),
            8..16 => self.read(),
            16..18 => self.transaction(),
            18 => self.echo(),
            _ => self.fields(),
        }
    }

    fn write(&mut self) -> RedisResult<()> {
        self.connection()?;
        self.attempted += 1;
        let (name, value) = (self.name.clone(), self.value());
        let answer: String = self.connection()?.set(name, value)?;
        if answer != "OK" {
            self.violation("SET was not answered with OK");
        }
        self.acknowledged = self.attempted;
        Ok(())
    }

    fn read(&mut self) -> RedisResult<()> {
        let name = self.name.clone();
        let value: Option<String> = self.connection()?.get(name)?;
        // A replica that has not caught up may answer with an older one.
        let Some(value) = value else {
            return Ok(());
        };
        let words: Vec<&str> = value.split(' ').take(3).collect();
        let sequence = words.get(2).and_then(|it| it.parse::<u64>().ok());
        let known = sequence.is_some_and(|it| (1..=self.attempted).contains(&it));
        if words[0] != PROTECTED_MARKER || words.get(1) != Some(&self.name.as_str()) || !known {
            self.violation("GET was answered with the value of another request");
        }
        Ok(())
    }

    fn transaction(&mut self) -> RedisResult<()> {
        self.connection()?;
        self.attempted += 1;
        self.count_attempted += 1;
        let (name, value, counter) = (self.name.clone(), self.value(), self.counter());
        // The library's own transactions do not expect that MULTI fails.
        let mut queued = redis::pipe();
        queued.cmd("MULTI").ignore().set(name, value).ignore();
        queued.incr(counter, 1).ignore().cmd("EXEC");
        let ((answer, count),): ((String, u64),) = queued.query(self.connection()?)?;
        if answer != "OK" || !(self.counted + 1..=self.count_attempted).contains(&count) {
            self.violation("EXEC was answered with something else");
        }
        (self.acknowledged, self.counted) = (self.attempted, count);
        Ok(())
    }

    fn echo(&mut self) -> RedisResult<()> {
        let token = format!("{} {}", self.name, self.chance.number());
        let answer: String = redis::cmd("ECHO").arg(&token).query(self.connection()?)?;
        if answer != token {
            self.violation("ECHO was answered with something else");
        }
        Ok(())
    }

    fn fields(&mut self) -> RedisResult<()> {
        let name = format!("wa:{}:fields", self.word);
        let field = self.chance.below(8).to_string();
        let value = |field: &str| format!("{PROTECTED_MARKER} {name} {field}");
        let (stored, connection) = (value(&field), self.connection()?);
        let _: u64 = connection.hset(&name, &field, stored)?;
        let all: std::collections::BTreeMap<String, String> = connection.hgetall(&name)?;
        if all.iter().any(|(field, stored)| *stored != value(field)) {
            self.violation("HGETALL was answered with something else");
        }
        Ok(())
    }

    fn violation(&mut self, text: &str) {
        self.account.violations.push(text.to_owned());
    }
}

fn code(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Io => "connection".to_owned(),
        _ => error.code().unwrap_or("other").to_owned(),
    }
}
