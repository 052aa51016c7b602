//! Clients that write and read strings, hashes and lists all the time. Each checks after every write what it reads
//! back, and takes its records along from one proxy to another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use waxseal_testing::{Client, Reply};

use crate::program::{Program, wait_until};
use crate::proxy::PROTECTED_MARKER;
use waxseal_testing::Chance;

/// Clients, and records of each type for each of them.
const CLIENTS: u64 = 4;
const STRINGS: usize = 12;
const FIELDS: usize = 8;
const ELEMENTS: usize = 8;
/// Requests that a client makes before a step whose records are left alone afterwards.
const UNTOUCHED: u64 = 100;
/// Requests of each client between two steps of an upgrade.
const REQUESTS: u64 = 60;

/// All clients, and where they are served.
pub(super) struct Clients {
    resting: Vec<Account>,
    working: Vec<Worker>,
    /// Accounts whose records are only read from now on.
    untouched: Vec<Account>,
    ports: Vec<u16>,
}

impl Clients {
    pub(super) fn new() -> Self {
        Self {
            resting: (0..CLIENTS).map(Account::new).collect(),
            working: Vec::new(),
            untouched: Vec::new(),
            ports: Vec::new(),
        }
    }

    /// Lets the proxies on these ports serve the clients from now on.
    pub(super) fn serve_by(&mut self, ports: Vec<u16>) {
        self.stop();
        self.ports = ports;
        let accounts = self.resting.drain(..).enumerate();
        let workers = accounts.map(|(number, account)| {
            let port = self.ports[number % self.ports.len()];
            Worker::start(port, account)
        });
        self.working = workers.collect();
    }

    /// Writes records that no client touches afterwards: they stay as they are stored now until something reseals
    /// them.
    pub(super) fn leave_records(&mut self) {
        let mut account = Account::new(CLIENTS + self.untouched.len() as u64);
        let mut client = Client::connect(self.ports[0]).unwrap();
        while account.requests < UNTOUCHED {
            account.turn(&mut client);
        }
        self.untouched.push(account);
    }

    /// Ends all clients: what they have written stays as it is.
    pub(super) fn stop(&mut self) {
        let accounts = self.working.drain(..).map(Worker::end);
        self.resting.extend(accounts);
    }

    /// Waits until every client has made some more requests.
    pub(super) fn work(&self) {
        for worker in &self.working {
            let since = worker.requests();
            wait_until(|| {
                assert!(!worker.has_ended(), "a client has failed");
                worker.requests() >= since + REQUESTS
            });
        }
    }

    /// Fails unless every record holds what was acknowledged last, for a proxy and for the command line.
    pub(super) fn check(&self, program: &Program) {
        assert!(!self.resting.is_empty());
        for account in self.resting.iter().chain(&self.untouched) {
            assert!(account.requests > 0);
            let mut client = Client::connect(self.ports[0]).unwrap();
            account.check(&mut client);
            for (name, value) in &account.strings {
                let read = program.run(&["get", name]).done();
                assert_eq!(read.text(), *value, "{name}");
            }
        }
    }
}

/// A client at work.
struct Worker {
    ended: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    thread: JoinHandle<Account>,
}

impl Worker {
    fn start(port: u16, mut account: Account) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let requests = Arc::new(AtomicU64::new(account.requests));
        let (stop, count) = (ended.clone(), requests.clone());
        let thread = thread::spawn(move || {
            let mut client = Client::connect(port).expect("the proxy accepts connections");
            // What was written through another proxy is read through this one.
            account.check(&mut client);
            while !stop.load(Ordering::Relaxed) {
                account.turn(&mut client);
                count.store(account.requests, Ordering::Relaxed);
            }
            account
        });
        Self {
            ended,
            requests,
            thread,
        }
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    fn end(self) -> Account {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("no read and no write failed")
    }
}

/// What a client has written last, which only it writes.
struct Account {
    number: u64,
    chance: Chance,
    requests: u64,
    strings: BTreeMap<String, String>,
    fields: BTreeMap<String, String>,
    elements: VecDeque<String>,
}

impl Account {
    fn new(number: u64) -> Self {
        Self {
            number,
            chance: Chance::seeded(number),
            requests: 0,
            strings: BTreeMap::new(),
            fields: BTreeMap::new(),
            elements: VecDeque::new(),
        }
    }

    fn name(&self, kind: &str) -> String {
        format!("wa:{kind}:{}", self.number)
    }

    fn value(&self) -> String {
        format!("{PROTECTED_MARKER} {} {}", self.number, self.requests)
    }

    /// One write and one read.
    fn turn(&mut self, client: &mut Client) {
        match self.chance.below(5) {
            0 | 1 => self.write_string(client),
            2 => self.write_field(client),
            3 => self.write_element(client),
            _ => self.read_others(client),
        }
        self.requests += 1;
    }

    fn write_string(&mut self, client: &mut Client) {
        let name = format!("{}:{}", self.name("string"), self.chance.below(STRINGS));
        let value = self.value();
        done(client.cmd(&["SET", &name, &value]));
        assert_eq!(text(client.cmd(&["GET", &name])), value);
        self.strings.insert(name, value);
    }

    fn write_field(&mut self, client: &mut Client) {
        let (name, field) = (self.name("hash"), self.chance.below(FIELDS).to_string());
        let value = self.value();
        done(client.cmd(&["HSET", &name, &field, &value]));
        assert_eq!(text(client.cmd(&["HGET", &name, &field])), value);
        self.fields.insert(field, value);
    }

    fn write_element(&mut self, client: &mut Client) {
        let (name, value) = (self.name("list"), self.value());
        if self.elements.len() < ELEMENTS {
            done(client.cmd(&["RPUSH", &name, &value]));
            self.elements.push_back(value.clone());
            assert_eq!(text(client.cmd(&["LINDEX", &name, "-1"])), value);
        } else if self.chance.one_in(2) {
            let oldest = self.elements.pop_front().expect("it has elements");
            assert_eq!(text(client.cmd(&["LPOP", &name])), oldest);
        } else {
            let index = self.chance.below(self.elements.len());
            done(client.cmd(&["LSET", &name, &index.to_string(), &value]));
            self.elements[index] = value;
            self.check_elements(client);
        }
    }

    /// What other clients write through other proxies can be read.
    fn read_others(&mut self, client: &mut Client) {
        let number = self.chance.below(CLIENTS as usize);
        let index = self.chance.below(STRINGS);
        for reply in [
            client.cmd(&["GET", &format!("wa:string:{number}:{index}")]),
            client.cmd(&["HGETALL", &format!("wa:hash:{number}")]),
            client.cmd(&["LRANGE", &format!("wa:list:{number}"), "0", "-1"]),
        ] {
            assert_eq!(reply.error(), None);
        }
    }

    /// Fails unless all records of this client are as it wrote them last.
    fn check(&self, client: &mut Client) {
        for (name, value) in &self.strings {
            assert_eq!(text(client.cmd(&["GET", name])), *value, "{name}");
        }
        let found = client.cmd(&["HGETALL", &self.name("hash")]).array();
        let found: Vec<String> = found.into_iter().map(text).collect();
        let found = found.chunks(2).map(|it| (it[0].clone(), it[1].clone()));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), self.fields);
        self.check_elements(client);
    }

    fn check_elements(&self, client: &mut Client) {
        let found = client.cmd(&["LRANGE", &self.name("list"), "0", "-1"]);
        let found: VecDeque<String> = found.array().into_iter().map(text).collect();
        assert_eq!(found, self.elements);
    }
}

#[track_caller]
fn done(reply: Reply) {
    assert_eq!(reply.error(), None, "a write failed");
}

#[track_caller]
fn text(reply: Reply) -> String {
    assert_eq!(reply.error(), None, "a read failed");
    reply.to_text()
}
