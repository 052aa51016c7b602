//! Back: a whole reply with envelopes becomes the same reply with values. Whatever is no value goes
//! as it came.
//!
//! A value that does not open makes the whole reply an error, so that no client can take it for a
//! missing value; only in the replies of a transaction, where each stands for itself, and of a
//! command that took several values out of the store, where the others would be lost, does the error
//! stand in the place of the one value.

use std::borrow::Cow;

use waxseal_resp::{Item, Items, Kind, ReplyError, write_array_head, write_bulk, write_integer};

use crate::pending::strings::Strings;
use crate::pending::{Place, Shape};

mod values;

use values::Spot;
pub(crate) use values::{Noted, Values};

/// Why a reply is not what was expected.
pub(crate) enum Failed {
    /// A value in it does not open: this is the answer.
    Broken(Vec<u8>),
    /// It is not what the request answers: the pairing is lost.
    Unexplained,
}

impl From<ReplyError> for Failed {
    fn from(_: ReplyError) -> Self {
        Self::Unexplained
    }
}

/// Opens the values of whole replies.
pub(crate) struct Opener<'a> {
    pub(crate) values: Values<'a>,
    pub(crate) command: &'static str,
}

impl Opener<'_> {
    /// Appends what the client gets for this reply. An `Err` means that the pairing is lost, and
    /// nothing was appended.
    pub(crate) fn reply(
        &mut self,
        reply: &[u8],
        shape: &Shape,
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        let before = out.len();
        let mut items = Items::of(reply);
        match self.element(&mut items, shape, out) {
            Ok(()) => Ok(()),
            Err(Failed::Broken(answer)) => {
                out.truncate(before);
                out.extend_from_slice(&answer);
                Ok(())
            }
            Err(Failed::Unexplained) => {
                out.truncate(before);
                Err(Failed::Unexplained)
            }
        }
    }

    /// The replies of a transaction, each by its shape.
    pub(crate) fn transaction(
        &mut self,
        reply: &[u8],
        queued: &[(&'static str, Shape)],
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        let before = out.len();
        let opened = self.each_queued(reply, queued, out);
        if opened.is_err() {
            out.truncate(before);
        }
        opened
    }

    fn each_queued(
        &mut self,
        reply: &[u8],
        queued: &[(&'static str, Shape)],
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        let mut items = Items::of(reply);
        pass_attributes(&mut items, out)?;
        let head = items.next()?.ok_or(Failed::Unexplained)?;
        match head.kind {
            Kind::Array(count) if count == queued.len() => {}
            // Not executed: an error, or null where a watched record had changed.
            Kind::Error | Kind::Null => {
                out.extend_from_slice(head.raw);
                return Ok(());
            }
            _ => return Err(Failed::Unexplained),
        }
        out.extend_from_slice(head.raw);
        for (command, shape) in queued {
            self.command = command;
            let one = items.skip()?;
            self.reply(one, shape, out)?;
        }
        Ok(())
    }

    fn element(
        &mut self,
        items: &mut Items<'_>,
        shape: &Shape,
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        pass_attributes(items, out)?;
        let mut start = items.clone();
        let first = items.next()?.ok_or(Failed::Unexplained)?;
        if first.kind == Kind::Error {
            out.extend_from_slice(first.raw);
            return Ok(());
        }
        match shape {
            Shape::Verbatim => out.extend_from_slice(start.skip()?),
            Shape::Value(place) => self.value(first, place.into(), out)?,
            Shape::Elements(place) => match first.kind {
                Kind::Array(count) => self.elements(items, first, count, place.into(), out)?,
                _ => self.value(first, place.into(), out)?,
            },
            Shape::EachName(names) => {
                let spots = names.iter().map(|protected| {
                    protected.map(|(pattern, name)| Spot {
                        pattern,
                        name,
                        field: None,
                    })
                });
                self.each(items, first, spots, out)?;
            }
            Shape::EachField(fields) => {
                let (record, fields) = &**fields;
                let spots = fields.iter().map(|field| Some(Spot::field(record, field)));
                self.each(items, first, spots, out)?;
            }
            Shape::Fields(place) => self.fields(items, first, place, out)?,
            Shape::ScannedFields(place) => {
                expect(first.kind, Kind::Array(2))?;
                out.extend_from_slice(first.raw);
                out.extend_from_slice(items.skip()?);
                let page = items.next()?.ok_or(Failed::Unexplained)?;
                self.fields(items, page, place, out)?;
            }
            Shape::OnlyValues(place) => self.only_values(items, first, place, out)?,
            Shape::Popped(names) => self.popped(items, first, names, out)?,
            Shape::ScriptsExist(identifiable_digests) => match first.kind {
                Kind::Array(count) if count == identifiable_digests.len() => {
                    scripts_exist(items, first, identifiable_digests, out)?;
                }
                _ => out.extend_from_slice(start.skip()?),
            },
            Shape::Length(place) => {
                let value = self.whole(first, place)?;
                write_integer(out, i64::try_from(value.len()).unwrap_or(i64::MAX));
            }
            Shape::Range(range) => {
                let (place, start, end) = &**range;
                let value = self.whole(first, place)?;
                write_bulk(out, part(&value, *start, *end));
            }
        }
        Ok(())
    }

    /// A value or a null. What is written in another way than values are, is opened like one all the
    /// same: else a server could make up a value by writing it so.
    fn value(&mut self, item: Item<'_>, place: Spot<'_>, out: &mut Vec<u8>) -> Result<(), Failed> {
        match item.kind {
            Kind::Bulk | Kind::Simple | Kind::Other => match self.open(item.text, place)? {
                Cow::Borrowed(_) => out.extend_from_slice(item.raw),
                Cow::Owned(value) => write_bulk(out, &value),
            },
            Kind::Null | Kind::Error => {
                out.extend_from_slice(item.raw);
            }
            _ => return Err(Failed::Unexplained),
        }
        Ok(())
    }

    /// A value that the client gets no more than a part of: nothing where there is none.
    fn whole<'r>(&mut self, item: Item<'r>, place: &Place) -> Result<Cow<'r, [u8]>, Failed> {
        match item.kind {
            Kind::Bulk => self.open(item.text, place.into()),
            Kind::Null => Ok(Cow::Borrowed(&[])),
            _ => Err(Failed::Unexplained),
        }
    }

    fn elements(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        count: usize,
        place: Spot<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        out.extend_from_slice(head.raw);
        for _ in 0..count {
            let item = items.next()?.ok_or(Failed::Unexplained)?;
            self.one_of_several(item, place, out)?;
        }
        Ok(())
    }

    /// As [`value`](Self::value), but where the command takes values out of the store an error
    /// stands for the one value: the others have left the store and would be lost.
    fn one_of_several(
        &mut self,
        item: Item<'_>,
        place: Spot<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        let before = out.len();
        match self.value(item, place, out) {
            Err(Failed::Broken(answer)) if takes_out(self.command) => {
                out.truncate(before);
                out.extend_from_slice(&answer);
                Ok(())
            }
            other => other,
        }
    }

    fn each<'p>(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        places: impl ExactSizeIterator<Item = Option<Spot<'p>>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        match head.kind {
            Kind::Array(count) if count == places.len() => {}
            Kind::Null => {
                out.extend_from_slice(head.raw);
                return Ok(());
            }
            _ => return Err(Failed::Unexplained),
        }
        out.extend_from_slice(head.raw);
        for place in places {
            match place {
                Some(place) => {
                    let item = items.next()?.ok_or(Failed::Unexplained)?;
                    self.one_of_several(item, place, out)?;
                }
                None => out.extend_from_slice(items.skip()?),
            }
        }
        Ok(())
    }

    /// Field and value in turn: flat, as a map, or in pairs.
    fn fields(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        place: &Place,
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        out.extend_from_slice(head.raw);
        self.each_field(
            items,
            head,
            place,
            |piece, out| match piece {
                Piece::PairHead(raw) | Piece::Field(raw) => out.extend_from_slice(raw),
                Piece::Value(raw, None) => out.extend_from_slice(raw),
                Piece::Value(_, Some(value)) => write_bulk(out, value),
            },
            out,
        )
    }

    fn only_values(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        place: &Place,
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        let count = match head.kind {
            // Pairs would be counted otherwise.
            Kind::Array(count) if !begins_with_pair(items)? => count.div_euclid(2),
            Kind::Map(count) => count,
            _ => return Err(Failed::Unexplained),
        };
        write_array_head(out, count);
        self.each_field(
            items,
            head,
            place,
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
        place: &Place,
        mut write: impl FnMut(Piece<'_>, &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        let (pairs, nested) = match head.kind {
            Kind::Map(count) => (count, false),
            Kind::Array(0) | Kind::Null => return Ok(()),
            Kind::Array(count) if begins_with_pair(items)? => (count, true),
            Kind::Array(count) if count.is_multiple_of(2) => (count.div_euclid(2), false),
            _ => return Err(Failed::Unexplained),
        };
        for _ in 0..pairs {
            let mut field = items.next()?.ok_or(Failed::Unexplained)?;
            if nested {
                expect(field.kind, Kind::Array(2))?;
                write(Piece::PairHead(field.raw), out);
                field = items.next()?.ok_or(Failed::Unexplained)?;
            }
            expect(field.kind, Kind::Bulk)?;
            write(Piece::Field(field.raw), out);
            let item = items.next()?.ok_or(Failed::Unexplained)?;
            expect(item.kind, Kind::Bulk)?;
            match self.open(item.text, Spot::field(place, field.text))? {
                Cow::Borrowed(_) => write(Piece::Value(item.raw, None), out),
                Cow::Owned(value) => write(Piece::Value(item.raw, Some(&value)), out),
            }
        }
        Ok(())
    }

    /// Null, `[name, value]` or `[name, [values]]`.
    fn popped(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        names: &Strings,
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        out.extend_from_slice(head.raw);
        match head.kind {
            Kind::Null => return Ok(()),
            Kind::Array(2) => {}
            _ => return Err(Failed::Unexplained),
        }
        let name = items.next()?.ok_or(Failed::Unexplained)?;
        expect(name.kind, Kind::Bulk)?;
        if !names.iter().any(|asked| asked == name.text) {
            // Under a name that is not protected a server could make up a value.
            return Err(Failed::Unexplained);
        }
        out.extend_from_slice(name.raw);
        let Some(pattern) = self.values.protection().names().find(name.text) else {
            out.extend_from_slice(items.skip()?);
            return Ok(());
        };
        let place = Spot {
            pattern,
            name: name.text,
            field: None,
        };
        let item = items.next()?.ok_or(Failed::Unexplained)?;
        match item.kind {
            Kind::Array(count) => self.elements(items, item, count, place, out),
            // One value: the error takes the place of the whole reply.
            _ => self.value(item, place, out),
        }
    }

    fn open<'s>(&mut self, stored: &'s [u8], place: Spot<'_>) -> Result<Cow<'s, [u8]>, Failed> {
        let opened = self.values.open(self.command, stored, place);
        opened.map_err(Failed::Broken)
    }
}

/// Returns whether the server has scripts: not, as far as the client is told, where the proxy would ask for their texts.
fn scripts_exist(
    items: &mut Items<'_>,
    head: Item<'_>,
    identifiable_digests: &[bool],
    out: &mut Vec<u8>,
) -> Result<(), Failed> {
    out.extend_from_slice(head.raw);
    for is_identifiable in identifiable_digests {
        match (items.skip()?, is_identifiable) {
            (item, true) => out.extend_from_slice(item),
            (_, false) => write_integer(out, 0),
        }
    }
    Ok(())
}

/// A part of a reply with fields.
enum Piece<'a> {
    PairHead(&'a [u8]),
    Field(&'a [u8]),
    /// As it came, and opened if it was sealed.
    Value(&'a [u8], Option<&'a [u8]>),
}

fn expect(found: Kind, expected: Kind) -> Result<(), Failed> {
    if found == expected {
        Ok(())
    } else {
        Err(Failed::Unexplained)
    }
}

/// Attributes go as they are, up to what they belong to.
fn pass_attributes(items: &mut Items<'_>, out: &mut Vec<u8>) -> Result<(), Failed> {
    loop {
        let mut ahead = items.clone();
        let head = ahead.next()?.ok_or(Failed::Unexplained)?;
        let Kind::Attribute(pairs) = head.kind else {
            return Ok(());
        };
        out.extend_from_slice(head.raw);
        for _ in 0..pairs.saturating_mul(2) {
            out.extend_from_slice(ahead.skip()?);
        }
        *items = ahead;
    }
}

/// Whether the next element is an array of two.
fn begins_with_pair(items: &Items<'_>) -> Result<bool, Failed> {
    let next = items.clone().next()?;
    Ok(next.map(|item| item.kind) == Some(Kind::Array(2)))
}

/// Commands that take several values out of the store at once.
fn takes_out(command: &str) -> bool {
    matches!(command, "lpop" | "rpop" | "lmpop" | "blmpop" | "hgetdel")
}

/// The part that GETRANGE means: both ends included, negative from the end, cut to what is there.
fn part(value: &[u8], start: i64, end: i64) -> &[u8] {
    let len = i64::try_from(value.len()).unwrap_or(i64::MAX);
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let from_end = |at: i64| if at < 0 { len.saturating_add(at) } else { at };
    let start = from_end(start).max(0);
    let end = from_end(end).max(0).min(len.saturating_sub(1));
    if start > end || len == 0 {
        return &[];
    }
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let end = usize::try_from(end).unwrap_or(usize::MAX);
    value.get(start..end.saturating_add(1)).unwrap_or_default()
}
