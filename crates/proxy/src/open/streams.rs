//! Replies with entries of streams: pairs of an id and of fields with values, of one stream or of several.

use waxseal_resp::{Item, Items, Kind};

use super::names::write_name;
use super::{OpenFailure, ReplyOpener, expect};
use crate::location::{self, BorrowedLocation, ValueKind};
use crate::pending::strings::RequestNames;

impl ReplyOpener<'_> {
    /// Null, or names with their entries: pairs in an array, or a map.
    pub(super) fn streams(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        names: &RequestNames,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        out.extend_from_slice(head.raw);
        let (count, is_map) = match head.kind {
            Kind::Null => return Ok(()),
            Kind::Array(count) => (count, false),
            Kind::Map(count) => (count, true),
            _ => return Err(OpenFailure::Unexpected),
        };
        // Servers answer in the order of the request.
        let mut remaining = names.names();
        for _ in 0..count {
            if !is_map {
                let pair = items.next()?.ok_or(OpenFailure::Unexpected)?;
                expect(pair.kind, Kind::Array(2))?;
                out.extend_from_slice(pair.raw);
            }
            let name = items.next()?.ok_or(OpenFailure::Unexpected)?;
            expect(name.kind, Kind::Bulk)?;
            let Some(logical) = self.name_of_request(name.text)? else {
                // Its key is fetched first.
                items.skip()?;
                continue;
            };
            if !remaining.any(|other| *other == *logical) && !names.contains(&logical) {
                // Under a name that is not protected a server could make up a value.
                return Err(OpenFailure::Unexpected);
            }
            write_name(name, &logical, out);
            match self.values.protection().names().find(&logical) {
                None => out.extend_from_slice(items.skip()?),
                Some(pattern) => {
                    let record = location::record(pattern, &logical, ValueKind::StreamField);
                    let page = items.next()?.ok_or(OpenFailure::Unexpected)?;
                    self.entries(items, page, record, out)?;
                }
            }
        }
        Ok(())
    }

    /// Null, or an array of entries or of their ids.
    pub(super) fn entries(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        record: BorrowedLocation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        out.extend_from_slice(head.raw);
        let count = match head.kind {
            Kind::Null => return Ok(()),
            Kind::Array(count) => count,
            _ => return Err(OpenFailure::Unexpected),
        };
        for _ in 0..count {
            self.entry(items, record, out)?;
        }
        Ok(())
    }

    /// The reply to XAUTOCLAIM: where to continue, then entries, and since Redis 7 the ids of deleted ones.
    pub(super) fn claimed_entries(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        record: BorrowedLocation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let Kind::Array(parts @ 2..=3) = head.kind else {
            return Err(OpenFailure::Unexpected);
        };
        out.extend_from_slice(head.raw);
        id(items, out)?;
        let page = items.next()?.ok_or(OpenFailure::Unexpected)?;
        self.entries(items, page, record, out)?;
        if parts == 3 {
            let deleted = items.next()?.ok_or(OpenFailure::Unexpected)?;
            let Kind::Array(count) = deleted.kind else {
                return Err(OpenFailure::Unexpected);
            };
            out.extend_from_slice(deleted.raw);
            for _ in 0..count {
                id(items, out)?;
            }
        }
        Ok(())
    }

    /// The reply to XINFO STREAM: names and their values, flat or as a map. Some of them are entries.
    pub(super) fn stream_info(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        record: BorrowedLocation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let pairs = match head.kind {
            Kind::Map(pairs) => pairs,
            Kind::Array(count) if count.is_multiple_of(2) => count.div_euclid(2),
            _ => return Err(OpenFailure::Unexpected),
        };
        out.extend_from_slice(head.raw);
        for _ in 0..pairs {
            let what = items.next()?.ok_or(OpenFailure::Unexpected)?;
            expect(what.kind, Kind::Bulk)?;
            out.extend_from_slice(what.raw);
            match what.text {
                b"first-entry" | b"last-entry" => self.entry(items, record, out)?,
                b"entries" => {
                    let page = items.next()?.ok_or(OpenFailure::Unexpected)?;
                    self.entries(items, page, record, out)?;
                }
                _ => out.extend_from_slice(items.skip()?),
            }
        }
        Ok(())
    }

    /// An entry; its id alone; or null, if it was deleted.
    fn entry(
        &mut self,
        items: &mut Items<'_>,
        record: BorrowedLocation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let mut ahead = items.clone();
        let head = ahead.next()?.ok_or(OpenFailure::Unexpected)?;
        let parts = match head.kind {
            Kind::Array(parts @ 2..) => parts,
            Kind::Null => {
                out.extend_from_slice(items.skip()?);
                return Ok(());
            }
            _ => return id(items, out),
        };
        *items = ahead;
        out.extend_from_slice(head.raw);
        id(items, out)?;
        let fields = items.next()?.ok_or(OpenFailure::Unexpected)?;
        out.extend_from_slice(fields.raw);
        match fields.kind {
            // Of a deleted entry that is still pending.
            Kind::Null => {}
            Kind::Array(count) if count.is_multiple_of(2) => {
                self.fields_of_entry(items, count.div_euclid(2), record, out)?;
            }
            _ => return Err(OpenFailure::Unexpected),
        }
        // Of a pending entry that was claimed: its idle time and the number of its deliveries.
        for _ in 2..parts {
            let number = items.next()?.ok_or(OpenFailure::Unexpected)?;
            if !number.raw.starts_with(b":") {
                return Err(OpenFailure::Unexpected);
            }
            out.extend_from_slice(number.raw);
        }
        Ok(())
    }

    fn fields_of_entry(
        &mut self,
        items: &mut Items<'_>,
        pairs: usize,
        record: BorrowedLocation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        for _ in 0..pairs {
            let field = items.next()?.ok_or(OpenFailure::Unexpected)?;
            expect(field.kind, Kind::Bulk)?;
            out.extend_from_slice(field.raw);
            let value = items.next()?.ok_or(OpenFailure::Unexpected)?;
            expect(value.kind, Kind::Bulk)?;
            self.one_of_several(value, record.with_field(field.text), out)?;
        }
        Ok(())
    }
}

/// Appends the id of an entry. Nothing else passes in its place: a server could make up a value.
fn id(items: &mut Items<'_>, out: &mut Vec<u8>) -> Result<(), OpenFailure> {
    let item = items.next()?.ok_or(OpenFailure::Unexpected)?;
    expect(item.kind, Kind::Bulk)?;
    let mut parts = item.text.split(|byte| *byte == b'-');
    let is_number = |part: Option<&[u8]>| {
        part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    if !(is_number(parts.next()) && is_number(parts.next()) && parts.next().is_none()) {
        return Err(OpenFailure::Unexpected);
    }
    out.extend_from_slice(item.raw);
    Ok(())
}
