//! The slots of records that are not strings: pages of them, and single ones. The type of a record
//! is part of the cursor, so that only the first page asks for it.

use redis::{Value, cmd};

use super::reply::{self, unexpected};
use super::{RedisStore, command};
use crate::error::StoreError;
use crate::record::{Cursor, RecordName, Slot, SlotPage, StreamEntry, StreamField};

/// The number of fields that an entry of a stream is expected to have.
const FIELDS_PER_ENTRY: usize = 4;

/// Two items of a reply: a field and its value, or a member and its score.
type Pair = (Vec<u8>, Vec<u8>);

impl RedisStore {
    /// One page of the slots of a record.
    pub(super) async fn slot_page(
        &self,
        name: &RecordName,
        cursor: &Cursor,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        let count = count.max(1);
        if let Some((kind, at)) = cursor.as_str().split_once(' ') {
            return self.page_of(kind, name, at, count).await;
        }
        let kind = self.link.send(cmd("TYPE").arg(name.as_bytes())).await?;
        match reply::text(kind)?.as_str() {
            "none" => Ok(SlotPage {
                slots: Vec::new(),
                next: None,
            }),
            kind => self.page_of(kind, name, "", count).await,
        }
    }

    /// One page of the slots of a record of this type, from a position on: an empty one is the
    /// beginning.
    async fn page_of(
        &self,
        kind: &str,
        name: &RecordName,
        at: &str,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        match kind {
            "hash" => {
                let (items, next) = self.scan_page("HSCAN", name, at, count).await?;
                let pair = |(field, value)| (Slot::Field(field), value);
                let slots = pairs(items)?.into_iter().map(pair).collect();
                Ok(page(kind, slots, next))
            }
            "list" => self.list_page(name, at, count).await,
            "set" => {
                let (items, next) = self.scan_page("SSCAN", name, at, count).await?;
                let mut slots = Vec::with_capacity(items.len());
                for item in items {
                    slots.push(member(reply::bytes(item)?.ok_or_else(unexpected)?));
                }
                Ok(page(kind, slots, next))
            }
            "zset" => {
                let (items, next) = self.scan_page("ZSCAN", name, at, count).await?;
                let slots = pairs(items)?.into_iter().map(|(it, _score)| member(it));
                Ok(page(kind, slots.collect(), next))
            }
            "stream" => self.stream_page(name, at, count).await,
            _ => Err(StoreError::WrongType),
        }
    }

    /// A page by one of the scan commands: its items, and the next position.
    async fn scan_page(
        &self,
        scan: &str,
        name: &RecordName,
        at: &str,
        count: usize,
    ) -> Result<(Vec<Value>, Option<String>), StoreError> {
        let at = if at.is_empty() { "0" } else { at };
        let mut scan = cmd(scan);
        scan.arg(name.as_bytes()).arg(at).arg("COUNT").arg(count);
        let (next, items) = reply::page(self.link.send(&scan).await?)?;
        Ok((items, Some(next).filter(|next| next != "0")))
    }

    async fn list_page(
        &self,
        name: &RecordName,
        at: &str,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        let at: u64 = match at {
            "" => 0,
            at => at.parse().map_err(|_| unexpected())?,
        };
        let after = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        let mut range = cmd("LRANGE");
        range
            .arg(name.as_bytes())
            .arg(at)
            .arg(after.saturating_sub(1));
        let items = reply::array(self.link.send(&range).await?)?;
        let is_full = items.len() >= count;
        let mut slots = Vec::with_capacity(items.len());
        for (index, item) in (at..).zip(items) {
            slots.push((
                Slot::Element(index),
                reply::bytes(item)?.ok_or_else(unexpected)?,
            ));
        }
        Ok(page("list", slots, is_full.then(|| after.to_string())))
    }

    /// A page of whole entries: the position is the id of the last one.
    async fn stream_page(
        &self,
        name: &RecordName,
        at: &str,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        let count = count.div_ceil(FIELDS_PER_ENTRY);
        let entries = self.stream_entries(name, at, count).await?;
        let last = entries.last().filter(|_| entries.len() >= count);
        let next = last.map(|entry| entry.id.clone());
        let mut slots = Vec::with_capacity(entries.len());
        for entry in entries {
            for (index, (field, value)) in entry.fields.into_iter().enumerate() {
                let at = StreamField {
                    entry: entry.id.clone(),
                    index,
                    field,
                };
                slots.push((Slot::StreamField(at), value));
            }
        }
        Ok(page("stream", slots, next))
    }

    /// The first entries of a stream after this id; an empty one is before all others.
    pub(super) async fn stream_entries(
        &self,
        name: &RecordName,
        after: &str,
        count: usize,
    ) -> Result<Vec<StreamEntry>, StoreError> {
        let from = match after {
            "" => "-".to_owned(),
            after => format!("({after}"),
        };
        let mut range = cmd("XRANGE");
        range.arg(name.as_bytes()).arg(from).arg("+");
        range.arg("COUNT").arg(count);
        stream_entries(self.link.send(&range).await?)
    }

    /// The value of one slot.
    pub(super) async fn get_slot(
        &self,
        name: &RecordName,
        slot: &Slot,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let command = match slot {
            Slot::Whole => command("GET", &[name.as_bytes()]),
            Slot::Field(field) => command("HGET", &[name.as_bytes(), field]),
            Slot::Element(index) => {
                command("LINDEX", &[name.as_bytes(), index.to_string().as_bytes()])
            }
            Slot::Member(member) => {
                let has_member = self.has_member(name, member).await?;
                return Ok(has_member.then(|| member.clone()));
            }
            Slot::StreamField(at) => return self.stream_value(name, at).await,
        };
        reply::bytes(self.link.send(&command).await?)
    }

    /// True if the set or sorted set has this member.
    async fn has_member(&self, name: &RecordName, member: &[u8]) -> Result<bool, StoreError> {
        let is_member = command("SISMEMBER", &[name.as_bytes(), member]);
        match self.link.send(&is_member).await {
            Ok(answer) => Ok(reply::number(&answer)? == 1),
            Err(StoreError::WrongType) => {
                let score = command("ZSCORE", &[name.as_bytes(), member]);
                Ok(self.link.send(&score).await? != Value::Nil)
            }
            Err(error) => Err(error),
        }
    }

    async fn stream_value(
        &self,
        name: &RecordName,
        at: &StreamField,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let id = at.entry.as_bytes();
        let range = command("XRANGE", &[name.as_bytes(), id, id]);
        let mut entries = stream_entries(self.link.send(&range).await?)?;
        let Some(entry) = entries.pop() else {
            return Ok(None);
        };
        let found = entry.fields.into_iter().nth(at.index);
        let found = found.filter(|(field, _)| *field == at.field);
        Ok(found.map(|(_, value)| value))
    }
}

/// The error for slots that are not written one by one.
pub(super) fn not_written() -> StoreError {
    StoreError::Unsupported {
        what: "write a member or a value of a stream in its place",
    }
}

/// The entries of a stream in a reply.
pub(super) fn stream_entries(value: Value) -> Result<Vec<StreamEntry>, StoreError> {
    let entry = |entry| -> Result<StreamEntry, StoreError> {
        let [id, fields] =
            <[Value; 2]>::try_from(reply::array(entry)?).map_err(|_| unexpected())?;
        Ok(StreamEntry {
            id: reply::text(id)?,
            fields: pairs(reply::array(fields)?)?,
        })
    };
    reply::array(value)?.into_iter().map(entry).collect()
}

fn page(kind: &str, slots: Vec<(Slot, Vec<u8>)>, next: Option<String>) -> SlotPage {
    SlotPage {
        slots,
        next: next.map(|at| Cursor::from_text(format!("{kind} {at}"))),
    }
}

fn member(member: Vec<u8>) -> (Slot, Vec<u8>) {
    (Slot::Member(member.clone()), member)
}

/// The items of a reply, two by two.
fn pairs(items: Vec<Value>) -> Result<Vec<Pair>, StoreError> {
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let Some(first) = items.next() {
        let second = items.next().ok_or_else(unexpected)?;
        pairs.push((
            reply::bytes(first)?.ok_or_else(unexpected)?,
            reply::bytes(second)?.ok_or_else(unexpected)?,
        ));
    }
    Ok(pairs)
}
