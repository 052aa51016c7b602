//! Records in a Redis server (6.2 or newer) or Valkey, standalone.
//!
//! Reads are `MGET`, writes are pipelined. A value is replaced only if it is unchanged: by `SET …
//! IFEQ` where the server has it, else by a Lua script for many records at a time, and where the
//! server runs no scripts, between `WATCH` and `EXEC`.

mod acl;
mod changes;
mod collections;
mod commands;
mod connection;
mod fault;
mod lifetimes;
mod limits;
mod neighbors;
mod protocol;
mod reading;
mod renames;
mod reply;
mod scripts;
mod server_error;
mod slots;
mod streams;
mod transactions;
mod wire;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, cmd};
use tokio::sync::OnceCell;

use self::connection::Link;
pub use self::connection::RedisOptions;
pub use self::fault::ConnectionFault;
use self::limits::KnownLimits;
use self::reading::FIRST_RECORDS;
use self::reply::unexpected;
use self::scripts::Scripts;
use crate::collections::Collections;
use crate::commands::MissingCommand;
use crate::error::StoreError;
use crate::generation;
use crate::neighbors::Neighbors;
use crate::pattern::RecordPattern;
use crate::record::{Cursor, Expiry, Lifetime, Page, Record, RecordName, Slot, SlotPage};
use crate::store::{Change, Move, MoveOutcome, Outcome, RecordStore, RenameOutcome, Status};
use crate::url::RedisUrl;

/// The fields of `INFO` that an operator may want to know.
const SETTINGS: [&str; 8] = [
    "server_time_usec",
    "role",
    "maxmemory",
    "maxmemory_policy",
    "used_memory",
    "aof_enabled",
    "rdb_last_bgsave_status",
    "connected_slaves",
];

/// A Redis server.
pub struct RedisStore {
    link: Link,
    scripts: Scripts,
    /// True if the server has `SET … IFEQ`; determined at the first replacement.
    compares: OnceCell<bool>,
    /// True if the server has `PEXPIRETIME` (7.0 and later): assumed until it says otherwise.
    has_pexpiretime: AtomicBool,
    /// True if the server has `STRLEN` and the user may send it: assumed until it says otherwise.
    reports_size: AtomicBool,
    /// The same for the commands that count the slots of a record.
    reports_count: AtomicBool,
    /// True if the server has `MGET`: assumed until it says otherwise.
    has_mget: AtomicBool,
    /// True if the server runs scripts for this user: assumed until it says otherwise.
    runs_scripts: AtomicBool,
    /// True once a script has run successfully.
    has_run_script: AtomicBool,
    /// Commands that the server is known to have: probed without arguments before arguments are
    /// sent that are not text.
    known_commands: Mutex<Vec<&'static str>>,
    /// Records read at once where the server does not report their sizes.
    count: AtomicUsize,
    limits: KnownLimits,
    /// The generation where the server does not report its own: no other store has the same, so
    /// that no cursor outlives this one.
    generation: String,
}

impl RedisStore {
    /// Connects, and checks that the server answers.
    pub async fn connect(url: &RedisUrl, options: RedisOptions) -> Result<Self, StoreError> {
        let store = Self::lazy(url, options)?;
        protocol::explain(url, store.link.ping()).await?;
        Ok(store)
    }

    /// Does not contact the server yet: an unreachable server shows when it is used.
    pub fn lazy(url: &RedisUrl, options: RedisOptions) -> Result<Self, StoreError> {
        Ok(Self {
            link: Link::open(url, options)?,
            scripts: Scripts::new(),
            compares: OnceCell::new(),
            has_pexpiretime: AtomicBool::new(true),
            reports_size: AtomicBool::new(true),
            reports_count: AtomicBool::new(true),
            has_mget: AtomicBool::new(true),
            runs_scripts: AtomicBool::new(true),
            has_run_script: AtomicBool::new(false),
            known_commands: Mutex::default(),
            count: AtomicUsize::new(FIRST_RECORDS),
            limits: KnownLimits::default(),
            generation: generation::fresh(),
        })
    }

    /// The generation where the server does not report its own: a new one after each reconnection,
    /// since a restart cannot be told from it.
    fn fallback_generation(&self) -> String {
        format!("{}-{}", self.generation, self.link.connections())
    }
}

#[async_trait]
impl RecordStore for RedisStore {
    fn location(&self) -> String {
        self.link.location().to_owned()
    }

    async fn status(&self) -> Result<Status, StoreError> {
        let records = match self.link.send(&cmd("DBSIZE")).await {
            Ok(size) => u64::try_from(reply::number(&size)?).unwrap_or_default(),
            Err(StoreError::Denied { .. } | StoreError::NoCommand { .. }) => 0,
            Err(error) => return Err(error),
        };
        let text = match self.link.send(&cmd("INFO")).await {
            Ok(text) => reply::text(text)?,
            // An ACL may forbid it: then less is known, and nothing else fails.
            Err(StoreError::Denied { .. } | StoreError::NoCommand { .. }) => String::new(),
            Err(error) => return Err(error),
        };
        let find = |field: &str| {
            reply::info(&text)
                .find(|(name, _)| *name == field)
                .map(|(_, v)| v)
        };
        if find("cluster_enabled") == Some("1") {
            return Err(StoreError::Cluster {
                code: "cluster_enabled:1".to_owned(),
            });
        }
        let server = match (find("valkey_version"), find("redis_version")) {
            (Some(version), _) => format!("Valkey {version}"),
            (None, Some(version)) => format!("Redis {version}"),
            (None, None) => "unknown".to_owned(),
        };
        let settings = reply::info(&text)
            .filter(|(name, _)| SETTINGS.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Status {
            records,
            generation: find("run_id").map_or_else(|| self.fallback_generation(), str::to_owned),
            server,
            settings: settings.collect(),
        })
    }

    async fn is_generation(&self, generation: &str) -> Result<bool, StoreError> {
        match self.link.send_uncontended(cmd("INFO").arg("server")).await {
            Ok(text) => {
                let text = reply::text(text)?;
                let mut lines = reply::info(&text);
                let run = lines.find_map(|(name, run)| (name == "run_id").then_some(run));
                Ok(run.is_none_or(|run| run == generation))
            }
            Err(StoreError::Denied { .. } | StoreError::NoCommand { .. }) => {
                self.ping().await.map(|()| true)
            }
            Err(error) => Err(error),
        }
    }

    async fn has_run(&self, command: &str) -> Result<Option<bool>, StoreError> {
        match self.link.send(cmd("INFO").arg("commandstats")).await {
            Ok(text) => {
                let (text, name) = (reply::text(text)?, format!("cmdstat_{command}"));
                Ok(Some(reply::info(&text).any(|(field, _)| field == name)))
            }
            Err(StoreError::Denied { .. } | StoreError::NoCommand { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.link.ping().await
    }

    async fn time_ms(&self) -> Result<Option<u64>, StoreError> {
        match self.link.send(&cmd("TIME")).await {
            Ok(answer) => reply::time_ms(answer).map(Some),
            Err(error) if error.is_transient() => Err(error),
            // An ACL may forbid it, and an operator may have renamed it: then the time is unknown.
            Err(_) => Ok(None),
        }
    }

    async fn scan(
        &self,
        pattern: &RecordPattern,
        cursor: &Cursor,
        count: usize,
    ) -> Result<Page, StoreError> {
        let at = if cursor.is_start() {
            "0"
        } else {
            cursor.as_str()
        };
        let mut scan = cmd("SCAN");
        scan.arg(at)
            .arg("MATCH")
            .arg(pattern.glob())
            .arg("COUNT")
            .arg(count.max(1));
        let (next, items) = reply::page(self.link.send_uncontended(&scan).await?)?;
        let mut names = Vec::with_capacity(items.len());
        for item in items {
            let name = reply::bytes(item)?.ok_or_else(unexpected)?;
            // The server's patterns allow `{user}` to be empty.
            if pattern.matches_form(&name) {
                names.push(RecordName::from(name));
            }
        }
        let examined = u64::try_from(count.max(names.len())).unwrap_or(u64::MAX);
        Ok(Page {
            names,
            examined,
            next: (next != "0").then(|| Cursor::from_text(next)),
        })
    }

    async fn read(&self, names: &[RecordName]) -> Result<Vec<Option<Record>>, StoreError> {
        self.read_all(names).await
    }

    async fn read_within(
        &self,
        names: &[RecordName],
        max_bytes: u64,
    ) -> Result<Vec<Option<Record>>, StoreError> {
        self.read_within_bytes(names, max_bytes).await
    }

    async fn kind(&self, name: &RecordName) -> Result<Option<String>, StoreError> {
        match self.link.send(cmd("TYPE").arg(name.as_bytes())).await {
            Ok(kind) => Ok(Some(reply::text(kind)?).filter(|kind| kind != "none")),
            // A string can be recognised without it.
            Err(error) if error.is_missing_command() => {
                let held = self.read_all(std::slice::from_ref(name)).await?.pop();
                Ok(held.flatten().map(|held| held.kind().to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    async fn slot_count(&self, name: &RecordName) -> Result<Option<u64>, StoreError> {
        self.count_slots(name).await
    }

    async fn missing_commands(&self) -> Result<Vec<MissingCommand>, StoreError> {
        self.try_commands().await
    }

    async fn read_slots(
        &self,
        name: &RecordName,
        cursor: &Cursor,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        self.slot_page(name, cursor, count).await
    }

    async fn get(&self, name: &RecordName, slot: &Slot) -> Result<Option<Vec<u8>>, StoreError> {
        self.get_slot(name, slot).await
    }

    async fn put(
        &self,
        name: &RecordName,
        slot: &Slot,
        value: &[u8],
        expiry: Expiry,
    ) -> Result<(), StoreError> {
        self.check_fits(value.len()).await?;
        let command = match slot {
            Slot::Whole => {
                let mut set = command("SET", &[name.as_bytes(), value]);
                set_expiry(&mut set, expiry);
                set
            }
            Slot::Field(field) => command("HSET", &[name.as_bytes(), field, value]),
            Slot::Element(index) => command(
                "LSET",
                &[name.as_bytes(), index.to_string().as_bytes(), value],
            ),
            Slot::Member(_) | Slot::StreamField(_) => return Err(slots::not_written()),
        };
        self.link.send(&command).await.map(drop)
    }

    async fn replace_if_unchanged(
        &self,
        changes: &[Change<'_>],
    ) -> Result<Vec<Outcome>, StoreError> {
        self.replace(changes).await
    }

    async fn delete_if_unchanged(
        &self,
        name: &RecordName,
        expected: &[u8],
    ) -> Result<Outcome, StoreError> {
        self.delete_unchanged(name, expected).await
    }

    async fn delete(&self, name: &RecordName) -> Result<bool, StoreError> {
        let deleted = self.link.send(cmd("DEL").arg(name.as_bytes())).await?;
        Ok(reply::number(&deleted)? > 0)
    }

    async fn move_if_unchanged(&self, change: Move<'_>) -> Result<MoveOutcome, StoreError> {
        self.transfer(change).await
    }

    async fn rename_absent(
        &self,
        renames: &[(RecordName, RecordName)],
    ) -> Result<Vec<RenameOutcome>, StoreError> {
        self.rename_all(renames).await
    }

    async fn neighbors(&self, patterns: &[RecordPattern]) -> Result<Neighbors, StoreError> {
        self.survey_neighbors(patterns).await
    }

    async fn lifetimes(&self, names: &[RecordName]) -> Result<Vec<Lifetime>, StoreError> {
        self.fetch_expiries(names).await
    }

    fn collections(&self) -> Option<&dyn Collections> {
        Some(self)
    }
}

/// Adds the expiry to a `SET`.
fn set_expiry(set: &mut Cmd, expiry: Expiry) {
    match expiry {
        Expiry::Keep => {
            set.arg("KEEPTTL");
        }
        Expiry::Persistent => {}
        Expiry::After(span) => {
            set.arg("PX").arg(milliseconds(span));
        }
        Expiry::At(time) => {
            set.arg("PXAT").arg(time.max(1));
        }
    }
}

/// A span in whole milliseconds, at least one: Redis refuses zero.
fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A command with binary arguments.
fn command(name: &str, arguments: &[&[u8]]) -> Cmd {
    let mut command = cmd(name);
    for argument in arguments {
        command.arg(*argument);
    }
    command
}
