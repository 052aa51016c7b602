//! Records in a Redis server (6.2 or newer) or Valkey, standalone.
//!
//! Reads are `MGET`, writes are pipelined. A value is replaced only if it is unchanged: by
//! `SET … IFEQ` where the server has it, else by a Lua script for many records at a time.

mod changes;
mod connection;
mod fault;
mod lifetimes;
mod neighbors;
mod reply;
mod right;
mod scripts;
mod speech;
mod wire;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, cmd};
use tokio::sync::OnceCell;

use self::connection::Link;
pub use self::connection::RedisOptions;
pub use self::fault::ConnectionFault;
use self::reply::unexpected;
use self::scripts::Scripts;
use crate::error::StoreError;
use crate::generation;
use crate::neighbors::Neighbors;
use crate::pattern::RecordPattern;
use crate::record::{Cursor, Expiry, Held, Lifetime, Page, RecordName, Slot, SlotPage};
use crate::store::{Change, Move, Moved, Outcome, RecordStore, Status};
use crate::url::RedisUrl;

/// What an operator may want to know of a server's setup.
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
    /// Whether the server has `SET … IFEQ`; found out at the first replacement.
    compares: OnceCell<bool>,
    /// Whether the server has `PEXPIRETIME` (7.0 and later), until it says otherwise.
    tells_expiry: AtomicBool,
    /// The generation where the server does not say whether it was restarted: no other store has
    /// the same, so that no cursor outlives this one.
    generation: String,
}

impl RedisStore {
    /// Connects, and checks that the server answers.
    pub async fn connect(url: &RedisUrl, options: RedisOptions) -> Result<Self, StoreError> {
        let store = Self::lazy(url, options)?;
        speech::explained(url, store.link.ping()).await?;
        Ok(store)
    }

    /// The same server without asking it: that it is not there shows when it is used.
    pub fn lazy(url: &RedisUrl, options: RedisOptions) -> Result<Self, StoreError> {
        Ok(Self {
            link: Link::open(url, options)?,
            scripts: Scripts::new(),
            compares: OnceCell::new(),
            tells_expiry: AtomicBool::new(true),
            generation: generation::fresh(),
        })
    }

    /// Tells the types of records that `MGET` had nothing for: gone, or not strings.
    async fn read_others(
        &self,
        names: &[RecordName],
        missing: &[usize],
    ) -> Result<Vec<Option<Held>>, StoreError> {
        let missing_names = || missing.iter().filter_map(|&index| names.get(index));
        let types = missing_names().map(|name| command("TYPE", &[name.as_bytes()]));
        let types = self.link.send_each(types.collect()).await?;
        let mut others = Vec::with_capacity(missing.len());
        for (answer, name) in types.into_iter().zip(missing_names()) {
            others.push(match reply::text(answer)?.as_str() {
                "none" => None,
                "hash" => Some(Held::Hash),
                "list" => Some(Held::List),
                // It became a string in between.
                "string" => match self.get(name, &Slot::Whole).await {
                    Ok(bytes) => bytes.map(Held::String),
                    Err(StoreError::WrongType) => None,
                    Err(error) => return Err(error),
                },
                other => Some(Held::Other(other.to_owned())),
            });
        }
        Ok(others)
    }

    async fn hash_page(
        &self,
        name: &RecordName,
        at: &str,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        let mut scan = cmd("HSCAN");
        scan.arg(name.as_bytes())
            .arg(at)
            .arg("COUNT")
            .arg(count.max(1));
        let (next, items) = reply::page(self.link.send(&scan).await?)?;
        let mut slots = Vec::with_capacity(items.len() / 2);
        let mut items = items.into_iter();
        while let (Some(field), Some(value)) = (items.next(), items.next()) {
            let field = reply::bytes(field)?.ok_or_else(unexpected)?;
            slots.push((
                Slot::Field(field),
                reply::bytes(value)?.ok_or_else(unexpected)?,
            ));
        }
        let next = (next != "0").then(|| Cursor::from_text(format!("hash {next}")));
        Ok(SlotPage { slots, next })
    }

    async fn list_page(
        &self,
        name: &RecordName,
        at: u64,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        let after = at.saturating_add(u64::try_from(count.max(1)).unwrap_or(u64::MAX));
        let mut range = cmd("LRANGE");
        range
            .arg(name.as_bytes())
            .arg(at)
            .arg(after.saturating_sub(1));
        let items = reply::array(self.link.send(&range).await?)?;
        let full = items.len() >= count.max(1);
        let mut slots = Vec::with_capacity(items.len());
        for (index, item) in (at..).zip(items) {
            slots.push((
                Slot::Element(index),
                reply::bytes(item)?.ok_or_else(unexpected)?,
            ));
        }
        Ok(SlotPage {
            slots,
            next: full.then(|| Cursor::from_text(format!("list {after}"))),
        })
    }
}

impl RedisStore {
    /// The generation where the server does not tell its own: another one after each reconnection,
    /// since a restart looks the same.
    fn own_generation(&self) -> String {
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
            Err(StoreError::Denied { .. }) => 0,
            Err(error) => return Err(error),
        };
        let text = match self.link.send(&cmd("INFO")).await {
            Ok(text) => reply::text(text)?,
            // An ACL may forbid it: then less is known, and nothing else fails.
            Err(StoreError::Denied { .. }) => String::new(),
            Err(error) => return Err(error),
        };
        let find = |word: &str| {
            reply::info(&text)
                .find(|(name, _)| *name == word)
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
            generation: find("run_id").map_or_else(|| self.own_generation(), str::to_owned),
            server,
            settings: settings.collect(),
        })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.link.ping().await
    }

    async fn time_ms(&self) -> Result<Option<u64>, StoreError> {
        match self.link.send(&cmd("TIME")).await {
            Ok(answer) => reply::time_ms(answer).map(Some),
            Err(error) if error.is_transient() => Err(error),
            // An ACL may forbid it, and an operator may have renamed it: then it is not known.
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
        let (next, items) = reply::page(self.link.send_aside(&scan).await?)?;
        let mut names = Vec::with_capacity(items.len());
        for item in items {
            let name = reply::bytes(item)?.ok_or_else(unexpected)?;
            // The server's patterns let `{user}` be empty.
            if pattern.names(&name) {
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

    async fn read(&self, names: &[RecordName]) -> Result<Vec<Option<Held>>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut mget = cmd("MGET");
        for name in names {
            mget.arg(name.as_bytes());
        }
        let mut held = Vec::with_capacity(names.len());
        let mut missing = Vec::new();
        for (index, answer) in reply::array(self.link.send(&mget).await?)?
            .into_iter()
            .enumerate()
        {
            let bytes = reply::bytes(answer)?;
            if bytes.is_none() {
                missing.push(index);
            }
            held.push(bytes.map(Held::String));
        }
        if !missing.is_empty() {
            let others = self.read_others(names, &missing).await?;
            for (index, other) in missing.into_iter().zip(others) {
                if let Some(place) = held.get_mut(index) {
                    *place = other;
                }
            }
        }
        Ok(held)
    }

    async fn read_slots(
        &self,
        name: &RecordName,
        cursor: &Cursor,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        if let Some((kind, at)) = cursor.as_str().split_once(' ') {
            return match kind {
                "hash" => self.hash_page(name, at, count).await,
                _ => {
                    self.list_page(name, at.parse().map_err(|_| unexpected())?, count)
                        .await
                }
            };
        }
        let kind = self.link.send(cmd("TYPE").arg(name.as_bytes())).await?;
        match reply::text(kind)?.as_str() {
            "hash" => self.hash_page(name, "0", count).await,
            "list" => self.list_page(name, 0, count).await,
            "none" => Ok(SlotPage {
                slots: Vec::new(),
                next: None,
            }),
            _ => Err(StoreError::WrongType),
        }
    }

    async fn get(&self, name: &RecordName, slot: &Slot) -> Result<Option<Vec<u8>>, StoreError> {
        let command = match slot {
            Slot::Whole => command("GET", &[name.as_bytes()]),
            Slot::Field(field) => command("HGET", &[name.as_bytes(), field]),
            Slot::Element(index) => {
                command("LINDEX", &[name.as_bytes(), index.to_string().as_bytes()])
            }
        };
        reply::bytes(self.link.send(&command).await?)
    }

    async fn put(
        &self,
        name: &RecordName,
        slot: &Slot,
        value: &[u8],
        expiry: Expiry,
    ) -> Result<(), StoreError> {
        let command = match slot {
            Slot::Whole => {
                let mut set = command("SET", &[name.as_bytes(), value]);
                match expiry {
                    Expiry::Keep => {
                        set.arg("KEEPTTL");
                    }
                    Expiry::Never => {}
                    Expiry::After(span) => {
                        set.arg("PX").arg(milliseconds(span));
                    }
                    Expiry::At(time) => {
                        set.arg("PXAT").arg(time.max(1));
                    }
                }
                set
            }
            Slot::Field(field) => command("HSET", &[name.as_bytes(), field, value]),
            Slot::Element(index) => command(
                "LSET",
                &[name.as_bytes(), index.to_string().as_bytes(), value],
            ),
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

    async fn move_if_unchanged(&self, change: Move<'_>) -> Result<Moved, StoreError> {
        self.transfer(change).await
    }

    async fn neighbors(&self, patterns: &[RecordPattern]) -> Result<Neighbors, StoreError> {
        self.look_around(patterns).await
    }

    async fn lifetimes(&self, names: &[RecordName]) -> Result<Vec<Lifetime>, StoreError> {
        self.ends(names).await
    }
}

/// A span in whole milliseconds, at least one: Redis refuses zero.
fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A command with binary arguments.
fn command(word: &str, arguments: &[&[u8]]) -> Cmd {
    let mut command = cmd(word);
    for argument in arguments {
        command.arg(*argument);
    }
    command
}
