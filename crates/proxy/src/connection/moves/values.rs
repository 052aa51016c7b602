//! Values that move to another record: where they come from, their new forms, and the request that moves them.

use std::sync::Arc;

use waxseal_compute::Dialect;
use waxseal_core::UserKey;
use waxseal_lua::{MOVE_ELEMENT, MOVE_RECORD, READ_RECORD, write_eval};
use waxseal_policy::{End, Location, MoveCall, Moved};
use waxseal_resp::{write_bulk, write_request_head};

use crate::connection::computed::has_field_lifetimes;
use crate::connection::state::ConnectionState;
use crate::connection::stored::StoredValue;
use crate::location::{BorrowedLocation, Name, OwnedLocation, ValueKind, owned};
use crate::open::ValueOpener;
use crate::seal::{SendError, seal_value};

/// Reads of elements, as the proxy itself asks.
const OWN_LINDEX: &[u8] = b"lINDEX";

/// The number of values of a record that are moved at most: for so long their scripts hold up the server.
const MAX_VALUES: usize = 50_000;

/// Bytes that a value takes beyond its own until it has moved. With very many small ones it is these that are bounded.
const VALUE_BYTES: usize = 200;

/// The kinds of values that can move, as the script names them.
const KINDS: [(ValueKind, &str); 4] = [
    (ValueKind::String, "string"),
    (ValueKind::HashField, "hash"),
    (ValueKind::ListElement, "list"),
    (ValueKind::Member, "set"),
];

/// The record that values move from.
#[derive(Clone)]
pub(in crate::connection) enum Source {
    Protected(OwnedLocation),
    /// One that is not protected, so that its values are plain.
    Plain(Name),
}

/// A value of the source.
#[derive(Clone)]
pub(in crate::connection) struct MovedValue {
    pub(in crate::connection) kind: ValueKind,
    pub(in crate::connection) field: Option<Box<[u8]>>,
    pub(in crate::connection) value: StoredValue,
}

/// A value of the source, and the bytes that replace it in the destination.
pub(in crate::connection) struct Resealed<'v> {
    pub(in crate::connection) moved: &'v MovedValue,
    pub(in crate::connection) new: Vec<u8>,
}

impl Source {
    pub(in crate::connection) fn name(&self) -> &[u8] {
        match self {
            Self::Protected(location) => &location.name,
            Self::Plain(name) => name,
        }
    }

    /// Opens one of its values. `Err` is the answer if it does not open.
    pub(in crate::connection) fn open(
        &self,
        values: &mut ValueOpener<'_>,
        command: &'static str,
        (kind, field): (ValueKind, Option<&[u8]>),
        stored: &[u8],
    ) -> Result<MovedValue, Vec<u8>> {
        let value = match self {
            Self::Plain(_) => StoredValue::plain(stored),
            Self::Protected(record) => {
                let location = Location {
                    kind,
                    field,
                    ..record.borrowed()
                };
                StoredValue::open(values, command, stored, location)?
            }
        };
        Ok(MovedValue {
            kind,
            field: field.map(Box::from),
            value,
        })
    }
}

impl Resealed<'_> {
    /// The same value, as it is in the destination.
    pub(in crate::connection) fn at_destination(&self) -> MovedValue {
        let value = self.moved.value.value().to_vec();
        MovedValue {
            value: StoredValue::sealed(self.new.clone(), value),
            ..self.moved.clone()
        }
    }
}

impl MovedValue {
    /// Bytes that are held for it.
    pub(in crate::connection) fn retained_bytes(&self) -> usize {
        let field = self.field.as_ref().map_or(0, |field| field.len());
        let value = self.value.retained_bytes().saturating_add(field);
        value.saturating_add(size_of::<Self>())
    }
}

/// The records of a move.
pub(in crate::connection) fn records(
    call: MoveCall,
    arguments: &[&[u8]],
) -> (Source, OwnedLocation) {
    let destination = call.destination.resolve(arguments);
    let name = arguments.get(call.source).copied().unwrap_or_default();
    let source = match call.pattern {
        Some(pattern) => Source::Protected(owned(Location {
            pattern,
            name,
            ..destination
        })),
        None => Source::Plain(Name::from_slice(name)),
    };
    (source, owned(destination))
}

impl ConnectionState {
    /// These values as they are stored at the destination.
    pub(in crate::connection) fn seal_moved<'v>(
        &self,
        values: impl Iterator<Item = &'v MovedValue>,
        destination: &OwnedLocation,
        key: Option<&Arc<UserKey>>,
    ) -> Result<Vec<Resealed<'v>>, SendError> {
        let seal = |moved: &'v MovedValue| {
            let location: BorrowedLocation<'_> = Location {
                kind: moved.kind,
                field: moved.field.as_deref(),
                ..destination.borrowed()
            };
            let new = seal_value(moved.value.value(), location, key, &self.protection)?;
            let new = new.into_owned();
            Ok(Resealed { moved, new })
        };
        values.map(seal).collect()
    }
}

/// Appends the request that reads the element at an end of the list that is stored under this name.
pub(in crate::connection) fn write_read_end(name: &[u8], end: End, out: &mut Vec<u8>) {
    let index: &[u8] = match end {
        End::Left => b"0",
        End::Right => b"-1",
    };
    write_request_head(out, 3);
    for argument in [OWN_LINDEX, name, index] {
        write_bulk(out, argument);
    }
}

/// The number of values that are moved at most, where so many bytes of a reply are held.
pub(in crate::connection) fn max_values(max_bytes: usize) -> usize {
    MAX_VALUES.min(max_bytes.div_euclid(VALUE_BYTES))
}

/// Appends the request that reads the record that is stored under this name, if it is not larger than this.
pub(in crate::connection) fn write_read_record(name: &[u8], max_bytes: usize, out: &mut Vec<u8>) {
    let values = max_values(max_bytes).to_string();
    let bytes = max_bytes.to_string();
    let arguments = [values.as_bytes(), bytes.as_bytes()];
    write_eval(out, READ_RECORD, &[name], &arguments);
}

/// Appends the request that moves values, if there are no others, between the records that are stored under these names.
pub(in crate::connection) fn write_move(
    moved: Moved,
    names: [&[u8]; 2],
    (values, dialect): (&[Resealed<'_>], Dialect),
    out: &mut Vec<u8>,
) {
    let word = match moved {
        Moved::Record => "RENAME",
        Moved::RecordToFreeName => "RENAMENX",
        Moved::Copy => "COPY",
        Moved::CopyReplacing => "REPLACE",
        Moved::Element { from, to } => {
            let mut arguments = vec![from.as_str().as_bytes(), to.as_str().as_bytes()];
            let elements = values.iter();
            for element in elements.filter(|it| it.moved.kind == ValueKind::ListElement) {
                arguments.extend([&*element.moved.value.stored, &element.new]);
            }
            return write_eval(out, MOVE_ELEMENT, &names, &arguments);
        }
    };
    let of_kind = |kind| values.iter().filter(move |it| it.moved.kind == kind);
    let counts = KINDS.map(|(kind, _)| of_kind(kind).count().to_string());
    let mut arguments: Vec<&[u8]> = vec![word.as_bytes(), has_field_lifetimes(dialect)];
    for ((kind, name), count) in KINDS.into_iter().zip(&counts) {
        if of_kind(kind).next().is_none() {
            continue;
        }
        arguments.extend([name.as_bytes(), count.as_bytes()]);
        for value in of_kind(kind) {
            arguments.extend(value.moved.field.as_deref());
            arguments.extend([&*value.moved.value.stored, &value.new]);
        }
    }
    write_eval(out, MOVE_RECORD, &names, &arguments);
}
