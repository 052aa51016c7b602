//! What is read for a command that sorts: the elements of a record, and what other records hold for them. A command that
//! needs the elements alone is sent as that read, and its reply is sorted here.

use waxseal_compute::{Lookup, Sort, SortedType};
use waxseal_policy::{Location, PatternId, ProtectedNames};
use waxseal_resp::{Item, Items, Kind, write_array_head, write_bulk, write_null, write_null_bulk};

use super::{OpenFailure, ReplyOpener, ValueOpener};
use crate::answers;
use crate::location::{Name, ValueKind};
use crate::pending::Protocol;

/// Bytes that an element takes beyond its own. With very many small ones it is these that are bounded.
const ELEMENT_BYTES: usize = 100;

/// The record whose elements are sorted.
pub(crate) struct SortedSource {
    pub(crate) name: Name,
    /// Its pattern; `None` if it is not protected.
    pub(crate) pattern: Option<PatternId>,
}

/// A record as it was read.
pub(crate) struct SortedRecord {
    pub(crate) kind: SortedType,
    /// Its elements, opened.
    pub(crate) elements: Vec<Vec<u8>>,
}

/// A name that was looked up: of a string, or of a hash and its field.
pub(crate) struct LookedUp {
    pub(crate) name: Vec<u8>,
    pub(crate) field: Option<Vec<u8>>,
}

impl LookedUp {
    pub(crate) fn retained_bytes(&self) -> usize {
        let field = self.field.as_ref().map_or(0, Vec::len);
        let text = self.name.len().saturating_add(field);
        text.saturating_add(size_of::<Self>())
    }

    /// What the script is told about it beside its name.
    pub(crate) fn argument(&self) -> Vec<u8> {
        match &self.field {
            None => Vec::new(),
            Some(field) => [b"f", &field[..]].concat(),
        }
    }
}

/// What a read for `SORT` is answered with.
pub(crate) struct SortedReply {
    pub(crate) sort: Sort,
    pub(crate) source: SortedSource,
    pub(crate) protocol: Protocol,
    /// Maximum bytes of the reply.
    pub(crate) limit: usize,
}

impl SortedReply {
    /// Bytes that are held for it beyond its own size.
    pub(crate) fn retained_bytes(&self) -> usize {
        self.source.name.len().saturating_add(size_of::<Self>())
    }
}

/// The answer to a read: everything but what the lookups found, which follows.
pub(crate) struct SortedRead {
    pub(crate) record: SortedRecord,
    /// The digest of everything that was read.
    pub(crate) digest: Vec<u8>,
}

/// Reads the answer to a read for `SORT`, of which `first` is the first item.
pub(crate) fn read_sorted(
    values: &mut ValueOpener<'_>,
    command: &'static str,
    (source, limit): (&SortedSource, usize),
    items: &mut Items<'_>,
    first: Item<'_>,
) -> Result<SortedRead, OpenFailure> {
    if first.kind == Kind::Error {
        return Err(OpenFailure::Broken(sort_error(command, first.raw)));
    }
    super::expect(first.kind, Kind::Array(4))?;
    let kind = match items.next()?.ok_or(OpenFailure::Unexpected)?.text {
        // No record is an empty list.
        b"list" | b"none" => SortedType::List,
        b"set" => SortedType::Set,
        b"zset" => SortedType::SortedSet,
        _ => return Err(OpenFailure::Unexpected),
    };
    let count = array(items)?;
    check_count(command, count, limit).map_err(OpenFailure::Broken)?;
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        let stored = items.next()?.ok_or(OpenFailure::Unexpected)?.text;
        let Some(pattern) = source.pattern else {
            elements.push(stored.to_vec());
            continue;
        };
        let location = Location {
            pattern,
            kind: match kind {
                SortedType::List => ValueKind::ListElement,
                SortedType::Set | SortedType::SortedSet => ValueKind::Member,
            },
            name: &source.name[..],
            field: None,
        };
        let opened = values.open(command, stored, location);
        elements.push(opened.map_err(OpenFailure::Broken)?.into_owned());
    }
    let digest = items.next()?.ok_or(OpenFailure::Unexpected)?.text;
    Ok(SortedRead {
        record: SortedRecord { kind, elements },
        digest: digest.to_vec(),
    })
}

/// Reads what these names hold.
pub(crate) fn read_lookups(
    values: &mut ValueOpener<'_>,
    command: &'static str,
    (names, looked_up): (&ProtectedNames, &[LookedUp]),
    items: &mut Items<'_>,
) -> Result<Vec<Option<Vec<u8>>>, OpenFailure> {
    super::expect(Kind::Array(array(items)?), Kind::Array(looked_up.len()))?;
    let mut found = Vec::with_capacity(looked_up.len());
    for LookedUp { name, field } in looked_up {
        let item = items.next()?.ok_or(OpenFailure::Unexpected)?;
        if item.kind == Kind::Null {
            found.push(None);
            continue;
        }
        let Some(pattern) = names.find(name) else {
            found.push(Some(item.text.to_vec()));
            continue;
        };
        let location = Location {
            pattern,
            kind: match field {
                Some(_) => ValueKind::HashField,
                None => ValueKind::String,
            },
            name: &name[..],
            field: field.as_deref(),
        };
        let opened = values.open(command, item.text, location);
        found.push(Some(opened.map_err(OpenFailure::Broken)?.into_owned()));
    }
    Ok(found)
}

/// `Err` is the answer if so many elements or values are too many to hold.
pub(crate) fn check_count(
    command: &'static str,
    count: usize,
    limit: usize,
) -> Result<(), Vec<u8>> {
    match count.saturating_mul(ELEMENT_BYTES) > limit {
        true => Err(answers::reply_too_large(command, limit)),
        false => Ok(()),
    }
}

/// The number of elements of the array that follows.
fn array(items: &mut Items<'_>) -> Result<usize, OpenFailure> {
    match items.next()?.ok_or(OpenFailure::Unexpected)?.kind {
        Kind::Array(count) => Ok(count),
        _ => Err(OpenFailure::Unexpected),
    }
}

/// Appends results as the reply to a command. `Err` is the answer if they are longer than a reply may be.
pub(crate) fn write_results(
    results: &[Option<&[u8]>],
    command: &'static str,
    (protocol, limit): (Protocol, usize),
    out: &mut Vec<u8>,
) -> Result<(), Vec<u8>> {
    let lengths = results.iter().flatten().map(|result| result.len());
    if lengths.fold(0, usize::saturating_add) > limit {
        return Err(answers::reply_too_large(command, limit));
    }
    write_array_head(out, results.len());
    for result in results.iter().copied() {
        match (result, protocol) {
            (Some(value), _) => write_bulk(out, value),
            (None, Protocol::Resp2) => write_null_bulk(out),
            (None, Protocol::Resp3) => write_null(out),
        }
    }
    Ok(())
}

/// The server's error about one of the proxy's own requests, as one about the command that the client sent.
pub(crate) fn sort_error(command: &'static str, error: &[u8]) -> Vec<u8> {
    if answers::is_about_rights(error) {
        return answers::sort_not_permitted(command);
    }
    error.to_vec()
}

impl ReplyOpener<'_> {
    /// Appends what the client gets for a read, of which `first` is the first item.
    pub(super) fn sorted(
        &mut self,
        items: &mut Items<'_>,
        first: Item<'_>,
        sorted: &SortedReply,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let SortedReply {
            sort,
            source,
            protocol,
            limit,
        } = sorted;
        let read = read_sorted(
            &mut self.values,
            self.command,
            (source, *limit),
            items,
            first,
        )?;
        // Nothing was looked up.
        items.skip()?;
        let SortedRecord { kind, elements } = read.record;
        let order = sort.order(kind, &elements, &[]);
        let order = order.map_err(|error| OpenFailure::Broken(answers::server_error(error)))?;
        let ordered = order.iter().filter_map(|place| elements.get(*place));
        let count = order.len().saturating_mul(sort.results_of_each());
        check_count(self.command, count, *limit).map_err(OpenFailure::Broken)?;
        let results: Vec<Option<&[u8]>> = sort
            .results(ordered.map(Vec::as_slice))
            .map(|lookup| match lookup {
                Lookup::Element(element) => Some(element),
                Lookup::Nothing | Lookup::Record { .. } => None,
            })
            .collect();
        let written = write_results(&results, self.command, (*protocol, *limit), out);
        written.map_err(OpenFailure::Broken)
    }
}
