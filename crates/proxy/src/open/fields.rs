//! Replies with fields and values in turn: flat, as a map, or in pairs.

use std::borrow::Cow;

use waxseal_resp::{Item, Items, Kind, write_array_head, write_bulk};

use super::{OpenFailure, ReplyOpener, begins_with_pair, expect};
use crate::location::OwnedLocation;

/// A part of a reply with fields.
enum Piece<'a> {
    PairHead(&'a [u8]),
    Field(&'a [u8]),
    /// The bytes from the server, and the value if they were sealed.
    Value(&'a [u8], Option<&'a [u8]>),
}

impl ReplyOpener<'_> {
    /// Appends fields and values.
    pub(super) fn fields(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        record: &OwnedLocation,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        out.extend_from_slice(head.raw);
        self.each_field(
            items,
            head,
            record,
            |piece, out| match piece {
                Piece::PairHead(raw) | Piece::Field(raw) => out.extend_from_slice(raw),
                Piece::Value(raw, None) => out.extend_from_slice(raw),
                Piece::Value(_, Some(value)) => write_bulk(out, value),
            },
            out,
        )
    }

    /// Appends an array of the values, without the fields.
    pub(super) fn only_values(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        record: &OwnedLocation,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let count = match head.kind {
            // Pairs would be counted differently.
            Kind::Array(count) if !begins_with_pair(items)? => count.div_euclid(2),
            Kind::Map(count) => count,
            _ => return Err(OpenFailure::Unexpected),
        };
        write_array_head(out, count);
        self.each_field(
            items,
            head,
            record,
            |piece, out| match piece {
                Piece::PairHead(_) | Piece::Field(_) => {}
                Piece::Value(raw, None) => out.extend_from_slice(raw),
                Piece::Value(_, Some(value)) => write_bulk(out, value),
            },
            out,
        )
    }

    fn each_field(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        record: &OwnedLocation,
        mut write: impl FnMut(Piece<'_>, &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let (pairs, is_nested) = match head.kind {
            Kind::Map(count) => (count, false),
            Kind::Array(0) | Kind::Null => return Ok(()),
            Kind::Array(count) if begins_with_pair(items)? => (count, true),
            Kind::Array(count) if count.is_multiple_of(2) => (count.div_euclid(2), false),
            _ => return Err(OpenFailure::Unexpected),
        };
        for _ in 0..pairs {
            let mut field = items.next()?.ok_or(OpenFailure::Unexpected)?;
            if is_nested {
                expect(field.kind, Kind::Array(2))?;
                write(Piece::PairHead(field.raw), out);
                field = items.next()?.ok_or(OpenFailure::Unexpected)?;
            }
            expect(field.kind, Kind::Bulk)?;
            write(Piece::Field(field.raw), out);
            let item = items.next()?.ok_or(OpenFailure::Unexpected)?;
            expect(item.kind, Kind::Bulk)?;
            match self.open(item.text, record.with_field(field.text))? {
                Cow::Borrowed(_) => write(Piece::Value(item.raw, None), out),
                Cow::Owned(value) => write(Piece::Value(item.raw, Some(&value)), out),
            }
        }
        Ok(())
    }
}
